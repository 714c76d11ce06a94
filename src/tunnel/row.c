// SPDX-License-Identifier: Apache-2.0
//
// What is told of a tunnel: its row, which `adit tunnels` lists and which outlasts the worker, and the
// counters of those that are live and parked. The row's URL follows the listeners there are now. Home
// core.

#include "base/text.h"
#include "obs/tunnel_rows.h"
#include "tunnel/tunnel_int.h"

static void count_connections(const struct tunnel *t, struct tunnel_counts *counts)
{
    list_each(node, &t->connections)
    {
        struct tunnel_connection *c = list_entry(node, struct tunnel_connection, link);
        if (!c->is_open || c->instance == NULL) {
            continue;
        }
        uint32_t rtt = atomic_load_explicit(&c->rtt_us, memory_order_relaxed);
        bool nearer = rtt != 0 && (counts->rtt_us == 0 || rtt < counts->rtt_us);
        counts->rtt_us = nearer ? rtt : counts->rtt_us;
        counts->connections++;
    }
}

static void put(char *field, size_t size, struct slice text)
{
    struct text t = text_on(field, size - 1);
    text_put(&t, slice_sub(text, 0, text.len < size ? text.len : size - 1));
}

static void count(const struct tunnel *t, struct tunnel_counts *counts)
{
    count_connections(t, counts);
    counts->bytes_in = atomic_load_explicit(&t->bytes_in, memory_order_relaxed);
    counts->bytes_out = atomic_load_explicit(&t->bytes_out, memory_order_relaxed);
    counts->state = t->parked_wall_ms != 0 ? TUNNEL_ROW_PARKED : TUNNEL_ROW_LIVE;
    list_each(node, &t->instances)
    {
        const struct tunnel_instance *i = list_entry(node, struct tunnel_instance, link);
        const struct vitals *v = &i->server->vitals;
        counts->instances++;
        counts->active += vitals_active(v);
        counts->requests += atomic_load_explicit(&v->requests, memory_order_relaxed);
    }
}

static void fill_host(const struct tunnel *t, struct tunnel_row *row)
{
    const struct zone *z = t->zone->at[t->home];
    struct text host = text_on(row->at, sizeof(row->at) - 1);
    if (z != NULL && t->kind != TUNNEL_HTTP) {
        text_put(&host, z->settings.at);
        return;
    }
    text_put(&host, tunnel_name(t));
    if (z != NULL) {
        text_put(&host, z->settings.suffix);
    }
}

void tunnel_recount(struct tunnel *t)
{
    struct counters *counters = tunnel_core(t)->counters;
    enum counter is = t->over                  ? COUNTER_COUNT
                      : t->parked_wall_ms != 0 ? COUNTER_tunnels_parked
                                               : COUNTER_tunnels_live;
    if (is == t->counted) {
        return;
    }
    if (t->counted != COUNTER_COUNT) {
        counter_sub(counters, t->counted, 1);
    }
    if (is != COUNTER_COUNT) {
        counter_add(counters, is, 1);
    }
    t->counted = is;
}

struct url {
    bool secure;
    uint16_t port;
};

/** Where visitors come, by the listeners that there are now. Whether they can come with TLS the newest claim
 * knew; of a tunnel from before a restart it is what was so then, as far as it still can be. */
static struct url url_of(const struct tunnel *t)
{
    const struct registry_core *home = tunnel_core(t);
    if (t->kind != TUNNEL_HTTP) {
        return (struct url){.port = t->port};
    }
    bool both = (home->tls_port != 0) == (home->clear_port != 0);
    bool secure = both ? t->secure : home->tls_port != 0;
    return (struct url){.secure = secure, .port = secure ? home->tls_port : home->clear_port};
}

static uint32_t word_of(struct url u)
{
    return u.port | (u.secure ? UINT32_C(1) << 16 : 0);
}

void tunnel_tell(struct tunnel *t)
{
    struct tunnel_registry *r = t->registry;
    tunnel_recount(t);
    if (r->rows == NULL) {
        return;
    }
    if (t->row == TUNNEL_ROWS_NONE) {
        t->row = tunnel_rows_take(r->rows);
    }
    struct url url = url_of(t);
    t->told_url = word_of(url);
    struct tunnel_row row = {
        .since_wall_ms = t->since_wall_ms,
        .state_wall_ms = t->parked_wall_ms != 0 ? t->parked_wall_ms : t->since_wall_ms,
        .kind = (uint32_t)t->kind,
        .bits = (t->wildcard ? TUNNEL_ROW_WILDCARD : 0) | (t->shared ? TUNNEL_ROW_JOIN : 0) |
                (t->random ? TUNNEL_ROW_RANDOM : 0) | (url.secure ? TUNNEL_ROW_SECURE : 0),
        .port = url.port,
    };
    count(t, &row.counts);
    put(row.zone, sizeof(row.zone), slice_of(t->zone->site, t->zone->site_len));
    put(row.name, sizeof(row.name), tunnel_name(t));
    put(row.owner, sizeof(row.owner), slice_str(t->owner));
    fill_host(t, &row);
    struct list *first = list_first(&t->instances);
    if (first != NULL) {
        const struct tunnel_instance *i = list_entry(first, struct tunnel_instance, link);
        struct text address = text_on(row.address, sizeof(row.address) - 1);
        os_addr_text(&i->address, &address);
        put(row.grant, sizeof(row.grant), slice_str(i->grant));
        put(row.agent, sizeof(row.agent), slice_str(i->agent));
        memcpy(row.instance, i->id, sizeof(row.instance));
    }
    tunnel_rows_set(r->rows, t->row, &row);
}

void tunnel_tell_counts(struct tunnel *t)
{
    if (t->told_url != word_of(url_of(t))) {
        tunnel_tell(t);
    } else if (t->registry->rows != NULL) {
        struct tunnel_counts counts = {0};
        count(t, &counts);
        tunnel_rows_count(t->registry->rows, t->row, &counts);
    }
}
