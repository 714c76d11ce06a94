// SPDX-License-Identifier: Apache-2.0
//
// server: cores hold a server by plain counts, and the last one frees it, whichever thread that is.
// What happens on connections is shown by lane_test.c and tests/sim.

#include "upstream/server.h"

#include <pthread.h>

#include "tap.h"

enum { CORES = 4, ROUNDS = 1000 };

static atomic_uint freed;

static void on_failed(struct server *s, struct upstream_request *rq, int error)
{
    (void)s;
    rq->on_failed(rq, error);
}

static void on_room(struct server *s, uint32_t core)
{
    (void)s;
    (void)core;
}

static void on_freed(struct server *s)
{
    (void)s;
    atomic_fetch_add(&freed, 1);
}

static const struct server_owner owner = {
    .on_failed = on_failed, .on_room = on_room, .on_freed = on_freed};
static const struct server_limits limits = {.connections_max = 10, .idle_max = 5};
static const struct server_kind kind = {.protocol = SERVER_H1};

static struct server *make(struct upstream_registry *r, const char *addr, const char *host)
{
    struct server_order o = {
        .host = slice_str(host), .kind = &kind, .limits = &limits, .owner = &owner};
    REQUIRE(os_addr_parse(slice_str(addr), &o.addr) == 0);
    struct server *s = server_new(r, &o);
    REQUIRE(s != NULL);
    return s;
}

static void is_called_by_its_address_and_as_it_was_written(void)
{
    struct upstream_registry r;
    upstream_registry_init(&r, 2);
    struct server *a = make(&r, "10.0.0.1:80", "app.internal:80");
    struct server *b = make(&r, "unix:/run/app.sock", "unix:/run/app.sock");
    CHECK_TEXT(server_text(a).ptr, server_text(a).len, "10.0.0.1:80");
    CHECK_TEXT(server_host(a).ptr, server_host(a).len, "app.internal:80");
    CHECK_TEXT(server_text(b).ptr, server_text(b).len, "unix:/run/app.sock");
    CHECK(a->id != b->id);
    CHECK(a->id == make(&r, "10.0.0.1:80", "other:80")->id); // the address alone decides
    upstream_registry_close(&r, 0);
    upstream_registry_close(&r, 1);
    upstream_registry_fini(&r);
}

static void the_last_core_frees_it(void)
{
    struct upstream_registry r;
    upstream_registry_init(&r, 2);
    struct server *s = make(&r, "10.0.0.1:80", "10.0.0.1:80");
    atomic_store(&freed, 0);
    server_enter(s, 0, &limits);
    server_enter(s, 1, &limits);
    server_enter(s, 0, &limits); // the next list has it too
    server_leave(s, 0);
    server_hold(s, 1);
    server_leave(s, 1);
    CHECK_EQ_INT(atomic_load(&freed), 0);
    server_leave(s, 0);
    CHECK_EQ_INT(atomic_load(&freed), 0);
    server_let_go(s, 1);
    CHECK_EQ_INT(atomic_load(&freed), 1);
    CHECK(list_empty(&r.servers));
    upstream_registry_fini(&r);
}

struct core_thread {
    uint32_t core;
    struct server **servers;
};

static void *hold_and_let_go(void *arg)
{
    const struct core_thread *t = arg;
    for (int i = 0; i < ROUNDS; i++) {
        server_enter(t->servers[i], t->core, &limits);
        server_hold(t->servers[i], t->core);
        server_leave(t->servers[i], t->core);
        server_let_go(t->servers[i], t->core);
    }
    return NULL;
}

static void whichever_thread_it_is(void)
{
    static struct server *servers[ROUNDS];
    struct upstream_registry r;
    upstream_registry_init(&r, CORES);
    atomic_store(&freed, 0);
    for (int i = 0; i < ROUNDS; i++) {
        servers[i] = make(&r, "10.0.0.1:80", "10.0.0.1:80");
    }
    pthread_t threads[CORES];
    struct core_thread args[CORES];
    for (uint32_t i = 0; i < CORES; i++) {
        args[i] = (struct core_thread){i, servers};
        REQUIRE(pthread_create(&threads[i], NULL, hold_and_let_go, &args[i]) == 0);
    }
    for (uint32_t i = 0; i < CORES; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ_INT(atomic_load(&freed), ROUNDS);
    CHECK(list_empty(&r.servers));
    upstream_registry_fini(&r);
}

TAP_MAIN(is_called_by_its_address_and_as_it_was_written, the_last_core_frees_it,
         whichever_thread_it_is)
