// SPDX-License-Identifier: Apache-2.0
//
// The header block against a plain list: the input is a sequence of operations, and after each the
// block holds what the list holds.

#include <stdlib.h>
#include <strings.h>

#include "base/ensure.h"
#include "base/error.h"
#include "http/accept.h"
#include "http/etag.h"
#include "http/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST_MAX = 40, BYTES_MAX = 2000 };

struct list_entry {
    struct slice name; // views of the input
    struct slice value;
};

static struct list_entry list[LIST_MAX];
static unsigned list_len;

static const struct slice names[] = {
    SLICE_INIT("Cookie"), SLICE_INIT("cookie"), SLICE_INIT("X-A"),
    SLICE_INIT("x-a"),    SLICE_INIT("Via"),    SLICE_INIT("X-B"),
    SLICE_INIT("te"),     SLICE_INIT("Accept"), SLICE_INIT("Accept-Encoding"),
};

static unsigned list_remove(unsigned from, struct slice name)
{
    unsigned kept = from;
    for (unsigned i = from; i < list_len; i++) {
        if (!slice_eq_nocase(list[i].name, name)) {
            list[kept++] = list[i];
        }
    }
    unsigned removed = list_len - kept;
    list_len = kept;
    return removed;
}

static void list_set(struct slice name, struct slice value)
{
    for (unsigned i = 0; i < list_len; i++) {
        if (slice_eq_nocase(list[i].name, name)) {
            list[i].value = value;
            (void)list_remove(i + 1, name);
            return;
        }
    }
    list[list_len++] = (struct list_entry){name, value};
}

static void check_same(const struct fields *f)
{
    ensure(f->count == list_len);
    uint64_t present = 0;
    for (unsigned i = 0; i < list_len; i++) {
        const struct field *e = &f->entries[i];
        ensure(slice_eq(field_name(f, e), list[i].name));
        ensure(slice_eq(field_value(f, e), list[i].value));
        present |= UINT64_C(1) << http_name_of(list[i].name);
    }
    ensure(present == f->present[0]);
    ensure(f->used <= f->capacity && f->capacity <= f->bytes_max);
}

// One operation; returns false when the block is full, after which the two may differ.
static bool operate(struct fields *f, unsigned op, struct slice name, struct slice value)
{
    int rc = 0;
    if (op == 0) {
        rc = fields_add(f, name, value);
        if (rc == 0) {
            list[list_len++] = (struct list_entry){name, value};
        }
    } else if (op == 1) {
        rc = fields_set(f, name, value);
        if (rc == 0) {
            list_set(name, value);
        }
    } else if (op == 2) {
        ensure(fields_remove(f, name) == list_remove(0, name));
    } else if (list_len > 0) {
        unsigned i = (unsigned)value.len % list_len;
        fields_remove_at(f, (uint16_t)i);
        list_len--;
        memmove(&list[i], &list[i + 1], (list_len - i) * sizeof(list[0]));
    }
    ensure(rc == 0 || rc == E_TOO_MANY_FIELDS || rc == E_HEAD_TOO_LARGE);
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct fields f;
    arena_init(&arena, NULL, 0, NULL, 1 << 16);
    fields_init(&f, &arena, BYTES_MAX, LIST_MAX);
    list_len = 0;
    size_t at = 0;
    while (at + 2 <= size) {
        unsigned op = data[at] % 4;
        struct slice name = names[data[at] / 4 % array_len(names)];
        size_t len = data[at + 1] % 64;
        at += 2;
        struct slice value = slice_sub(slice_of((const char *)data, size), at, len);
        at += value.len;
        if (!operate(&f, op, name, value)) {
            break;
        }
        check_same(&f);
        ensure(fields_has(&f, HTTP_COOKIE) == (fields_find_id(&f, HTTP_COOKIE) != NULL));
    }
    ensure(http_coding_weight(&f, SLICE("gzip")) <= 1000);
    ensure(http_page_wanted(&f) <= HTTP_PAGE_JSON);
    struct slice all = slice_of((const char *)data, size);
    (void)http_etag_listed(all, SLICE("\"a\""), false);
    (void)fields_list_has(&f, HTTP_ACCEPT, SLICE("x"));
    arena_fini(&arena);
    return 0;
}
