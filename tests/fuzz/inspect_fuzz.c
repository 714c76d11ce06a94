// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what the inspector says of a request: a head, bodies. Whatever visitors send, no text is longer than
// was reckoned with, JSON has no bare control byte, and a command's quotes are even.

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "inspect/redact.h"
#include "inspect/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void release(struct slice text)
{
    mem_free((void *)(uintptr_t)text.ptr);
}

static void check_json(struct slice text)
{
    bool inside = false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        ensure(c >= ' ' || (c == '\n' && !inside));
        if (c == '\\') {
            ensure(inside && i + 1 < text.len);
            i++;
        } else if (c == '"') {
            inside = !inside;
        }
    }
    ensure(!inside);
    release(text);
}

static void check_command(struct slice text)
{
    bool inside = false;
    for (size_t i = 0; i < text.len; i++) {
        if (!inside && text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '\'') {
            inside = !inside;
        } else {
            ensure(inside || strchr(" -:@abcdefghijklmnopqrstuvwxyzHTCX\n", text.ptr[i]) != NULL);
        }
    }
    ensure(!inside);
    release(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ring r;
    ring_init(&r);
    struct ring_entry *e = ring_add(&r);
    ensure(e != NULL);
    e->status = 200;
    const char *p = (const char *)data;
    while (size >
           2) { // which piece, how long, so many bytes; a head's as one of its own, or as it is
        enum ring_piece piece = (enum ring_piece)(p[0] & 3);
        bool raw = (p[0] & 4) != 0;
        size_t len = (unsigned char)p[1];
        len = len < size - 2 ? len : size - 2;
        struct slice bytes = slice_of(p + 2, len);
        if (piece == RING_REQUEST_BODY || piece == RING_ANSWER_BODY) {
            ring_write_body(&r, e->id, piece, bytes);
        } else if (!raw) {
            ensure(show_put(&r, e->id, piece, bytes));
        } else {
            ensure(ring_write(&r, e->id, piece, bytes));
        }
        p += 2 + len;
        size -= 2 + len;
    }
    e->request.whole = e->request.bytes == e->text[RING_REQUEST_BODY].len;
    struct slice text;
    ensure(show_list(&r, 0, &text) == 0);
    check_json(text);
    ensure(show_entry(e, &text) == 0);
    check_json(text);
    ensure(show_curl(e, &text) == 0);
    check_command(text);
    ring_fini(&r);
    return 0;
}
