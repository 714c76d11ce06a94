// SPDX-License-Identifier: Apache-2.0
//
// The resolver of one core. Literals, localhost and names of the hosts text are answered at once and
// for ever (a reload brings new texts); other names go to c-ares, A and AAAA together, and again when
// the shortest TTL of the answer has passed. Failures are repeated after 1, 2, 4 ... 30 s.
//
// One resolver per core: answers arrive where they are used, no lock and no mail, at the price of one
// query per core, name and TTL. A process-wide one would save queries that cost nothing.
//
// c-ares calls the kernel itself (a named exception); it never opens a file here: servers, search
// list and hosts come in as texts, and resolv.conf is pointed at nothing. Its descriptors are watched
// edge-triggered: it reads datagrams until there are none, but streams (truncated answers repeated
// over TCP) one piece per call, so those are called until the piece count of an edge is surely done.
//
// c-ares cannot take one query back. A watch that ends while its query runs becomes an orphan, which
// its own answer frees.

#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "loop/loop.h"

enum {
    RESOLVER_MAGIC = 0x4e501001,
    RESOLVER_WATCH_MAGIC = 0x4e501002,
    RESOLVER_SOCKETS_MAX = 32, // c-ares opens two per server; lookups beyond fail and are repeated
    RESOLVER_ADDRS_MAX = 32,   // of one name; further ones are left out
    RESOLVER_SERVERS_MAX = 8,
    RESOLVER_DOMAINS_MAX = 6, // as resolv.conf(5) has it
    RESOLVER_NAME_MAX = 255,  // RFC 1035 section 2.3.4
    RESOLVER_TTL_MIN_S = 1,
    RESOLVER_TTL_MAX_S = 3600,
    RESOLVER_RETRY_MIN_MS = 1000,
    RESOLVER_RETRY_MAX_MS = 30000,
    RESOLVER_TIMEOUT_MS = 2000,
    RESOLVER_TRIES = 3,
    RESOLVER_STREAM_CALLS = 16,
};

struct resolver_socket {
    struct io io;
    struct resolver *resolver;
    bool stream;
};

struct servers {
    struct ares_addr_port_node nodes[RESOLVER_SERVERS_MAX];
    int count;
};

struct resolver {
    uint32_t magic;
    struct loop *loop;
    ares_channel channel;
    struct servers defaults; // of resolv.conf
    struct servers servers;  // in use; none: only fixed names resolve
    struct wheel_timer timer;
    struct list watches;
    char *hosts;
    size_t hosts_len;
    struct resolver_socket sockets[RESOLVER_SOCKETS_MAX];
};

struct resolver_watch {
    uint32_t magic;
    struct list link;
    struct resolver *resolver;
    resolver_fn *fn;
    void *arg;
    struct wheel_timer timer;
    bool in_flight;
    bool orphan;
    bool fixed; // a literal or from the hosts text: never asked again
    uint16_t port;
    uint32_t retry_ms;
    uint32_t count;
    struct os_addr addrs[RESOLVER_ADDRS_MAX];
    char name[RESOLVER_NAME_MAX + 1];
};

// ---- texts -----------------------------------------------------------------------------------------------

// The next line, without comment; false at the end.
static bool next_line(struct slice *text, struct slice *line)
{
    if (text->len == 0) {
        return false;
    }
    ptrdiff_t end = slice_find_char(*text, '\n');
    size_t len = end >= 0 ? (size_t)end : text->len;
    *line = slice_sub(*text, 0, len);
    *text = slice_from(*text, len + 1);
    for (size_t i = 0; i < line->len; i++) {
        if (line->ptr[i] == '#' || line->ptr[i] == ';') {
            line->len = i;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

static bool next_word(struct slice *line, struct slice *word)
{
    size_t from = 0;
    while (from < line->len && is_blank(line->ptr[from])) {
        from++;
    }
    size_t to = from;
    while (to < line->len && !is_blank(line->ptr[to])) {
        to++;
    }
    *word = slice_sub(*line, from, to - from);
    *line = slice_from(*line, to);
    return to > from;
}

static void sort_in(struct resolver_watch *w, const struct os_addr *a)
{
    uint32_t at = 0;
    while (at < w->count) {
        const struct os_addr *b = &w->addrs[at];
        int order = b->kind != a->kind ? b->kind - a->kind : memcmp(b->u.ip, a->u.ip, 16);
        if (order == 0) {
            return;
        }
        if (order > 0) {
            break;
        }
        at++;
    }
    if (w->count == RESOLVER_ADDRS_MAX) {
        return;
    }
    memmove(&w->addrs[at + 1], &w->addrs[at], (w->count - at) * sizeof(*a));
    w->addrs[at] = *a;
    w->count++;
}

static bool same_name(struct slice a, struct slice b)
{
    if (a.len > 0 && a.ptr[a.len - 1] == '.') {
        a.len--;
    }
    return slice_eq_nocase(a, b);
}

static void find_in_hosts(struct resolver_watch *w, struct slice name)
{
    struct slice text = slice_of(w->resolver->hosts, w->resolver->hosts_len);
    struct slice line;
    while (next_line(&text, &line)) {
        struct slice word;
        struct os_addr a;
        if (!next_word(&line, &word) || os_addr_parse_ip(word, w->port, &a) != 0) {
            continue;
        }
        while (next_word(&line, &word)) {
            if (same_name(word, name)) {
                sort_in(w, &a);
            }
        }
    }
}

// True when the name needs no server: a literal, in the hosts text, or localhost, which is the
// loopback wherever it is asked (RFC 6761 section 6.3).
static bool is_fixed(struct resolver_watch *w)
{
    struct slice name = slice_str(w->name);
    struct os_addr a;
    if (os_addr_parse_ip(name, w->port, &a) == 0) {
        sort_in(w, &a);
        return true;
    }
    if (name.len > 1 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    find_in_hosts(w, name);
    bool localhost =
        slice_eq_nocase(name, SLICE("localhost")) || slice_ends_nocase(name, SLICE(".localhost"));
    if (w->count == 0 && localhost) {
        struct os_addr v4 = {.kind = OS_ADDR_V4, .port = w->port, .u.ip = {127, 0, 0, 1}};
        struct os_addr v6 = {.kind = OS_ADDR_V6, .port = w->port, .u.ip = {[15] = 1}};
        sort_in(w, &v4);
        sort_in(w, &v6);
    }
    return w->count > 0;
}

// What resolv.conf says.
struct resolv_conf {
    struct servers servers;
    char *domains[RESOLVER_DOMAINS_MAX];
    char domain_text[RESOLVER_DOMAINS_MAX][RESOLVER_NAME_MAX + 1];
    int domain_count;
    int ndots;
    bool rotate;
};

static int add_server(struct servers *s, struct slice text)
{
    struct os_addr a;
    if (os_addr_parse(text, &a) != 0 && os_addr_parse_ip(text, 53, &a) != 0) {
        return E_INVALID;
    }
    if (a.kind == OS_ADDR_UNIX) {
        return E_INVALID;
    }
    if (s->count == RESOLVER_SERVERS_MAX) {
        return 0; // the first ones are enough
    }
    struct ares_addr_port_node *n = &s->nodes[s->count++];
    memset(n, 0, sizeof(*n));
    n->family = a.kind == OS_ADDR_V4 ? AF_INET : AF_INET6;
    n->udp_port = a.port;
    n->tcp_port = a.port;
    memcpy(&n->addr, a.u.ip, a.kind == OS_ADDR_V4 ? 4 : 16);
    return 0;
}

static void set_domains(struct resolv_conf *s, struct slice line)
{
    struct slice word;
    s->domain_count = 0; // the last line counts (resolv.conf(5))
    while (s->domain_count < RESOLVER_DOMAINS_MAX && next_word(&line, &word)) {
        if (word.len <= RESOLVER_NAME_MAX) {
            char *text = s->domain_text[s->domain_count];
            memcpy(text, word.ptr, word.len);
            text[word.len] = '\0';
            s->domains[s->domain_count++] = text;
        }
    }
}

static void set_options(struct resolv_conf *s, struct slice line)
{
    struct slice word;
    while (next_word(&line, &word)) {
        uint64_t value;
        if (slice_eq(word, SLICE("rotate"))) {
            s->rotate = true;
        } else if (slice_starts(word, SLICE("ndots:")) &&
                   num_parse_u64(slice_from(word, 6), 15, &value) == 0) {
            s->ndots = (int)value;
        }
    }
}

// Lines that make no sense are passed over, as every resolver does.
static void read_resolv_conf(struct resolv_conf *s, struct slice text)
{
    struct slice line;
    while (next_line(&text, &line)) {
        struct slice key;
        if (!next_word(&line, &key)) {
            continue;
        }
        struct slice value;
        if (slice_eq(key, SLICE("nameserver")) && next_word(&line, &value)) {
            (void)add_server(&s->servers, value);
        } else if (slice_eq(key, SLICE("search")) || slice_eq(key, SLICE("domain"))) {
            set_domains(s, line);
        } else if (slice_eq(key, SLICE("options"))) {
            set_options(s, line);
        }
    }
}

// ---- c-ares and the loop ---------------------------------------------------------------------------------

static struct resolver *self(void *arg)
{
    struct resolver *r = arg;
    ensure_magic(r, RESOLVER_MAGIC);
    return r;
}

static void set_timer(struct resolver *r)
{
    struct timeval tv;
    if (ares_timeout(r->channel, NULL, &tv) == NULL) {
        loop_timer_stop(r->loop, &r->timer);
        return;
    }
    // Rounded up: a timer that comes a little early would find nothing to do and come again.
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;
    loop_timer_stop(r->loop, &r->timer);
    loop_timer_set(r->loop, &r->timer, ms);
}

static void on_timer(struct wheel_timer *t)
{
    struct resolver *r = self(container_of(t, struct resolver, timer));
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_socket(struct io *io, unsigned events)
{
    struct resolver_socket *s = container_of(io, struct resolver_socket, io);
    struct resolver *r = self(s->resolver);
    int fd = io->fd;
    int calls = s->stream ? RESOLVER_STREAM_CALLS : 1;
    for (int i = 0; i < calls && io->fd == fd; i++) {
        bool write = (events & SYS_WRITE) != 0 && i == 0;
        ares_process_fd(r->channel, (events & SYS_READ) != 0 ? fd : ARES_SOCKET_BAD,
                        write ? fd : ARES_SOCKET_BAD);
    }
    set_timer(r);
}

static struct resolver_socket *socket_of(struct resolver *r, int fd)
{
    for (size_t i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
        if (r->sockets[i].io.fd == fd) {
            return &r->sockets[i];
        }
    }
    return NULL;
}

// c-ares has made a socket; refusing it here makes the query fail.
static int on_create(ares_socket_t fd, int type, void *arg)
{
    struct resolver *r = self(arg);
    struct resolver_socket *s = socket_of(r, -1);
    if (s == NULL) {
        return -1;
    }
    io_init(&s->io, fd, on_socket);
    s->stream = type == SOCK_STREAM;
    if (loop_watch(r->loop, &s->io, false) != 0) {
        s->io.fd = -1;
        return -1;
    }
    return 0;
}

// c-ares closes its sockets itself, right after it has said so here.
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = self(arg);
    struct resolver_socket *s = socket_of(r, fd);
    if (s != NULL && !readable && !writable) {
        loop_unwatch(r->loop, &s->io);
        s->io.fd = -1;
    }
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int open_channel(struct resolver *r, struct resolv_conf *conf)
{
    (void)pthread_once(&library_once, init_library);
    char lookups[] = "b"; // servers only: the hosts text is ours
    char nothing[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_NOALIASES,
        .timeout = RESOLVER_TIMEOUT_MS,
        .tries = RESOLVER_TRIES,
        .ndots = conf->ndots,
        .domains = conf->domains,
        .ndomains = conf->domain_count,
        .lookups = lookups,
        .resolvconf_path = nothing,
        .sock_state_cb = on_state,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
               ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB |
               (conf->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
    if (library_status != ARES_SUCCESS ||
        ares_init_options(&r->channel, &options, mask) != ARES_SUCCESS) {
        r->channel = NULL;
        return E_NO_MEMORY;
    }
    ares_set_socket_callback(r->channel, on_create, r);
    return 0;
}

static bool same_servers(const struct servers *a, const struct servers *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++) {
        const struct ares_addr_port_node *m = &a->nodes[i];
        const struct ares_addr_port_node *n = &b->nodes[i];
        same = m->family == n->family && m->udp_port == n->udp_port &&
               memcmp(&m->addr, &n->addr, m->family == AF_INET ? 4 : 16) == 0;
    }
    return same;
}

// Nodes are kept as values; the links are made for the one call that needs them.
static int use_servers(struct resolver *r, const struct servers *s)
{
    if (same_servers(s, &r->servers)) {
        return 0;
    }
    struct servers linked = *s;
    for (int i = 1; i < linked.count; i++) {
        linked.nodes[i - 1].next = &linked.nodes[i];
    }
    ares_cancel(r->channel); // c-ares does not change servers under a query
    if (linked.count > 0 && ares_set_servers_ports(r->channel, linked.nodes) != ARES_SUCCESS) {
        return E_NO_MEMORY;
    }
    r->servers = *s;
    return 0;
}

int resolver_set_servers(struct resolver *r, struct slice servers)
{
    ensure_magic(r, RESOLVER_MAGIC);
    if (servers.len == 0) {
        return use_servers(r, &r->defaults);
    }
    struct servers s;
    memset(&s, 0, sizeof(s));
    struct slice word;
    while (next_word(&servers, &word)) {
        int rc = add_server(&s, word);
        if (rc != 0) {
            return rc;
        }
    }
    return use_servers(r, &s);
}

int resolver_new(struct loop *l, const struct resolver_config *config, struct resolver **out)
{
    struct resolv_conf conf;
    memset(&conf, 0, sizeof(conf));
    conf.ndots = 1;
    read_resolv_conf(&conf, config->resolv_conf);
    int rc = 0;
    struct resolver *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    r->magic = RESOLVER_MAGIC;
    r->loop = l;
    r->defaults = conf.servers;
    list_init(&r->watches);
    wheel_timer_init(&r->timer, on_timer);
    for (size_t i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
        r->sockets[i].resolver = r;
        r->sockets[i].io.fd = -1;
    }
    if (config->hosts.len > 0) {
        r->hosts = mem_alloc(config->hosts.len);
        if (r->hosts != NULL) {
            memcpy(r->hosts, config->hosts.ptr, config->hosts.len);
            r->hosts_len = config->hosts.len;
        } else {
            rc = E_NO_MEMORY;
        }
    }
    if (rc == 0) {
        rc = open_channel(r, &conf);
    }
    if (rc == 0) {
        rc = resolver_set_servers(r, config->servers);
    }
    if (rc != 0) {
        resolver_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void resolver_free(struct resolver *r)
{
    ensure_magic(r, RESOLVER_MAGIC);
    struct list *node;
    while ((node = list_first(&r->watches)) != NULL) {
        resolver_unwatch(r, list_entry(node, struct resolver_watch, link));
    }
    if (r->channel != NULL) {
        ares_destroy(r->channel); // answers every query, which frees the orphans
    }
    loop_timer_stop(r->loop, &r->timer);
    mem_free(r->hosts);
    r->magic = 0;
    mem_free(r);
}

// ---- watches -----------------------------------------------------------------------------------------------

static int error_of(int status)
{
    return status == ARES_ENOMEM ? E_NO_MEMORY : E_NOT_RESOLVED;
}

static void tell_failure(struct resolver_watch *w, int error)
{
    uint32_t retry_ms = w->retry_ms;
    w->retry_ms = retry_ms * 2 < RESOLVER_RETRY_MAX_MS ? retry_ms * 2 : RESOLVER_RETRY_MAX_MS;
    // Up to a quarter less, so that cores and names do not ask in step.
    retry_ms -= (uint32_t)rng_below(&w->resolver->loop->rng, retry_ms / 4);
    loop_timer_set(w->resolver->loop, &w->timer, retry_ms);
    w->fn(w->arg, NULL, 0, error);
}

static bool same_addrs(const struct resolver_watch *w, const struct os_addr *old,
                       uint32_t old_count)
{
    if (w->count != old_count) {
        return false;
    }
    for (uint32_t i = 0; i < old_count; i++) {
        if (!os_addr_eq(&w->addrs[i], &old[i])) {
            return false;
        }
    }
    return true;
}

// Takes the answer's addresses; returns the shortest TTL in seconds.
static int take_nodes(struct resolver_watch *w, const struct ares_addrinfo *info)
{
    int ttl = RESOLVER_TTL_MAX_S;
    w->count = 0;
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
        struct os_addr a;
        os_addr_from_sockaddr(&a, n->ai_addr, n->ai_addrlen);
        a.port = w->port;
        if (a.kind != OS_ADDR_NONE) {
            sort_in(w, &a);
        }
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    }
    // A CNAME on the way may be shorter lived than the address it leads to.
    for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next) {
        ttl = c->ttl > 0 && c->ttl < ttl ? c->ttl : ttl;
    }
    return ttl > RESOLVER_TTL_MIN_S ? ttl : RESOLVER_TTL_MIN_S;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct resolver_watch *w = arg;
    ensure_magic(w, RESOLVER_WATCH_MAGIC);
    ensure(w->in_flight);
    w->in_flight = false;
    if (w->orphan) {
        if (info != NULL) {
            ares_freeaddrinfo(info);
        }
        w->magic = 0;
        mem_free(w);
        return;
    }
    struct os_addr old[RESOLVER_ADDRS_MAX];
    uint32_t old_count = w->count;
    memcpy(old, w->addrs, sizeof(old[0]) * old_count);
    int ttl = status == ARES_SUCCESS && info != NULL ? take_nodes(w, info) : 0;
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
    if (ttl == 0 || w->count == 0) {
        memcpy(w->addrs, old, sizeof(old[0]) * old_count);
        w->count = old_count;
        tell_failure(w, status == ARES_SUCCESS ? E_NOT_RESOLVED : error_of(status));
        return;
    }
    w->retry_ms = RESOLVER_RETRY_MIN_MS;
    loop_timer_set(w->resolver->loop, &w->timer, (uint64_t)ttl * 1000);
    if (!same_addrs(w, old, old_count)) {
        w->fn(w->arg, w->addrs, w->count, 0);
    }
}

static void on_due(struct wheel_timer *t)
{
    struct resolver_watch *w = container_of(t, struct resolver_watch, timer);
    ensure_magic(w, RESOLVER_WATCH_MAGIC);
    struct resolver *r = w->resolver;
    if (w->fixed) {
        w->fn(w->arg, w->addrs, w->count, 0);
        return;
    }
    if (r->servers.count == 0) {
        tell_failure(w, E_NOT_RESOLVED);
        return;
    }
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, // sorting would connect sockets to find out preferences
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    w->in_flight = true;
    ares_getaddrinfo(r->channel, w->name, NULL, &hints, on_answer, w);
    set_timer(r);
}

int resolver_watch(struct resolver *r, struct slice name, uint16_t port, resolver_fn *fn, void *arg,
                   struct resolver_watch **out)
{
    ensure_magic(r, RESOLVER_MAGIC);
    ensure(fn != NULL);
    struct resolver_watch *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        return E_NO_MEMORY;
    }
    w->magic = RESOLVER_WATCH_MAGIC;
    w->resolver = r;
    w->fn = fn;
    w->arg = arg;
    w->port = port;
    w->retry_ms = RESOLVER_RETRY_MIN_MS;
    list_init(&w->link);
    list_push_back(&r->watches, &w->link);
    wheel_timer_init(&w->timer, on_due);
    if (name.len > 0 && name.len <= RESOLVER_NAME_MAX && slice_find_char(name, '\0') < 0) {
        memcpy(w->name, name.ptr, name.len);
        w->fixed = is_fixed(w);
    } // else it stays empty, which no server knows
    loop_timer_set(r->loop, &w->timer, 0);
    *out = w;
    return 0;
}

void resolver_unwatch(struct resolver *r, struct resolver_watch *w)
{
    ensure_magic(w, RESOLVER_WATCH_MAGIC);
    ensure(w->resolver == r);
    list_remove(&w->link);
    loop_timer_stop(r->loop, &w->timer);
    if (w->in_flight) {
        w->orphan = true;
        return;
    }
    w->magic = 0;
    mem_free(w);
}
