// SPDX-License-Identifier: Apache-2.0
//
// The agent's process: it makes the loop, the traffic and an instance for each tunnel and edge, and
// runs until a signal or until nothing is left to do.
//
// It is to be small: one core's traffic with modest limits, no log ring, no other process.

#include "agent/agent.h"

#include <signal.h>

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"
#include "obs/log.h"
#include "os/memory.h"
#include "os/network.h"
#include "os/notify.h"
#include "os/signals.h"
#include "os/sys.h"
#include "proxy/exchange.h"
#include "tls/store.h"

#include "agent/agent_int.h"

enum {
    CONNECTIONS_MAX = 1024,
    CHUNKS_MAX = 4096, // 64 MiB under way, at most
    CHUNKS_WARM = 8,
    LEAVE_MS = 30000,         // what is under way may take so long once we leave, as at an edge
    NETWORK_SETTLES_MS = 300, // addresses and routes come one after the other
    LOOK_MS = 50,
    TRIM_MS = 1500, // after a handshake: its first requests are through
};

static const int agent_signals[] = {SIGINT, SIGTERM, SIGHUP, 0};

void agent_tell(struct agent *a, const struct agent_event *e)
{
    a->on_event(a->arg, e);
}

// ---- requests ----------------------------------------------------------------------------------------

static void on_exchange(struct exchange_watcher *w, const struct exchange *x)
{
    struct agent *a = container_of(w, struct agent, watcher);
    ensure_magic(a, AGENT_MAGIC);
    uint32_t tunnel = 0;
    if (x->site == NULL || !agent_site_tunnel(x->site->name, &tunnel)) {
        return;
    }
    uint64_t end = x->times.sent != 0 ? x->times.sent : a->loop.now_ns;
    const struct http_body *out = x->response_out != NULL ? x->response_out : &x->response_body;
    char client[OS_ADDR_TEXT_MAX];
    struct text address = text_on(client, sizeof(client));
    os_addr_ip_text(&x->client, &address);
    const struct agent_request r = {
        .method = x->request.method_text,
        .target = x->original_target,
        .client = text_slice(&address),
        .status = x->answered ? x->response.status : 0,
        .took_us = end > x->times.start ? (end - x->times.start) / 1000 : 0,
        .bytes_in = x->request_body.put_total,
        .bytes_out = out->taken_total,
        .error = x->error != 0 ? slice_str(error_name(x->error)) : SLICE(""),
    };
    const struct agent_event e = {.kind = AGENT_EVENT_REQUEST, .tunnel = tunnel, .request = &r};
    agent_tell(a, &e);
}

/** A visitor of TCP or UDP whom `allow` and `deny` keep out. */
static void on_not_taken(struct exchange_watcher *w, const struct exchange *x, int error)
{
    struct agent *a = container_of(w, struct agent, watcher);
    ensure_magic(a, AGENT_MAGIC);
    uint32_t tunnel = x->down->peer->listener;
    if (tunnel >= a->plan->tunnel_count || error != E_ADDRESS_REFUSED) {
        return;
    }
    char client[OS_ADDR_TEXT_MAX];
    struct text address = text_on(client, sizeof(client));
    os_addr_ip_text(&x->client, &address);
    const struct agent_request r = {
        .method = a->plan->tunnels[tunnel].kind == AGENT_UDP ? SLICE("UDP") : SLICE("TCP"),
        .target = SLICE(""),
        .client = text_slice(&address),
        .status = (unsigned)error_status(error),
        .error = slice_str(error_name(error)),
    };
    const struct agent_event e = {.kind = AGENT_EVENT_REQUEST, .tunnel = tunnel, .request = &r};
    agent_tell(a, &e);
}

// ---- leaving -----------------------------------------------------------------------------------------

static void on_leave_timer(struct wheel_timer *t)
{
    struct agent *a = container_of(t, struct agent, leave_timer);
    ensure_magic(a, AGENT_MAGIC);
    if (traffic_core_idle(a->core) || a->loop.now_ms >= a->leave_end_ms) {
        loop_stop(&a->loop);
        return;
    }
    loop_timer_set(&a->loop, t, LOOK_MS);
}

void agent_leave(struct agent *a)
{
    if (a->leaving) {
        loop_stop(&a->loop);
        return;
    }
    a->leaving = true;
    a->signalled = true;
    for (uint32_t i = 0; i < a->line_count; i++) {
        agent_line_close(&a->lines[i]);
    }
    const struct agent_event e = {.kind = AGENT_EVENT_LEAVING};
    agent_tell(a, &e);
    traffic_core_drain(a->core, false);
    a->leave_end_ms = a->loop.now_ms + LEAVE_MS;
    loop_timer_set(&a->loop, &a->leave_timer, 0);
}

void agent_line_is_over(struct agent *a)
{
    ensure(a->live > 0);
    a->live--;
    if (a->live == 0 && !a->leaving) {
        loop_stop(&a->loop);
    }
}

// ---- memory ---------------------------------------------------------------------------------------------

static void on_trim_timer(struct wheel_timer *t)
{
    struct agent *a = container_of(t, struct agent, trim_timer);
    ensure_magic(a, AGENT_MAGIC);
    os_memory_trim();
}

void agent_trim_soon(struct agent *a)
{
    loop_timer_set(&a->loop, &a->trim_timer, TRIM_MS);
}

// ---- a sign of life ------------------------------------------------------------------------------------

static void on_beat_timer(struct wheel_timer *t)
{
    struct agent *a = container_of(t, struct agent, beat_timer);
    ensure_magic(a, AGENT_MAGIC);
    (void)os_notify(SLICE("WATCHDOG=1"));
    loop_timer_set(&a->loop, t, a->beat_ms);
}

// ---- the network changes -------------------------------------------------------------------------------

static void each_link(struct agent *a, void (*fn)(struct agent_link *k))
{
    for (uint32_t i = 0; i < a->line_count; i++) {
        struct agent_line *n = &a->lines[i];
        for (unsigned slot = 0; !n->over && slot < n->wanted; slot++) {
            fn(&n->links[slot]);
        }
    }
}

/** Is the address that the connection was made from still the one for the way to the edge? */
static bool has_moved(const struct agent_conn *c)
{
    struct os_addr now;
    return c->local.kind != OS_ADDR_NONE && c->remote.kind != OS_ADDR_UNIX &&
           (os_network_source(&c->remote, &now) != 0 || !os_addr_same_ip(&now, &c->local));
}

static void follow_network(struct agent_link *k)
{
    if (k->conn == NULL ? k->state == LINK_PAUSED : k->state == LINK_UP && has_moved(k->conn)) {
        agent_link_again(k);
    }
}

static void on_network_timer(struct wheel_timer *t)
{
    struct agent *a = container_of(t, struct agent, network_timer);
    ensure_magic(a, AGENT_MAGIC);
    if (!a->leaving) {
        traffic_core_read_names(a->core);
        each_link(a, follow_network);
    }
}

static void on_network(struct io *io, unsigned events)
{
    struct agent *a = container_of(io, struct agent, network);
    ensure_magic(a, AGENT_MAGIC);
    (void)events;
    if (os_network_changed(io->fd)) {
        loop_timer_set(&a->loop, &a->network_timer, NETWORK_SETTLES_MS);
    }
}

static void on_signal(struct io *io, unsigned events)
{
    struct agent *a = container_of(io, struct agent, signals);
    ensure_magic(a, AGENT_MAGIC);
    (void)events;
    for (int signal = os_signals_take(io->fd); signal != 0; signal = os_signals_take(io->fd)) {
        bool closed = a->plan->terminal >= 0 && os_terminal_is_gone(a->plan->terminal);
        if (signal != SIGHUP || closed) {
            agent_leave(a);
        } else if (!a->leaving) {
            traffic_core_read_names(a->core);
            each_link(a, agent_link_again);
        }
    }
}

// ---- life ----------------------------------------------------------------------------------------------

static int open_watches(struct agent *a)
{
    int fd = os_signals_open(agent_signals);
    if (fd < 0) {
        return fd;
    }
    io_init(&a->signals, fd, on_signal);
    int e = loop_watch(&a->loop, &a->signals, true);
    a->beat_ms = os_notify_patience_ms() / 2;
    if (e == 0 && a->beat_ms > 0) {
        loop_timer_set(&a->loop, &a->beat_timer, a->beat_ms);
    }
    fd = e == 0 && a->plan->watch_network ? os_network_open() : -1;
    if (fd >= 0) { // without it silence tells, a little later
        io_init(&a->network, fd, on_network);
        e = loop_watch(&a->loop, &a->network, true);
    }
    return e;
}

static int open_core(struct agent *a, struct sys *sys)
{
    static const struct loop_limits loops = {CHUNKS_MAX, CHUNKS_WARM};
    static const struct traffic_limits limits = {
        .cores = 1, .connections_max = CONNECTIONS_MAX, .memory_bytes = (uint64_t)CHUNKS_MAX << 14};
    a->counters = mem_zalloc_aligned(sizeof(*a->counters), _Alignof(struct counters));
    a->own_sys = sys == NULL ? os_linux_new() : NULL;
    sys = sys == NULL ? a->own_sys : sys;
    if (a->counters == NULL || sys == NULL) {
        return a->counters == NULL ? E_NO_MEMORY : E_NO_DESCRIPTORS;
    }
    int e = loop_init(&a->loop, sys, 0, &loops);
    if (e != 0) {
        return e;
    }
    a->has_loop = true;
    e = traffic_new(&limits, &a->traffic);
    if (e == 0) {
        e = traffic_core_new(a->traffic, &a->loop, a->counters, NULL, &a->core);
    }
    if (e == 0) {
        a->watcher.on_done = on_exchange;
        a->watcher.on_not_taken = on_not_taken;
        traffic_core_exchanges(a->core)->watcher = &a->watcher;
        agent_own_open(a);
    }
    return e;
}

int agent_open_lines(struct agent *a, struct text *why)
{
    uint32_t count = a->plan->tunnel_count * a->plan->edge_count;
    a->lines = mem_zalloc(count * sizeof(*a->lines));
    if (a->lines == NULL) {
        return E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < a->plan->edge_count; i++) {
        int e = agent_place_open(&a->places[i], a, i);
        if (e != 0) {
            agent_edge_authority(why, &a->plan->edges[i]);
            text_printf(why, ": %s\n", error_text(e));
            return e;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        agent_line_open(&a->lines[i], a, i / a->plan->edge_count,
                        &a->places[i % a->plan->edge_count]);
        a->line_count++;
        a->live++;
    }
    return 0;
}

int agent_make(const struct agent_plan *plan, struct sys *sys, agent_event_fn *on_event, void *arg,
               struct text *why, struct agent **out)
{
    ensure(plan->tunnel_count > 0 && plan->tunnel_count <= AGENT_TUNNELS_MAX);
    ensure(plan->edge_count > 0 && plan->edge_count <= AGENT_EDGES_MAX);
    struct agent *a = mem_zalloc(sizeof(*a));
    if (a == NULL) {
        return E_NO_MEMORY;
    }
    a->magic = AGENT_MAGIC;
    a->plan = plan;
    a->on_event = on_event;
    a->arg = arg;
    a->signals.fd = -1;
    a->network.fd = -1;
    a->inspect_fd = -1;
    list_init(&a->conns);
    slab_init(&a->conn_slab, "agent connections", sizeof(struct agent_conn), AGENT_CONNS_MAX);
    wheel_timer_init(&a->network_timer, on_network_timer);
    wheel_timer_init(&a->leave_timer, on_leave_timer);
    wheel_timer_init(&a->trim_timer, on_trim_timer);
    wheel_timer_init(&a->beat_timer, on_beat_timer);
    int e = open_core(a, sys);
    if (e == 0) {
        e = agent_compile(a, why);
    }
    if (e != 0) {
        agent_free(a);
        return e;
    }
    *out = a;
    return 0;
}

int agent_new(const struct agent_plan *plan, agent_event_fn *on_event, void *arg, struct text *why,
              struct agent **out)
{
    struct agent *a = NULL;
    int e = agent_make(plan, NULL, on_event, arg, why, &a);
    if (e != 0) {
        return e;
    }
    e = agent_inspect_open(a, why);
    if (e == 0) {
        e = open_watches(a);
    }
    if (e == 0) {
        e = agent_open_lines(a, why);
    }
    if (e != 0) {
        agent_free(a);
        return e;
    }
    *out = a;
    return 0;
}

enum agent_end agent_run(struct agent *a)
{
    ensure_magic(a, AGENT_MAGIC);
    os_memory_trim(); // of reading the configuration
    loop_run(&a->loop);
    if (a->signalled) {
        return AGENT_END_ASKED;
    }
    return a->dismissed == a->line_count ? AGENT_END_DISMISSED : AGENT_END_FAILED;
}

static void close_watches(struct agent *a)
{
    loop_timer_stop(&a->loop, &a->network_timer);
    loop_timer_stop(&a->loop, &a->leave_timer);
    loop_timer_stop(&a->loop, &a->trim_timer);
    loop_timer_stop(&a->loop, &a->beat_timer);
    if (a->network.fd >= 0) {
        loop_close(&a->loop, &a->network, false);
    }
    if (a->signals.fd >= 0) {
        loop_close(&a->loop, &a->signals, false);
    }
}

void agent_free(struct agent *a)
{
    ensure_magic(a, AGENT_MAGIC);
    a->leaving = true;
    for (uint32_t i = 0; i < a->line_count; i++) {
        agent_line_close(&a->lines[i]);
    }
    for (uint32_t i = 0; a->core != NULL && i < a->plan->edge_count; i++) {
        agent_place_close(&a->places[i]);
    }
    if (a->has_loop) {
        close_watches(a);
    }
    if (a->core != NULL) {
        traffic_core_free(a->core);
    }
    agent_inspect_close(a);
    ensure(list_empty(&a->conns));
    slab_fini(&a->conn_slab);
    if (a->traffic != NULL) {
        traffic_free(a->traffic);
    }
    if (a->tls != NULL) {
        tls_store_unref(a->tls);
    }
    if (a->has_loop) {
        loop_fini(&a->loop);
    }
    if (a->own_sys != NULL) {
        os_linux_free(a->own_sys);
    }
    conf_doc_free(a->doc);
    mem_free(a->lines);
    mem_free(a->counters);
    a->magic = 0;
    mem_free(a);
}
