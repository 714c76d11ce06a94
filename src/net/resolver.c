// SPDX-License-Identifier: Apache-2.0
//
// The resolver of one core: its channel to the name servers. What is followed is in resolver_watch.c,
// what the texts mean in resolver_text.c, what answers say in dns_answer.c.
//
// c-ares carries single questions: it knows about time-outs, repeats, the next server, numbers that
// nobody can guess, and TCP for what came truncated. Names are searched and answers are read by us,
// since its parsers give no TTL of services and cannot say that one family of addresses failed.
//
// c-ares calls the kernel itself (a named exception); it never opens a file here: servers, search
// list and hosts come in as texts, and resolv.conf is pointed at nothing. Its descriptors are watched
// edge-triggered: it reads datagrams until there are none, but streams (truncated answers repeated
// over TCP) one piece per call, so those are called until the piece count of an edge is surely done.

#include "net/resolver.h"

#include <ares.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/error.h"
#include "base/slab.h"
#include "net/resolver_int.h"

enum {
    RESOLVER_TIMEOUT_MS = 2000,
    RESOLVER_TRIES = 3,
    RESOLVER_STREAM_CALLS = 16,
    RESOLVER_DATAGRAM = 1232, // bytes of an answer that no path has to fragment
    DNS_CLASS_IN = 1,
};

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

static int open_channel(struct resolver *r)
{
    (void)pthread_once(&library_once, init_library);
    char lookups[] = "b"; // servers only: the hosts text is ours
    char nothing[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS,
        .ednspsz = RESOLVER_DATAGRAM,
        .timeout = RESOLVER_TIMEOUT_MS,
        .tries = RESOLVER_TRIES,
        .ndots = 1,
        .lookups = lookups,
        .resolvconf_path = nothing,
        .sock_state_cb = on_state,
        .sock_state_cb_data = r,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_NDOTS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF |
               ARES_OPT_SOCK_STATE_CB | (r->text.rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
    ares_channel channel = NULL;
    if (library_status != ARES_SUCCESS ||
        ares_init_options(&channel, &options, mask) != ARES_SUCCESS) {
        return E_NO_MEMORY;
    }
    r->channel = channel;
    ares_set_socket_callback(channel, on_create, r);
    return 0;
}

void resolver_ask(struct resolver *r, const struct dns_name *name, unsigned type,
                  resolver_answer_fn *fn, void *arg)
{
    char text[DNS_NAME_MAX + 1];
    memcpy(text, name->text, name->len);
    text[name->len] = '\0';
    ares_query(r->channel, text, DNS_CLASS_IN, (int)type, fn, arg);
    set_timer(r);
}

// ---- servers and texts ----------------------------------------------------------------------------

static struct ares_addr_port_node node_of(const struct os_addr *a)
{
    struct ares_addr_port_node n;
    memset(&n, 0, sizeof(n));
    n.family = a->kind == OS_ADDR_V4 ? AF_INET : AF_INET6;
    n.udp_port = a->port;
    n.tcp_port = a->port;
    memcpy(&n.addr, a->u.ip, a->kind == OS_ADDR_V4 ? 4 : 16);
    return n;
}

static int use_servers(struct resolver *r, const struct resolver_servers *s)
{
    if (resolver_text_same_servers(s, &r->servers)) {
        return 0;
    }
    struct ares_addr_port_node nodes[RESOLVER_SERVERS_MAX];
    for (uint32_t i = 0; i < s->count; i++) {
        nodes[i] = node_of(&s->at[i]);
        if (i > 0) {
            nodes[i - 1].next = &nodes[i];
        }
    }
    ares_cancel(r->channel); // c-ares does not change servers under a query
    if (s->count > 0 && ares_set_servers_ports(r->channel, nodes) != ARES_SUCCESS) {
        return E_NO_MEMORY;
    }
    r->servers = *s;
    resolver_watch_all_again(r);
    return 0;
}

static int keep_text(struct slice *kept, struct slice text)
{
    char *copy = NULL;
    if (text.len > 0) {
        copy = mem_alloc(text.len);
        if (copy == NULL) {
            return E_NO_MEMORY;
        }
        memcpy(copy, text.ptr, text.len);
    }
    mem_free((void *)(uintptr_t)kept->ptr);
    *kept = slice_of(copy, text.len);
    return 0;
}

int resolver_set_servers(struct resolver *r, struct slice servers)
{
    ensure_magic(r, RESOLVER_MAGIC);
    struct resolver_servers s;
    int e = resolver_text_servers(&s, servers);
    if (e == 0) {
        e = keep_text(&r->configured, servers);
    }
    if (e != 0) {
        return e;
    }
    return use_servers(r, s.count > 0 ? &s : &r->text.servers);
}

int resolver_set_texts(struct resolver *r, struct slice resolv_conf, struct slice hosts)
{
    ensure_magic(r, RESOLVER_MAGIC);
    int e = keep_text(&r->hosts, hosts);
    if (e != 0) {
        return e;
    }
    resolver_text_read(&r->text, resolv_conf);
    resolver_watch_all_again(r);
    return r->configured.len > 0 ? 0 : use_servers(r, &r->text.servers);
}

int resolver_new(struct loop *l, const struct resolver_config *config, struct resolver **out)
{
    struct resolver *r = mem_zalloc(sizeof(*r));
    if (r == NULL) {
        return E_NO_MEMORY;
    }
    r->magic = RESOLVER_MAGIC;
    r->loop = l;
    list_init(&r->watches);
    wheel_timer_init(&r->timer, on_timer);
    for (size_t i = 0; i < RESOLVER_SOCKETS_MAX; i++) {
        r->sockets[i].resolver = r;
        r->sockets[i].io.fd = -1;
    }
    resolver_text_read(&r->text, config->resolv_conf);
    r->scratch = mem_alloc(sizeof(*r->scratch));
    int rc = r->scratch != NULL ? keep_text(&r->hosts, config->hosts) : E_NO_MEMORY;
    if (rc == 0) {
        rc = open_channel(r);
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
        resolver_watch_end(node);
    }
    if (r->channel != NULL) {
        ares_destroy(r->channel); // answers every query, which frees what belongs to them
    }
    loop_timer_stop(r->loop, &r->timer);
    mem_free(r->scratch);
    mem_free((void *)(uintptr_t)r->hosts.ptr);
    mem_free((void *)(uintptr_t)r->configured.ptr);
    r->magic = 0;
    mem_free(r);
}
