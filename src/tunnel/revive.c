// SPDX-License-Identifier: Apache-2.0
//
// What the worker before left, or the edge before it: names are parked from the first moment on, so that
// nobody else gets them while their agents come back, and visitors wait. Those of a public port wait as
// well, so it must be open: after a crash or an upgrade it is, after a whole restart it is asked for
// as soon as the worker is ready.

#include "base/error.h"
#include "base/text.h"
#include "obs/tunnel_rows.h"
#include "tunnel/tunnel_int.h"

// ---- names ------------------------------------------------------------------------------------------

struct reviving {
    struct tunnel_zone *zone;
    uint32_t core;
};

static void revive(void *arg, const struct tunnel_row *row)
{
    const struct reviving *v = arg;
    struct tunnel_zone *z = v->zone;
    struct slice name = slice_str(row->name);
    bool ours = slice_eq(slice_str(row->zone), slice_of(z->site, z->site_len)) && name.len > 0 &&
                name.len < TUNNEL_NAME_MAX && row->kind <= (uint32_t)TUNNEL_UDP &&
                tunnel_home(z->registry, z, name) == v->core;
    struct tunnel *there = ours ? tunnel_find_exact(z, name) : NULL;
    if (!ours || there != NULL) {
        if (there != NULL) {
            tunnel_let_go(there);
        }
        return;
    }
    bool web = row->kind == (uint32_t)TUNNEL_HTTP;
    struct tunnel_claim c = {.zone = z,
                             .kind = (enum tunnel_kind)row->kind,
                             .port = web ? 0 : (uint16_t)row->port,
                             .wildcard = (row->bits & TUNNEL_ROW_WILDCARD) != 0,
                             .join = (row->bits & TUNNEL_ROW_JOIN) != 0,
                             .random = (row->bits & TUNNEL_ROW_RANDOM) != 0,
                             .secure = (row->bits & TUNNEL_ROW_SECURE) != 0};
    memcpy(c.name, name.ptr, name.len);
    c.name_len = (uint32_t)name.len;
    struct text owner = text_on(c.owner, sizeof(c.owner) - 1);
    text_str(&owner, row->owner);
    struct tunnel *t = NULL;
    if (tunnel_add(&c, v->core, &t) == 0) {
        t->lived = true;
        t->port_wanted = !web;
        t->since_wall_ms = row->since_wall_ms > 0 && row->since_wall_ms < t->since_wall_ms
                               ? row->since_wall_ms
                               : t->since_wall_ms;
        tunnel_park(t);
    }
}

void tunnels_revive(struct tunnel_zone *z, uint32_t core)
{
    struct reviving v = {z, core};
    if (z->registry->before != NULL) {
        tunnel_rows_each(z->registry->before, revive, &v);
    }
}

// ---- ports ------------------------------------------------------------------------------------------

static void on_port(struct tunnel_port_ask *a)
{
    struct tunnel *t = container_of(a, struct tunnel, ask);
    ensure_magic(t, TUNNEL_MAGIC);
    t->port_wanted = a->error == E_DRAINING; // the worker is not ready yet: once more
    tunnel_let_go(t);
}

void tunnel_open_port(struct tunnel *t)
{
    const struct zone_settings *z = &t->zone->at[t->home]->settings;
    bool datagram = t->kind == TUNNEL_UDP;
    bool wanted = t->port_wanted && t->parked_wall_ms != 0 && t->registry->ports != NULL;
    t->port_wanted = false;
    if (!wanted) {
        return;
    }
    tunnel_hold(t);
    t->ask = (struct tunnel_port_ask){
        .loop = tunnel_core(t)->loop,
        .key = tunnel_port_key(slice_of(t->zone->site, t->zone->site_len), datagram),
        .datagram = datagram,
        .port = t->port,
        .first = z->port_first,
        .last = z->port_last,
        .on_port = on_port,
    };
    tunnel_ports_ask(t->registry->ports, &t->ask);
}
