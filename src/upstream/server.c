// SPDX-License-Identifier: Apache-2.0
//
// Connections of one core to one origin: taken when idle, opened when there is room, given to the
// requests that wait in the order they came. See server.h for who owns what.

#include "upstream/server.h"

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "net/resolver.h"

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
           a->idle_ms == b->idle_ms;
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
        list_init(&s->cores[i].idle);
        list_init(&s->cores[i].opening);
        list_init(&s->cores[i].waiting);
        s->cores[i].server = s;
    }
    if (set_address(s) < 0) {
        mem_free(s);
        return NULL;
    }
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
            loop_post(r->cores[i].h1->loop, &s->cores[i].retire);
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

static struct upstream_request *first_waiting(struct server_core *sc)
{
    struct list *node = list_first(&sc->waiting);
    return node == NULL ? NULL : list_entry(node, struct upstream_request, link);
}

static void stop_waiting(struct server_core *sc, struct upstream_request *rq)
{
    list_remove(&rq->link);
    ensure(sc->waiting_count > 0);
    sc->waiting_count--;
}

static void fail_first(struct server_core *sc, int error)
{
    struct upstream_request *rq = first_waiting(sc);
    if (rq != NULL) {
        stop_waiting(sc, rq);
        rq->on_failed(rq, error);
    }
}

static void give(struct server_core *sc, struct h1_conn *c, struct upstream_request *rq)
{
    rq->reused = h1_up_exchanges(c) > 0;
    rq->connect_ns = rq->reused ? 0 : h1_up_connect_ns(c);
    rq->server_text = server_text(sc->server);
    rq->on_ready(rq, h1_up_stream(c));
}

/** Leads to an address that the name no longer means. */
static bool is_stranger(const struct server_core *sc, struct h1_conn *c)
{
    for (uint32_t i = 0; i < sc->addr_count; i++) {
        if (os_addr_eq(&sc->addrs[i], &h1_up_stream(c)->peer->addr)) {
            return false;
        }
    }
    return true;
}

static void on_idle(struct h1_conn *c, void *owner)
{
    struct server_core *sc = owner;
    if (h1_up_exchanges(c) == 0) {
        ensure(sc->dialing > 0);
        sc->dialing--;
        sc->avoid_until_ms = 0;
        list_remove(h1_up_link(c));
    }
    struct upstream_request *rq = first_waiting(sc);
    if (rq != NULL && !(rq->fresh && h1_up_exchanges(c) > 0)) {
        stop_waiting(sc, rq);
        give(sc, c, rq);
        return;
    }
    // One that was busy when the addresses changed is seen here for the first time.
    if (sc->idle_count >= sc->server->settings.idle_max ||
        (sc->server->is_name && is_stranger(sc, c))) {
        sc->open_count--;
        h1_up_close(c);
        server_unref(sc->server);
        return;
    }
    sc->idle_count++;
    list_push_front(&sc->idle, h1_up_link(c));
}

/** A waiting request in excess of the connections on their way has lost its own. */
static void on_gone(struct h1_conn *c, void *owner, int error)
{
    struct server_core *sc = owner;
    struct server *s = sc->server;
    struct h1_core *h1 = s->registry->cores[sc - s->cores].h1;
    sc->open_count--;
    if (!h1_up_connected(c)) {
        ensure(sc->dialing > 0);
        sc->dialing--;
        sc->avoid_until_ms = h1->loop->now_ms + SERVER_PENALTY_MS;
        counter_add(h1->counters, COUNTER_upstream_connect_errors, 1);
        if (sc->waiting_count > sc->dialing) {
            fail_first(sc, error);
        }
    } else if (h1_up_is_idle(c)) {
        sc->idle_count--;
    }
    server_unref(s);
}

static const struct h1_up_owner owner_ops = {.on_idle = on_idle, .on_gone = on_gone};

static int dial(struct server_core *sc, uint32_t core, uint32_t connect_ms)
{
    struct server *s = sc->server;
    if (sc->open_count >= s->settings.connections_max) {
        return E_UPSTREAM_FULL;
    }
    struct sys_connect to = {.to = sc->addrs[sc->addr_next++ % sc->addr_count], .from = NULL};
    int error = 0;
    struct h1_core *h1 = s->registry->cores[core].h1;
    struct h1_conn *c = h1_up_open(h1, &to, connect_ms, &owner_ops, sc, &error);
    if (c == NULL) {
        counter_add(h1->counters, COUNTER_upstream_connect_errors, 1);
        sc->avoid_until_ms = h1->loop->now_ms + SERVER_PENALTY_MS;
        return error;
    }
    h1_up_set_idle(c, s->settings.idle_ms);
    list_push_back(&sc->opening, h1_up_link(c));
    server_ref(s);
    sc->open_count++;
    sc->dialing++;
    return 0;
}

/** The name means other addresses now: what is pooled to the old ones is not used again. */
static void close_strangers(struct server_core *sc)
{
    list_each_safe(node, next, &sc->idle)
    {
        struct h1_conn *c = h1_up_of_link(node);
        if (is_stranger(sc, c)) {
            sc->idle_count--;
            sc->open_count--;
            h1_up_close(c);
            server_unref(sc->server);
        }
    }
}

static void on_addresses(void *arg, const struct os_addr *addrs, unsigned count, int error)
{
    struct server_core *sc = arg;
    uint32_t core = (uint32_t)(sc - sc->server->cores);
    sc->resolving = false;
    if (count > SERVER_ADDRS_MAX) {
        count = SERVER_ADDRS_MAX;
    }
    if (count > 0) { // when a lookup fails the last addresses stay
        memcpy(sc->addrs, addrs, count * sizeof(addrs[0]));
        sc->addr_count = count;
        close_strangers(sc);
    }
    if (sc->addr_count == 0) {
        while (first_waiting(sc) != NULL) {
            fail_first(sc, error < 0 ? error : E_NOT_RESOLVED);
        }
        return;
    }
    while (sc->dialing < sc->waiting_count) {
        const struct upstream_request *rq = first_waiting(sc);
        ensure(rq != NULL);
        int e = dial(sc, core, rq->connect_ms);
        if (e < 0) {
            fail_first(sc, e);
        }
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

int server_acquire(struct server *s, uint32_t core, struct upstream_request *rq)
{
    ensure_magic(s, SERVER_MAGIC);
    struct server_core *sc = &s->cores[core];
    struct list *node = rq->fresh ? NULL : list_first(&sc->idle);
    if (node != NULL) {
        list_remove(node);
        sc->idle_count--;
        give(sc, h1_up_of_link(node), rq);
        return 0;
    }
    int e = 0;
    if (s->is_name) {
        e = follow_name(sc, core);
        if (e < 0) {
            return e;
        }
    }
    if (sc->addr_count > 0) {
        e = dial(sc, core, rq->connect_ms);
        if (e < 0) {
            return e;
        }
    }
    sc->waiting_count++;
    list_push_back(&sc->waiting, &rq->link);
    return 0;
}

void server_cancel(struct server *s, uint32_t core, struct upstream_request *rq)
{
    ensure_magic(s, SERVER_MAGIC);
    stop_waiting(&s->cores[core], rq);
}

static void close_list(struct server_core *sc, struct list *connections)
{
    struct list *node;
    while ((node = list_first(connections)) != NULL) {
        sc->open_count--;
        h1_up_close(h1_up_of_link(node)); // takes it out of the list
        server_unref(sc->server);
    }
}

static void close_core(struct server *s, uint32_t core)
{
    struct server_core *sc = &s->cores[core];
    close_list(sc, &sc->idle);
    close_list(sc, &sc->opening);
    sc->idle_count = 0;
    sc->dialing = 0;
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
