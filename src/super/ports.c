// SPDX-License-Identifier: Apache-2.0
//
// Opening, keeping and handing on ports of tunnels (super/ports.h).

#include "super/ports.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/listen.h"
#include "super/child.h"

enum {
    BACKLOG = 1024,
    SHARE = 4, // of the descriptors
    TELL_AGAIN_MS = 60 * 1000,
    WORD_BITS = 64,
};

uint32_t ports_limit(uint64_t descriptors)
{
    return (uint32_t)num_min_u64(IPC_PORTS_MAX, descriptors / SHARE);
}

int ports_init(struct ports *p, uint32_t max)
{
    ensure(p->at == NULL);
    ensure(max <= IPC_PORTS_MAX);
    p->at = mem_zalloc(IPC_PORTS_MAX * sizeof *p->at);
    if (p->at == NULL) {
        return E_NO_MEMORY;
    }
    p->max = max;
    return 0;
}

static struct os_addr addr_of(const struct port *one)
{
    struct os_addr a = os_peer_addr(&one->at);
    a.dual = one->dual;
    return a;
}

// ---- what a plan allows -------------------------------------------------------------------------

/** The range that has the port; NULL: none has. */
static const struct ipc_port_range *range_of(const struct ipc_plan *plan, uint64_t key,
                                             bool datagram, uint32_t port)
{
    for (uint32_t i = 0; i < plan->port_ranges; i++) {
        const struct ipc_port_range *r = &plan->ranges[i];
        if (r->keys[datagram ? 1 : 0] == key && port > 0 && port >= r->first.port &&
            port <= r->last) {
            return r;
        }
    }
    return NULL;
}

static struct os_addr addr_in(const struct ipc_port_range *r, uint32_t port)
{
    struct os_addr a = r->first;
    a.port = (uint16_t)port;
    return a;
}

void ports_try(struct ports *p, const struct ipc_plan *plan)
{
    for (uint32_t i = 0; i < p->end; i++) {
        struct port *one = &p->at[i];
        const struct ipc_port_range *r =
            one->used ? range_of(plan, one->stream, one->datagram, one->at.port) : NULL;
        struct os_addr is = addr_of(one);
        struct os_addr shall = r != NULL ? addr_in(r, one->at.port) : is;
        one->wanted = r != NULL && os_addr_eq(&is, &shall);
    }
}

static void close_at(struct ports *p, uint32_t i)
{
    struct port *one = &p->at[i];
    (void)close(one->fd);
    p->count[one->datagram]--;
    *one = (struct port){.fd = -1};
    while (p->end > 0 && !p->at[p->end - 1].used) {
        p->end--;
    }
}

void ports_commit(struct ports *p)
{
    for (uint32_t i = p->end; i > 0; i--) {
        if (p->at[i - 1].used && !p->at[i - 1].wanted) {
            close_at(p, i - 1);
        }
    }
}

void ports_undo(struct ports *p)
{
    for (uint32_t i = 0; i < p->end; i++) {
        p->at[i].wanted = p->at[i].used;
    }
}

void ports_close(struct ports *p)
{
    for (uint32_t i = p->end; i > 0; i--) {
        if (p->at[i - 1].used) {
            close_at(p, i - 1);
        }
    }
    mem_free(p->at);
    *p = (struct ports){.at = NULL};
}

// ---- one ----------------------------------------------------------------------------------------

const struct port *ports_find(const struct ports *p, const struct os_addr *at, bool datagram)
{
    for (uint32_t i = 0; i < p->end; i++) {
        const struct port *one = &p->at[i];
        if (one->used && one->datagram == datagram && one->at.port == at->port) {
            struct os_addr is = addr_of(one);
            if (os_addr_eq(&is, at)) {
                return one;
            }
        }
    }
    return NULL;
}

static struct port *find_free(struct ports *p)
{
    if (p->count[0] + p->count[1] >= p->max) {
        return NULL;
    }
    uint32_t i = 0;
    while (i < p->end && p->at[i].used) {
        i++;
    }
    return &p->at[i]; // max is no more than there are
}

static void put(struct ports *p, struct port *place, const struct port *one)
{
    *place = *one;
    place->used = true;
    place->wanted = true;
    p->count[one->datagram]++;
    uint32_t end = (uint32_t)(place - p->at) + 1;
    p->end = end > p->end ? end : p->end;
}

int ports_open(struct ports *p, const struct ipc_plan *plan, const struct ipc_port_request *what)
{
    bool datagram = what->datagram != 0;
    const struct ipc_port_range *r =
        what->port <= UINT16_MAX ? range_of(plan, what->stream, datagram, what->port) : NULL;
    if (r == NULL) {
        return E_DENIED;
    }
    struct port *place = find_free(p);
    if (place == NULL) {
        return E_TOO_LARGE;
    }
    const struct os_listen how = {
        .addr = addr_in(r, what->port), .backlog = BACKLOG, .datagram = datagram};
    if (ports_find(p, &how.addr, datagram) != NULL) {
        return E_IN_USE;
    }
    int fd = os_listen_open(&how);
    if (fd < 0) {
        return fd;
    }
    const struct port one = {.datagram = datagram,
                             .dual = how.addr.dual,
                             .fd = fd,
                             .stream = what->stream,
                             .at = os_peer_of(&how.addr)};
    put(p, place, &one);
    return (int)(IPC_LISTENERS_MAX + (place - p->at));
}

/** By its index; NULL: there is none. */
static const struct port *find(const struct ports *p, uint32_t index)
{
    uint32_t i = index - IPC_LISTENERS_MAX;
    return index >= IPC_LISTENERS_MAX && i < p->end && p->at[i].used ? &p->at[i] : NULL;
}

bool ports_close_one(struct ports *p, uint32_t index)
{
    if (find(p, index) == NULL) {
        return false;
    }
    close_at(p, index - IPC_LISTENERS_MAX);
    return true;
}

int ports_adopt(struct ports *p, uint32_t index, const struct port *one)
{
    bool fits = p->at != NULL && index >= IPC_LISTENERS_MAX && index < IPC_INDEXES_MAX;
    if (!fits || find(p, index) != NULL) {
        return E_INVALID;
    }
    put(p, &p->at[index - IPC_LISTENERS_MAX], one);
    return 0;
}

// ---- to the worker ------------------------------------------------------------------------------

struct batch {
    struct child *to;
    unsigned count;
    int fds[IPC_PORTS_BATCH];
    struct ipc_message m;
};

static void begin_batch(struct batch *b, struct child *to)
{
    b->to = to;
    b->count = 0;
    ipc_init(&b->m, IPC_ports);
}

static void send_batch(struct batch *b)
{
    if (b->count > 0) {
        child_send(b->to, &b->m, b->fds, b->count);
        begin_batch(b, b->to);
    }
}

static void add(struct batch *b, const struct port *one, uint32_t index)
{
    b->m.u.ports.at[b->count] = (struct ipc_open_port){
        .stream = one->stream, .index = index, .port = one->at.port, .datagram = one->datagram};
    b->fds[b->count++] = one->fd;
    if (b->count == IPC_PORTS_BATCH) {
        send_batch(b);
    }
}

void ports_send_one(const struct ports *p, uint32_t index, struct child *to)
{
    struct batch b;
    const struct port *one = find(p, index);
    ensure(one != NULL);
    begin_batch(&b, to);
    add(&b, one, index);
    send_batch(&b);
}

void ports_send(const struct ports *p, bool wanted, struct child *to)
{
    struct batch b;
    begin_batch(&b, to);
    for (uint32_t i = 0; i < p->end; i++) {
        if (p->at[i].used && (p->at[i].wanted || !wanted)) {
            add(&b, &p->at[i], IPC_LISTENERS_MAX + i);
        }
    }
    send_batch(&b);
}

void ports_send_unwanted(const struct ports *p, struct child *to)
{
    struct ipc_message m;
    bool any = false;
    ipc_init(&m, IPC_unlisten_ports);
    for (uint32_t i = 0; i < p->end; i++) {
        if (p->at[i].used && !p->at[i].wanted) {
            m.u.unlisten_ports.bits[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
            any = true;
        }
    }
    if (any) {
        child_send(to, &m, NULL, 0);
    }
}

// ---- words --------------------------------------------------------------------------------------

static void explain_full(const struct ports *p, int error, uint64_t descriptors)
{
    if (p->max < IPC_PORTS_MAX) {
        log_line(LOG_ERROR,
                 "no more ports of tunnels can be opened: the limit of open files (%llu) allows %u "
                 "at once; raise it (LimitNOFILE= of a service, `ulimit -n` of a shell)",
                 (unsigned long long)descriptors, p->max);
    } else {
        log_line(LOG_ERROR, "no more ports of tunnels can be opened: %u are, %s",
                 p->count[0] + p->count[1],
                 error == E_TOO_LARGE ? "as many as there may be"
                                      : "and there are no descriptors left");
    }
}

void ports_explain(const struct ports *p, const struct ipc_port_request *what, int error,
                   uint64_t descriptors)
{
    static uint64_t told_ms[2]; // a fleet that gets none asks again and again
    bool full = error == E_TOO_LARGE || error == E_NO_DESCRIPTORS;
    uint64_t now = os_clock_ms();
    if (error == E_IN_USE || error == E_AGAIN ||
        (told_ms[full] != 0 && now - told_ms[full] < TELL_AGAIN_MS)) {
        return;
    }
    told_ms[full] = now;
    if (full) {
        explain_full(p, error, descriptors);
    } else {
        bool address = error == E_NO_PORTS || error == E_NOT_FOUND;
        log_line(LOG_ERROR, "tunnel port %u cannot be opened protocol=%s: %s", what->port,
                 what->datagram != 0 ? "udp" : "tcp",
                 address ? "no interface of this machine has the address that `ports` says"
                         : error_text(error));
    }
}
