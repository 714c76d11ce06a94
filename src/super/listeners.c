// SPDX-License-Identifier: Apache-2.0
//
// Binding, keeping and announcing listeners. A listener is recognised over reloads by the address it
// was asked for, so a port that the kernel chose stays the same, or by the one it is bound to.

#include "super/listeners.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "os/listen.h"

enum { LOW_PORTS_END = 1024 };

static bool is_wanted(const struct listener *l, const struct os_addr *addr,
                      const struct ipc_listener *wanted, bool any_speech)
{
    // Two that ask for any port are two listeners.
    return l->used && !l->wanted && os_addr_eq(addr, &wanted->addr) &&
           l->speech.datagram == wanted->speech.datagram &&
           (any_speech || memcmp(&l->speech, &wanted->speech, sizeof l->speech) == 0);
}

static struct listener *find(struct listeners *ls, const struct ipc_listener *wanted,
                             bool any_speech)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (is_wanted(&ls->at[i], &ls->at[i].asked, wanted, any_speech)) {
            return &ls->at[i];
        }
    }
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (is_wanted(&ls->at[i], &ls->at[i].bound, wanted, any_speech)) {
            return &ls->at[i];
        }
    }
    return NULL;
}

static struct listener *find_free(struct listeners *ls)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (!ls->at[i].used) {
            return &ls->at[i];
        }
    }
    return NULL;
}

static void explain(const struct os_addr *addr, int error, struct text *why)
{
    text_str(why, "cannot listen on ");
    os_addr_text(addr, why);
    text_str(why, ": ");
    switch (error) {
    case E_IN_USE:
        text_str(why, "the address is in use by another program; end it or choose another address");
        if (addr->kind != OS_ADDR_UNIX) {
            text_printf(why, " (`ss -ltnp 'sport = :%u'` shows which)", addr->port);
        }
        break;
    case E_DENIED:
        if (addr->kind == OS_ADDR_UNIX) {
            text_str(why, "permission denied; the directory must be writable for this user");
        } else if (addr->port < LOW_PORTS_END) {
            text_printf(why,
                        "ports below 1024 need a privilege; start as root, or allow it once with "
                        "`setcap cap_net_bind_service=+ep` on the program or "
                        "`sysctl net.ipv4.ip_unprivileged_port_start=%u`, or listen elsewhere: "
                        "listen: [\":8080\", {at: \":8443\", tls: on}]",
                        addr->port);
        } else {
            text_str(why, "permission denied");
        }
        break;
    case E_NO_PORTS:
    case E_NOT_FOUND:
        text_str(why, addr->kind == OS_ADDR_UNIX ? "the directory does not exist"
                                                 : "no interface of this machine has this address");
        break;
    default:
        text_str(why, error_text(error));
        break;
    }
}

// A port on which something else is to be spoken from now on: a listener of its own on the same socket.
static int open_socket(struct listeners *ls, const struct ipc_listener *wanted)
{
    const struct listener *other = find(ls, wanted, true);
    if (other != NULL) {
        int fd = fcntl(other->fd, F_DUPFD_CLOEXEC, 0);
        return fd >= 0 ? fd : E_NO_DESCRIPTORS;
    }
    const struct os_listen how = {.addr = wanted->addr,
                                  .backlog = (int)wanted->backlog,
                                  .datagram = wanted->speech.datagram != 0};
    return os_listen_open(&how);
}

static int open_one(struct listeners *ls, struct listener *l, const struct ipc_listener *wanted)
{
    int fd = open_socket(ls, wanted);
    if (fd < 0) {
        return fd;
    }
    struct listener made = {
        .used = true,
        .fresh = true,
        .wanted = true,
        .speech = wanted->speech,
        .fd = fd,
        .backlog = wanted->backlog,
        .asked = wanted->addr,
        .asked_next = wanted->addr,
    };
    int error = os_listen_addr(fd, &made.bound);
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    *l = made;
    return 0;
}

int listeners_try(struct listeners *ls, const struct ipc_listener *wanted, uint32_t count,
                  struct text *why)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        ensure(!ls->at[i].fresh);
        ls->at[i].wanted = false;
    }
    bool there[IPC_LISTENERS_MAX + 1] = {false};
    for (uint32_t i = 0; i < count && i <= IPC_LISTENERS_MAX; i++) {
        struct listener *l = find(ls, &wanted[i], false);
        if (l != NULL) {
            l->wanted = true;
            l->asked_next = wanted[i].addr;
            there[i] = true;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i <= IPC_LISTENERS_MAX && there[i]) {
            continue;
        }
        struct listener *l = find_free(ls);
        int error = l != NULL ? open_one(ls, l, &wanted[i]) : E_TOO_LARGE;
        if (error != 0) {
            explain(&wanted[i].addr, error, why);
            listeners_undo(ls);
            return error;
        }
    }
    return 0;
}

static void close_one(struct listeners *ls, struct listener *l)
{
    const struct os_addr bound = l->bound;
    bool shared = false; // with one that took the socket over
    (void)close(l->fd);
    *l = (struct listener){.fd = -1};
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        shared = shared || (ls->at[i].used && os_addr_eq(&ls->at[i].bound, &bound));
    }
    if (!shared) {
        os_listen_remove(&bound);
    }
}

void listeners_commit(struct listeners *ls)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct listener *l = &ls->at[i];
        if (l->used && !l->wanted) {
            close_one(ls, l);
        }
        l->asked = l->asked_next;
        l->fresh = false;
    }
}

void listeners_undo(struct listeners *ls)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct listener *l = &ls->at[i];
        if (l->fresh) {
            close_one(ls, l);
        }
        l->wanted = l->used;
    }
}

// ---- ports of tunnels ---------------------------------------------------------------------------

static bool allows(const struct ipc_plan *plan, uint64_t key, bool datagram, uint32_t port)
{
    for (uint32_t i = 0; i < plan->port_ranges; i++) {
        const struct ipc_port_range *r = &plan->ranges[i];
        if (r->keys[datagram ? 1 : 0] == key && port > 0 && port >= r->first && port <= r->last) {
            return true;
        }
    }
    return false;
}

void listeners_keep_ports(struct listeners *ls, const struct ipc_plan *plan)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct listener *l = &ls->at[i];
        if (l->used && l->speech.tunnel != 0 &&
            allows(plan, l->speech.stream, l->speech.datagram != 0, l->bound.port)) {
            l->wanted = true;
            l->asked_next = l->asked;
        }
    }
}

static bool is_full(const struct listeners *ls)
{
    unsigned tunnels = 0;
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        tunnels += ls->at[i].used && ls->at[i].speech.tunnel != 0;
    }
    return tunnels >= LISTENERS_TUNNELS_MAX;
}

int listeners_open_port(struct listeners *ls, const struct ipc_plan *plan,
                        const struct ipc_port_request *what)
{
    enum { BACKLOG = 1024 };
    bool datagram = what->datagram != 0;
    if (what->port > UINT16_MAX || !allows(plan, what->stream, datagram, what->port)) {
        return E_DENIED;
    }
    struct ipc_listener wanted;
    memset(&wanted, 0, sizeof wanted); // all bytes of what is spoken count
    wanted.backlog = BACKLOG;
    wanted.speech.stream = what->stream;
    wanted.speech.datagram = datagram;
    wanted.speech.tunnel = 1;
    wanted.addr.kind = OS_ADDR_V6;
    wanted.addr.dual = true;
    wanted.addr.port = (uint16_t)what->port;
    struct listener *l = is_full(ls) ? NULL : find_free(ls);
    if (l == NULL) {
        return E_TOO_LARGE;
    }
    if (find(ls, &wanted, true) != NULL) {
        return E_IN_USE; // the configuration listens there
    }
    int error = open_one(ls, l, &wanted);
    if (error != 0) {
        return error;
    }
    l->fresh = false;
    l->told = true;
    return (int)(l - ls->at);
}

bool listeners_close_port(struct listeners *ls, uint32_t index)
{
    if (index >= IPC_LISTENERS_MAX || !ls->at[index].used || ls->at[index].speech.tunnel == 0) {
        return false;
    }
    close_one(ls, &ls->at[index]);
    return true;
}

void listeners_close(struct listeners *ls)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (ls->at[i].used) {
            close_one(ls, &ls->at[i]);
        }
    }
}

static bool is_any(const struct os_addr *a)
{
    static const uint8_t zero[16];
    size_t len = a->kind == OS_ADDR_V4 ? 4 : sizeof zero;
    return a->kind != OS_ADDR_UNIX && memcmp(a->u.ip, zero, len) == 0;
}

void listeners_tell(struct listeners *ls)
{
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct listener *l = &ls->at[i];
        if (!l->used || l->told) {
            continue;
        }
        l->told = true;
        char buffer[OS_ADDR_TEXT_MAX + 64];
        struct text t = text_on(buffer, sizeof buffer);
        text_str(&t, l->bound.kind == OS_ADDR_UNIX ? "listening on "
                     : l->speech.datagram != 0     ? "listening on udp://"
                     : l->speech.stream != 0       ? "listening on tcp://"
                     : l->speech.secure != 0       ? "listening on https://"
                                                   : "listening on http://");
        if (is_any(&l->bound)) {
            text_printf(&t, "localhost:%u (every address)", l->bound.port);
        } else {
            os_addr_text(&l->bound, &t);
        }
        (void)fprintf(stderr, "%.*s\n", (int)t.len, t.ptr);
    }
}
