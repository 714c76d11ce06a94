// SPDX-License-Identifier: Apache-2.0
//
// Connections of one core to one origin: taken when idle, opened when there is room, given to the
// requests that wait in the order they came. See server.h for who owns what.

#include "upstream/server.h"

#include <limits.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/log.h"
#include "obs/server_rows.h"
#include "tls/tls.h"
#include "upstream/called.h"
#include "upstream/group.h"
#include "upstream/prologue.h"
#include "upstream/server_int.h"

enum { SERVER_MAGIC = 0x73727672 };

// ---- life -------------------------------------------------------------------------------------------

// Ids must be the same in every process; nobody hostile chooses addresses.
static const struct hash_key id_key = {{0x61646974, 0x73727672}};

static void on_evict(struct mail *m, struct loop *to);

bool server_kind_eq(const struct server_kind *a, const struct server_kind *b)
{
    return a->protocol == b->protocol && a->tls_hash == b->tls_hash &&
           a->proxy_header == b->proxy_header && a->caller == b->caller &&
           a->source_count == b->source_count &&
           memcmp(a->sources, b->sources, a->source_count * sizeof(a->sources[0])) == 0;
}

/** For whom a connection is that a request asks for. */
static uint64_t client_of(const struct server *s, const struct upstream_request *rq)
{
    bool one = s->kind.proxy_header != 0 && rq->subject != NULL && rq->subject->peer != NULL;
    return one ? rq->subject->peer->connection_id : 0;
}

static void init_core(struct server *s, struct server_core *sc, const struct server_limits *limits)
{
    sc->server = s;
    sc->limits = *limits;
    sc->evict.fn = on_evict;
    list_init(&sc->called);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &sc->lanes[i];
        list_init(&lane->ready);
        list_init(&lane->opening);
        list_init(&lane->waiting);
        lane->core = sc;
        // What a server prefers over TLS shows with its first connection.
        bool open =
            s->kind.protocol == SERVER_AUTO && s->kind.tls != NULL && s->kind.proxy_header == 0;
        bool h2 = (s->kind.protocol == SERVER_H2 || s->kind.protocol == SERVER_CALLED) &&
                  i != LANE_RAW && s->kind.proxy_header == 0;
        lane->per_session = i == LANE_ANY && open ? 0 : h2 ? limits->streams_max : 1;
    }
}

static void hold_tls(struct server *s)
{
    if (s->kind.tls != NULL) {
        (void)tls_origin_ref(s->kind.tls);
    }
    if (s->kind.tls_h1 != NULL) {
        (void)tls_origin_ref(s->kind.tls_h1);
    }
}

static void let_tls_go(struct server *s)
{
    if (s->kind.tls != NULL) {
        tls_origin_unref(s->kind.tls);
    }
    if (s->kind.tls_h1 != NULL) {
        tls_origin_unref(s->kind.tls_h1);
    }
}

struct server *server_new(struct upstream_registry *r, const struct server_order *o)
{
    char room[SERVER_TEXT_MAX];
    struct text text = text_on(room, sizeof(room));
    os_addr_text(&o->addr, &text);
    size_t fixed = sizeof(struct server) + (size_t)r->core_count * sizeof(struct server_core);
    size_t size = fixed + text.len + o->host.len;
    struct server *s =
        o->host.len < SERVER_TEXT_MAX ? mem_zalloc_aligned(size, _Alignof(struct server)) : NULL;
    if (s == NULL) {
        return NULL;
    }
    s->magic = SERVER_MAGIC;
    s->registry = r;
    s->owner = o->owner;
    s->group = o->group;
    s->kind = *o->kind;
    s->addr = o->addr;
    s->text = (char *)s + fixed;
    s->text_len = (uint32_t)text.len;
    memcpy(s->text, room, text.len);
    s->host = s->text + text.len;
    s->host_len = (uint32_t)o->host.len;
    if (o->host.len > 0) { // one that calls in has none
        memcpy(s->host, o->host.ptr, o->host.len);
    }
    s->is_literal = slice_eq(server_text(s), server_host(s));
    s->row = SERVER_ROWS_NONE;
    s->id = s->kind.caller != 0 ? s->kind.caller : hash_bytes(&id_key, server_text(s));
    atomic_init(&s->holders, r->core_count);
    for (uint32_t i = 0; i < r->core_count; i++) {
        init_core(s, &s->cores[i], o->limits);
    }
    hold_tls(s);
    list_init(&s->link);
    list_init(&s->ports);
    if (s->kind.protocol == SERVER_CALLED) {
        atomic_init(&s->vitals.bits, VITALS_AWAY);
    }
    pthread_mutex_lock(&r->lock);
    list_push_back(&r->servers, &s->link);
    pthread_mutex_unlock(&r->lock);
    return s;
}

static void free_server(struct server *s)
{
    ensure(atomic_load_explicit(&s->vitals.active, memory_order_relaxed) == 0);
    ensure(atomic_load_explicit(&s->vitals.open, memory_order_relaxed) == 0);
    s->owner->on_freed(s);
    let_tls_go(s);
    s->magic = 0;
    mem_free(s);
}

void server_discard(struct server *s)
{
    ensure_magic(s, SERVER_MAGIC);
    pthread_mutex_lock(&s->registry->lock);
    list_remove(&s->link);
    pthread_mutex_unlock(&s->registry->lock);
    free_server(s);
}

static void drop_holder(struct server *s)
{
    if (atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) == 1) {
        server_discard(s);
    }
}

void server_keep(struct server *s)
{
    ensure_magic(s, SERVER_MAGIC);
    atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
}

void server_drop(struct server *s)
{
    ensure_magic(s, SERVER_MAGIC);
    drop_holder(s);
}

/** Each core is counted from the start, until it has entered and left. A connection that comes before that
 * or after it (upstream/called.h), whose owner keeps the server, counts once more. */
static void hold(struct server_core *sc)
{
    if (sc->holds++ == 0 && (!sc->entered || sc->gone)) {
        server_keep(sc->server);
        sc->kept = true;
    }
}

static void let_go(struct server_core *sc)
{
    struct server *s = sc->server;
    ensure(sc->holds > 0);
    if (--sc->holds > 0) {
        return;
    }
    bool kept = sc->kept;
    bool leaves = sc->entered && !sc->gone;
    sc->kept = false;
    sc->gone = sc->entered;
    if (kept) {
        drop_holder(s);
    }
    if (leaves) {
        drop_holder(s);
    }
}

void server_enter(struct server *s, uint32_t core, const struct server_limits *limits)
{
    ensure_magic(s, SERVER_MAGIC);
    s->cores[core].limits = *limits;
    s->cores[core].entered = true;
    hold(&s->cores[core]);
}

void server_hold(struct server *s, uint32_t core)
{
    ensure_magic(s, SERVER_MAGIC);
    hold(&s->cores[core]);
}

void server_let_go(struct server *s, uint32_t core)
{
    ensure_magic(s, SERVER_MAGIC);
    let_go(&s->cores[core]);
}

void server_leave(struct server *s, uint32_t core)
{
    ensure_magic(s, SERVER_MAGIC);
    let_go(&s->cores[core]);
}

// ---- lanes ------------------------------------------------------------------------------------------

struct upstream_core *server_core_what(const struct server_core *sc)
{
    struct server *s = sc->server;
    return &s->registry->cores[sc - s->cores];
}

static struct upstream_request *first_waiting(struct lane *lane)
{
    struct list *node = list_first(&lane->waiting);
    return node == NULL ? NULL : list_entry(node, struct upstream_request, link);
}

/** The first that waits for a connection of `client`. */
static struct upstream_request *first_of(struct lane *lane, uint64_t client)
{
    list_each(node, &lane->waiting)
    {
        struct upstream_request *rq = list_entry(node, struct upstream_request, link);
        if (client_of(lane->core->server, rq) == client) {
            return rq;
        }
    }
    return NULL;
}

static void stop_waiting(struct lane *lane, struct upstream_request *rq)
{
    list_remove(&rq->link);
    ensure(lane->waiting_count > 0);
    lane->waiting_count--;
}

static void fail(struct lane *lane, struct upstream_request *rq, int error)
{
    struct server *s = lane->core->server;
    stop_waiting(lane, rq);
    s->owner->on_failed(s, rq, error);
}

static void fail_first(struct lane *lane, int error)
{
    struct upstream_request *rq = first_waiting(lane);
    if (rq != NULL) {
        fail(lane, rq, error);
    }
}

/** How many requests the dials that are on their way will serve. */
static uint64_t expected(const struct lane *lane)
{
    if (lane->dialing == 0) {
        return 0;
    }
    return lane->per_session == 0 ? UINT32_MAX : (uint64_t)lane->dialing * lane->per_session;
}

static uint32_t idle_count(const struct server_core *sc)
{
    return atomic_load_explicit(&sc->idle_count, memory_order_relaxed);
}

bool lane_has_room(const struct server_core *sc, const struct up_session *s)
{
    return up_session_has_room(s) && (s->owner_flags & SESSION_GONE) == 0 &&
           s->streams < sc->limits.streams_max;
}

void lane_place(struct lane *lane, struct up_session *s)
{
    struct server_core *sc = lane->core;
    bool idle = s->streams == 0 && (s->owner_flags & SESSION_GONE) == 0;
    bool was_idle = (s->owner_flags & SESSION_IDLE) != 0;
    if (idle != was_idle) {
        uint32_t count = idle_count(sc) + (idle ? 1U : UINT_MAX); // only this core writes it
        atomic_store_explicit(&sc->idle_count, count, memory_order_relaxed);
    }
    list_remove(&s->link);
    s->owner_flags &= (uint8_t) ~(SESSION_READY | SESSION_IDLE);
    s->owner_flags |= idle ? SESSION_IDLE : 0;
    if (lane_has_room(sc, s)) {
        s->owner_flags |= SESSION_READY;
        list_push_front(&lane->ready, &s->link);
    }
}

static void give(struct lane *lane, struct up_session *s, struct upstream_request *rq)
{
    if (rq->raw) {
        called_give_raw(lane, s, rq);
        return;
    }
    bool reused = s->exchanges > 0;
    struct http_stream *stream = s->ops->take(s);
    lane_place(lane, s);
    called_look(s);
    struct server *server = lane->core->server;
    if (stream == NULL) {
        server->owner->on_failed(server, rq, E_NO_MEMORY);
        return;
    }
    rq->reused = reused;
    rq->connect_ns = reused ? 0 : s->connect_ns;
    rq->on_ready(rq, stream);
}

void server_connection_ended(struct server_core *sc)
{
    struct server *s = sc->server;
    uint32_t core = (uint32_t)(sc - s->cores);
    ensure(sc->open_count > 0);
    sc->open_count--;
    atomic_fetch_sub_explicit(&s->vitals.open, 1, memory_order_relaxed);
    s->owner->on_room(s, core);
    let_go(sc);
}

/** Closes one that carries nothing; at the core's end one of HTTP/2 may carry what nobody waits for. */
static void close_session(struct lane *lane, struct up_session *s)
{
    struct called *called = (s->owner_flags & SESSION_CALLED) != 0 ? s->owner_arg : NULL;
    s->owner_flags |= SESSION_GONE;
    lane_place(lane, s);
    s->ops->close(s);
    if (called != NULL) {
        called_closed(called);
    }
    server_connection_ended(lane->core);
}

static bool can_serve(const struct lane *lane, const struct up_session *s,
                      const struct upstream_request *rq)
{
    const struct server *server = lane->core->server;
    bool calls = server->kind.protocol == SERVER_CALLED; // there is none that is fresher
    return s->client == client_of(server, rq) && (!rq->upgrade || s->can_upgrade) &&
           (calls || !(rq->fresh && s->exchanges > 0));
}

static struct upstream_request *next_for(struct lane *lane, const struct up_session *s)
{
    list_each(node, &lane->waiting)
    {
        struct upstream_request *rq = list_entry(node, struct upstream_request, link);
        if (can_serve(lane, s, rq)) {
            return rq;
        }
    }
    return NULL;
}

/** Requests for a switch of protocols that wait here wait in vain. */
static void refuse_upgrades(struct lane *lane)
{
    for (bool again = true; again;) {
        again = false;
        list_each(node, &lane->waiting)
        {
            struct upstream_request *rq = list_entry(node, struct upstream_request, link);
            if (rq->upgrade) {
                fail(lane, rq, E_HTTP_1_1_REQUIRED);
                again = true;
                break;
            }
        }
    }
}

void lane_on_room(struct lane *lane, struct up_session *s)
{
    struct server_core *sc = lane->core;
    lane_place(lane, s);
    lane->no_upgrade = !s->can_upgrade;
    if (lane->no_upgrade) {
        refuse_upgrades(lane);
    }
    while (lane_has_room(sc, s)) {
        struct upstream_request *rq = next_for(lane, s);
        if (rq == NULL) {
            break;
        }
        stop_waiting(lane, rq);
        give(lane, s, rq);
    }
    bool idle = (s->owner_flags & SESSION_IDLE) != 0;
    if (idle && (sc->left || s->closing || idle_count(sc) > sc->limits.idle_max)) {
        close_session(lane, s);
    } else if (idle) {
        sc->server->owner->on_room(sc->server, (uint32_t)(sc - sc->server->cores));
    }
}

void lane_on_gone(struct lane *lane, struct up_session *s)
{
    s->owner_flags |= SESSION_GONE;
    lane_place(lane, s);
    server_connection_ended(lane->core);
}

static void on_room(struct up_session *s, void *owner)
{
    lane_on_room(owner, s);
}

static void on_closing(struct up_session *s, void *owner)
{
    lane_place(owner, s);
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    (void)error;
    lane_on_gone(owner, s);
}

static const struct up_session_owner owner_ops = {
    .on_room = on_room, .on_closing = on_closing, .on_gone = on_gone};

// ---- dialling ---------------------------------------------------------------------------------------

static int dial(struct lane *lane, const struct upstream_request *rq);

/** Which protocol a transport is for: what was agreed on, or what is spoken without asking. */
static const struct up_protocol *choose_protocol(const struct server_core *sc, struct slice alpn)
{
    const struct server_kind *kind = &sc->server->kind;
    struct slice name = alpn;
    if (name.len == 0) {
        bool h2 = kind->protocol == SERVER_H2 && kind->tls == NULL;
        name = h2 ? SLICE("h2") : SLICE("http/1.1");
    }
    if (kind->protocol == SERVER_H2 && !slice_eq(name, SLICE("h2"))) {
        return NULL;
    }
    const struct up_protocol *p = server_core_what(sc)->protocols;
    while (p->alpn != NULL && !slice_eq(slice_str(p->alpn), name)) {
        p++;
    }
    return p->alpn == NULL ? NULL : p;
}

static void tell_refusal(struct server_core *sc, int error, struct slice reason)
{
    uint64_t now = server_core_what(sc)->loop->now_ms;
    if (sc->told_ms != 0 && now - sc->told_ms < SERVER_TELL_MS) {
        return;
    }
    sc->told_ms = now;
    struct server *s = sc->server;
    log_line(LOG_WARN, "origin %.*s: %s%s%.*s", (int)s->text_len, s->text, error_text(error),
             reason.len > 0 ? ": " : "", (int)reason.len, reason.ptr);
}

static void avoid(struct server_core *sc)
{
    uint64_t until = server_core_what(sc)->loop->now_ms + SERVER_PENALTY_MS;
    atomic_store_explicit(&sc->server->vitals.avoid_until_ms, until, memory_order_relaxed);
}

static void is_reachable(struct server_core *sc)
{
    struct vitals *v = &sc->server->vitals;
    if (atomic_load_explicit(&v->avoid_until_ms, memory_order_relaxed) != 0) {
        atomic_store_explicit(&v->avoid_until_ms, 0, memory_order_relaxed);
    }
}

/** A waiting request in excess of what the dials on their way will serve has lost its own. */
static void dial_failed(struct lane *lane, const struct dial_result *r)
{
    struct server_core *sc = lane->core;
    struct upstream_core *core = server_core_what(sc);
    avoid(sc);
    counter_add(core->counters, COUNTER_upstream_connect_errors, 1);
    if (sc->server->kind.tls != NULL && r->error != E_CONNECT_TIMEOUT) {
        tell_refusal(sc, r->error, r->reason);
    }
    struct upstream_request *own = r->client != 0 ? first_of(lane, r->client) : NULL;
    if (own != NULL) {
        fail(lane, own, r->error);
    }
    while (lane->waiting_count >
           expected(lane)) { // who fails may ask again, and have a dial of its own
        fail_first(lane, r->error);
        if (lane->per_session != 0 && lane->dialing > 0) {
            break; // one dial of many: the others' requests wait on
        }
    }
    server_connection_ended(sc);
}

/** Opens what the waiting requests need beyond the dials on their way. */
static void dial_for_waiting(struct lane *lane)
{
    while (lane->waiting_count > expected(lane)) {
        const struct upstream_request *rq = first_waiting(lane);
        ensure(rq != NULL);
        int e = dial(lane, rq);
        if (e < 0) {
            fail_first(lane, e);
        }
    }
}

/** Layer 4: the connection as it is, to the first that waits. */
static void give_transport(struct lane *lane, const struct dial_result *r)
{
    is_reachable(lane->core);
    struct upstream_request *rq = first_of(lane, r->client);
    if (rq == NULL) { // who asked has left
        transport_close(r->t, false);
        server_connection_ended(lane->core);
        return;
    }
    stop_waiting(lane, rq);
    rq->reused = false;
    rq->connect_ns = r->took_ns;
    rq->on_transport(rq, r->t);
}

void server_raw_closed(struct server *s, uint32_t core)
{
    ensure_magic(s, SERVER_MAGIC);
    server_connection_ended(&s->cores[core]);
}

void lane_join(struct lane *lane, struct up_session *s)
{
    struct server_core *sc = lane->core;
    lane->per_session = (uint32_t)num_min_u64(s->streams_max, sc->limits.streams_max);
    lane->per_session += lane->per_session == 0;
    if (sc->server->kind.proxy_header != 0) {
        lane->per_session = 1; // a dial serves one that waits, its own
    }
    hold(sc); // closing one that is not needed may free the server
    lane_on_room(lane, s);
    dial_for_waiting(lane);
    let_go(sc);
}

static void on_dialed(struct dial *d, const struct dial_result *r, void *arg)
{
    struct lane *lane = arg;
    struct server_core *sc = lane->core;
    (void)d;
    ensure(lane->dialing > 0);
    lane->dialing--;
    if (lane == &sc->lanes[LANE_RAW] && r->error == 0) {
        give_transport(lane, r);
        return;
    }
    struct dial_result result = *r;
    const struct up_protocol *p = r->error == 0 ? choose_protocol(sc, r->alpn) : NULL;
    struct up_session *s = NULL;
    if (p != NULL) {
        const struct up_session_terms terms = {
            .peer = &r->peer,
            .owner = &owner_ops,
            .owner_arg = lane,
            .idle_ms = sc->limits.idle_ms,
        };
        s = p->open(p->core, r->t, &terms, &result.error);
    } else if (r->error == 0) {
        transport_close(r->t, false);
        result.error = E_WRONG_PROTOCOL;
    }
    if (s == NULL) {
        dial_failed(lane, &result);
        return;
    }
    s->connect_ns = r->took_ns;
    s->owner_flags = 0;
    s->client = r->client;
    is_reachable(sc);
    lane_join(lane, s);
}

// ---- room -------------------------------------------------------------------------------------------

static struct up_session *an_idle_session(struct server_core *sc, struct lane **of)
{
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        list_each(node, &sc->lanes[i].ready)
        {
            struct up_session *s = list_entry(node, struct up_session, link);
            if (s->streams == 0) {
                *of = &sc->lanes[i];
                return s;
            }
        }
    }
    return NULL;
}

static bool evict_one(struct server_core *sc)
{
    struct lane *lane = NULL;
    struct up_session *s = an_idle_session(sc, &lane);
    if (s == NULL) {
        return false;
    }
    close_session(lane, s);
    return true;
}

static void on_evict(struct mail *m, struct loop *to)
{
    struct server_core *sc = container_of(m, struct server_core, evict);
    (void)to;
    atomic_store(&sc->evict_posted, false);
    struct server *s = sc->server;
    (void)evict_one(sc);
    drop_holder(s);
}

/** No further connection may be opened, and others' idle ones are no use here: one of them goes, and
 * the owner hears of the room. Mail on its way holds the server. */
static void ask_for_room(struct server_core *sc)
{
    struct server *s = sc->server;
    for (uint32_t i = 0; i < s->registry->core_count; i++) {
        struct server_core *other = &s->cores[i];
        if (other != sc && idle_count(other) > 0 && !atomic_exchange(&other->evict_posted, true)) {
            atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
            loop_post(s->registry->cores[i].loop, &other->evict);
            return;
        }
    }
}

bool server_reserve(struct server_core *sc)
{
    atomic_uint *open = &sc->server->vitals.open;
    uint32_t max = sc->limits.connections_max;
    if (atomic_fetch_add_explicit(open, 1, memory_order_relaxed) < max) {
        sc->open_count++;
        return true;
    }
    atomic_fetch_sub_explicit(open, 1, memory_order_relaxed);
    return false;
}

/** Words for what an administrator can mend. */
static void tell_sources(struct server_core *sc, int error)
{
    struct server *s = sc->server;
    uint64_t now = server_core_what(sc)->loop->now_ms;
    bool ours = error == E_NO_PORTS || error == E_IN_USE || error == E_SOURCE_UNKNOWN;
    if (!ours || (sc->told_ms != 0 && now - sc->told_ms < SERVER_TELL_MS)) {
        return;
    }
    sc->told_ms = now;
    if (error == E_SOURCE_UNKNOWN) {
        log_line(LOG_WARN, "origin %.*s: `from` has no address of this machine", (int)s->text_len,
                 s->text);
        return;
    }
    uint32_t open = atomic_load_explicit(&s->vitals.open, memory_order_relaxed) - 1;
    log_line(LOG_WARN,
             "origin %.*s: no local port is left for another connection to it, %u are open: give "
             "its upstream (more) addresses to connect from, `from: [...]`",
             (int)s->text_len, s->text, open);
}

static struct dial *begin_dial(struct lane *lane, const struct upstream_request *rq, int *error)
{
    struct server_core *sc = lane->core;
    struct server *s = sc->server;
    bool raw = lane == &sc->lanes[LANE_RAW];
    // Layer 4 speaks for itself: HTTP/2 is not offered for it.
    bool h1 = lane != &sc->lanes[LANE_ANY] && s->kind.tls_h1 != NULL;
    struct dial_order order = {
        .to = s->addr,
        .sources = s->kind.sources,
        .source_count = s->kind.source_count,
        .source_first = sc->source_next++,
        .client = client_of(s, rq),
        .prologue_waits = !raw,
        .limit_ms = rq->connect_ms,
        .tls = h1 ? s->kind.tls_h1 : s->kind.tls,
    };
    char room[PROLOGUE_MAX];
    struct text prologue = text_on(room, sizeof(room));
    if (s->kind.proxy_header != 0) {
        const struct upstream_subject *of = rq->subject;
        *error = prologue_write_for(s->kind.proxy_header, of != NULL ? of->peer : NULL,
                                    of != NULL ? of->asked_name : SLICE(""), &prologue);
        if (*error < 0) {
            return NULL;
        }
        order.prologue = text_slice(&prologue);
    }
    struct dial *d = dial_begin(server_core_what(sc)->dialer, &order, on_dialed, lane, error);
    if (d == NULL) {
        tell_sources(sc, *error);
    }
    return d;
}

static int dial(struct lane *lane, const struct upstream_request *rq)
{
    struct server_core *sc = lane->core;
    struct server *s = sc->server;
    struct upstream_core *core = server_core_what(sc);
    if (!server_reserve(sc)) {
        if (!evict_one(sc) || !server_reserve(sc)) {
            ask_for_room(sc);
            return E_UPSTREAM_FULL;
        }
    }
    int error = 0;
    struct dial *d = begin_dial(lane, rq, &error);
    if (d == NULL) {
        counter_add(core->counters, COUNTER_upstream_connect_errors, 1);
        avoid(sc);
        sc->open_count--;
        atomic_fetch_sub_explicit(&s->vitals.open, 1, memory_order_relaxed);
        return error;
    }
    list_push_back(&lane->opening, dial_link(d));
    hold(sc);
    lane->dialing++;
    return 0;
}

void server_retire(struct server *s, uint32_t core)
{
    ensure_magic(s, SERVER_MAGIC);
    struct server_core *sc = &s->cores[core];
    sc->left = true;
    hold(sc);
    while (evict_one(sc)) {
    }
    let_go(sc);
}

// ---- requests ---------------------------------------------------------------------------------------

/** Where a request goes: upgrades have a lane of their own where the protocol is not settled. */
static struct lane *lane_for(struct server_core *sc, const struct upstream_request *rq)
{
    if (rq->raw && sc->server->kind.protocol != SERVER_CALLED) {
        return &sc->lanes[LANE_RAW];
    }
    bool apart = rq->upgrade && sc->server->kind.tls_h1 != NULL;
    return &sc->lanes[apart ? LANE_UPGRADE : LANE_ANY];
}

static struct up_session *find_session(struct lane *lane, const struct upstream_request *rq)
{
    list_each(node, &lane->ready)
    {
        struct up_session *s = list_entry(node, struct up_session, link);
        if (lane_has_room(lane->core, s) && can_serve(lane, s, rq)) {
            return s;
        }
    }
    return NULL;
}

/** What is to stand in front of each datagram. */
static int write_header(struct upstream_request *rq)
{
    char *room = arena_bytes(rq->subject->arena, DATAGRAM_PROLOGUE_MAX);
    if (room == NULL) {
        return E_NO_MEMORY;
    }
    struct text header = text_on(room, DATAGRAM_PROLOGUE_MAX);
    int e = prologue_write_datagram(rq->subject->peer, &header);
    rq->prologue = text_slice(&header);
    return e;
}

/** Datagrams need no connection of ours: whoever asked has a socket of its own. It counts as one. */
static int give_address(struct server_core *sc, struct upstream_request *rq)
{
    if (sc->server->kind.tls_hash != 0) {
        return E_WRONG_PROTOCOL; // never in clear what was to be secret: a file or a command named it
    }
    rq->prologue = SLICE("");
    int e = sc->server->kind.proxy_header != 0 ? write_header(rq) : 0;
    if (e < 0) {
        return e;
    }
    if (!server_reserve(sc)) {
        return E_UPSTREAM_FULL;
    }
    hold(sc);
    rq->server_addr = &sc->server->addr;
    rq->on_transport(rq, NULL);
    return 0;
}

/** One that calls in: a connection that another core holds. */
static int reach(struct lane *lane, struct upstream_request *rq)
{
    struct server_core *sc = lane->core;
    if (!server_reserve(sc)) {
        return E_UPSTREAM_FULL;
    }
    hold(sc);
    struct up_session *s = called_reach(lane, &owner_ops);
    if (s == NULL) { // no room has come of it: whoever waits would be asked again without end
        sc->open_count--;
        atomic_fetch_sub_explicit(&sc->server->vitals.open, 1, memory_order_relaxed);
        let_go(sc);
        return E_UPSTREAM_FULL;
    }
    s->owner_flags = 0;
    lane_place(lane, s);
    if (!lane_has_room(sc, s)) { // since it was looked at
        return E_UPSTREAM_FULL;
    }
    give(lane, s, rq);
    return 0;
}

int server_acquire(struct server *s, uint32_t core, struct upstream_request *rq)
{
    ensure_magic(s, SERVER_MAGIC);
    struct server_core *sc = &s->cores[core];
    bool called = s->kind.protocol == SERVER_CALLED;
    if (rq->datagram && !called) {
        return give_address(sc, rq);
    }
    struct lane *lane = &sc->lanes[LANE_ANY];
    struct up_session *session = rq->raw && !called ? NULL : find_session(lane, rq);
    if (session == NULL) {
        lane = lane_for(sc, rq);
        session = find_session(lane, rq);
    }
    if (session != NULL) {
        give(lane, session, rq);
        return 0;
    }
    if (rq->upgrade && lane->no_upgrade && sc->open_count > 0) {
        return E_HTTP_1_1_REQUIRED;
    }
    if (s->kind.protocol == SERVER_CALLED) {
        return reach(lane, rq);
    }
    if (s->kind.proxy_header != 0 || lane->waiting_count + 1 > expected(lane)) {
        int e = dial(lane, rq);
        if (e < 0) {
            return e;
        }
    }
    lane->waiting_count++;
    list_push_back(&lane->waiting, &rq->link);
    return 0;
}

void server_cancel(struct server *s, uint32_t core, struct upstream_request *rq)
{
    ensure_magic(s, SERVER_MAGIC);
    if (rq->opening != NULL) {
        called_cancel_raw(&s->cores[core], rq);
        return;
    }
    stop_waiting(lane_for(&s->cores[core], rq), rq);
}

// ---- the registry -----------------------------------------------------------------------------------

void upstream_registry_init(struct upstream_registry *r, uint32_t cores)
{
    ensure(cores > 0 && cores <= SNAPSHOT_CORES_MAX);
    memset(r, 0, sizeof(*r));
    int e = pthread_mutex_init(&r->lock, NULL);
    ensure(e == 0);
    list_init(&r->servers);
    list_init(&r->groups);
    r->core_count = cores;
}

void upstream_registry_attach(struct upstream_registry *r, uint32_t core,
                              const struct upstream_core *what)
{
    ensure(core < r->core_count);
    r->cores[core] = *what;
}

static void close_lane(struct lane *lane)
{
    struct list *node;
    while ((node = list_first(&lane->ready)) != NULL) {
        close_session(lane, list_entry(node, struct up_session, link));
    }
    while ((node = list_first(&lane->opening)) != NULL) {
        lane->dialing--;
        dial_cancel(dial_of_link(node)); // takes it out of the list
        server_connection_ended(lane->core);
    }
}

static void close_core(struct server *s, uint32_t core)
{
    struct server_core *sc = &s->cores[core];
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        close_lane(&sc->lanes[i]);
    }
    // Nor is one that takes no more streams in a lane, until it has said so to its agent.
    struct list *node;
    while ((node = list_first(&sc->called)) != NULL) {
        struct called *c = list_entry(node, struct called, link);
        close_session(c->lane, c->session);
    }
}

/** The first server after `node` that the core has something of; then it holds it once more. What it
 * holds nothing of may be another core's until that lets go: to hold it here and to let go again would
 * be to leave it twice. Under the lock. */
static struct server *next_held(const struct upstream_registry *r, struct list *node, uint32_t core)
{
    for (node = node->next; node != &r->servers; node = node->next) {
        struct server *s = list_entry(node, struct server, link);
        if (s->cores[core].holds > 0) {
            hold(&s->cores[core]);
            return s;
        }
    }
    return NULL;
}

void upstream_registry_close(struct upstream_registry *r, uint32_t core)
{
    atomic_store(&r->closing, true);
    groups_close(r, core);
    pthread_mutex_lock(&r->lock);
    struct server *s = next_held(r, &r->servers, core);
    pthread_mutex_unlock(&r->lock);
    while (s != NULL) {
        close_core(s, core);
        pthread_mutex_lock(&r->lock);
        struct server *after = next_held(r, &s->link, core);
        pthread_mutex_unlock(&r->lock);
        let_go(&s->cores[core]);
        s = after;
    }
}

void upstream_registry_fini(struct upstream_registry *r)
{
    struct list *node;
    while ((node = list_first(&r->servers)) != NULL) {
        struct server *s = list_entry(node, struct server, link);
        for (uint32_t i = 0; i < r->core_count; i++) {
            ensure(s->cores[i].open_count == 0);
        }
        list_remove(node);
        free_server(s);
    }
    groups_free(r);
    ensure(list_empty(&r->groups));
    pthread_mutex_destroy(&r->lock);
}
