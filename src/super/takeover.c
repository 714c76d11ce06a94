// SPDX-License-Identifier: Apache-2.0
//
// `adit upgrade`, in the program that takes over (upgrade.c tells what was before).
//
// It reads the state, starts a keeper, which loads the configuration anew, since documents of two
// versions may differ, and a worker for what the keeper plans. When the configuration as it is on
// disk is not to be had, the new worker gets the document of the old one, and refuses it if it is of
// another format. All the while the old worker serves: listeners are shared, so no connection is
// refused or lost. When the new one is ready the old one drains. If it does not get ready, we kill
// what we started and become the old program again, with the state as it was handed over; the reason
// goes with it.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "super/exec.h"
#include "super/super_int.h"

enum {
    PROVE_LIMIT_MS = 30000,
    LEAVE_LIMIT_MS = 2000, // for the old worker to leave its listeners
    REASON_MAX = 2048,
    FIRST_HANDED = IPC_CHANNEL + 1,
};

static struct handover handed; // as it came

// ---- reading the state --------------------------------------------------------------------------

struct fd_check {
    bool bad;
    int fd;
};

static void check_fd(void *arg, int fd)
{
    struct fd_check *c = arg;
    bool standard = fd <= STDERR_FILENO;
    if (!c->bad && ((!standard && fd < FIRST_HANDED) || fcntl(fd, F_GETFD) < 0)) {
        *c = (struct fd_check){true, fd};
    }
}

static bool is_kind(int fd, mode_t kind)
{
    struct stat st;
    return fd < 0 || (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind);
}

static bool is_sealed(int fd, size_t max)
{
    struct slice bytes;
    if (os_memfd_map(fd, max, &bytes) != 0) {
        return false;
    }
    os_memfd_unmap(bytes);
    return true;
}

// The numbers may be right and mean something else by now; nothing is believed that can be asked.
static int check_descriptors(const struct handover *h, struct text *why)
{
    struct fd_check all = {0};
    handover_each_fd(h, check_fd, &all);
    const char *what = all.bad                                          ? "a descriptor is not open"
                       : !is_kind(h->edge.control, S_IFSOCK)            ? "control is no socket"
                       : !is_kind(h->edge.client, S_IFSOCK)             ? "client is no socket"
                       : !is_kind(h->edge.state, S_IFDIR)               ? "state is no directory"
                       : !is_kind(h->edge.program, S_IFREG)             ? "program is no file"
                       : h->edge.program < 0 || h->edge.old_program < 0 ? "a program is missing"
                       : h->edition.doc < 0 || !is_sealed(h->edition.doc, IPC_DOC_MAX)
                           ? "doc is not sealed"
                       : h->workers == 0 ? "there is no worker"
                                         : NULL;
    for (uint32_t i = 0; what == NULL && i < h->listeners; i++) {
        what = h->listener[i].fd < 0 || !is_kind(h->listener[i].fd, S_IFSOCK)
                   ? "a listener is no socket"
                   : NULL;
    }
    for (uint32_t i = 0; what == NULL && i < h->ports; i++) {
        what =
            h->port[i].fd < 0 || !is_kind(h->port[i].fd, S_IFSOCK) ? "a port is no socket" : NULL;
    }
    for (uint32_t i = 0; what == NULL && i < h->workers; i++) {
        what = h->worker[i].pid == 0 || !is_kind(h->worker[i].channel, S_IFSOCK)
                   ? "a worker has no channel"
                   : NULL;
    }
    if (what != NULL) {
        text_str(why, what);
        return E_INVALID;
    }
    return 0;
}

// The mapping stays: a built-in configuration is read from it.
static int read_state(int fd, struct handover *h, struct text *why)
{
    struct slice bytes;
    int error = fd < FIRST_HANDED ? E_INVALID : os_memfd_map(fd, HANDOVER_BYTES_MAX, &bytes);
    if (error != 0) {
        text_str(why, "no state came");
        return error;
    }
    error = handover_read(bytes, h, why);
    return error == 0 ? check_descriptors(h, why) : error;
}

// ---- from the state -----------------------------------------------------------------------------

static void unpack_edition(const struct handover_edition *e, uint32_t listeners, struct edition *to)
{
    *to = (struct edition){
        .generation = (uint32_t)e->generation,
        .doc = e->doc,
        .credentials = e->credentials,
        .credentials_number = e->credentials_number,
        .access = e->access,
        .loaded_wall_ms = e->loaded_wall_ms,
    };
    struct ipc_plan *plan = &to->plan;
    plan->credentials = e->credentials_number;
    plan->listeners = listeners;
    plan->workers = (uint32_t)e->workers;
    plan->log_level = (uint32_t)e->log_level;
    plan->access = (uint32_t)e->access_kind;
    plan->control = (uint32_t)e->control;
    plan->connections = (uint32_t)e->connections;
    plan->memory_bytes = e->memory_bytes;
    plan->drain_ms = e->drain_ms;
    ipc_set_text(plan->user, sizeof plan->user, slice_str(e->user));
    ipc_set_text(plan->access_path, sizeof plan->access_path, slice_str(e->access_path));
    ipc_set_text(plan->control_path, sizeof plan->control_path, slice_str(e->control_path));
}

static void adopt(struct super *s, uint64_t index, const struct port *one)
{
    if (ports_adopt(&s->ports, (uint32_t)index, one) != 0) {
        (void)close(one->fd);
    }
}

static void unpack_ports(const struct handover *h, struct super *s)
{
    for (uint32_t i = 0; i < h->ports; i++) {
        const struct handover_port *from = &h->port[i];
        const struct port one = {.datagram = from->datagram != 0,
                                 .dual = from->at.dual,
                                 .fd = from->fd,
                                 .stream = from->stream,
                                 .at = os_peer_of(&from->at)};
        adopt(s, from->index, &one);
    }
    for (uint32_t i = 0; i < h->listeners; i++) {
        const struct handover_listener *from = &h->listener[i];
        const struct port one = {.datagram = from->datagram != 0,
                                 .dual = from->asked.dual,
                                 .fd = from->fd,
                                 .stream = from->stream,
                                 .at = os_peer_of(&from->asked)};
        if (from->tunnel != 0) { // of a program that had no ports, so all their indexes are free
            adopt(s, IPC_LISTENERS_MAX + from->index, &one);
        }
    }
}

static void unpack_ranges(const struct handover *h, struct ipc_plan *plan)
{
    plan->port_ranges = h->ranges;
    for (uint32_t i = 0; i < h->ranges; i++) {
        const struct handover_range *r = &h->range[i];
        plan->ranges[i] = (struct ipc_port_range){
            .keys = {r->tcp, r->udp}, .first = r->first, .last = (uint32_t)r->last};
    }
}

static void unpack_listeners(const struct handover *h, struct listeners *ls)
{
    for (uint32_t i = 0; i < h->listeners; i++) {
        const struct handover_listener *from = &h->listener[i];
        if (from->tunnel != 0) {
            continue;
        }
        struct listener *to = &ls->at[from->index];
        memset(to, 0, sizeof *to); // all bytes of what is spoken count when two are compared
        to->used = true;
        to->wanted = true;
        to->told = true;
        to->speech.secure = from->secure != 0;
        to->speech.stream = from->stream;
        to->speech.datagram = (uint32_t)from->datagram;
        to->speech.proxy_count = from->proxies.count;
        memcpy(to->speech.proxies, from->proxies.at, sizeof to->speech.proxies);
        to->fd = from->fd;
        to->backlog = (uint32_t)from->backlog;
        to->asked = from->asked;
        to->asked_next = from->asked;
        to->bound = from->bound;
    }
}

// Counters are read only when the writer meant the same by each of them.
static int counters_of(const struct handover *h, const struct handover_worker *w)
{
    bool same = h->edge.counters == counters_fingerprint() && w->counted != 0 && w->cores > 0;
    return same ? w->counters : -1;
}

static void close_fd(int fd)
{
    if (fd >= FIRST_HANDED) {
        (void)close(fd);
    }
}

static bool is_alive(const struct super *s, const struct handover_worker *w)
{
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid == (pid_t)w->pid) {
            return true;
        }
    }
    return false;
}

static void close_news(const struct handover_edge *e)
{
    close_fd(e->resolv_conf);
    close_fd(e->hosts);
    close_fd(e->servers);
    close_fd(e->access);
    close_fd(e->tunnels);
}

// What we have no use for, once there is no way back.
static void close_unused(const struct super *s, struct handover *h)
{
    for (uint32_t i = 0; i < h->skipped_count; i++) {
        close_fd(h->skipped[i]);
    }
    for (uint32_t i = 0; i < h->workers; i++) {
        const struct handover_worker *w = &h->worker[i];
        bool alive = is_alive(s, w);
        close_fd(alive ? -1 : w->channel);
        close_fd(alive && counters_of(h, w) >= 0 ? -1 : w->counters);
    }
    close_news(&h->edge);
    h->skipped_count = 0;
    h->workers = 0;
}

static void unpack_child(const struct handover_worker *w, struct child *c)
{
    c->pid = (pid_t)w->pid;
    c->channel = w->channel;
    c->started_ms = w->started_ms;
    c->ready = true;
}

static void unpack_old(const struct handover *h, const struct handover_worker *w,
                       struct old_worker *o)
{
    unpack_child(w, &o->child);
    o->counters = counters_of(h, w);
    o->cores = (uint32_t)w->cores;
    o->drain_end_ms = w->drain_end_ms;
    o->left = w->drain_end_ms != 0;
    ipc_set_text(o->version, sizeof o->version, slice_str(w->version));
}

// Copies: newer ones may come while those that came are still needed for the way back.
static void unpack_news(const struct handover_edge *e, struct super *s)
{
    const int from[] = {e->resolv_conf, e->hosts, e->servers, e->access, e->tunnels};
    int copies[] = {-1, -1, -1, -1, -1};
    struct news *to = &s->news;
    for (size_t i = 0; i < array_len(from); i++) {
        copies[i] = from[i] >= 0 ? fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_HANDED) : -1;
    }
    bool names = copies[0] >= 0 && copies[1] >= 0;
    to->names[0] = names ? copies[0] : -1;
    to->names[1] = names ? copies[1] : -1;
    to->servers.fd = copies[2];
    to->servers.number = e->servers_number;
    to->access.fd = copies[3];
    to->access.number = e->access_number;
    s->tunnels_before = copies[4];
}

static void unpack_edge(const struct handover *h, struct super *s, struct super_options *options)
{
    const struct handover_edge *e = &h->edge;
    options->path = e->path;
    options->text = e->text.len > 0 ? e->text : slice_of(NULL, 0);
    options->state = e->state_path;
    s->options = options;
    s->state = e->state;
    s->control = e->control;
    s->started_wall_ms = e->started_wall_ms;
    ipc_set_text(s->state_path, sizeof s->state_path, slice_str(e->state_path));
    ipc_set_text(s->control_path, sizeof s->control_path, slice_str(e->control_path));
    s->served = true;
    s->upgrade.client = e->client;
    unpack_news(e, s);
    unpack_edition(&h->edition, h->listeners, &s->now);
    unpack_ranges(h, &s->now.plan);
    unpack_listeners(h, &s->listeners);
    unpack_ports(h, s);
    log_set_level((enum log_level)s->now.plan.log_level);
}

// ---- the new program ----------------------------------------------------------------------------

static void start_worker(struct super *s, const struct edition *e)
{
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    if (edition_prepare_worker(s, &e->plan, &why) != 0) {
        buffer[why.len] = '\0';
        takeover_back(s, buffer);
    }
    super_start_worker(s, e);
}

void takeover_fall_back(struct super *s, const char *why)
{
    if (s->worker.pid != 0) {
        return;
    }
    log_line(LOG_ERROR, "upgrade: %s; the configuration that was in force, generation %u, goes on",
             why, s->now.generation);
    s->upgrade.fell_back = true;
    start_worker(s, &s->now);
}

static void raise_held(struct super *s)
{
    for (int i = 1; i < 64; i++) {
        if ((s->upgrade.held & (UINT64_C(1) << i)) != 0) {
            (void)kill(getpid(), i); // blocked, so it is found by whoever looks next
        }
    }
    s->upgrade.held = 0;
}

void takeover_done(struct super *s)
{
    struct upgrade *u = &s->upgrade;
    s->upgrades++;
    log_line(LOG_INFO, "upgraded to adit %s from %s: serving generation=%u pid=%d", ADIT_VERSION,
             u->was, s->now.generation, s->worker.pid);
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        if (s->old[i].child.pid != 0 && s->old[i].drain_end_ms == 0) {
            old_drain(&s->old[i], s->now.plan.drain_ms, true);
        }
    }
    close_unused(s, &handed);
    (void)close(u->program);
    (void)close(u->handed);
    u->program = -1;
    u->handed = -1;
    u->step = UPGRADE_LEAVING;
    u->end_ms = os_clock_ms() + LEAVE_LIMIT_MS;
}

void takeover_left(struct super *s)
{
    struct upgrade *u = &s->upgrade;
    upgrade_answer(s, NULL,
                   u->fell_back ? "the configuration has errors, so the one that was in force "
                                  "goes on; `adit reload` shows them"
                                : "");
    raise_held(s);
    *u = upgrade_none;
}

static void kill_and_wait(struct child *c)
{
    if (c->pid != 0) {
        child_kill(c);
        (void)waitpid(c->pid, NULL, 0);
    }
}

_Noreturn void takeover_back(struct super *s, const char *why)
{
    log_line(LOG_ERROR, "upgrade: %s; going back to adit %s", why, s->upgrade.was);
    hooks_kill(&s->hooks);
    kill_and_wait(&s->keeper);
    kill_and_wait(&s->worker);
    listeners_undo(&s->listeners);
    raise_held(s);
    int reason = os_memfd_make("adit-reason", slice_str(why));
    exec_program(s->upgrade.program, EXEC_GO_BACK, &handed, s->upgrade.handed, reason);
    log_line(LOG_ERROR, "upgrade: the program before cannot be run any more: %s",
             error_text(error_from_errno(errno)));
    _exit(SUPER_EXIT_FAILURE); // and the workers with us
}

static void take_over(struct super *s, int state)
{
    struct upgrade *u = &s->upgrade;
    s->exe = handed.edge.program;
    ipc_set_text(s->exe_path, sizeof s->exe_path, slice_str(handed.edge.program_path));
    s->upgrades = (uint32_t)handed.edge.upgrades;
    for (uint32_t i = 0; i < handed.workers && i < OLD_WORKERS_MAX; i++) {
        unpack_old(&handed, &handed.worker[i], &s->old[i]);
    }
    u->step = UPGRADE_PROVING;
    u->program = handed.edge.old_program;
    u->handed = state;
    u->end_ms = os_clock_ms() + PROVE_LIMIT_MS;
    ipc_set_text(u->was, sizeof u->was, slice_str(handed.edge.version));
    log_line(LOG_INFO, "upgrade: adit %s takes over from adit %s", ADIT_VERSION, u->was);
    super_start_keeper(s);
    struct ipc_message m;
    ipc_init(&m, IPC_load);
    s->loading = true;
    child_send(&s->keeper, &m, NULL, 0);
}

// ---- the program before -------------------------------------------------------------------------

static void read_reason(const char *number, char reason[REASON_MAX])
{
    uint64_t fd = 0;
    ssize_t n = 0;
    if (number != NULL && num_parse_u64(slice_str(number), INT16_MAX, &fd) == 0 &&
        fd >= FIRST_HANDED) {
        n = pread((int)fd, reason, REASON_MAX - 1, 0);
        (void)close((int)fd);
    }
    reason[n > 0 ? n : 0] = '\0';
}

// Its children went on; one that died in between left no trace but that it is no child any more.
static void find_worker(struct super *s)
{
    if (waitpid(s->worker.pid, NULL, WNOHANG) != 0) {
        log_line(LOG_ERROR, "worker: died during the upgrade pid=%d", s->worker.pid);
        super_on_worker_gone(s);
    }
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        pid_t pid = s->old[i].child.pid;
        if (pid != 0 && waitpid(pid, NULL, WNOHANG) != 0) {
            (void)old_ended(s, pid, 0);
        }
    }
}

static void go_back(struct super *s, int state, const char *number)
{
    char reason[REASON_MAX];
    read_reason(number, reason);
    (void)close(state);
    (void)close(handed.edge.program);
    close_news(&handed.edge); // we have copies
    s->exe = handed.edge.old_program;
    ipc_set_text(s->exe_path, sizeof s->exe_path, slice_str(handed.edge.old_program_path));
    s->upgrades = (uint32_t)handed.edge.upgrades;
    const struct handover_worker *first = &handed.worker[0];
    unpack_child(first, &s->worker);
    s->worker.starts = (uint32_t)handed.edge.starts;
    s->cores = (uint32_t)first->cores;
    s->counters = first->counters;
    s->tunnels = s->tunnels_before; // its worker is ours again
    s->tunnels_before = -1;
    for (uint32_t i = 1; i < handed.workers; i++) {
        unpack_old(&handed, &handed.worker[i], &s->old[i - 1]);
    }
    ipc_set_text(s->upgrade.was, sizeof s->upgrade.was, slice_str(ADIT_VERSION));
    log_line(LOG_ERROR, "upgrade failed: %s; adit %s goes on", reason, ADIT_VERSION);
    upgrade_answer(s, reason, "");
    int ignored = os_identity_find(s->now.plan.user, &s->worker_identity); // found before
    (void)ignored;
    super_start_keeper(s);
    find_worker(s);
}

// ---- being started ------------------------------------------------------------------------------

static int try_state(int fd)
{
    char buffer[REASON_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    int error = read_state(fd, &handed, &why);
    if (error == 0) {
        (void)printf(EXEC_YES " %s\n", ADIT_VERSION);
    } else {
        (void)printf(EXEC_NO "%.*s\n", (int)why.len, why.ptr);
    }
    return fflush(stdout) == 0 && error == 0 ? 0 : 1;
}

// We cannot even begin; the program before could.
static int return_at_once(const char *order, int state)
{
    if (strcmp(order, EXEC_TAKE_OVER) == 0) {
        int reason = os_memfd_make("adit-reason", SLICE("the new program could not begin"));
        exec_program(handed.edge.old_program, EXEC_GO_BACK, &handed, state, reason);
    }
    return SUPER_EXIT_FAILURE;
}

int super_main(int argc, char **argv)
{
    static struct super_options options;
    uint64_t number = 0;
    if (argc < 3 || num_parse_u64(slice_str(argv[2]), INT16_MAX, &number) != 0) {
        return SUPER_EXIT_FAILURE;
    }
    (void)prctl(PR_SET_NAME, "adit", 0, 0, 0);
    int fd = (int)number;
    if (strcmp(argv[1], EXEC_TRIAL) == 0) {
        return try_state(fd);
    }
    char buffer[REASON_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    if (read_state(fd, &handed, &why) != 0) { // its trial had understood it
        log_line(LOG_ERROR, "upgrade: the state was refused: %.*s", (int)why.len, why.ptr);
        return SUPER_EXIT_FAILURE;
    }
    exec_keep(&handed, false);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    struct super *s = super_begin(&options);
    if (s == NULL) {
        return return_at_once(argv[1], fd);
    }
    unpack_edge(&handed, s, &options);
    if (strcmp(argv[1], EXEC_TAKE_OVER) == 0) {
        take_over(s, fd);
    } else {
        go_back(s, fd, argc > 3 ? argv[3] : NULL);
    }
    return super_loop(s);
}
