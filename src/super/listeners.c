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
#include "super/ports.h"

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

static void explain(const struct os_addr *addr, int error, bool tunnels, struct text *why)
{
    text_str(why, "cannot listen on ");
    os_addr_text(addr, why);
    text_str(why, ": ");
    if (tunnels) {
        text_str(why, "a tunnel has this port now; choose another one, or take it out of `ports`");
        return;
    }
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

static const struct port *port_at(const struct listeners *ls, const struct ipc_listener *wanted)
{
    return ls->ports != NULL ? ports_find(ls->ports, &wanted->addr, wanted->speech.datagram != 0)
                             : NULL;
}

// A port on which something else is to be spoken from now on: a listener of its own on the same socket.
static int open_socket(struct listeners *ls, const struct ipc_listener *wanted)
{
    const struct listener *other = find(ls, wanted, true);
    const struct port *port = port_at(ls, wanted);
    if (other == NULL && port != NULL && port->wanted) {
        return E_IN_USE;
    }
    if (other != NULL || port != NULL) {
        int fd = fcntl(other != NULL ? other->fd : port->fd, F_DUPFD_CLOEXEC, 0);
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
            bool tunnels = error == E_IN_USE && port_at(ls, &wanted[i]) != NULL;
            explain(&wanted[i].addr, error, tunnels, why);
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
