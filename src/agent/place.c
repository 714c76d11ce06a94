// SPDX-License-Identifier: Apache-2.0
//
// An edge as the agent knows it: where it is, and whom to believe that it is the edge. Its name is
// followed, so that an edge which moves is found at its new address.

#include "base/error.h"
#include "net/resolver.h"
#include "tls/tls.h"

#include "agent/agent_int.h"

/** Families in turn, IPv6 first (RFC 8305 4). */
static void take_addresses(struct agent_place *p, const struct os_addr *addrs, unsigned count)
{
    unsigned next[2] = {0, 0};
    static const uint8_t kinds[] = {OS_ADDR_V6, OS_ADDR_V4};
    p->addr_count = 0;
    unsigned empty = 0;
    for (unsigned turn = 0; empty < 2 && p->addr_count < AGENT_ADDRESSES_MAX; turn++) {
        unsigned *at = &next[turn % 2];
        while (*at < count && addrs[*at].kind != kinds[turn % 2]) {
            (*at)++;
        }
        empty = *at < count ? 0 : empty + 1;
        if (*at < count) {
            p->addrs[p->addr_count++] = addrs[(*at)++];
        }
    }
}

static void on_addresses(void *arg, const struct os_addr *addrs, unsigned count, int error)
{
    struct agent_place *p = arg;
    ensure_magic(p, AGENT_PLACE_MAGIC);
    if (count > 0) {
        take_addresses(p, addrs, count);
        p->error = 0;
    } else if (p->addr_count == 0) {
        p->error = error != 0 ? error : E_NOT_RESOLVED;
    }
    struct agent *a = p->agent;
    for (uint32_t i = 0; i < a->line_count; i++) {
        struct agent_line *n = &a->lines[i];
        for (unsigned slot = 0; n->place == p && slot < AGENT_SLOTS_MAX; slot++) {
            agent_link_on_addresses(&n->links[slot]);
        }
    }
}

static int make_origin(struct agent_place *p)
{
    const struct agent_plan *plan = p->agent->plan;
    const struct tls_origin_settings settings = {
        .verify = true,
        .server_name = p->edge->host,
        .ca = plan->ca.len > 0 ? SLICE("ca:edge") : SLICE(""),
        .system_places = plan->ca.len == 0,
        .certificate = plan->certificate.len > 0 ? SLICE("file:agent") : SLICE(""),
        .alpn = SLICE("http/1.1"), // the roles turn round on a connection of that (RFC 9110 7.8)
        .min_version = SLICE("1.2"),
    };
    return tls_origin_new(&settings, p->agent->tls, 1, &p->tls);
}

int agent_place_open(struct agent_place *p, struct agent *a, uint32_t index)
{
    *p = (struct agent_place){
        .magic = AGENT_PLACE_MAGIC, .agent = a, .index = index, .edge = &a->plan->edges[index]};
    int e = p->edge->secure ? make_origin(p) : 0;
    struct resolver *r = traffic_core_resolver(a->core);
    if (e == 0 && r == NULL) {
        e = E_NOT_RESOLVED;
    }
    // Where a proxy leads to the edge it is the proxy that is looked up, and the edge's name is for it.
    const struct outbound *proxy = &p->edge->proxy;
    bool direct = proxy->kind == OUTBOUND_DIRECT;
    if (e == 0) {
        e = resolver_watch(r, direct ? p->edge->host : outbound_host(proxy),
                           direct ? p->edge->port : proxy->port, on_addresses, p, &p->watch);
    }
    return e;
}

void agent_place_close(struct agent_place *p)
{
    if (p->magic != AGENT_PLACE_MAGIC) {
        return; // never opened
    }
    if (p->watch != NULL) {
        resolver_unwatch(traffic_core_resolver(p->agent->core), p->watch);
    }
    tls_origin_unref(p->tls);
    p->magic = 0;
}
