// SPDX-License-Identifier: Apache-2.0
//
// Ranges of ports, and who has which (tunnel/ports.h).

#include "tunnel/ports.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "l4/streams.h"
#include "tunnel/access.h"
#include "tunnel/registry.h"

enum {
    PORTS_MAGIC = 0x74706f72,
    TRIES_MAX = 64, // ports that are asked for in place of one that is taken
    CONNECT_MS = 10000,
    IDLE_MS = 24 * 3600 * 1000, // a shell may be left open over night
    IDLE_DATAGRAM_MS = 30 * 1000,
    HELLO_MS = 5000,
    SESSIONS_MAX = 16384,
    DRAIN_MS = 30 * 1000,
};

// ---- ranges -----------------------------------------------------------------------------------------

// The same in every process and edition; nobody hostile chooses the names of sites.
static const struct hash_key hash_key = {{0x61646974, 0x706f7274}};

uint64_t tunnel_port_key(struct slice site, bool datagram)
{
    return (hash_bytes(&hash_key, site) ^ (datagram ? 4U : 0U)) | 1;
}

bool tunnel_ports_parse(struct slice text, struct tunnel_port_range *out)
{
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != ':') {
        at--;
    }
    struct slice numbers = slice_from(text, at);
    struct access_ports range;
    if (!access_ports_parse(numbers, &range)) {
        return false;
    }
    ptrdiff_t dash = slice_find_char(numbers, '-');
    size_t end = dash < 0 ? text.len : at + (size_t)dash;
    out->first = (struct os_addr){.kind = OS_ADDR_V6, .dual = true, .port = range.first};
    out->last = range.last;
    return at == 0 || (os_addr_parse_listen(slice_sub(text, 0, end), &out->first) == 0 &&
                       out->first.kind != OS_ADDR_UNIX);
}

uint32_t tunnel_port_ranges(struct conf_node root,
                            struct tunnel_port_range out[TUNNEL_PORT_RANGES_MAX])
{
    uint32_t count = 0;
    conf_each(site, conf_get(root, "sites"))
    {
        struct conf_node ports = conf_get(conf_get(site, "tunnels"), "ports");
        struct tunnel_port_range *r = &out[count];
        if (count == TUNNEL_PORT_RANGES_MAX || !conf_exists(ports) ||
            !tunnel_ports_parse(conf_text(ports), r)) {
            continue;
        }
        r->keys[0] = tunnel_port_key(conf_key(site), false);
        r->keys[1] = tunnel_port_key(conf_key(site), true);
        count++;
    }
    return count;
}

static struct slice join(struct arena *a, const char *before, struct slice after)
{
    size_t len = strlen(before) + after.len;
    char *bytes = arena_bytes(a, len);
    if (bytes == NULL) {
        return (struct slice){NULL, 0};
    }
    struct text t = text_on(bytes, len);
    text_str(&t, before);
    text_put(&t, after);
    return text_slice(&t);
}

static int fill_stream(struct snapshot *s, struct l4_stream *out, struct upstream *u, bool datagram)
{
    const struct zone_settings *z = &zone_of_upstream(u)->settings;
    *out = (struct l4_stream){
        .key = tunnel_port_key(z->site, datagram),
        .text = join(&s->arena, datagram ? "udp://" : "tcp://", z->at),
        .host = z->at.len > 0 ? z->at : SLICE("tunnel.invalid"),
        .datagram = datagram,
        .access_log = true,
        .route_count = 1,
        .routes = arena_zalloc(&s->arena, sizeof(struct l4_route)),
        .connect_ms = CONNECT_MS,
        .idle_ms = datagram ? IDLE_DATAGRAM_MS : IDLE_MS,
        .hello_ms = HELLO_MS,
        .sessions_max = SESSIONS_MAX,
    };
    if (out->text.ptr == NULL || out->routes == NULL) {
        return E_NO_MEMORY;
    }
    out->routes[0].upstream = u;
    return 0;
}

static bool is_listed(const struct l4_streams *all, uint64_t key)
{
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->list[i].key == key) {
            return true;
        }
    }
    return false;
}

int tunnel_ports_compile(struct snapshot *s, struct conf_node root)
{
    struct tunnel_port_range ranges[TUNNEL_PORT_RANGES_MAX];
    uint32_t more = 2 * tunnel_port_ranges(root, ranges);
    if (more == 0) {
        return 0;
    }
    uint32_t before = s->streams != NULL ? s->streams->count : 0;
    struct l4_streams *all = arena_zalloc(&s->arena, sizeof(*all));
    struct l4_stream *list = arena_zalloc(&s->arena, (before + more) * sizeof(*list));
    if (all == NULL || list == NULL) {
        return E_NO_MEMORY;
    }
    *all = (struct l4_streams){.count = before, .list = list};
    all->drain_ms =
        (uint32_t)num_min_u64(conf_duration_ms(conf_get(root, "drain"), DRAIN_MS), UINT32_MAX);
    if (before > 0) {
        memcpy(list, s->streams->list, before * sizeof(*list));
    }
    for (struct upstream *u = s->all_upstreams; u != NULL; u = u->next) {
        const struct zone *z = zone_of_upstream(u);
        bool has = z != NULL && z->settings.port_first > 0 && all->count + 2 <= before + more &&
                   !is_listed(all, tunnel_port_key(z->settings.site, false));
        for (unsigned i = 0; has && i < 2; i++) {
            int e = fill_stream(s, &list[all->count++], u, i == 1);
            if (e < 0) {
                return e;
            }
        }
    }
    s->streams = all;
    return 0;
}

// ---- asking -----------------------------------------------------------------------------------------

int tunnel_ports_init(struct tunnel_ports *p, struct tunnel_registry *r)
{
    *p = (struct tunnel_ports){.magic = PORTS_MAGIC, .registry = r};
    p->at = mem_zalloc(TUNNEL_PORTS_MAX * sizeof(*p->at));
    if (p->at == NULL) {
        return E_NO_MEMORY;
    }
    int e = pthread_mutex_init(&p->lock, NULL);
    ensure(e == 0);
    list_init(&p->asks);
    return 0;
}

void tunnel_ports_fini(struct tunnel_ports *p)
{
    ensure_magic(p, PORTS_MAGIC);
    (void)pthread_mutex_destroy(&p->lock);
    mem_free(p->at);
    p->magic = 0;
}

static void on_answer(struct mail *m, struct loop *to)
{
    struct tunnel_port_ask *a = container_of(m, struct tunnel_port_ask, mail);
    (void)to;
    a->on_port(a);
}

static void answer(struct tunnel_port_ask *a, int error)
{
    a->error = error;
    a->mail.fn = on_answer;
    loop_post(a->loop, &a->mail);
}

void tunnel_ports_ask(struct tunnel_ports *p, struct tunnel_port_ask *a)
{
    ensure_magic(p, PORTS_MAGIC);
    uint32_t count = (uint32_t)a->last - a->first + 1;
    list_init(&a->link);
    a->tries = 0;
    if (a->first == 0 || p->wake == NULL ||
        (a->port != 0 && (a->port < a->first || a->port > a->last))) {
        answer(a, E_TUNNEL_PORT);
        return;
    }
    a->at = (uint16_t)(a->first + rng_below(&a->loop->rng, count));
    pthread_mutex_lock(&p->lock);
    list_push_back(&p->asks, &a->link);
    pthread_mutex_unlock(&p->lock);
    p->wake(p->wake_arg);
}

// ---- the steward ------------------------------------------------------------------------------------

static uint16_t *bucket_of(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    return &p->buckets[(key ^ port) % TUNNEL_PORT_BUCKETS];
}

/** Where the number of the one stands; it is 0 when there is none. */
static uint16_t *find_link(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    uint16_t *link = bucket_of(p, key, port);
    while (*link != 0 && (p->at[*link - 1].key != key || p->at[*link - 1].port != port)) {
        link = &p->at[*link - 1].next;
    }
    return link;
}

static struct tunnel_port *find(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    uint16_t number = *find_link(p, key, port);
    return number != 0 ? &p->at[number - 1] : NULL;
}

/** False: there is no room. */
static bool add(struct tunnel_ports *p, const struct tunnel_port *one)
{
    uint16_t number = p->first_free;
    if (number != 0) {
        p->first_free = p->at[number - 1].next;
    } else if (p->end < TUNNEL_PORTS_MAX) {
        number = (uint16_t)++p->end;
    } else {
        return false;
    }
    uint16_t *bucket = bucket_of(p, one->key, one->port);
    struct tunnel_port *at = &p->at[number - 1];
    *at = *one;
    at->used = true;
    at->next = *bucket;
    *bucket = number;
    p->count++;
    return true;
}

static void forget(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    uint16_t *link = find_link(p, key, port);
    uint16_t number = *link;
    if (number == 0) {
        return;
    }
    struct tunnel_port *at = &p->at[number - 1];
    p->again -= at->again;
    *link = at->next;
    at->used = false;
    at->again = false;
    at->next = p->first_free;
    p->first_free = number;
    p->count--;
}

static struct tunnel_port_ask *first_ask(struct tunnel_ports *p)
{
    pthread_mutex_lock(&p->lock);
    struct list *node = list_first(&p->asks);
    if (node != NULL) {
        list_remove(node);
    }
    pthread_mutex_unlock(&p->lock);
    return node == NULL ? NULL : list_entry(node, struct tunnel_port_ask, link);
}

/** The next port that is not open here; 0: none is left to try. */
static uint16_t next_port(struct tunnel_ports *p, struct tunnel_port_ask *a)
{
    if (a->port != 0) {
        return a->tries++ == 0 ? a->port : 0;
    }
    uint32_t count = (uint32_t)a->last - a->first + 1;
    for (uint32_t i = 0; i < count && a->tries < TRIES_MAX; i++) {
        uint16_t port = a->at;
        a->at = port == a->last ? a->first : (uint16_t)(port + 1);
        if (find(p, a->key, port) == NULL) {
            a->tries++;
            return port;
        }
    }
    return 0;
}

static void request(struct tunnel_ports *p, const struct tunnel_port_ask *a, uint16_t port,
                    struct tunnel_port_request *out)
{
    *out = (struct tunnel_port_request){
        .number = ++p->number, .key = a->key, .datagram = a->datagram, .port = port};
}

/** It is forgotten until it is there. */
static void open_again(struct tunnel_ports *p, struct tunnel_port_request *out)
{
    while (!p->at[p->again_at].again) {
        p->again_at = (p->again_at + 1) % p->end;
    }
    const struct tunnel_port *at = &p->at[p->again_at];
    *out = (struct tunnel_port_request){
        .number = ++p->number, .key = at->key, .datagram = at->datagram, .port = at->port};
    p->awaiting = true;
    forget(p, out->key, out->port);
}

bool tunnel_ports_next(struct tunnel_ports *p, uint64_t now_ms, struct tunnel_port_request *out)
{
    ensure_magic(p, PORTS_MAGIC);
    struct tunnel_port_ask *a;
    if (p->current == NULL && !p->awaiting && p->again > 0) {
        open_again(p, out);
        return true;
    }
    while (p->current == NULL && !p->awaiting && (a = first_ask(p)) != NULL) {
        struct tunnel_port *open = a->port != 0 ? find(p, a->key, a->port) : NULL;
        if (open != NULL) { // whose it is, the claim is told at the tunnel's home
            open->keep_ms = now_ms + TUNNEL_PORT_UNUSED_MS;
            answer(a, 0);
            continue;
        }
        uint16_t port = next_port(p, a);
        if (port == 0) {
            answer(a, E_TUNNEL_LIMIT);
            continue;
        }
        p->current = a;
        request(p, a, port, out);
        return true;
    }
    return false;
}

/** The supervisor's errors in the words of claims. */
static int plain(const struct tunnel_port_ask *a, int error)
{
    switch (error) {
    case E_IN_USE:
        return a->port != 0 ? E_TUNNEL_TAKEN : E_TUNNEL_LIMIT;
    case E_TOO_LARGE:
        return E_NO_DESCRIPTORS;
    case E_AGAIN:
        return E_DRAINING;
    default:
        return error;
    }
}

bool tunnel_ports_done(struct tunnel_ports *p, uint64_t number, int error,
                       struct tunnel_port_request *out)
{
    ensure_magic(p, PORTS_MAGIC);
    struct tunnel_port_ask *a = p->current;
    if (number == p->number) {
        p->awaiting = false; // what went wrong the supervisor has said
    }
    if (a == NULL || number != p->number) {
        return false;
    }
    if (error == 0 && find(p, a->key, a->port) == NULL) {
        error = E_NO_DESCRIPTORS; // the cores could not watch it
    }
    uint16_t other = error == E_IN_USE ? next_port(p, a) : 0;
    if (other != 0) {
        request(p, a, other, out);
        return true;
    }
    p->current = NULL;
    answer(a, plain(a, error));
    return false;
}

void tunnel_ports_opened(struct tunnel_ports *p, const struct tunnel_port *port, uint64_t now_ms,
                         bool found)
{
    ensure_magic(p, PORTS_MAGIC);
    struct tunnel_port one = *port;
    one.keep_ms = now_ms + (found ? TUNNEL_PORT_FOUND_MS : TUNNEL_PORT_UNUSED_MS);
    bool fits = find(p, port->key, port->port) == NULL && add(p, &one);
    ensure(fits); // the supervisor has no two of them, and no more than there is room for
    struct tunnel_port_ask *a = p->current;
    if (a != NULL && !found && a->key == port->key) {
        a->port = a->port == 0 ? port->port : a->port;
    }
}

void tunnel_ports_closed(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    ensure_magic(p, PORTS_MAGIC);
    forget(p, key, port);
}

static bool has_tunnel(const struct tunnel_ports *p, const struct tunnel_port *at)
{
    return tunnels_have_port(p->registry, at->key, at->datagram ? TUNNEL_UDP : TUNNEL_TCP,
                             at->port);
}

void tunnel_ports_moved(struct tunnel_ports *p, uint64_t key, uint16_t port)
{
    ensure_magic(p, PORTS_MAGIC);
    struct tunnel_port *at = find(p, key, port);
    if (at == NULL || at->again) {
        return;
    }
    if (has_tunnel(p, at)) {
        at->again = true;
        p->again++;
    } else {
        forget(p, key, port);
    }
}

bool tunnel_ports_unused(struct tunnel_ports *p, uint64_t now_ms, uint32_t *index)
{
    ensure_magic(p, PORTS_MAGIC);
    if (now_ms < p->look_ms) {
        return false;
    }
    while (p->looked < p->end) {
        struct tunnel_port *at = &p->at[p->looked++];
        if (!at->used || at->again) {
            continue;
        }
        if (has_tunnel(p, at)) {
            at->keep_ms = now_ms + TUNNEL_PORT_UNUSED_MS;
        } else if (at->keep_ms <= now_ms) {
            *index = at->index;
            forget(p, at->key, at->port);
            return true;
        }
    }
    p->looked = 0;
    p->look_ms = now_ms + TUNNEL_PORT_LOOK_MS;
    return false;
}

bool tunnel_ports_any(const struct tunnel_ports *p)
{
    return p->count > 0;
}
