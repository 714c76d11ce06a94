// SPDX-License-Identifier: Apache-2.0
//
// Rosters (upstream/roster.h).

#include "upstream/roster.h"

#include "base/error.h"
#include "base/slab.h"

enum { ROSTER_MAGIC = 0x726f7374, LINE = 64 };

static size_t rounded(size_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

struct roster *roster_new(const struct roster_order *o)
{
    ensure(o->count <= BALANCE_SERVERS_MAX && o->cores > 0);
    // One block: the roster, its entries, and for each core lines of its own.
    size_t fixed = rounded(sizeof(struct roster) + o->cores * sizeof(struct roster_core));
    size_t entries = rounded(o->count * sizeof(struct roster_entry));
    size_t servers = rounded(o->count * sizeof(struct balance_server));
    size_t list = rounded(o->count * sizeof(uint16_t));
    size_t state = rounded(o->method->state_bytes(o->count));
    char *at = mem_zalloc_aligned(fixed + entries + servers + o->cores * (list + state), LINE);
    if (at == NULL) {
        return NULL;
    }
    struct roster *r = (struct roster *)(void *)at;
    *r = (struct roster){
        .magic = ROSTER_MAGIC,
        .cores = o->cores,
        .group = o->group,
        .method = o->method,
        .balance = o->balance,
        .error = o->error,
        .count = o->count,
    };
    list_init(&r->link);
    at += fixed;
    r->entries = (struct roster_entry *)(void *)at;
    at += entries;
    r->servers = (struct balance_server *)(void *)at;
    at += servers;
    for (uint32_t i = 0; i < o->cores; i++) {
        r->at[i].roster = r;
        r->at[i].list = (uint16_t *)(void *)at;
        r->at[i].state = at + list;
        at += list + state;
    }
    return r;
}

int roster_build(struct roster *r)
{
    ensure_magic(r, ROSTER_MAGIC);
    for (uint32_t i = 0; i < r->count; i++) {
        r->servers[i].vitals = &r->entries[i].server->vitals;
        r->servers[i].id = r->entries[i].server->id;
    }
    if (r->method->build == NULL || r->count == 0) {
        return 0;
    }
    int error = 0;
    r->table = r->method->build(r->servers, r->count, &error);
    return error;
}

void roster_free(struct roster *r)
{
    ensure_magic(r, ROSTER_MAGIC);
    if (r->table != NULL && r->method->discard != NULL) {
        r->method->discard(r->table);
    }
    r->magic = 0;
    mem_free(r);
}

/** Adds those of a tier; `anyway`: also those that do not look well. */
static void list_tier(struct roster *r, struct roster_core *rc, uint32_t tier, bool anyway)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const struct balance_server *s = &r->servers[i];
        unsigned bits = atomic_load_explicit(&s->vitals->bits, memory_order_relaxed);
        unsigned never = VITALS_DRAIN | VITALS_MAINTENANCE | VITALS_GONE;
        bool may = anyway ? (bits & never) == 0 : bits == 0;
        if (may && s->weight > 0 && r->entries[i].tier == tier) {
            rc->list[rc->list_count++] = (uint16_t)i;
        }
    }
}

void roster_list(struct roster *r, uint32_t core, uint32_t epoch)
{
    struct roster_core *rc = &r->at[core];
    if (rc->listed && rc->epoch == epoch) {
        return;
    }
    rc->listed = true;
    rc->epoch = epoch;
    rc->list_count = 0;
    for (int anyway = 0; anyway < 2 && rc->list_count == 0; anyway++) {
        for (uint32_t tier = 0; tier < ROSTER_TIERS_MAX; tier++) {
            list_tier(r, rc, tier, anyway != 0);
        }
    }
}
