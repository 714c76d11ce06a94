// SPDX-License-Identifier: Apache-2.0
//
// Asking for TXT records with c-ares and poll() (net/txt.h). The library takes the answers apart; a
// record may come in several parts, which are joined before they are compared (RFC 7208 3.3 reads them
// so as well).

#include "net/txt.h"

#include <ares.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "net/resolver_text.h"

enum {
    TXT_MAGIC = 0x7478745f,
    TRY_MS = 1500,
    TRIES = 3,
    CLASS_IN = 1,
    TYPE_TXT = 16,
    RECORD_MAX = 4096,
    DATAGRAM = 1232, // of EDNS: what passes everywhere
};

struct txt_client {
    uint32_t magic;
    ares_channel channel;
    unsigned pending;
};

struct asked {
    struct txt_client *client;
    struct txt_question *question;
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

int txt_client_new(struct txt_client **out)
{
    (void)pthread_once(&library_once, init_library);
    struct txt_client *c = mem_zalloc(sizeof *c);
    char lookups[] = "b";
    char nothing[] = "/dev/null";
    struct ares_options options = {
        .flags = ARES_FLAG_EDNS,
        .ednspsz = DATAGRAM,
        .timeout = TRY_MS,
        .tries = TRIES,
        .ndots = 1,
        .lookups = lookups,
        .resolvconf_path = nothing,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_NDOTS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF |
               ARES_OPT_NOROTATE;
    if (c == NULL || library_status != ARES_SUCCESS ||
        ares_init_options(&c->channel, &options, mask) != ARES_SUCCESS) {
        mem_free(c);
        return E_NO_MEMORY;
    }
    c->magic = TXT_MAGIC;
    *out = c;
    return 0;
}

void txt_client_free(struct txt_client *c)
{
    if (c != NULL) {
        ensure_magic(c, TXT_MAGIC);
        ares_destroy(c->channel);
        c->magic = 0;
        mem_free(c);
    }
}

static int use_servers(struct txt_client *c, struct slice servers, struct slice resolv_conf)
{
    struct resolver_text text;
    struct resolver_servers s;
    struct ares_addr_port_node nodes[RESOLVER_SERVERS_MAX];
    int error = resolver_text_servers(&s, servers);
    if (error != 0) {
        return error;
    }
    resolver_text_read(&text, resolv_conf);
    s = s.count > 0 ? s : text.servers;
    if (s.count == 0) {
        return E_NOT_FOUND;
    }
    memset(nodes, 0, sizeof nodes);
    for (uint32_t i = 0; i < s.count; i++) {
        const struct os_addr *a = &s.at[i];
        nodes[i].family = a->kind == OS_ADDR_V4 ? AF_INET : AF_INET6;
        nodes[i].udp_port = a->port;
        nodes[i].tcp_port = a->port;
        memcpy(&nodes[i].addr, a->u.ip, a->kind == OS_ADDR_V4 ? 4 : 16);
        nodes[i].next = i + 1 < s.count ? &nodes[i + 1] : NULL;
    }
    return ares_set_servers_ports(c->channel, nodes) == ARES_SUCCESS ? 0 : E_NO_MEMORY;
}

static bool says(const struct ares_txt_ext *records, struct slice wanted)
{
    char buffer[RECORD_MAX];
    struct text whole = text_on(buffer, sizeof buffer);
    for (const struct ares_txt_ext *part = records; part != NULL; part = part->next) {
        whole = part->record_start ? text_on(buffer, sizeof buffer) : whole;
        text_put(&whole, slice_of((const char *)part->txt, part->length));
        bool ends = part->next == NULL || part->next->record_start;
        if (ends && !whole.overflow && slice_eq(text_slice(&whole), wanted)) {
            return true;
        }
    }
    return false;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct asked *a = arg;
    struct txt_question *q = a->question;
    struct ares_txt_ext *records = NULL;
    (void)timeouts;
    a->client->pending--;
    if (status == ARES_SUCCESS) {
        status = ares_parse_txt_reply_ext(bytes, len, &records);
    }
    if (status == ARES_SUCCESS) {
        q->error = records != NULL ? 0 : E_NOT_FOUND;
        q->found = says(records, q->wanted);
        ares_free_data(records);
    } else if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
        q->error = E_NOT_FOUND;
    } else {
        q->error = E_AGAIN;
        q->why = ares_strerror(status);
    }
}

// Until its sockets have something, or c-ares has to try again.
static void wait_for(struct txt_client *c)
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    struct pollfd p[ARES_GETSOCK_MAXNUM];
    struct timeval most = {.tv_sec = 1};
    struct timeval left;
    unsigned bits = (unsigned)ares_getsock(c->channel, sockets, ARES_GETSOCK_MAXNUM);
    nfds_t count = 0;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        // What ARES_GETSOCK_READABLE and _WRITABLE say; those shift into a sign bit.
        bool reads = (bits >> i & 1) != 0;
        bool writes = (bits >> (i + ARES_GETSOCK_MAXNUM) & 1) != 0;
        if (reads || writes) {
            p[count].fd = sockets[i];
            p[count].events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
            p[count++].revents = 0;
        }
    }
    const struct timeval *t = ares_timeout(c->channel, &most, &left);
    int ready = poll(p, count, (int)(t->tv_sec * 1000 + t->tv_usec / 1000 + 1));
    ares_process_fd(c->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); // what is late
    for (nfds_t i = 0; ready > 0 && i < count; i++) {
        bool reads = (p[i].revents & ~POLLOUT) != 0;
        bool writes = (p[i].revents & POLLOUT) != 0;
        ares_process_fd(c->channel, reads ? p[i].fd : ARES_SOCKET_BAD,
                        writes ? p[i].fd : ARES_SOCKET_BAD);
    }
}

int txt_ask(struct txt_client *c, struct slice servers, struct slice resolv_conf,
            struct txt_question *questions, unsigned count)
{
    ensure_magic(c, TXT_MAGIC);
    ensure(count <= TXT_QUESTIONS_MAX);
    struct asked asked[TXT_QUESTIONS_MAX];
    int error = use_servers(c, servers, resolv_conf);
    if (error != 0) {
        return error;
    }
    c->pending = count;
    for (unsigned i = 0; i < count; i++) {
        asked[i] = (struct asked){c, &questions[i]};
        questions[i].found = false;
        questions[i].why = "";
        ares_query(c->channel, questions[i].name, CLASS_IN, TYPE_TXT, on_answer, &asked[i]);
    }
    while (c->pending > 0) {
        wait_for(c);
    }
    return 0;
}
