// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what is read of forwarding fields. The input is a list of fields, one a line: `f` Forwarded,
// `x` X-Forwarded-For, `p` X-Forwarded-Proto, `v` Via, each followed by its value; the first byte picks
// the mode. Whatever a trusted peer sends, the client is an address, only fields that may be there are
// left, and each value that is written is legal.

#include <stdlib.h>

#include "base/error.h"
#include "proxy/exchange.h"
#include "proxy/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct exchange x;
    struct snapshot snapshot;
    struct loop loop;
    struct http_stream down;
    struct http_stream_ops ops;
    struct http_peer peer;
    struct os_cidr nets[2];
};

static void add_line(struct fields *f, struct slice line)
{
    static const struct {
        char mark;
        enum http_name id;
    } names[] = {{'f', HTTP_FORWARDED},
                 {'x', HTTP_X_FORWARDED_FOR},
                 {'p', HTTP_X_FORWARDED_PROTO},
                 {'v', HTTP_VIA}};
    struct slice value = slice_trim(slice_from(line, 1));
    for (size_t i = 0; i < array_len(names) && http_value_ok(value); i++) {
        if (line.ptr[0] == names[i].mark && fields_add_id(f, names[i].id, value) != 0) {
            return;
        }
    }
}

static struct world *make(uint8_t mode)
{
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        abort();
    }
    w->ops.protocol = "1.1";
    w->down.ops = &w->ops;
    w->down.peer = &w->peer;
    struct os_addr peer;
    ensure(os_addr_parse(SLICE("10.0.0.1:80"), &peer) == 0);
    http_peer_set(&w->peer, &peer);
    ensure(os_cidr_parse(SLICE("10.0.0.0/8"), &w->nets[0]) == 0);
    ensure(os_cidr_parse(SLICE("fc00::/7"), &w->nets[1]) == 0);
    w->snapshot.trusted = w->nets;
    w->snapshot.trusted_count = 2;
    w->snapshot.forwarded = mode & 3;
    w->snapshot.via = true;
    w->x.snapshot = &w->snapshot;
    w->x.loop = &w->loop;
    w->x.down = &w->down;
    arena_init(&w->x.arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&w->x.request, &w->x.arena, 1 << 18, 512);
    w->x.request.version_minor = 1;
    w->x.request.authority = SLICE("[::1]:8080");
    memset(w->x.id, 'a', sizeof(w->x.id));
    return w;
}

// The parser of elements must come to an end and stay inside.
static void take_apart(struct slice s)
{
    struct slice rest = s;
    struct forwarded_hop hop;
    size_t before = rest.len + 1;
    while (forwarded_last_hop(&rest, &hop)) {
        struct os_addr addr;
        ensure(rest.len < before);
        ensure(hop.node.len <= s.len);
        before = rest.len;
        if (forwarded_node_addr(hop.node, &addr) == 0) {
            ensure(addr.kind == OS_ADDR_V4 || addr.kind == OS_ADDR_V6);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536) {
        return 0;
    }
    struct world *w = make(data[0]);
    struct fields *f = &w->x.request.fields;
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    take_apart(rest);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice line = end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
        rest = end < 0 ? slice_from(rest, rest.len) : slice_from(rest, (size_t)end + 1);
        if (line.len > 0) {
            add_line(f, line);
        }
    }
    forwarded_client(&w->x);
    ensure(w->x.client.kind == OS_ADDR_V4 || w->x.client.kind == OS_ADDR_V6);
    int rc = forwarded_request(&w->x);
    ensure(rc == 0 || rc == E_LOOP || rc == E_HEAD_TOO_LARGE || rc == E_TOO_MANY_FIELDS ||
           rc == E_NO_MEMORY);
    for (unsigned i = 0; i < f->count; i++) {
        ensure(http_value_ok(field_value(f, &f->entries[i])));
    }
    arena_fini(&w->x.arena);
    free(w);
    return 0;
}
