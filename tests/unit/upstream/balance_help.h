// SPDX-License-Identifier: Apache-2.0
//
// A small group of servers to choose from, for the tests of the balancing methods.

#pragma once

#include "upstream/balance.h"

#include "base/error.h"
#include "base/slab.h"
#include "tap.h"

enum { GROUP_MAX = BALANCE_SERVERS_MAX };

struct group {
    struct balance_settings settings;
    struct balance_server servers[GROUP_MAX];
    struct vitals vitals[GROUP_MAX];
    uint16_t list[GROUP_MAX];
    bool barred[GROUP_MAX];
    struct balance_choice choice;
    const struct balance_method *method;
    void *table;
    struct rng rng;
};

TAP_FN static bool group_is_barred(const void *arg, uint32_t i)
{
    const struct group *g = arg;
    return g->barred[i];
}

/** Who may be asked: those for which `usable` holds; NULL: all. */
TAP_FN static void group_list(struct group *g, bool (*usable)(uint32_t i))
{
    g->choice.list_count = 0;
    for (uint32_t i = 0; i < g->choice.count; i++) {
        if (usable == NULL || usable(i)) {
            g->list[g->choice.list_count++] = (uint16_t)i;
        }
    }
}

/** n servers of weight 1 with ids of their own. Free it with group_free(). */
TAP_FN static struct group *group_new(uint32_t n)
{
    struct group *g = mem_zalloc_aligned(sizeof(*g), 64);
    REQUIRE(g != NULL);
    rng_seed(&g->rng, 7);
    for (uint32_t i = 0; i < n; i++) {
        g->servers[i] = (struct balance_server){&g->vitals[i], 1, 1000 + i, 0};
    }
    g->choice = (struct balance_choice){
        .settings = &g->settings,
        .servers = g->servers,
        .count = n,
        .list = g->list,
        .rng = &g->rng,
        .now_ns = (uint64_t)1000 * 1000000000,
        .barred = group_is_barred,
        .barred_arg = g,
    };
    group_list(g, NULL);
    return g;
}

/** A method with its table and state; again after servers or weights have changed. */
TAP_FN static void group_use(struct group *g, const char *name)
{
    if (g->method != NULL && g->method->discard != NULL) {
        g->method->discard(g->table);
    }
    mem_free(g->choice.state);
    g->method = balance_find(slice_str(name));
    REQUIRE(g->method != NULL);
    int error = 0;
    g->table =
        g->method->build != NULL ? g->method->build(g->servers, g->choice.count, &error) : NULL;
    g->choice.table = g->table;
    g->choice.state = mem_zalloc(g->method->state_bytes(g->choice.count));
    REQUIRE(error == 0);
    REQUIRE(g->choice.state != NULL);
}

TAP_FN static void group_free(struct group *g)
{
    if (g->method != NULL && g->method->discard != NULL) {
        g->method->discard(g->table);
    }
    mem_free(g->choice.state);
    mem_free(g);
}

TAP_FN static int group_pick(struct group *g)
{
    return g->method->pick(&g->choice);
}

TAP_FN static int group_pick_key(struct group *g, uint64_t key)
{
    g->choice.key = key;
    g->choice.has_key = true;
    int i = g->method->pick(&g->choice);
    g->choice.has_key = false;
    return i;
}
