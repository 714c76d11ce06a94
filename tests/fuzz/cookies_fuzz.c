// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what a server is chosen by: cookies, a header and a query. The input is lines: `c` a Cookie
// field, `h` a header x-user, `q` the query, each followed by its value. Values lie within what was
// sent; a cookie that names a server is the one that was made for it; what is set is legal.

#include <stdlib.h>

#include "base/ensure.h"
#include "proxy/key.h"
#include "upstream/sticky.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SERVERS = 3 };

struct world {
    struct arena arena;
    struct http_head head;
    struct http_peer peer;
    struct upstream_subject subject;
};

static void add_line(struct world *w, struct slice line)
{
    struct slice value = slice_trim(slice_from(line, 1));
    bool legal = http_value_ok(value);
    int e = 0;
    if (legal && line.ptr[0] == 'c') {
        e = fields_add_id(&w->head.fields, HTTP_COOKIE, value);
    } else if (legal && line.ptr[0] == 'h') {
        e = fields_add(&w->head.fields, SLICE("x-user"), value);
    } else if (line.ptr[0] == 'q') {
        w->head.query = value;
    }
    (void)e; // too many, too large: left out, as a codec would refuse them
}

static void fill(struct world *w, struct slice rest)
{
    while (rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice line = end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
        rest = end < 0 ? slice_from(rest, rest.len) : slice_from(rest, (size_t)end + 1);
        if (line.len > 0) {
            add_line(w, line);
        }
    }
}

static void check_keys(const struct world *w)
{
    static const char *const forms[] = {"client", "path", "cookie sid", "header x-user", "query q"};
    for (size_t i = 0; i < array_len(forms); i++) {
        struct key_plan p;
        uint64_t a;
        uint64_t b;
        ensure(key_parse(slice_str(forms[i]), &p));
        bool has = key_of(&p, &w->subject, &a);
        ensure(has == key_of(&p, &w->subject, &b) && a == b);
    }
}

static void check_cookies(const struct world *w)
{
    const struct fields *f = &w->head.fields;
    struct key_cookies at = {0};
    struct slice value;
    while (key_next_cookie(f, SLICE("sid"), &at, &value)) {
        ensure(value.len == 0 ||
               (value.ptr >= f->store && value.ptr + value.len <= f->store + f->used));
        ensure(slice_find_char(value, ';') < 0);
    }
}

static void check_sticky(struct world *w, bool secure)
{
    struct sticky_plan p;
    struct balance_server servers[SERVERS] = {{0}};
    w->peer.secure = secure;
    ensure(sticky_parse(SLICE("cookie __Host-sid"), SLICE("app"), &p));
    sticky_set_key(&p, SLICE("0123456789abcdef"));
    for (uint32_t i = 0; i < SERVERS; i++) {
        servers[i].token = sticky_token(&p, i);
    }
    int found = sticky_find(&p, servers, SERVERS, &w->subject);
    ensure(found >= -1 && found < SERVERS);
    struct slice cookie;
    if (sticky_cookie(&p, servers[0].token, &w->subject, &cookie) == 0) {
        ensure(http_value_ok(cookie));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        abort();
    }
    arena_init(&w->arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&w->head, &w->arena, 65536, 100);
    w->subject =
        (struct upstream_subject){.request = &w->head, .peer = &w->peer, .arena = &w->arena};
    fill(w, slice_of((const char *)data, size));
    check_keys(w);
    check_cookies(w);
    check_sticky(w, false);
    check_sticky(w, true);
    arena_fini(&w->arena);
    free(w);
    return 0;
}
