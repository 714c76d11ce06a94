// SPDX-License-Identifier: Apache-2.0
//
// An exchange without sessions, for tests of what only looks at one: request head, peer, snapshot and
// loop are there, nothing runs.

#pragma once

#include <stdlib.h>

#include "base/error.h"
#include "proxy/core.h"
#include "proxy/exchange.h"
#include "tap.h"

struct fake {
    struct exchange x;
    struct snapshot snapshot;
    struct loop loop;
    struct core core;
    struct http_stream down;
    struct http_stream_ops ops;
    struct http_peer peer;
    char path[8192];
};

static inline struct fake *fake_new(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    REQUIRE(f != NULL);
    f->ops.protocol = "1.1";
    f->down.ops = &f->ops;
    f->down.peer = &f->peer;
    struct os_addr addr;
    REQUIRE(os_addr_parse(SLICE("192.0.2.7:4711"), &addr) == 0);
    http_peer_set(&f->peer, &addr);
    f->core.loop = &f->loop;
    f->snapshot.forwarded = FORWARDED_X;
    f->snapshot.via = true;
    struct exchange *x = &f->x;
    x->core = &f->core;
    x->loop = &f->loop;
    x->snapshot = &f->snapshot;
    x->down = &f->down;
    arena_init(&x->arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&x->request, &x->arena, 32768, 100);
    http_head_init(&x->response, &x->arena, 32768, 100);
    x->request.method = HTTP_METHOD_GET;
    x->request.method_text = SLICE("GET");
    x->request.version_minor = 1;
    x->request.authority = SLICE("example.com");
    x->request.host = SLICE("example.com");
    x->request.target = SLICE("/");
    x->request.path = SLICE("/");
    x->normal_path = SLICE("/");
    x->client = os_peer_addr(&f->peer.addr);
    memcpy(x->id, "00000000000000ab", 16);
    return f;
}

static inline void fake_free(struct fake *f)
{
    arena_fini(&f->x.arena);
    free(f);
}

/** Sets target, path, query and the normalised path. */
static inline void fake_target(struct fake *f, const char *target)
{
    struct exchange *x = &f->x;
    x->request.target = slice_str(target);
    ptrdiff_t mark = slice_find_char(x->request.target, '?');
    x->request.path = mark < 0 ? x->request.target : slice_sub(x->request.target, 0, (size_t)mark);
    x->request.query =
        mark < 0 ? slice_of(NULL, 0) : slice_from(x->request.target, (size_t)mark + 1);
    REQUIRE(http_path_normalise(x->request.path, f->path, &x->normal_path) == 0);
}

static inline void fake_field(struct fake *f, const char *name, const char *value)
{
    REQUIRE(fields_add(&f->x.request.fields, slice_str(name), slice_str(value)) == 0);
}

static inline void fake_peer(struct fake *f, const char *addr)
{
    struct os_addr parsed;
    REQUIRE(os_addr_parse(slice_str(addr), &parsed) == 0);
    http_peer_set(&f->peer, &parsed);
    f->x.client = parsed;
}
