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
    size_t tiers = rounded(o->count * sizeof(uint8_t));
    size_t list = rounded(o->count * sizeof(uint16_t));
    size_t state = rounded(o->method->state_bytes(o->count));
    char *at =
        mem_zalloc_aligned(fixed + entries + servers + tiers + o->cores * (list + state), LINE);
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
        .panic_percent = o->panic_percent,
        .count = o->count,
    };
    list_init(&r->link);
    at += fixed;
    r->entries = (struct roster_entry *)(void *)at;
    at += entries;
    r->servers = (struct balance_server *)(void *)at;
    at += servers;
    r->tiers = (uint8_t *)at;
    at += tiers;
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
        ensure(r->entries[i].tier <= ELIGIBLE_TIER_BACKUP);
        r->tiers[i] = (uint8_t)r->entries[i].tier;
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

void roster_list(struct roster *r, uint32_t core, uint32_t epoch)
{
    struct roster_core *rc = &r->at[core];
    if (rc->listed && rc->epoch == epoch) {
        return;
    }
    struct eligible e = {.list = rc->list};
    rc->listed = true;
    rc->epoch = epoch;
    eligible_fill(&e, r->servers, r->tiers, r->count, r->panic_percent);
    rc->list_count = e.count;
    rc->list_first = e.first;
}
