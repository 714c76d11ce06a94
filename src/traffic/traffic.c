// SPDX-License-Identifier: Apache-2.0
//
// Joins what carries traffic on a core: listeners, TLS, sessions, exchanges, origin servers, the
// resolver. The worker's shell calls it through traffic.h and knows nothing of HTTP.
//
// Running out is met here: at the limit of connections the idlest one goes; without one to close, or
// without descriptors, a newcomer is told 503, and the listeners pause for a moment so that a full
// process does not spin on its accept queue.

#include "traffic/traffic.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "bridge/bridge.h"
#include "conf/diag.h"
#include "h1/session.h"
#include "h2/session.h"
#include "http/move.h"
#include "http/websocket_transport.h"
#include "l4/l4.h"
#include "loop/kernel_pipe.h"
#include "loop/loop.h"
#include "net/proxy_reader.h"
#include "net/resolver.h"
#include "obs/trace.h"
#include "proxy/core.h"
#include "proxy/regex.h"
#include "tls/store.h"
#include "tls/tls.h"
#include "tunnel/access.h"
#include "tunnel/handshake.h"
#include "tunnel/ports.h"
#include "tunnel/registry.h"
#include "upstream/pool.h"

#include "traffic/front.h"
#include "traffic/switches.h"

enum {
    TRAFFIC_MAGIC = 0x74726166,
    TRAFFIC_CORE_MAGIC = 0x74726363,
    LISTENERS_BLOCK = 64,  // that are made at a time
    LISTENERS_BLOCKS = 65, // those of the configuration, and 4,096 ports of tunnels
    ACCEPTS_PER_EVENT = 64,
    LAST_ACCEPTS = 1024, // rounds of these before a listener is left: more than any queue holds
    PAUSE_MS = 100,
    NEWCOMERS_MAX =
        8192, // connections that have asked for nothing yet: 48 KB each in a TLS handshake
    DATAGRAM_SESSIONS_MAX = 4 << 20, // of a core: its streams have limits of their own
    FILE_BYTES_MAX = 256 * 1024,
    PROTOCOL_COUNT = 2,
    WINDOW_SHARE = 4, // of the memory that may be promised beyond first HTTP/2 windows
    BRIDGED_SESSIONS_MAX = 1 << 20, // of a core: tunnels that others hold
    BRIDGED_STREAMS = 16,           // for each connection, and at the end of each they overlap
    PLACEMENT_LOOKS = 8,            // up to so many other cores are all looked at
    PLACEMENT_SLACK = 8,            // an eighth more connections is not worth a move
    PLACEMENT_INBOUND_MAX = 64,     // a core with so many unread is behind: it gets no more
};

/** What the other cores see of one, to hand it connections: loads and stores of theirs cross threads.
 * It outlives the core. */
struct placement {
    _Alignas(64) atomic_bool accepting; // new connections may be handed to it
    struct conn_door door;              // by which they come, and those that change their core
    struct counters *counters;          // lives until every core has ended
    struct traffic_core *core;          // for the core itself
};

struct traffic {
    uint32_t magic;
    struct traffic_limits limits;
    struct upstream_registry registry;
    struct pool_factory factory;
    struct zone_factory zones;
    struct tunnel_registry *tunnels;
    struct tunnel_ports ports;
    struct h2_windows windows;
    struct bridges *bridges;
    struct slice resolv_conf; // texts that a sandboxed worker could not read later
    struct slice hosts;
    struct placement places[]; // one per core
};

struct listener {
    struct io io;
    struct traffic_core *owner;
    struct os_addr addr;
    uint32_t index;
    bool used;
    bool watched;
    bool secure;     // TLS
    uint64_t stream; // 0: for the sites
    uint32_t proxy_count;
    const struct os_cidr *proxies;
    struct slice site;
};

struct traffic_core {
    uint32_t magic;
    uint32_t connections_max;
    uint32_t newcomers_max;
    struct traffic *traffic;
    struct loop *loop;
    struct counters *counters;
    struct core core;
    struct down_core down;
    struct transport_core transports;
    struct h1_core h1;
    struct h2_core *h2;
    struct bridge_core *bridge;
    struct tls_core *tls;
    struct front front;
    struct websocket_core websockets;
    struct stream_transports streams;
    struct switches switches;
    struct l4_core *l4;
    struct l4_sites sites;        // where streams send what is for the sites
    struct front_session session; // where a client goes after its handshake
    struct up_protocol protocols[PROTOCOL_COUNT + 1];
    struct dialer dialer;
    struct resolver *resolver;
    struct handshakes *handshakes; // of agents
    struct access *access;         // NULL: nobody has said yet who may have tunnels
    bool paused;
    struct wheel_timer pause;
    struct listener *listeners[LISTENERS_BLOCKS]; // by index, in blocks that are made when needed
};

static_assert((int)LISTENERS_BLOCK * LISTENERS_BLOCKS == (int)TRAFFIC_LISTENERS_MAX, "as it says");

/** What a snapshot was compiled from. */
struct snapshot_owner {
    void (*forget)(void *doc_owner);
    void *doc_owner;
};

static struct slice read_file(const char *path)
{
    struct slice none = {NULL, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return none;
    }
    char *text = mem_alloc(FILE_BYTES_MAX);
    size_t len = 0;
    while (text != NULL && len < FILE_BYTES_MAX) {
        ssize_t n = read(fd, text + len, FILE_BYTES_MAX - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    close(fd);
    return slice_of(text, len);
}

int traffic_new(const struct traffic_limits *limits, struct traffic **out)
{
    ensure(limits->cores > 0 && limits->cores <= SNAPSHOT_CORES_MAX);
    size_t size = sizeof(struct traffic) + limits->cores * sizeof(struct placement);
    struct traffic *t = mem_zalloc_aligned(size, _Alignof(struct placement));
    if (t == NULL) {
        return E_NO_MEMORY;
    }
    t->magic = TRAFFIC_MAGIC;
    t->limits = *limits;
    if (bridges_new(limits->cores, &t->bridges) < 0) {
        mem_free(t);
        return E_NO_MEMORY;
    }
    upstream_registry_init(&t->registry, limits->cores);
    t->registry.rows = limits->rows;
    pool_factory_init(&t->factory, &t->registry);
    const struct tunnel_registry_order tunnels = {.upstreams = &t->registry,
                                                  .cores = limits->cores,
                                                  .rows = limits->tunnels,
                                                  .before = limits->tunnels_before};
    int e = tunnel_registry_new(&tunnels, &t->tunnels);
    if (e < 0) {
        upstream_registry_fini(&t->registry);
        bridges_free(t->bridges);
        mem_free(t);
        return e;
    }
    e = tunnel_ports_init(&t->ports, t->tunnels);
    if (e < 0) {
        tunnel_registry_free(t->tunnels);
        upstream_registry_fini(&t->registry);
        bridges_free(t->bridges);
        mem_free(t);
        return e;
    }
    tunnels_set_ports(t->tunnels, &t->ports);
    zone_factory_init(&t->zones, t->tunnels, &t->factory);
    t->factory.base.next = &t->zones.base;
    h2_windows_init(&t->windows, limits->memory_bytes / WINDOW_SHARE);
    t->resolv_conf = read_file("/etc/resolv.conf");
    t->hosts = read_file("/etc/hosts");
    *out = t;
    return 0;
}

struct tunnel_ports *traffic_ports(struct traffic *t)
{
    ensure_magic(t, TRAFFIC_MAGIC);
    return &t->ports;
}

void traffic_free(struct traffic *t)
{
    ensure_magic(t, TRAFFIC_MAGIC);
    tunnel_registry_free(t->tunnels);
    tunnel_ports_fini(&t->ports);
    ensure(atomic_load(&t->windows.used) == 0); // each stream gives back what it had
    upstream_registry_fini(&t->registry);
    bridges_free(t->bridges);
    mem_free((void *)(uintptr_t)t->resolv_conf.ptr);
    mem_free((void *)(uintptr_t)t->hosts.ptr);
    t->magic = 0;
    mem_free(t);
}

static void forget_document(struct snapshot *s)
{
    struct snapshot_owner *owner = s->owner;
    owner->forget(owner->doc_owner);
}

static void explain(const struct conf_diags *diags, int error, struct text *why)
{
    const struct conf_diag *d = diags == NULL ? NULL : conf_diags_first(diags);
    if (d == NULL) {
        text_str(why, error_text(error));
    }
    for (; d != NULL; d = d->next) {
        conf_diag_text(diags, d, false, why);
    }
}

int traffic_compile(struct traffic *t, const struct traffic_document *d, struct text *why,
                    struct snapshot **out)
{
    ensure_magic(t, TRAFFIC_MAGIC);
    struct conf_diags *diags = conf_diags_new();
    struct snapshot *s = NULL;
    pool_factory_use(&t->factory, d->tls, d->credentials);
    int e = snapshot_compile(d->doc, &t->factory.base, diags, &s);
    if (e == 0) {
        e = l4_streams_compile(s, d->doc, &t->factory.base, diags);
        e = e < 0 ? e : tunnel_ports_compile(s, conf_root(d->doc));
        if (e < 0) {
            snapshot_discard(s);
        }
    }
    if (e < 0) {
        explain(diags, e, why);
    }
    conf_diags_free(diags);
    if (e < 0) {
        return e;
    }
    struct snapshot_owner *owner = arena_alloc(&s->arena, sizeof(*owner));
    if (owner == NULL) {
        snapshot_discard(s);
        return E_NO_MEMORY;
    }
    *owner = (struct snapshot_owner){d->forget, d->owner};
    s->owner = owner;
    s->dispose = forget_document;
    s->generation = d->generation;
    snapshot_publish(s, t->limits.cores);
    *out = s;
    return 0;
}

void traffic_core_set_servers(struct traffic_core *tc, const struct conf_doc *book)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    groups_set_book(&tc->traffic->registry, tc->loop->core, book);
}

void traffic_core_set_access(struct traffic_core *tc, struct access *a)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    struct access *before = tc->access;
    tc->access = access_ref(a);
    tunnels_set_access(tc->traffic->tunnels, tc->loop->core, a);
    access_unref(before);
}

unsigned traffic_core_kick(struct traffic_core *tc, const struct traffic_kick *kick)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return tunnels_kick(tc->traffic->tunnels, tc->loop->core, kick->zone, kick->name, kick->text);
}

void traffic_core_set_names(struct traffic_core *tc, struct slice resolv_conf, struct slice hosts)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    if (tc->resolver != NULL && resolver_set_texts(tc->resolver, resolv_conf, hosts) < 0) {
        log_line(LOG_WARN, "the resolver keeps its texts: there is no memory for new ones");
    }
}

void traffic_core_read_names(struct traffic_core *tc)
{
    struct slice resolv_conf = read_file("/etc/resolv.conf");
    struct slice hosts = read_file("/etc/hosts");
    traffic_core_set_names(tc, resolv_conf, hosts);
    mem_free((void *)(uintptr_t)resolv_conf.ptr);
    mem_free((void *)(uintptr_t)hosts.ptr);
}

void traffic_discard(struct traffic *t, struct snapshot *s)
{
    for (uint32_t i = 0; i < t->limits.cores; i++) {
        snapshot_unref(s, i);
    }
}

/** By its index; NULL: there is none. */
static struct listener *listener_at(const struct traffic_core *tc, uint32_t index)
{
    struct listener *block =
        index < TRAFFIC_LISTENERS_MAX ? tc->listeners[index / LISTENERS_BLOCK] : NULL;
    struct listener *l = block != NULL ? &block[index % LISTENERS_BLOCK] : NULL;
    return l != NULL && l->used ? l : NULL;
}

static void set_listening(struct traffic_core *tc, bool on)
{
    for (unsigned i = 0; i < TRAFFIC_LISTENERS_MAX; i++) {
        struct listener *l = listener_at(tc, i);
        if (l == NULL || l->watched == on) {
            continue;
        }
        if (!on) {
            loop_unwatch(tc->loop, &l->io);
            l->watched = false;
        } else if (loop_watch(tc->loop, &l->io, true) == 0) {
            l->watched = true;
        }
    }
}

static void on_pause_over(struct wheel_timer *timer)
{
    struct traffic_core *tc = container_of(timer, struct traffic_core, pause);
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    tc->paused = false;
    set_listening(tc, true);
}

static void pause_listening(struct traffic_core *tc)
{
    if (tc->paused) {
        return;
    }
    tc->paused = true;
    set_listening(tc, false);
    loop_timer_set(tc->loop, &tc->pause, PAUSE_MS);
}

/** An accepted connection. */
struct arrival {
    int fd;
    uint32_t listener;
    uint16_t port; // of the listener
    struct slice site;
    struct front_steps steps;
    struct os_addr from;
};

static void turn_away(struct traffic_core *tc, const struct arrival *a)
{
    if (!a->steps.secure && a->steps.stream == 0) {
        h1_down_turn_away(&tc->h1, a->fd);
        return;
    }
    counter_add(tc->counters, COUNTER_connections_shed, 1);
    tc->loop->sys->ops->close(tc->loop->sys, a->fd, true);
}

static void take(struct traffic_core *tc, const struct arrival *a)
{
    const struct os_peer from = os_peer_of(&a->from);
    down_core_bound(&tc->down, &from, tc->newcomers_max);
    if (tc->down.count >= tc->connections_max && !down_core_shed(&tc->down, &from)) {
        turn_away(tc, a);
        return;
    }
    int e = 0;
    struct transport *t = transport_new(&tc->transports, a->fd, &e);
    if (t == NULL) {
        turn_away(tc, a);
        return;
    }
    struct http_peer peer = {
        .transport = t,
        .listener = a->listener,
        .port = a->port,
        .site = a->site,
        .connection_id = http_connection_id(tc->loop, &tc->down.next_id),
    };
    http_peer_set(&peer, &a->from);
    counter_add(tc->counters, COUNTER_connections_accepted, 1);
    if (a->steps.secure || a->steps.header) {
        e = front_open(&tc->front, t, &peer, a->steps);
    } else {
        e = a->steps.stream != 0 ? l4_open(tc->l4, t, &peer, a->steps.stream)
                                 : h1_down_open(&tc->h1, t, &peer);
    }
    if (e < 0) {
        counter_add(tc->counters, COUNTER_connections_shed, 1);
    }
}

/** The first bytes were those of HTTP/2. */
static void on_preface(void *arg, struct transport *t, const struct http_peer *peer,
                       struct chunk *first, uint32_t pos)
{
    struct traffic_core *tc = arg;
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    if (h2_down_open(tc->h2, t, peer, first, pos) < 0) {
        counter_add(tc->counters, COUNTER_connections_shed, 1);
    }
}

struct dialer *traffic_core_dialer(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return &tc->dialer;
}

struct resolver *traffic_core_resolver(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return tc->resolver;
}

struct core *traffic_core_exchanges(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return &tc->core;
}

struct down_session *traffic_core_adopt(struct traffic_core *tc, struct transport *t,
                                        const struct down_session_terms *terms, struct chunk *first,
                                        uint32_t pos, int *error)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return h2_down_open_watched(tc->h2, t, terms, first, pos, error);
}

static void open_session(struct front_session *f, struct transport *t, const struct http_peer *peer,
                         struct slice alpn)
{
    struct traffic_core *tc = container_of(f, struct traffic_core, session);
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    int e = slice_eq(alpn, SLICE("h2")) ? h2_down_open(tc->h2, t, peer, NULL, 0)
                                        : h1_down_open(&tc->h1, t, peer);
    if (e < 0) {
        counter_add(tc->counters, COUNTER_connections_shed, 1);
    } else if (tc->down.draining) {
        down_core_drain(&tc->down, tc->down.patient); // it came too late to be left idle
    }
}

/** A stream's client is through with its PROXY header. */
static void open_stream(struct front_session *f, struct transport *t, const struct http_peer *peer,
                        uint64_t key)
{
    struct traffic_core *tc = container_of(f, struct traffic_core, session);
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    if (l4_open(tc->l4, t, peer, key) < 0) {
        counter_add(tc->counters, COUNTER_connections_shed, 1);
    }
}

/** A stream's route leads to the sites. */
static void open_for_sites(struct l4_sites *sites, struct transport *t,
                           const struct http_peer *peer, bool secure)
{
    struct traffic_core *tc = container_of(sites, struct traffic_core, sites);
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    const struct front_steps steps = {.secure = true};
    int e = secure ? front_open(&tc->front, t, peer, steps) : h1_down_open(&tc->h1, t, peer);
    if (e < 0) {
        counter_add(tc->counters, COUNTER_connections_shed, 1);
    }
}

// ---- placement (docs/design/loop.md) ---------------------------------------------------------------

/** A connection on its way to another core. */
struct handoff {
    struct gate_mail mail;
    struct placement *to;
    struct arrival arrival;
};

static void on_handoff(struct gate_mail *m)
{
    struct handoff *h = container_of(m, struct handoff, mail);
    struct traffic_core *tc = h->to->core;
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    take(tc, &h->arrival);
    if (tc->down.draining) {
        down_core_drain(&tc->down, tc->down.patient); // it came too late to be left idle
    }
    mem_free(h);
}

static uint64_t connections_of(const struct counters *c)
{
    return atomic_load_explicit(&c->v[COUNTER_connections_open], memory_order_relaxed);
}

/** Where a new connection goes: to another core when that has clearly fewer and is not behind with
 * those it was given. Of many cores one is looked at, of few all. */
static uint32_t choose_core(struct traffic_core *tc)
{
    struct traffic *t = tc->traffic;
    uint32_t cores = t->limits.cores;
    uint32_t own = tc->loop->core;
    if (cores < 2) {
        return own;
    }
    uint32_t looks = cores <= PLACEMENT_LOOKS ? cores - 1 : 1;
    uint32_t best = own;
    uint64_t least = connections_of(tc->counters);
    uint32_t first = (uint32_t)rng_below(&tc->loop->rng, cores - 1);
    for (uint32_t i = 0; i < looks; i++) {
        uint32_t other = (own + 1 + (first + i) % (cores - 1)) % cores;
        struct placement *p = &t->places[other];
        uint32_t inbound = gate_inbound(&p->door.gate);
        if (!atomic_load(&p->accepting) || inbound >= PLACEMENT_INBOUND_MAX) {
            continue;
        }
        uint64_t n = connections_of(p->counters) + inbound;
        if (n + n / PLACEMENT_SLACK < least) {
            least = n;
            best = other;
        }
    }
    return best;
}

/** Takes an accepted connection, here or on the core it is placed on. */
static void place(struct traffic_core *tc, const struct arrival *a)
{
    uint32_t core = choose_core(tc);
    struct placement *p = &tc->traffic->places[core];
    if (core == tc->loop->core) {
        take(tc, a);
        return;
    }
    struct handoff *h = mem_alloc(sizeof(*h));
    bool counted = h != NULL && gate_enter(&p->door.gate) == 0;
    // Asked once more after it is counted: a core that drains is not idle before these have come.
    if (!counted || !atomic_load(&p->accepting)) {
        if (counted) {
            gate_leave(&p->door.gate);
        }
        mem_free(h);
        take(tc, a);
        return;
    }
    *h = (struct handoff){.mail = {.fn = on_handoff}, .to = p, .arrival = *a};
    gate_post(&p->door.gate, &h->mail);
}

/** Whether a source may connect here: where PROXY headers are required, only those who send them. */
static bool is_welcome(const struct listener *l, const struct os_addr *from)
{
    for (uint32_t i = 0; i < l->proxy_count; i++) {
        if (os_cidr_contains(&l->proxies[i], from)) {
            return true;
        }
    }
    return l->proxy_count == 0;
}

/** Takes up to ACCEPTS_PER_EVENT connections. True: there may be more. */
static bool accept_some(struct traffic_core *tc, const struct listener *l)
{
    struct sys *sys = tc->loop->sys;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct arrival a = {
            .listener = l->index,
            .port = l->addr.kind == OS_ADDR_UNIX ? 0 : l->addr.port,
            .site = l->site,
            .steps = {.header = l->proxy_count > 0, .secure = l->secure, .stream = l->stream}};
        a.fd = sys->ops->accept(sys, l->io.fd, &a.from);
        if (a.fd >= 0 && is_welcome(l, &a.from)) {
            place(tc, &a);
            continue;
        }
        if (a.fd >= 0) {
            proxy_reader_refuse(tc->counters);
            sys->ops->close(sys, a.fd, true);
            continue;
        }
        if (a.fd == E_AGAIN) {
            return false;
        }
        if (a.fd == E_NO_DESCRIPTORS || a.fd == E_NO_MEMORY) {
            if (!down_core_shed(&tc->down, NULL)) {
                pause_listening(tc);
            }
            return false;
        }
    }
    return true;
}

static void on_acceptable(struct io *io, unsigned events)
{
    struct listener *l = container_of(io, struct listener, io);
    ensure_magic(l->owner, TRAFFIC_CORE_MAGIC);
    (void)events;
    (void)accept_some(l->owner, l); // level-triggered: the rest is reported again
}

static uint32_t share(uint64_t whole, uint32_t cores)
{
    uint64_t part = (whole + cores - 1) / cores;
    return part > UINT32_MAX ? UINT32_MAX : (uint32_t)part;
}

/** Everything that speaks a protocol. An exchange has one connection on either side, and closed ones
 * end with the turn. */
static int open_sessions(struct traffic_core *tc)
{
    uint32_t connections = 2 * tc->connections_max + LOOP_EVENTS_MAX;
    down_core_init(&tc->down, tc->loop, tc->counters, &tc->core.handler);
    transport_core_init(&tc->transports, tc->loop, connections);
    stream_transports_init(&tc->streams, &tc->transports, connections);
    websocket_core_init(&tc->websockets, &tc->transports, connections);
    h1_core_init(&tc->h1, tc->loop, tc->counters, &tc->down, connections);
    tc->h1.on_preface = on_preface;
    tc->h1.preface_arg = tc;
    int e =
        h2_core_new(tc->loop, tc->counters, &tc->down, &tc->traffic->windows, connections, &tc->h2);
    if (e == 0) {
        e = tls_core_new(tc->loop, tc->counters, connections, &tc->tls);
    }
    const struct bridge_limits bridged = {connections * BRIDGED_STREAMS, BRIDGED_SESSIONS_MAX};
    tc->bridge =
        e == 0 ? bridge_core_new(tc->traffic->bridges, tc->loop, tc->counters, &bridged) : NULL;
    if (e == 0 && tc->bridge == NULL) {
        e = E_NO_MEMORY;
    }
    if (e < 0) {
        return e;
    }
    tls_core_serve(tc->tls, &tc->transports);
    tc->session.open = open_session;
    tc->session.open_stream = open_stream;
    front_init(&tc->front, tc->tls, &tc->down, &tc->session, tc->connections_max + LOOP_EVENTS_MAX);
    tc->protocols[0] = (struct up_protocol){"http/1.1", h1_up_open, &tc->h1};
    tc->protocols[1] = (struct up_protocol){"h2", h2_up_open, tc->h2};
    tc->dialer = (struct dialer){
        .loop = tc->loop,
        .counters = tc->counters,
        .transports = &tc->transports,
        .tls = tc->tls,
        .next_id = &tc->down.next_id,
    };
    dialer_init(&tc->dialer, connections);
    return 0;
}

static int open_streams(struct traffic_core *tc, struct log_ring *log)
{
    tc->sites.open = open_for_sites;
    const struct l4_surroundings what = {
        .loop = tc->loop,
        .counters = tc->counters,
        .log = log,
        .down = &tc->down,
        .transports = &tc->transports,
        .sites = &tc->sites,
        .cores = tc->traffic->limits.cores,
        .sessions_max = tc->connections_max + LOOP_EVENTS_MAX,
        .datagram_sessions_max = DATAGRAM_SESSIONS_MAX,
    };
    tc->l4 = l4_core_new(&what);
    if (tc->l4 == NULL) {
        return E_NO_MEMORY;
    }
    switches_init(&tc->switches, &tc->streams, &tc->down, tc->l4);
    tc->core.switches = &tc->switches.taker;
    return 0;
}

static void close_sessions(struct traffic_core *tc)
{
    dialer_fini(&tc->dialer);
    front_fini(&tc->front);
    h2_core_free(tc->h2);
    h1_core_fini(&tc->h1);
    websocket_core_fini(&tc->websockets);
    tls_core_free(tc->tls);
    stream_transports_fini(&tc->streams);
    transport_core_fini(&tc->transports);
}

int traffic_core_new(struct traffic *t, struct loop *l, struct counters *counters,
                     struct log_ring *log, struct traffic_core **out)
{
    ensure_magic(t, TRAFFIC_MAGIC);
    struct traffic_core *tc = mem_zalloc(sizeof(*tc));
    if (tc == NULL) {
        return E_NO_MEMORY;
    }
    tc->magic = TRAFFIC_CORE_MAGIC;
    tc->traffic = t;
    tc->loop = l;
    tc->counters = counters;
    tc->connections_max = share(t->limits.connections_max, t->limits.cores);
    tc->newcomers_max = share(NEWCOMERS_MAX, t->limits.cores);
    wheel_timer_init(&tc->pause, on_pause_over);
    int e = core_init(&tc->core, l, counters, log, tc->connections_max);
    if (e == 0) {
        e = open_sessions(tc);
    }
    if (e == 0) {
        e = open_streams(tc, log);
    }
    if (e == 0) {
        e = handshakes_new(&tc->core, t->tunnels, &tc->handshakes);
    }
    if (e < 0) {
        mem_free(tc);
        return e;
    }
    struct resolver_config config = {.resolv_conf = t->resolv_conf, .hosts = t->hosts};
    if (resolver_new(l, &config, &tc->resolver) < 0) {
        log_line(LOG_WARN, "no resolver: origins given by name cannot be reached");
        tc->resolver = NULL;
    }
    struct upstream_core what = {
        .loop = l,
        .counters = counters,
        .dialer = &tc->dialer,
        .protocols = tc->protocols,
        .bridge = tc->bridge,
        .resolver = tc->resolver,
        .streams = &tc->streams,
    };
    upstream_registry_attach(&t->registry, l->core, &what);
    conn_door_init(&t->places[l->core].door, l, &tc->transports);
    tunnel_registry_attach(t->tunnels, l, counters, &t->places[l->core].door);
    t->places[l->core].counters = counters;
    t->places[l->core].core = tc;
    *out = tc;
    return 0;
}

void traffic_core_free(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    struct placement *place = &tc->traffic->places[tc->loop->core];
    atomic_store(&place->accepting, false);
    set_listening(tc, false);
    conn_door_close(&place->door);
    loop_timer_stop(tc->loop, &tc->pause);
    down_core_abort(&tc->down);
    mirrors_end(&tc->core);
    l4_core_abort(tc->l4);
    handshakes_free(tc->handshakes);
    bridge_core_close(tc->bridge);
    tunnel_registry_close(tc->traffic->tunnels, tc->loop->core);
    upstream_registry_close(&tc->traffic->registry, tc->loop->core);
    l4_core_free(tc->l4);
    core_fini(&tc->core);
    close_sessions(tc);
    if (tc->resolver != NULL) {
        resolver_free(tc->resolver);
    }
    kernel_pipe_core_fini(tc->loop);
    regex_thread_fini();
    access_unref(tc->access);
    for (unsigned i = 0; i < LISTENERS_BLOCKS; i++) {
        mem_free(tc->listeners[i]);
    }
    tc->magic = 0;
    mem_free(tc);
}

static void set_resolver(struct traffic_core *tc, const struct snapshot *s)
{
    if (tc->resolver != NULL && resolver_set_servers(tc->resolver, s->resolver) < 0) {
        log_line(LOG_WARN, "the resolver keeps its servers: the new ones cannot be used");
    }
}

void traffic_core_swap(struct traffic_core *tc, struct snapshot *s)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    tc->h1.limits = (struct h1_limits){
        .head_bytes = s->head_bytes, .target_bytes = s->target_bytes, .fields = s->head_fields};
    tc->down.settings = (struct http_settings){
        .head_bytes = s->head_bytes,
        .target_bytes = s->target_bytes,
        .fields = s->head_fields,
        .header_ms = s->header_ms,
        .idle_ms = s->idle_ms,
        .handshake_ms = s->handshake_ms,
        .down = s->down_timeouts,
        .requests_per_connection = s->requests_per_connection,
        .streams_max = s->streams_max,
        .connection_bytes = s->connection_bytes,
        .window_bytes = s->window_bytes,
    };
    set_resolver(tc, s);
    l4_core_swap(tc->l4, s);
    core_swap(&tc->core, s);
}

void traffic_core_set_tls(struct traffic_core *tc, struct tls_store *s)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    tls_core_set_store(tc->tls, s);
    tc->core.tls = s;
}

void traffic_core_set_wanted(struct traffic_core *tc, struct tls_wanted *w)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    tls_core_set_wanted(tc->tls, w);
}

void traffic_core_reserve(struct traffic_core *tc, const struct reserved *r)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    reserved_add(&tc->core, r);
}

/** Of the first listener for the sites that is so; 0: none is. */
static uint16_t first_port(const struct traffic_core *tc, bool secure)
{
    const struct listener *first = NULL;
    for (unsigned i = 0; i < LISTENERS_BLOCK; i++) { // behind them are the ports of tunnels
        const struct listener *l = listener_at(tc, i);
        bool counts = l != NULL && l->secure == secure && l->addr.kind != OS_ADDR_UNIX &&
                      (secure || l->stream == 0);
        if (counts && (first == NULL || l->index < first->index)) {
            first = l;
        }
    }
    return first != NULL ? first->addr.port : 0;
}

// Where clients in clear are sent to, and where agents' visitors come. In the end, when there are none any
// more, tunnels are still told of as they were.
static void find_ports(struct traffic_core *tc, uint32_t changed)
{
    if (changed >= LISTENERS_BLOCK) {
        return;
    }
    tc->core.tls_port = first_port(tc, true);
    tc->core.clear_port = first_port(tc, false);
    if (atomic_load(&tc->traffic->places[tc->loop->core].accepting)) {
        tunnels_set_web_ports(tc->traffic->tunnels, tc->loop->core, tc->core.tls_port,
                              tc->core.clear_port);
    }
}

/** Where a listener with that index goes, which is free; NULL: no memory. */
static struct listener *place_for(struct traffic_core *tc, uint32_t index)
{
    ensure(index < TRAFFIC_LISTENERS_MAX);
    ensure(listener_at(tc, index) == NULL);
    struct listener **block = &tc->listeners[index / LISTENERS_BLOCK];
    if (*block == NULL) {
        *block = mem_zalloc(LISTENERS_BLOCK * sizeof(**block));
    }
    return *block != NULL ? &(*block)[index % LISTENERS_BLOCK] : NULL;
}

int traffic_core_listen(struct traffic_core *tc, int fd, const struct traffic_listener *what)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    if (what->datagram) {
        const struct l4_listener l = {
            .fd = fd, .index = what->index, .port = what->addr.port, .key = what->stream};
        return l4_listen(tc->l4, &l);
    }
    struct listener *l = place_for(tc, what->index);
    if (l == NULL) {
        return E_NO_MEMORY;
    }
    *l = (struct listener){.io = {.fd = fd, .on_ready = on_acceptable},
                           .owner = tc,
                           .addr = what->addr,
                           .index = what->index,
                           .secure = what->secure,
                           .proxy_count = what->proxy_count,
                           .proxies = what->proxies,
                           .stream = what->stream,
                           .site = what->site,
                           .used = true};
    int e = loop_watch(tc->loop, &l->io, true);
    l->watched = e == 0;
    l->used = e == 0;
    if (e == 0) {
        atomic_store(&tc->traffic->places[tc->loop->core].accepting, true);
    }
    find_ports(tc, what->index);
    return e;
}

void traffic_core_unlisten(struct traffic_core *tc, uint32_t index)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    struct listener *l = listener_at(tc, index);
    if (l != NULL) {
        // Out of the loop first: of all who watch a socket the kernel wakes one for a connection, and
        // who is woken must take it. What waits in the queue then would be reset when the socket is
        // closed.
        if (l->watched) {
            loop_unwatch(tc->loop, &l->io);
        }
        l->watched = false;
        for (int round = 0; round < LAST_ACCEPTS && accept_some(tc, l); round++) {
        }
        if (l->watched) { // a pause for lack of descriptors ended in between
            loop_unwatch(tc->loop, &l->io);
        }
        l->used = false;
        l->watched = false;
        find_ports(tc, index);
    }
    l4_unlisten(tc->l4, index);
}

void traffic_core_drain(struct traffic_core *tc, bool patient)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    atomic_store(&tc->traffic->places[tc->loop->core].accepting, false);
    for (unsigned i = 0; i < TRAFFIC_LISTENERS_MAX; i++) {
        if (listener_at(tc, i) != NULL) {
            traffic_core_unlisten(tc, i);
        }
    }
    l4_core_drain(tc->l4);
    tunnels_drain(tc->traffic->tunnels, tc->loop->core);
    loop_timer_stop(tc->loop, &tc->pause);
    trace(TRACE_drain, tc->loop->core, tc->down.count);
    down_core_drain(&tc->down, patient);
}

bool traffic_core_idle(const struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return tc->down.count == 0 && l4_core_idle(tc->l4) && tls_core_is_idle(tc->tls) &&
           gate_inbound(&tc->traffic->places[tc->loop->core].door.gate) == 0;
}

struct up_protocol *traffic_core_protocols(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return tc->protocols;
}

struct bridge_core *traffic_core_bridge(struct traffic_core *tc)
{
    ensure_magic(tc, TRAFFIC_CORE_MAGIC);
    return tc->bridge;
}
