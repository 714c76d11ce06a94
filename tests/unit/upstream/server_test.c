// SPDX-License-Identifier: Apache-2.0
//
// server: the registry shares one server between all that name the same address and settings, and
// forgets it with the last reference. What happens on connections is shown by tests/sim.

#include "upstream/server.h"

#include <pthread.h>

#include "tap.h"

static const struct server_settings settings = {
    .connections_max = 10, .idle_max = 5, .idle_ms = 1000};

static void shares_what_is_the_same(void)
{
    struct upstream_registry r;
    upstream_registry_init(&r, 2);
    struct server *a = server_get(&r, SLICE("10.0.0.1:80"), &settings);
    struct server *b = server_get(&r, SLICE("10.0.0.1:80"), &settings);
    struct server *other_port = server_get(&r, SLICE("10.0.0.1:81"), &settings);
    struct server_settings fewer = settings;
    fewer.connections_max = 1;
    struct server *other_limit = server_get(&r, SLICE("10.0.0.1:80"), &fewer);
    REQUIRE(a != NULL && b != NULL && other_port != NULL && other_limit != NULL);
    CHECK(a == b);
    CHECK(a != other_port);
    CHECK(a != other_limit);
    server_unref(a);
    CHECK_TEXT(server_text(b).ptr, server_text(b).len, "10.0.0.1:80");
    server_unref(b);
    server_unref(other_port);
    server_unref(other_limit);
    upstream_registry_fini(&r);
}

static void tells_addresses_from_names(void)
{
    static const struct {
        const char *text;
        bool name;
        uint16_t port;
    } rows[] = {
        {"10.0.0.1:80", false, 0},        {"[::1]:8080", false, 0},
        {"unix:/run/app.sock", false, 0}, {"app.internal:8080", true, 8080},
        {"localhost:1", true, 1},
    };
    struct upstream_registry r;
    upstream_registry_init(&r, 1);
    for (size_t i = 0; i < array_len(rows); i++) {
        struct server *s = server_get(&r, slice_str(rows[i].text), &settings);
        REQUIRE(s != NULL);
        CHECK_EQ_INT(s->is_name, rows[i].name);
        CHECK_EQ_INT(s->port, rows[i].port);
        CHECK_EQ_INT(s->cores[0].addr_count, rows[i].name ? 0 : 1);
        server_unref(s);
    }
    CHECK(server_get(&r, SLICE("app.internal"), &settings) == NULL);
    CHECK(server_get(&r, SLICE("app.internal:http"), &settings) == NULL);
    upstream_registry_fini(&r);
}

static void *get_and_give_back(void *arg)
{
    struct upstream_registry *r = arg;
    for (int i = 0; i < 2000; i++) {
        struct server *s =
            server_get(r, i % 2 == 0 ? SLICE("10.0.0.1:80") : SLICE("10.0.0.2:80"), &settings);
        if (s != NULL) {
            server_unref(s);
        }
    }
    return NULL;
}

static void may_be_used_by_any_thread(void)
{
    struct upstream_registry r;
    upstream_registry_init(&r, 1);
    pthread_t threads[4];
    for (size_t i = 0; i < array_len(threads); i++) {
        REQUIRE(pthread_create(&threads[i], NULL, get_and_give_back, &r) == 0);
    }
    for (size_t i = 0; i < array_len(threads); i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    upstream_registry_fini(&r);
}

TAP_MAIN(shares_what_is_the_same, tells_addresses_from_names, may_be_used_by_any_thread)
