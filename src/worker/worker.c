// SPDX-License-Identifier: Apache-2.0
//
// The worker's main thread, its steward: it starts everything, then waits for messages of the
// supervisor and passes them to the cores. It carries no traffic, so compiling a new configuration
// here stalls nobody.
//
// Start: take the first message, drop privileges, make loops and traffic (the last moment to open
// files), close the sandbox, start the threads. The first document completes the start: it is
// compiled, the listeners that came before it are opened on all cores, and the result says ready.
// The end: an order to drain, or the loss of the channel, which means that the supervisor is dead.

#include "worker/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "ipc/messages.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/panic.h"
#include "obs/server_rows.h"
#include "obs/tunnel_rows.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "os/privileges.h"
#include "os/sandbox.h"
#include "os/shared.h"
#include "tls/credentials.h"
#include "tls/store.h"
#include "traffic/traffic.h"
#include "tunnel/access.h"
#include "upstream/servers.h"
#include "worker/cores.h"
#include "worker/death.h"
#include "worker/ports.h"
#include "worker/wanted.h"

enum { DRAIN_LOOK_MS = 20, EXIT_START = 1 };

struct worker_listener {
    bool used;
    bool fresh; // came for the document that is to come
    bool open;  // the cores listen on it
    int fd;
    struct ipc_speech speech;
    struct os_addr addr;
};

struct worker {
    struct ipc_start_worker start;
    struct counters *counters;
    struct traffic *traffic;
    struct cores *cores;
    struct log_writer *log;
    int access_fd;
    int doc_fd;                               // of the document in force, -1: none
    bool serving;                             // the first document is in force
    struct slice servers;                     // the mapped servers document
    struct tunnel_rows *tunnels;              // NULL: there was no memory for them
    const struct tunnel_rows *tunnels_before; // of the worker before, NULL: there was none
    bool draining;
    bool ending;
    uint64_t drain_end_ms;
    struct wanted wanted;
    struct worker_listener listeners[IPC_LISTENERS_MAX];
    struct worker_ports ports; // of tunnels
};

// A document's mapping, kept as long as a snapshot reads it.
struct mapped_doc {
    struct slice bytes;
};

// ---- start --------------------------------------------------------------------------------------

// Terminals and service managers signal whole groups; what they mean is for the supervisor to say.
static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < array_len(ignored); i++) {
        ensure(signal(ignored[i], SIG_IGN) != SIG_ERR);
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int take_start(struct worker *w)
{
    struct ipc_message m;
    struct ipc_fds fds;
    int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, &m, &fds, -1);
    if (error != 0) {
        return error;
    }
    if (m.type != IPC_start_worker || m.u.start_worker.cores == 0 ||
        m.u.start_worker.cores > IPC_CORES_MAX) {
        ipc_drop(&fds);
        return E_INVALID;
    }
    w->start = m.u.start_worker;
    w->access_fd = fds.count > 1 ? fds.fd[1] : -1;
    log_set_level((enum log_level)w->start.log_level);
    void *rows = NULL;
    error = os_shared_map(fds.fd[0], server_rows_block_bytes(w->start.cores), true, &rows);
    (void)close(fds.fd[0]);
    if (error == 0) {
        w->counters = rows;
        counters_restart(w->counters, w->start.cores);
        server_rows_restart(server_rows_in(w->counters, w->start.cores));
    }
    return error;
}

// The second message. Without rows there are tunnels all the same, only nobody sees them.
static int take_tunnels(struct worker *w)
{
    struct ipc_message m;
    struct ipc_fds fds;
    void *at = NULL;
    int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, &m, &fds, -1);
    if (error != 0) {
        return error;
    }
    if (m.type != IPC_tunnels) {
        ipc_drop(&fds);
        return E_INVALID;
    }
    if (fds.count > 0 && os_shared_map(fds.fd[0], tunnel_rows_bytes(), true, &at) == 0) {
        w->tunnels = tunnel_rows_begin(at);
    }
    // Those of a program that writes them otherwise are left alone.
    if (fds.count > 1 && os_shared_map(fds.fd[1], tunnel_rows_bytes(), false, &at) == 0) {
        w->tunnels_before = tunnel_rows_open(at, tunnel_rows_bytes());
    }
    ipc_drop(&fds);
    return 0;
}

static int drop_privileges(const struct worker *w)
{
    struct os_identity who = {
        .change = w->start.identity.change != 0,
        .uid = w->start.identity.uid,
        .gid = w->start.identity.gid,
    };
    int error = os_privileges_drop(&who);
    if (error == 0) {
        error = os_die_with_parent(w->start.parent);
    }
    os_limit_dumps();
    return error;
}

static void wake_for_ports(void *arg)
{
    struct worker *w = arg;
    wanted_wake(&w->wanted);
}

static int open_traffic(struct worker *w)
{
    struct traffic_limits limits = {
        .cores = w->start.cores,
        .connections_max = w->start.connections,
        .memory_bytes = w->start.memory_bytes,
        .rows = server_rows_in(w->counters, w->start.cores),
        .tunnels = w->tunnels,
        .tunnels_before = w->tunnels_before,
    };
    int error = wanted_init(&w->wanted);
    if (error == 0) {
        error = traffic_new(&limits, &w->traffic);
    }
    if (error == 0) {
        error = cores_new(w->traffic, &limits, w->counters, &w->cores);
    }
    if (error == 0) {
        error = worker_ports_begin(&w->ports, w->cores, traffic_ports(w->traffic));
    }
    if (error == 0) {
        cores_set_wanted(w->cores, &w->wanted.base);
        traffic_ports(w->traffic)->wake = wake_for_ports;
        traffic_ports(w->traffic)->wake_arg = w;
    }
    return error;
}

static int close_sandbox(void)
{
    struct sandbox_report report;
    int error = os_sandbox_enter(SANDBOX_WORKER, -1, &report);
    if (error != 0) {
        log_line(LOG_ERROR, "worker: the sandbox cannot be closed: %s", error_text(error));
        return error;
    }
    if (report.filter == NULL || report.landlock_abi == 0) {
        log_line(LOG_WARN, "worker: the sandbox is weaker here: %s%s",
                 report.filter == NULL ? "no seccomp " : "",
                 report.landlock_abi == 0 ? "no Landlock in this kernel" : "");
    }
    log_line(LOG_DEBUG, "worker: sandboxed filter=%s landlock_abi=%d",
             report.filter != NULL ? report.filter : "none", report.landlock_abi);
    return 0;
}

static int start_threads(struct worker *w)
{
    w->log =
        log_writer_start(cores_log_rings(w->cores), w->start.cores, STDERR_FILENO, w->access_fd);
    if (w->log == NULL) {
        return E_NO_MEMORY;
    }
    return cores_start(w->cores);
}

static int start(struct worker *w)
{
    int error = take_start(w);
    if (error == 0) {
        error = take_tunnels(w);
    }
    if (error == 0) {
        error = drop_privileges(w);
    }
    if (error == 0) {
        error = open_traffic(w);
    }
    if (error == 0) {
        error = close_sandbox();
    }
    return error == 0 ? start_threads(w) : error;
}

// ---- listeners ----------------------------------------------------------------------------------

// Every core or none.
static int open_listener(struct worker *w, uint32_t index)
{
    struct worker_listener *l = &w->listeners[index];
    struct core_order order = {
        .task = CORE_LISTEN,
        .fd = l->fd,
        .index = index,
        .listener = {.index = index,
                     .addr = l->addr,
                     .secure = l->speech.secure != 0,
                     .datagram = l->speech.datagram != 0,
                     .stream = l->speech.stream,
                     .proxies = l->speech.proxies,
                     .proxy_count = l->speech.proxy_count},
    };
    if (cores_ask(w->cores, &order) != 0) {
        order.task = CORE_UNLISTEN;
        (void)cores_ask(w->cores, &order);
        return E_NO_DESCRIPTORS;
    }
    l->open = true;
    return 0;
}

static void close_listener(struct worker *w, uint32_t index)
{
    struct worker_listener *l = &w->listeners[index];
    if (l->open) {
        struct core_order order = {.task = CORE_UNLISTEN, .index = index};
        (void)cores_ask(w->cores, &order);
    }
    (void)close(l->fd);
    *l = (struct worker_listener){.fd = -1};
}

static bool on_listener(struct worker *w, const struct ipc_listener *m, struct ipc_fds *fds)
{
    if (fds->count != 1 || m->index >= IPC_LISTENERS_MAX || w->listeners[m->index].used) {
        return false;
    }
    w->listeners[m->index] = (struct worker_listener){
        .used = true, .fresh = true, .fd = fds->fd[0], .speech = m->speech, .addr = m->addr};
    fds->count = 0;
    return true; // it is opened when the document that comes next is in force
}

// ---- documents ----------------------------------------------------------------------------------

static void forget_store(struct tls_store *s)
{
    if (s != NULL) {
        tls_store_unref(s);
    }
}

static void forget_doc(void *owner)
{
    struct mapped_doc *doc = owner;
    os_memfd_unmap(doc->bytes);
    mem_free(doc);
}

// What is made of a document and its credentials before any core sees it.
struct prepared {
    struct snapshot *snapshot;
    struct tls_store *tls;
};

// What a store leaves out is told and does not keep the rest from being served.
static void tell_left_out(const struct conf_diags *diags)
{
    for (const struct conf_diag *d = conf_diags_first(diags); d != NULL; d = d->next) {
        log_line(LOG_ERROR, "worker: not served: %.*s", SLICE_ARG(d->message));
    }
}

static int make_store(const struct worker *w, const struct conf_doc *doc, struct slice credentials,
                      struct tls_store **out)
{
    struct conf_diags *diags = conf_diags_new();
    if (diags == NULL) {
        return E_NO_MEMORY;
    }
    int error = tls_store_new(doc, credentials, w->start.cores, diags, out);
    tell_left_out(diags);
    conf_diags_free(diags);
    return error;
}

static int map_credentials(int fd, struct slice *out)
{
    *out = SLICE("");
    return fd >= 0 ? os_memfd_map(fd, CREDENTIALS_BYTES_MAX, out) : 0;
}

static int compile(struct worker *w, const struct ipc_fds *fds, uint32_t generation,
                   struct text *why, struct prepared *out)
{
    struct mapped_doc *mapped = mem_zalloc(sizeof *mapped);
    if (mapped == NULL) {
        return E_NO_MEMORY;
    }
    int error = os_memfd_map(fds->fd[0], IPC_DOC_MAX, &mapped->bytes);
    if (error != 0) {
        mem_free(mapped);
        return error;
    }
    struct traffic_document d = {.generation = generation, .forget = forget_doc, .owner = mapped};
    error = conf_doc_open(mapped->bytes.ptr, mapped->bytes.len, &d.doc);
    if (error == 0) {
        error = map_credentials(fds->count > 1 ? fds->fd[1] : -1, &d.credentials);
    }
    if (error == 0) {
        error = make_store(w, d.doc, d.credentials, &out->tls);
    }
    if (error == 0) {
        d.tls = out->tls;
        error = traffic_compile(w->traffic, &d, why, &out->snapshot);
    }
    os_memfd_unmap(d.credentials);
    if (error != 0) {
        forget_store(out->tls);
        forget_doc(mapped);
    }
    return error;
}

static int open_listeners(struct worker *w, struct text *why)
{
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct worker_listener *l = &w->listeners[i];
        if (!l->used || l->open) {
            continue;
        }
        int error = open_listener(w, i);
        if (error != 0) {
            text_str(why, "a listener cannot be watched: ");
            text_str(why, error_text(error));
            return error;
        }
    }
    int error = worker_ports_open(&w->ports);
    if (error != 0) {
        text_str(why, "a port of a tunnel cannot be watched");
    }
    return error;
}

// A running worker opens new listeners first, so that a failure leaves everything as it was; the
// first time there is no snapshot yet that their connections could use.
static int put_in_force(struct worker *w, const struct prepared *p, struct text *why)
{
    int error = w->serving ? open_listeners(w, why) : 0;
    if (error != 0) {
        traffic_discard(w->traffic, p->snapshot);
        return error;
    }
    struct core_order order = {.task = CORE_SWAP, .snapshot = p->snapshot, .tls = p->tls};
    (void)cores_ask(w->cores, &order);
    return open_listeners(w, why);
}

// A socket that is to speak something else came as another listener: from now on nobody is met by what
// it spoke before. The supervisor takes the old one away a moment later.
static void leave_replaced(struct worker *w)
{
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        struct worker_listener *next = &w->listeners[i];
        for (uint32_t j = 0; next->used && next->fresh && j < IPC_LISTENERS_MAX; j++) {
            struct worker_listener *old = &w->listeners[j];
            if (old->used && old->open && !old->fresh && os_addr_eq(&old->addr, &next->addr)) {
                struct core_order order = {.task = CORE_UNLISTEN, .index = j};
                (void)cores_ask(w->cores, &order);
                old->open = false;
            }
        }
    }
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        w->listeners[i].fresh = false;
    }
}

static void send_message(const struct ipc_message *m)
{
    int ignored = ipc_send(IPC_CHANNEL, m, NULL, 0); // a dead supervisor shows on the next receive
    (void)ignored;
}

static struct ipc_done done(uint64_t number, int error)
{
    struct ipc_done d = {.number = number, .error = error};
    if (error != 0) {
        ipc_set_text(d.text, IPC_TEXT_MAX, slice_str(error_text(error)));
    }
    return d;
}

static void send_result(int error, uint32_t generation, const struct text *why)
{
    struct ipc_message m;
    ipc_init(&m, IPC_result);
    m.u.result.error = error;
    m.u.result.generation = generation;
    ipc_set_text(m.u.result.text, sizeof m.u.result.text, text_slice(why));
    send_message(&m);
}

// The descriptors stay, so that credentials that come alone find their document.
static void keep(int *at, int fd)
{
    if (*at >= 0) {
        (void)close(*at);
    }
    *at = fd;
}

static void on_doc(struct worker *w, uint32_t generation, struct ipc_fds *fds)
{
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    struct prepared p = {0};
    int error = compile(w, fds, generation, &why, &p);
    if (error == 0) {
        error = put_in_force(w, &p, &why);
        forget_store(p.tls); // each core has its own reference
    }
    if (error != 0 && why.len == 0) {
        text_str(&why, error_text(error));
    }
    if (error == 0) {
        keep(&w->doc_fd, fds->fd[0]);
        fds->fd[0] = -1;
        leave_replaced(w);
    }
    w->serving = w->serving || error == 0;
    send_result(error, generation, &why);
}

// ---- credentials --------------------------------------------------------------------------------

static int take_credentials(struct worker *w, int fd)
{
    struct slice bytes = {0};
    struct slice credentials = {0};
    const struct conf_doc *doc = NULL;
    struct tls_store *store = NULL;
    int error = w->serving ? os_memfd_map(w->doc_fd, IPC_DOC_MAX, &bytes) : E_INVALID;
    if (error == 0) {
        error = conf_doc_open(bytes.ptr, bytes.len, &doc);
    }
    if (error == 0) {
        error = map_credentials(fd, &credentials);
    }
    if (error == 0) {
        error = make_store(w, doc, credentials, &store);
    }
    if (error == 0) {
        struct core_order order = {.task = CORE_TLS, .tls = store};
        (void)cores_ask(w->cores, &order);
        forget_store(store);
    }
    os_memfd_unmap(credentials);
    os_memfd_unmap(bytes);
    return error;
}

static void on_credentials(struct worker *w, uint64_t number, const struct ipc_fds *fds)
{
    struct ipc_message m;
    ipc_init(&m, IPC_in_force);
    m.u.in_force = done(number, take_credentials(w, fds->fd[0]));
    send_message(&m);
}

static void pass_wanted(struct worker *w)
{
    struct ipc_message m;
    ipc_init(&m, IPC_want);
    while (wanted_take(&w->wanted, m.u.want.name)) {
        int ignored = ipc_send(IPC_CHANNEL, &m, NULL, 0); // the client will ask again
        (void)ignored;
    }
}

// ---- servers and names --------------------------------------------------------------------------

static int take_servers(struct worker *w, int fd)
{
    struct slice bytes = {0};
    struct core_order order = {.task = CORE_SERVERS};
    int error = os_memfd_map(fd, SERVERS_DOC_BYTES_MAX, &bytes);
    if (error == 0) {
        error = conf_doc_open(bytes.ptr, bytes.len, &order.book);
    }
    if (error != 0) {
        os_memfd_unmap(bytes);
        return error;
    }
    (void)cores_ask(w->cores, &order);
    os_memfd_unmap(w->servers); // no core reads it any more
    w->servers = bytes;
    // Home cores have made their lists; a round later the others have them.
    order.task = CORE_NOTHING;
    (void)cores_ask(w->cores, &order);
    return 0;
}

static void on_servers(struct worker *w, uint64_t number, const struct ipc_fds *fds)
{
    struct ipc_message m;
    ipc_init(&m, IPC_servers_done);
    m.u.servers_done = done(number, take_servers(w, fds->fd[0]));
    send_message(&m);
}

static void on_names(struct worker *w, const struct ipc_fds *fds)
{
    struct core_order order = {.task = CORE_NAMES};
    int error = os_memfd_map(fds->fd[0], IPC_NAMES_MAX, &order.resolv_conf);
    if (error == 0) {
        error = os_memfd_map(fds->fd[1], IPC_NAMES_MAX, &order.hosts);
    }
    if (error == 0) {
        (void)cores_ask(w->cores, &order);
    } else {
        log_line(LOG_ERROR, "worker: resolv.conf and hosts stay as they were: %s",
                 error_text(error));
    }
    os_memfd_unmap(order.resolv_conf);
    os_memfd_unmap(order.hosts);
}

// ---- tunnels ------------------------------------------------------------------------------------

static int take_access(struct worker *w, int fd)
{
    struct slice bytes = {0};
    const struct conf_doc *doc = NULL;
    struct core_order order = {.task = CORE_ACCESS};
    int error = os_memfd_map(fd, ACCESS_DOC_BYTES_MAX, &bytes);
    if (error == 0) {
        error = conf_doc_open(bytes.ptr, bytes.len, &doc);
    }
    if (error == 0) {
        error = access_load(doc, &order.access);
    }
    os_memfd_unmap(bytes);
    if (error == 0) {
        (void)cores_ask(w->cores, &order);
        access_unref(order.access); // each core has its own reference
    }
    return error;
}

static void on_access(struct worker *w, uint64_t number, const struct ipc_fds *fds)
{
    struct ipc_message m;
    ipc_init(&m, IPC_grants_done);
    m.u.grants_done = done(number, take_access(w, fds->fd[0]));
    send_message(&m);
}

static void on_kick(struct worker *w, const struct ipc_kick *kick)
{
    struct ipc_message m;
    atomic_uint count = 0;
    struct core_order order = {
        .task = CORE_KICK,
        .kick = {slice_str(kick->zone), slice_str(kick->name), slice_str(kick->text)},
        .kicked = &count,
    };
    (void)cores_ask(w->cores, &order);
    ipc_init(&m, IPC_kicked);
    m.u.kicked.number = kick->number;
    m.u.kicked.count = atomic_load(&count);
    send_message(&m);
}

// ---- messages -----------------------------------------------------------------------------------

// An edge that stops while the worker of before an upgrade drains orders it again, with less time.
static void on_drain(struct worker *w, const struct ipc_drain *m)
{
    uint64_t end = os_clock_ms() + m->limit_ms;
    w->drain_end_ms = w->draining ? num_min_u64(w->drain_end_ms, end) : end;
    w->draining = true;
    struct core_order order = {.task = CORE_DRAIN, .patient = m->patient == IPC_DRAIN_PATIENT};
    (void)cores_ask(w->cores, &order);
    // The cores have taken them out of their loops: now nobody can be waiting on them here.
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (w->listeners[i].used) {
            w->listeners[i].open = false;
            close_listener(w, i);
        }
    }
    worker_ports_end(&w->ports);
    struct ipc_message left;
    ipc_init(&left, IPC_left);
    int ignored =
        ipc_send(IPC_CHANNEL, &left, NULL, 0); // a dead supervisor shows on the next receive
    (void)ignored;
}

static bool on_message(struct worker *w, const struct ipc_message *m, struct ipc_fds *fds)
{
    switch (m->type) {
    case IPC_listener:
        return on_listener(w, &m->u.listener, fds);
    case IPC_doc:
        on_doc(w, m->u.doc.generation, fds);
        return true;
    case IPC_credentials:
        on_credentials(w, m->u.credentials.number, fds);
        return true;
    case IPC_servers:
        on_servers(w, m->u.servers.number, fds);
        return true;
    case IPC_names:
        on_names(w, fds);
        return true;
    case IPC_grants:
        on_access(w, m->u.grants.number, fds);
        return true;
    case IPC_kick:
        on_kick(w, &m->u.kick);
        return true;
    case IPC_unlisten:
        if (m->u.unlisten.index >= IPC_LISTENERS_MAX || !w->listeners[m->u.unlisten.index].used) {
            return false;
        }
        close_listener(w, m->u.unlisten.index);
        return true;
    case IPC_port:
        worker_ports_answered(&w->ports, &m->u.port);
        return true;
    case IPC_ports:
        return worker_ports_take(&w->ports, &m->u.ports, fds, w->serving);
    case IPC_unlisten_ports:
        worker_ports_leave(&w->ports, &m->u.unlisten_ports);
        return true;
    case IPC_drain:
        on_drain(w, &m->u.drain);
        return true;
    case IPC_logs:
        log_set_level((enum log_level)m->u.logs.log_level);
        log_writer_reopen(w->log, fds->count > 0 ? fds->fd[0] : -1);
        fds->count = 0;
        return true;
    default:
        return false;
    }
}

static void take_message(struct worker *w)
{
    struct ipc_message m;
    struct ipc_fds fds;
    int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, &m, &fds, 0);
    if (error == E_AGAIN) {
        return;
    }
    if (error == E_EOF) {
        w->ending = true; // nobody is left who could want us
        return;
    }
    if (error != 0 || !on_message(w, &m, &fds)) {
        log_line(LOG_ERROR, "worker: a message of the supervisor was refused type=%s",
                 error == 0 ? ipc_name(m.type) : "malformed");
    }
    if (error == 0) {
        ipc_drop(&fds);
    }
}

static bool drained(struct worker *w)
{
    struct core_order order = {.task = CORE_IS_IDLE};
    return os_clock_ms() >= w->drain_end_ms || cores_ask(w->cores, &order) == 0;
}

static void serve(struct worker *w)
{
    while (!w->ending) {
        struct pollfd p[2] = {
            {.fd = IPC_CHANNEL, .events = POLLIN},
            {.fd = w->wanted.wake, .events = POLLIN},
        };
        bool ports = tunnel_ports_any(traffic_ports(w->traffic));
        int n = poll(p, array_len(p),
                     w->draining ? DRAIN_LOOK_MS
                     : ports     ? TUNNEL_PORT_LOOK_MS
                                 : -1);
        if (n > 0 && p[0].revents != 0) {
            take_message(w);
        }
        if (n > 0 && p[1].revents != 0) {
            pass_wanted(w);
            worker_ports_ask(&w->ports);
        }
        if (ports && !w->draining) {
            worker_ports_give_back(&w->ports);
        }
        w->ending = w->ending || (w->draining && drained(w));
    }
}

static void stop(struct worker *w)
{
    if (w->cores != NULL) {
        cores_stop(w->cores);
    }
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        if (w->listeners[i].used) {
            (void)close(w->listeners[i].fd);
        }
    }
    mem_free(w->ports.at);
    if (w->log != NULL && !log_writer_stop(w->log)) {
        _exit(0); // nobody reads the log; everything else is done
    }
    cores_free(w->cores);
    if (w->traffic != NULL) {
        traffic_free(w->traffic);
    }
}

int worker_main(void)
{
    static struct worker worker;
    struct worker *w = &worker;
    w->doc_fd = -1;
    (void)prctl(PR_SET_NAME, "adit-worker", 0, 0, 0);
    ignore_signals();
    panic_install("worker");
    death_install(IPC_CHANNEL);
    if (death_init_thread() != 0) {
        return EXIT_START;
    }
    int error = start(w);
    if (error != 0) {
        log_line(LOG_ERROR, "worker: cannot start: %s", error_text(error));
    } else {
        serve(w);
    }
    stop(w);
    death_fini_thread();
    return error == 0 ? 0 : EXIT_START;
}
