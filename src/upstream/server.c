// SPDX-License-Identifier: Apache-2.0
//
// Connections of one core to one origin: taken when idle, opened when there is room, given to the
// requests that wait in the order they came. See server.h for who owns what.

#include "upstream/server.h"

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "net/resolver.h"
#include "obs/log.h"
#include "tls/tls.h"

enum { SERVER_MAGIC = 0x73727672 };

void upstream_registry_init(struct upstream_registry *r, uint32_t cores)
{
    ensure(cores > 0 && cores <= SNAPSHOT_CORES_MAX);
    memset(r, 0, sizeof(*r));
    int e = pthread_mutex_init(&r->lock, NULL);
    ensure(e == 0);
    list_init(&r->servers);
    r->core_count = cores;
}

void upstream_registry_fini(struct upstream_registry *r)
{
    ensure(list_empty(&r->servers));
    pthread_mutex_destroy(&r->lock);
}

void upstream_registry_attach(struct upstream_registry *r, uint32_t core,
                              const struct upstream_core *what)
{
    ensure(core < r->core_count);
    r->cores[core] = *what;
}

static bool same_settings(const struct server_settings *a, const struct server_settings *b)
{
    return a->connections_max == b->connections_max && a->idle_max == b->idle_max &&
           a->idle_ms == b->idle_ms && a->streams_max == b->streams_max &&
           a->protocol == b->protocol && a->tls_hash == b->tls_hash;
}

static struct server *find(struct upstream_registry *r, struct slice text,
                           const struct server_settings *settings)
{
    list_each(node, &r->servers)
    {
        struct server *s = list_entry(node, struct server, link);
        if (slice_eq(server_text(s), text) && same_settings(&s->settings, settings)) {
            return s;
        }
    }
    return NULL;
}

/** Splits "name:port"; an address literal fills every core's list at once. */
static int set_address(struct server *s)
{
    struct os_addr addr;
    if (os_addr_parse(server_text(s), &addr) == 0) {
        for (uint32_t i = 0; i < s->registry->core_count; i++) {
            s->cores[i].addrs[0] = addr;
            s->cores[i].addr_count = 1;
        }
        return 0;
    }
    struct slice text = server_text(s);
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    if (colon == 0 || num_parse_u64(slice_from(text, colon), UINT16_MAX, &port) < 0) {
        return E_INVALID;
    }
    s->is_name = true;
    s->port = (uint16_t)port;
    memcpy(s->host, text.ptr, colon - 1);
    s->host[colon - 1] = '\0';
    return 0;
}

static void init_core(struct server *s, struct server_core *sc)
{
    sc->server = s;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &sc->lanes[i];
        list_init(&lane->ready);
        list_init(&lane->opening);
        list_init(&lane->waiting);
        lane->core = sc;
        // What a server prefers over TLS shows with its first connection.
        bool open = s->settings.protocol == SERVER_AUTO && s->settings.tls != NULL;
        bool h2 = s->settings.protocol == SERVER_H2;
        lane->per_session = i == LANE_ANY && open ? 0 : h2 ? s->settings.streams_max : 1;
    }
}

static void hold_tls(struct server *s)
{
    if (s->settings.tls != NULL) {
        (void)tls_origin_ref(s->settings.tls);
    }
    if (s->settings.tls_h1 != NULL) {
        (void)tls_origin_ref(s->settings.tls_h1);
    }
}

static void let_tls_go(struct server *s)
{
    if (s->settings.tls != NULL) {
        tls_origin_unref(s->settings.tls);
    }
    if (s->settings.tls_h1 != NULL) {
        tls_origin_unref(s->settings.tls_h1);
    }
}

static struct server *make(struct upstream_registry *r, struct slice text,
                           const struct server_settings *settings)
{
    if (text.len >= SERVER_TEXT_MAX) {
        return NULL;
    }
    struct server *s = mem_zalloc(sizeof(*s) + (size_t)r->core_count * sizeof(struct server_core));
    if (s == NULL) {
        return NULL;
    }
    s->magic = SERVER_MAGIC;
    s->registry = r;
    s->settings = *settings;
    memcpy(s->text, text.ptr, text.len);
    s->text_len = (uint32_t)text.len;
    list_init(&s->link);
    for (uint32_t i = 0; i < r->core_count; i++) {
        init_core(s, &s->cores[i]);
    }
    if (set_address(s) < 0) {
        mem_free(s);
        return NULL;
    }
    hold_tls(s);
    return s;
}

struct server *server_get(struct upstream_registry *r, struct slice text,
                          const struct server_settings *settings)
{
    pthread_mutex_lock(&r->lock);
    struct server *s = find(r, text, settings);
    if (s == NULL) {
        s = make(r, text, settings);
        if (s != NULL) {
            list_push_back(&r->servers, &s->link);
        }
    }
    if (s != NULL) {
        s->refs++;
    }
    pthread_mutex_unlock(&r->lock);
    return s;
}

static void server_ref(struct server *s)
{
    pthread_mutex_lock(&s->registry->lock);
    ensure(s->refs > 0);
    s->refs++;
    pthread_mutex_unlock(&s->registry->lock);
}

static void free_server(struct server *s)
{
    let_tls_go(s);
    s->magic = 0;
    mem_free(s);
}

static void end_watch(struct server_core *sc)
{
    struct server *s = sc->server;
    if (sc->watch != NULL) {
        resolver_unwatch(s->registry->cores[sc - s->cores].resolver, sc->watch);
        sc->watch = NULL;
    }
}

static void on_retire(struct mail *m, struct loop *to)
{
    struct server_core *sc = container_of(m, struct server_core, retire);
    struct server *s = sc->server;
    ensure_magic(s, SERVER_MAGIC);
    ensure(&s->cores[to->core] == sc);
    end_watch(sc);
    if (atomic_fetch_sub_explicit(&s->watched, 1, memory_order_acq_rel) == 1) {
        free_server(s);
    }
}

/** Nobody can ask for it any more, but cores may still follow its name: each ends that by itself. */
static void retire(struct server *s)
{
    struct upstream_registry *r = s->registry;
    unsigned watched = 0;
    for (uint32_t i = 0; i < r->core_count; i++) {
        watched += s->cores[i].watch != NULL;
    }
    if (watched == 0) {
        free_server(s);
        return;
    }
    atomic_store_explicit(&s->watched, watched, memory_order_relaxed);
    uint32_t cores = r->core_count; // the last mail may free the server while we post
    for (uint32_t i = 0; i < cores && watched > 0; i++) {
        if (s->cores[i].watch != NULL) {
            watched--;
            s->cores[i].retire.fn = on_retire;
            loop_post(r->cores[i].loop, &s->cores[i].retire);
        }
    }
}

void server_unref(struct server *s)
{
    ensure_magic(s, SERVER_MAGIC);
    struct upstream_registry *r = s->registry;
    pthread_mutex_lock(&r->lock);
    ensure(s->refs > 0);
    bool last = --s->refs == 0;
    if (last) {
        list_remove(&s->link);
    }
    pthread_mutex_unlock(&r->lock);
    if (last) {
        retire(s);
    }
}

// ---- lanes ------------------------------------------------------------------------------------------

/** What the owner of a session notes in its owner_flags. */
enum { SESSION_READY = 1, SESSION_IDLE = 2, SESSION_STRANGER = 4, SESSION_GONE = 8 };

static struct upstream_core *core_of(const struct server_core *sc)
{
    struct server *s = sc->server;
    return &s->registry->cores[sc - s->cores];
}

static struct upstream_request *first_waiting(struct lane *lane)
{
    struct list *node = list_first(&lane->waiting);
    return node == NULL ? NULL : list_entry(node, struct upstream_request, link);
}

static void stop_waiting(struct lane *lane, struct upstream_request *rq)
{
    list_remove(&rq->link);
    ensure(lane->waiting_count > 0);
    lane->waiting_count--;
}

static void fail_first(struct lane *lane, int error)
{
    struct upstream_request *rq = first_waiting(lane);
    if (rq != NULL) {
        stop_waiting(lane, rq);
        rq->on_failed(rq, error);
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

static bool has_room(const struct server_core *sc, const struct up_session *s)
{
    return up_session_has_room(s) && (s->owner_flags & (SESSION_GONE | SESSION_STRANGER)) == 0 &&
           s->streams < sc->server->settings.streams_max;
}

/** Puts a session where it belongs after its load or its will has changed. */
static void place(struct lane *lane, struct up_session *s)
{
    struct server_core *sc = lane->core;
    bool idle = s->streams == 0 && (s->owner_flags & SESSION_GONE) == 0;
    bool was_idle = (s->owner_flags & SESSION_IDLE) != 0;
    sc->idle_count += (uint32_t)idle - (uint32_t)was_idle;
    list_remove(&s->link);
    s->owner_flags &= (uint8_t) ~(SESSION_READY | SESSION_IDLE);
    s->owner_flags |= idle ? SESSION_IDLE : 0;
    if (has_room(sc, s)) {
        s->owner_flags |= SESSION_READY;
        list_push_front(&lane->ready, &s->link);
    }
}

static void give(struct lane *lane, struct up_session *s, struct upstream_request *rq)
{
    bool reused = s->exchanges > 0;
    struct http_stream *stream = s->ops->take(s);
    place(lane, s);
    if (stream == NULL) {
        rq->on_failed(rq, E_NO_MEMORY);
        return;
    }
    rq->reused = reused;
    rq->connect_ns = reused ? 0 : s->connect_ns;
    rq->server_text = server_text(lane->core->server);
    rq->place = lane->core->server;
    rq->on_ready(rq, stream);
}

/** Leads to an address that the name no longer means. */
static bool is_stranger(const struct server_core *sc, const struct up_session *s)
{
    if (!sc->server->is_name) {
        return false;
    }
    const struct os_addr addr = os_peer_addr(&s->peer->addr);
    for (uint32_t i = 0; i < sc->addr_count; i++) {
        if (os_addr_eq(&sc->addrs[i], &addr)) {
            return false;
        }
    }
    return true;
}

/** Closes one that carries nothing. */
static void close_session(struct lane *lane, struct up_session *s)
{
    ensure(s->streams == 0);
    s->owner_flags |= SESSION_GONE;
    place(lane, s);
    lane->core->open_count--;
    s->ops->close(s);
    server_unref(lane->core->server);
}

static bool can_serve(const struct up_session *s, const struct upstream_request *rq)
{
    return (!rq->upgrade || s->can_upgrade) && !(rq->fresh && s->exchanges > 0);
}

static struct upstream_request *next_for(struct lane *lane, const struct up_session *s)
{
    list_each(node, &lane->waiting)
    {
        struct upstream_request *rq = list_entry(node, struct upstream_request, link);
        if (can_serve(s, rq)) {
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
                stop_waiting(lane, rq);
                rq->on_failed(rq, E_HTTP_1_1_REQUIRED);
                again = true;
                break;
            }
        }
    }
}

static void on_room(struct up_session *s, void *owner)
{
    struct lane *lane = owner;
    struct server_core *sc = lane->core;
    place(lane, s);
    lane->no_upgrade = !s->can_upgrade;
    if (lane->no_upgrade) {
        refuse_upgrades(lane);
    }
    while (has_room(sc, s)) {
        struct upstream_request *rq = next_for(lane, s);
        if (rq == NULL) {
            break;
        }
        stop_waiting(lane, rq);
        give(lane, s, rq);
    }
    bool idle = (s->owner_flags & SESSION_IDLE) != 0;
    // One that was busy when the addresses changed is seen here for the first time.
    if (idle &&
        (sc->idle_count > sc->server->settings.idle_max || s->closing || is_stranger(sc, s))) {
        close_session(lane, s);
    }
}

static void on_closing(struct up_session *s, void *owner)
{
    place(owner, s);
}

static void on_gone(struct up_session *s, void *owner, int error)
{
    struct lane *lane = owner;
    struct server_core *sc = lane->core;
    (void)error;
    s->owner_flags |= SESSION_GONE;
    place(lane, s);
    sc->open_count--;
    server_unref(sc->server);
}

static const struct up_session_owner owner_ops = {
    .on_room = on_room, .on_closing = on_closing, .on_gone = on_gone};

// ---- dialling ---------------------------------------------------------------------------------------

static int dial(struct lane *lane, uint32_t connect_ms);

/** Which protocol a transport is for: what was agreed on, or what is spoken without asking. */
static const struct up_protocol *choose_protocol(const struct server_core *sc, struct slice alpn)
{
    const struct server_settings *settings = &sc->server->settings;
    struct slice name = alpn;
    if (name.len == 0) {
        bool h2 = settings->protocol == SERVER_H2 && settings->tls == NULL;
        name = h2 ? SLICE("h2") : SLICE("http/1.1");
    }
    if (settings->protocol == SERVER_H2 && !slice_eq(name, SLICE("h2"))) {
        return NULL;
    }
    const struct up_protocol *p = core_of(sc)->protocols;
    while (p->alpn != NULL && !slice_eq(slice_str(p->alpn), name)) {
        p++;
    }
    return p->alpn == NULL ? NULL : p;
}

static void tell_refusal(struct server_core *sc, int error, struct slice reason)
{
    uint64_t now = core_of(sc)->loop->now_ms;
    if (sc->told_ms != 0 && now - sc->told_ms < SERVER_TELL_MS) {
        return;
    }
    sc->told_ms = now;
    struct server *s = sc->server;
    log_line(LOG_WARN, "origin %.*s: %s%s%.*s", (int)s->text_len, s->text, error_text(error),
             reason.len > 0 ? ": " : "", (int)reason.len, reason.ptr);
}

/** A waiting request in excess of what the dials on their way will serve has lost its own. */
static void dial_failed(struct lane *lane, const struct dial_result *r)
{
    struct server_core *sc = lane->core;
    struct upstream_core *core = core_of(sc);
    sc->open_count--;
    sc->avoid_until_ms = core->loop->now_ms + SERVER_PENALTY_MS;
    counter_add(core->counters, COUNTER_upstream_connect_errors, 1);
    if (sc->server->settings.tls != NULL && r->error != E_CONNECT_TIMEOUT) {
        tell_refusal(sc, r->error, r->reason);
    }
    uint64_t will_be_served = expected(lane);
    while (lane->waiting_count > will_be_served) {
        fail_first(lane, r->error);
        if (lane->per_session != 0 && lane->dialing > 0) {
            break; // one dial of many: the others' requests wait on
        }
    }
    server_unref(sc->server);
}

/** Opens what the waiting requests need beyond the dials on their way. */
static void dial_for_waiting(struct lane *lane)
{
    while (lane->waiting_count > expected(lane)) {
        const struct upstream_request *rq = first_waiting(lane);
        ensure(rq != NULL);
        int e = dial(lane, rq->connect_ms);
        if (e < 0) {
            fail_first(lane, e);
        }
    }
}

static void on_dialed(struct dial *d, const struct dial_result *r, void *arg)
{
    struct lane *lane = arg;
    struct server_core *sc = lane->core;
    (void)d;
    ensure(lane->dialing > 0);
    lane->dialing--;
    struct dial_result result = *r;
    const struct up_protocol *p = r->error == 0 ? choose_protocol(sc, r->alpn) : NULL;
    struct up_session *s = NULL;
    if (p != NULL) {
        const struct up_session_terms terms = {
            .peer = &r->peer,
            .owner = &owner_ops,
            .owner_arg = lane,
            .idle_ms = sc->server->settings.idle_ms,
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
    lane->per_session = (uint32_t)num_min_u64(s->streams_max, sc->server->settings.streams_max);
    lane->per_session += lane->per_session == 0;
    sc->avoid_until_ms = 0;
    on_room(s, lane);
    dial_for_waiting(lane);
}

static int dial(struct lane *lane, uint32_t connect_ms)
{
    struct server_core *sc = lane->core;
    struct server *s = sc->server;
    struct upstream_core *core = core_of(sc);
    if (sc->open_count >= s->settings.connections_max) {
        return E_UPSTREAM_FULL;
    }
    bool upgrade = lane == &sc->lanes[LANE_UPGRADE];
    struct dial_order order = {
        .to = {.to = sc->addrs[sc->addr_next++ % sc->addr_count], .from = NULL},
        .limit_ms = connect_ms,
        .tls = upgrade ? s->settings.tls_h1 : s->settings.tls,
    };
    int error = 0;
    struct dial *d = dial_begin(core->dialer, &order, on_dialed, lane, &error);
    if (d == NULL) {
        counter_add(core->counters, COUNTER_upstream_connect_errors, 1);
        sc->avoid_until_ms = core->loop->now_ms + SERVER_PENALTY_MS;
        return error;
    }
    list_push_back(&lane->opening, dial_link(d));
    server_ref(s);
    sc->open_count++;
    lane->dialing++;
    return 0;
}

/** The name means other addresses now: what is pooled to the old ones is not used again. */
static void close_strangers(struct lane *lane)
{
    list_each_safe(node, next, &lane->ready)
    {
        struct up_session *s = list_entry(node, struct up_session, link);
        if (!is_stranger(lane->core, s)) {
            continue;
        }
        if (s->streams == 0) {
            close_session(lane, s);
        } else {
            s->owner_flags |= SESSION_STRANGER; // closed when it has nothing more to carry
            place(lane, s);
        }
    }
}

static void on_addresses(void *arg, const struct os_addr *addrs, unsigned count, int error)
{
    struct server_core *sc = arg;
    sc->resolving = false;
    if (count > SERVER_ADDRS_MAX) {
        count = SERVER_ADDRS_MAX;
    }
    if (count > 0) { // when a lookup fails the last addresses stay
        memcpy(sc->addrs, addrs, count * sizeof(addrs[0]));
        sc->addr_count = count;
    }
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &sc->lanes[i];
        if (count > 0) {
            close_strangers(lane);
        }
        while (sc->addr_count == 0 && first_waiting(lane) != NULL) {
            fail_first(lane, error < 0 ? error : E_NOT_RESOLVED);
        }
        dial_for_waiting(lane);
    }
}

/** Follows the server's name on this core, once. */
static int follow_name(struct server_core *sc, uint32_t core)
{
    struct server *s = sc->server;
    if (sc->watch != NULL) {
        return sc->addr_count > 0 || sc->resolving ? 0 : E_NOT_RESOLVED;
    }
    struct resolver *r = s->registry->cores[core].resolver;
    if (r == NULL) {
        return E_NOT_RESOLVED;
    }
    sc->resolving = true;
    return resolver_watch(r, slice_str(s->host), s->port, on_addresses, sc, &sc->watch);
}

/** Where a request goes: upgrades have a lane of their own where the protocol is not settled. */
static struct lane *lane_for(struct server_core *sc, const struct upstream_request *rq)
{
    bool apart = rq->upgrade && sc->server->settings.tls_h1 != NULL;
    return &sc->lanes[apart ? LANE_UPGRADE : LANE_ANY];
}

static struct up_session *find_session(struct lane *lane, const struct upstream_request *rq)
{
    list_each(node, &lane->ready)
    {
        struct up_session *s = list_entry(node, struct up_session, link);
        if (has_room(lane->core, s) && can_serve(s, rq)) {
            return s;
        }
    }
    return NULL;
}

int server_acquire(struct server *s, uint32_t core, struct upstream_request *rq)
{
    ensure_magic(s, SERVER_MAGIC);
    struct server_core *sc = &s->cores[core];
    struct lane *lane = &sc->lanes[LANE_ANY];
    struct up_session *session = find_session(lane, rq);
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
    int e = s->is_name ? follow_name(sc, core) : 0;
    if (e < 0) {
        return e;
    }
    if (sc->addr_count > 0 && lane->waiting_count + 1 > expected(lane)) {
        e = dial(lane, rq->connect_ms);
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
    stop_waiting(lane_for(&s->cores[core], rq), rq);
}

static void close_lane(struct lane *lane)
{
    struct list *node;
    while ((node = list_first(&lane->ready)) != NULL) {
        close_session(lane, list_entry(node, struct up_session, link));
    }
    while ((node = list_first(&lane->opening)) != NULL) {
        lane->core->open_count--;
        lane->dialing--;
        dial_cancel(dial_of_link(node)); // takes it out of the list
        server_unref(lane->core->server);
    }
}

static void close_core(struct server *s, uint32_t core)
{
    struct server_core *sc = &s->cores[core];
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        close_lane(&sc->lanes[i]);
    }
    end_watch(sc);
}

void upstream_registry_close(struct upstream_registry *r, uint32_t core)
{
    // Held by this loop too, so that closing a server's last connection does not end the walk.
    pthread_mutex_lock(&r->lock);
    struct list *node = list_first(&r->servers);
    struct server *s = node == NULL ? NULL : list_entry(node, struct server, link);
    if (s != NULL) {
        s->refs++;
    }
    pthread_mutex_unlock(&r->lock);
    while (s != NULL) {
        close_core(s, core);
        pthread_mutex_lock(&r->lock);
        struct list *next = s->link.next;
        struct server *after = NULL;
        if (next != &r->servers) {
            after = list_entry(next, struct server, link);
            after->refs++;
        }
        pthread_mutex_unlock(&r->lock);
        server_unref(s);
        s = after;
    }
}
