// SPDX-License-Identifier: Apache-2.0
//
// The steps of a call, one after the other (agent/probe.h). It turns the agent's loop itself until the
// step is over: nobody is served meanwhile.

#include "agent/probe.h"

#include "base/error.h"
#include "base/text.h"
#include "tls/tls.h"

#include "agent/agent_int.h"

enum { STEP_MS = 10000, TURN_MS = 20, TEXT_MAX = 1024 };

struct probe {
    struct agent *agent;
    void (*step)(void *arg, const struct agent_step *s);
    void *arg;
    uint64_t began_ns;
    // of a dial
    struct agent_reach reach;
    bool over;
    int error;
    struct transport *t;
    struct os_addr at;
    char alpn[32];
    // of the handshake
    bool answered;
    enum agent_event_kind kind;
    bool has_answer;
    struct agent_answer answer;
    char text[TEXT_MAX];
};

static void begin_step(struct probe *p)
{
    p->began_ns = loop_clock_ns(&p->agent->loop);
}

static void tell(struct probe *p, const char *name, int error, struct slice text,
                 const char *advice)
{
    const struct agent_step s = {
        .name = name,
        .ok = error == 0,
        .took_us = (loop_clock_ns(&p->agent->loop) - p->began_ns) / 1000,
        .text = text,
        .advice = error == 0 ? "" : advice,
    };
    p->step(p->arg, &s);
}

// ---- the name --------------------------------------------------------------------------------------

static int look_up(struct probe *p)
{
    struct agent *a = p->agent;
    struct agent_place *place = &a->places[0];
    begin_step(p);
    int e = agent_place_open(place, a, 0);
    uint64_t end = a->loop.now_ms + STEP_MS;
    while (e == 0 && place->addr_count == 0 && place->error == 0 && a->loop.now_ms < end) {
        loop_turn(&a->loop, TURN_MS);
    }
    e = e != 0 ? e : place->addr_count > 0 ? 0 : place->error != 0 ? place->error : E_NOT_RESOLVED;
    char buffer[TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    const struct outbound *proxy = &place->edge->proxy;
    text_put(&t, proxy->kind != OUTBOUND_DIRECT ? outbound_host(proxy) : place->edge->host);
    text_str(&t, e == 0 ? " is " : ": ");
    text_str(&t, e == 0 ? "" : e == E_NOT_RESOLVED ? "the name does not resolve" : error_text(e));
    for (uint32_t i = 0; e == 0 && i < place->addr_count; i++) {
        text_str(&t, i > 0 ? ", " : "");
        os_addr_ip_text(&place->addrs[i], &t);
    }
    tell(p, "dns", e, text_slice(&t),
         "is the name right, and does the resolver of this network answer (/etc/resolv.conf)?");
    return e;
}

// ---- the way there ---------------------------------------------------------------------------------

static void on_transport(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static void on_reached(struct agent_reach *r, int error, const struct dial_result *result)
{
    struct probe *p = container_of(r, struct probe, reach);
    p->over = true;
    p->error = error;
    if (error == 0) {
        p->t = result->t;
        p->at = os_peer_addr(&result->peer.addr);
        transport_set_owner(p->t, p, on_transport);
        struct text t = text_on(p->alpn, sizeof(p->alpn) - 1);
        text_put(&t, result->alpn);
    }
}

/** Dials; p->t is there when it went well. */
static int reach(struct probe *p, bool secure)
{
    struct agent *a = p->agent;
    struct agent_place *place = &a->places[0];
    p->over = false;
    p->alpn[0] = '\0';
    begin_step(p);
    struct tls_origin *own = place->tls;
    place->tls = secure ? own : NULL;
    agent_reach_begin(&p->reach, place, STEP_MS);
    place->tls = own;
    while (!p->over) {
        loop_turn(&a->loop, TURN_MS);
    }
    return p->error;
}

static void hang_up(struct probe *p)
{
    if (p->t != NULL) {
        transport_close(p->t, false);
        p->t = NULL;
        loop_turn(&p->agent->loop, 0);
    }
}

static int connect_there(struct probe *p)
{
    const struct agent_edge *edge = p->agent->places[0].edge;
    bool direct = edge->proxy.kind == OUTBOUND_DIRECT;
    int e = reach(p, false);
    char buffer[TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    if (!direct) {
        outbound_text(&edge->proxy, &t);
        text_str(&t, e == 0 ? " leads to " : ": ");
    }
    if (e == 0 && direct) {
        text_str(&t, "connected to ");
        os_addr_text(&p->at, &t);
    } else if (e == 0) {
        agent_edge_authority(&t, edge);
    } else {
        text_str(&t, error_text(e));
        text_str(&t, p->reach.reason[0] != '\0' ? ": " : "");
        text_str(&t, p->reach.reason);
    }
    tell(p, direct ? "tcp" : "proxy", e, text_slice(&t),
         !direct ? "HTTPS_PROXY and NO_PROXY say which way is taken; does that proxy allow it?"
         : e == E_REFUSED ? "the machine is there, nothing listens on that port: is the edge "
                            "running, is the port right?"
                          : "a firewall may stand in between; behind a proxy set HTTPS_PROXY");
    hang_up(p);
    return e;
}

static const char *tls_advice(int error)
{
    switch (error) {
    case E_TLS_UNTRUSTED:
        return "a proxy that opens TLS shows its own certificate; is it a private authority, give "
               "--ca FILE; else have ca-certificates installed";
    case E_TLS_EXPIRED:
        return "is this machine's clock right?";
    case E_TLS_WRONG_NAME:
        return "does --server name the edge as its certificate does?";
    default:
        return "something in between may let no TLS through; behind a proxy set HTTPS_PROXY";
    }
}

static int secure_it(struct probe *p)
{
    int e = reach(p, true);
    char buffer[TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    if (e == 0) {
        text_put(&t, tls_security(p->t)->version);
        text_str(&t, ", ");
        text_put(&t, tls_security(p->t)->cipher);
        text_str(&t, p->alpn[0] != '\0' ? ", " : "");
        text_str(&t, p->alpn);
    } else {
        text_str(&t, error_text(e));
        text_str(&t, p->reach.reason[0] != '\0' ? ": " : "");
        text_str(&t, p->reach.reason);
    }
    tell(p, "tls", e, text_slice(&t), tls_advice(e));
    hang_up(p);
    return e;
}

// ---- the handshake -----------------------------------------------------------------------------------

static void on_event(void *arg, const struct agent_event *e)
{
    struct probe *p = arg;
    if (p->answered || e->kind == AGENT_EVENT_REQUEST || e->kind == AGENT_EVENT_LEAVING) {
        return;
    }
    p->answered = true;
    p->kind = e->kind;
    p->has_answer = e->answer != NULL;
    if (e->answer != NULL) {
        p->answer = *e->answer;
    }
    struct text t = text_on(p->text, sizeof(p->text) - 1);
    text_put(&t, slice_sub(e->text, 0, sizeof(p->text) - 1));
}

/** What the edge says concerns who we are, not whether it is one. */
static bool is_about_us(const struct agent_answer *a)
{
    return a->status == 101 || a->status == 401 || a->status == 403 || a->status == 409 ||
           a->status == 429;
}

static void tell_token(struct probe *p, int error)
{
    char buffer[TEXT_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    if (error == 0) {
        text_str(&t, "let in");
        for (uint32_t i = 0; i < p->answer.url_count; i++) {
            text_printf(&t, i == 0 ? ": %s" : ", %s", p->answer.urls[i]);
        }
    } else {
        text_str(&t, p->text);
    }
    const struct agent_plan *plan = p->agent->plan;
    bool shows = plan->certificate.len > 0 || plan->has_key;
    tell(p, "token", error, text_slice(&t),
         p->answer.status == 401 && shows ? "is it the one that the edge was given (`adit token "
                                            "list` there), and is it still good?"
         : p->answer.status == 401
             ? "--token, ADIT_TOKEN or `adit login` give one; has it expired, "
               "was it revoked?"
         : p->answer.status == 429 ? "there are too many; it comes again by itself"
                                   : "the token is good, but not for this name, port or kind");
}

static int ask(struct probe *p)
{
    struct agent *a = p->agent;
    begin_step(p);
    a->lines = mem_zalloc(sizeof(*a->lines));
    if (a->lines == NULL) {
        return E_NO_MEMORY;
    }
    agent_line_open(&a->lines[0], a, 0, &a->places[0]);
    a->line_count = 1;
    a->live = 1;
    while (!p->answered) {
        loop_turn(&a->loop, TURN_MS);
    }
    bool spoken = p->kind == AGENT_EVENT_READY || (p->has_answer && is_about_us(&p->answer));
    int e = p->kind == AGENT_EVENT_READY ? 0 : spoken ? E_DENIED : E_PROTOCOL;
    tell(p, "upgrade", spoken ? 0 : e,
         spoken ? SLICE("the edge speaks " AGENT_PROTOCOL) : slice_str(p->text),
         "is --server the edge's own name (`at` of `tunnels`)? Something in between may let no "
         "Upgrade through");
    if (spoken) {
        tell_token(p, e);
    }
    return e;
}

int agent_probe(const struct agent_plan *plan, void (*step)(void *arg, const struct agent_step *s),
                void *arg, struct text *why)
{
    struct probe *p = mem_zalloc(sizeof(*p));
    if (p == NULL) {
        return E_NO_MEMORY;
    }
    p->step = step;
    p->arg = arg;
    int e = agent_make(plan, NULL, on_event, p, why, &p->agent);
    if (e == 0) {
        agent_reach_init(&p->reach, &p->agent->loop, traffic_core_dialer(p->agent->core));
        p->reach.done = on_reached;
        e = look_up(p);
        e = e == 0 ? connect_there(p) : e;
        e = e == 0 && p->agent->places[0].tls != NULL ? secure_it(p) : e;
        e = e == 0 ? ask(p) : e;
        agent_free(p->agent);
    }
    mem_free(p);
    return e;
}
