// SPDX-License-Identifier: Apache-2.0
//
// `adit upgrade`, in the program that is to be replaced.
//
// The supervisor is replaced in place, by exec: its pid, its place under a service manager and its
// children stay. Before that the new program is tried: started as a child that reads the state and
// says whether it understands it, so that what is no adit, is broken or is too old or too new is
// refused while nothing has happened. Then whatever is under way (a reload, a renewal, a hook) may
// end, the keeper ends, and the new program takes over (takeover.c). The worker notices nothing.
//
// Until the new program's worker serves there is a way back: our own program, open as a descriptor,
// and the state as we wrote it, both handed over.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "super/exec.h"
#include "super/program.h"
#include "super/super_int.h"

enum {
    TRIAL_LIMIT_MS = 10000,
    WAIT_LIMIT_MS = 30000,  // for what is under way
    KEEPER_LIMIT_MS = 5000, // to answer who has asked
    ANSWER_MAX = 8192,
};

// ---- the answer ---------------------------------------------------------------------------------

void upgrade_answer(struct super *s, const char *error, const char *note)
{
    int client = s->upgrade.client;
    if (client < 0) {
        return;
    }
    char buffer[ANSWER_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_printf(&t, "{\"ok\":%s,\"version\":\"%s\",\"was\":\"%s\",\"generation\":%u",
                error == NULL ? "true" : "false", ADIT_VERSION, s->upgrade.was, s->now.generation);
    text_str(&t, error != NULL ? ",\"error\":\"" : ",\"note\":\"");
    text_json(&t, slice_str(error != NULL ? error : note));
    text_str(&t, "\"}\n");
    // Nobody waits for a client that does not read.
    (void)send(client, t.ptr, t.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(client);
    s->upgrade.client = -1;
}

static bool is_before(const struct upgrade *u)
{
    return u->step == UPGRADE_TRIAL || u->step == UPGRADE_WAITING || u->step == UPGRADE_KEEPER;
}

void upgrade_drop(struct super *s, const char *why)
{
    struct upgrade *u = &s->upgrade;
    if (!is_before(u)) {
        return;
    }
    log_line(LOG_ERROR, "upgrade refused: %s", why);
    upgrade_answer(s, why, "");
    if (u->trial != 0) {
        (void)kill(u->trial, SIGKILL);
        (void)waitpid(u->trial, NULL, 0);
    }
    if (u->output >= 0) {
        (void)close(u->output);
    }
    if (u->program >= 0) {
        (void)close(u->program);
    }
    *u = upgrade_none;
    if (s->served && s->keeper.pid == 0 && s->keeper.restart_at_ms == 0) {
        super_start_keeper(s);
    }
}

// ---- the state ----------------------------------------------------------------------------------

static void pack_edge(const struct super *s, struct handover_edge *e)
{
    ipc_set_text(e->version, sizeof e->version, slice_str(ADIT_VERSION));
    ipc_set_text(e->path, sizeof e->path, slice_str(s->options->path));
    ipc_set_text(e->state_path, sizeof e->state_path, slice_str(s->state_path));
    ipc_set_text(e->control_path, sizeof e->control_path, slice_str(s->control_path));
    ipc_set_text(e->program_path, sizeof e->program_path, slice_str(s->upgrade.path));
    ipc_set_text(e->old_program_path, sizeof e->old_program_path, slice_str(s->exe_path));
    e->text = s->options->text;
    e->program = s->upgrade.program;
    e->old_program = s->exe;
    e->state = s->state;
    e->control = s->control;
    e->client = s->upgrade.client;
    e->resolv_conf = s->news.names[0];
    e->hosts = s->news.names[1];
    e->servers = s->news.servers.fd;
    e->servers_number = s->news.servers.number;
    e->access = s->news.access.fd;
    e->access_number = s->news.access.number;
    e->tunnels = s->tunnels;
    e->started_wall_ms = s->started_wall_ms;
    e->counters = counters_fingerprint();
    e->upgrades = s->upgrades;
    e->starts = s->worker.starts;
}

static void pack_edition(const struct edition *from, struct handover_edition *e)
{
    const struct ipc_plan *plan = &from->plan;
    e->generation = from->generation;
    e->doc = from->doc;
    e->credentials = from->credentials;
    e->credentials_number = from->credentials_number;
    e->access = from->access;
    e->loaded_wall_ms = from->loaded_wall_ms;
    e->workers = plan->workers;
    e->log_level = plan->log_level;
    e->access_kind = plan->access;
    e->control = plan->control;
    e->connections = plan->connections;
    e->memory_bytes = plan->memory_bytes;
    e->drain_ms = plan->drain_ms;
    ipc_set_text(e->user, sizeof e->user, slice_str(plan->user));
    ipc_set_text(e->access_path, sizeof e->access_path, slice_str(plan->access_path));
    ipc_set_text(e->control_path, sizeof e->control_path, slice_str(plan->control_path));
}

static void pack_listeners(const struct listeners *ls, struct handover *h)
{
    for (uint32_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        const struct listener *l = &ls->at[i];
        if (!l->used) {
            continue;
        }
        struct handover_listener *to = &h->listener[h->listeners++];
        *to = (struct handover_listener){
            .index = i,
            .fd = l->fd,
            .secure = l->speech.secure,
            .stream = l->speech.stream,
            .datagram = l->speech.datagram,
            .backlog = l->backlog,
            .asked = l->asked,
            .bound = l->bound,
        };
        to->proxies.count = l->speech.proxy_count;
        memcpy(to->proxies.at, l->speech.proxies, sizeof to->proxies.at);
    }
}

static void pack_ranges(const struct ipc_plan *plan, struct handover *h)
{
    h->ranges = plan->port_ranges;
    for (uint32_t i = 0; i < h->ranges; i++) {
        const struct ipc_port_range *r = &plan->ranges[i];
        h->range[i] = (struct handover_range){
            .tcp = r->keys[0], .udp = r->keys[1], .first = r->first, .last = r->last};
    }
}

static void pack_ports(const struct ports *p, struct handover *h)
{
    for (uint32_t i = 0; i < p->end; i++) {
        const struct port *one = &p->at[i];
        if (one->used) {
            struct handover_port *to = &h->port[h->ports++];
            *to = (struct handover_port){.index = IPC_LISTENERS_MAX + i,
                                         .fd = one->fd,
                                         .stream = one->stream,
                                         .datagram = one->datagram,
                                         .at = os_peer_addr(&one->at)};
            to->at.dual = one->dual;
        }
    }
}

static void pack_worker(const struct child *c, int counters, uint32_t cores, struct handover *h)
{
    struct handover_worker *w = &h->worker[h->workers++];
    w->pid = (uint64_t)c->pid;
    w->channel = c->channel;
    w->counters = counters;
    w->cores = cores;
    w->counted = counters >= 0;
    w->started_ms = c->started_ms;
    ipc_set_text(w->version, sizeof w->version, slice_str(ADIT_VERSION));
}

static void pack(const struct super *s, struct handover *h)
{
    handover_init(h);
    pack_edge(s, &h->edge);
    pack_edition(&s->now, &h->edition);
    pack_listeners(&s->listeners, h);
    pack_ranges(&s->now.plan, h);
    pack_ports(&s->ports, h);
    pack_worker(&s->worker, s->counters, s->cores, h);
    for (size_t i = 0; i < OLD_WORKERS_MAX; i++) {
        const struct old_worker *o = &s->old[i];
        if (o->child.pid != 0) {
            struct handover_worker *w = &h->worker[h->workers];
            pack_worker(&o->child, o->counters, o->cores, h);
            w->drain_end_ms = o->drain_end_ms;
            ipc_set_text(w->version, sizeof w->version, slice_str(o->version));
        }
    }
}

// The state in a sealed file, above the descriptors that programs begin with.
static int write_state(const struct super *s, struct handover *h)
{
    pack(s, h);
    char *bytes = mem_alloc(HANDOVER_BYTES_MAX);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(bytes, HANDOVER_BYTES_MAX);
    int error = handover_write(h, &t);
    int fd = error == 0 ? os_memfd_make("adit-state", text_slice(&t)) : error;
    mem_free(bytes);
    return fd;
}

// ---- the trial ----------------------------------------------------------------------------------

static _Noreturn void become_trial(struct super *s, const struct handover *h, int state, int output)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // What a program says that cannot even be loaded is the best reason there is.
    if (dup2(output, STDOUT_FILENO) != STDOUT_FILENO ||
        dup2(output, STDERR_FILENO) != STDERR_FILENO) {
        _exit(EXEC_FAILED);
    }
    exec_program(s->upgrade.program, EXEC_TRIAL, h, state, -1);
    _exit(EXEC_FAILED);
}

static int start_trial(struct super *s)
{
    static struct handover h;
    struct upgrade *u = &s->upgrade;
    int state = write_state(s, &h);
    if (state < 0) {
        return state;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)close(state);
        return error_from_errno(errno);
    }
    pid_t pid = fork();
    if (pid == 0) {
        become_trial(s, &h, state, ends[1]);
    }
    int error = pid < 0 ? error_from_errno(errno) : 0;
    (void)close(ends[1]);
    (void)close(state);
    if (error != 0) {
        (void)close(ends[0]);
        return error;
    }
    u->trial = pid;
    u->output = ends[0];
    u->end_ms = os_clock_ms() + TRIAL_LIMIT_MS;
    return 0;
}

void upgrade_read(struct super *s)
{
    struct upgrade *u = &s->upgrade;
    size_t room = sizeof u->said - 1 - u->said_len;
    char rest[256];
    ssize_t n =
        read(u->output, room > 0 ? u->said + u->said_len : rest, room > 0 ? room : sizeof rest);
    if (n > 0 && room > 0) {
        u->said_len += (size_t)n;
        u->said[u->said_len] = '\0';
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        (void)close(u->output);
        u->output = -1;
    }
}

// The line that begins at `s`, as one that can stand in a log.
static void put_line(struct slice s, struct text *out)
{
    for (size_t i = 0; i < s.len && s.ptr[i] != '\n'; i++) {
        bool odd = s.ptr[i] < ' ' || s.ptr[i] == 0x7f;
        text_char(out, odd ? '?' : s.ptr[i]);
    }
}

// What the trial said, as the reason of a refusal; it may have said anything.
static void describe_trial(const struct upgrade *u, int status, struct text *why)
{
    struct slice said = slice_of(u->said, u->said_len);
    ptrdiff_t no = slice_find(said, SLICE(EXEC_NO));
    text_str(why, u->path);
    if (WIFSIGNALED(status)) {
        text_printf(why, ": it crashed when it was tried (signal %d)", WTERMSIG(status));
    } else if (no >= 0) {
        text_printf(why, ": it does not understand the state of adit %s: ", ADIT_VERSION);
        put_line(slice_from(said, (size_t)no + sizeof EXEC_NO - 1), why);
        return;
    } else if (WEXITSTATUS(status) == EXEC_FAILED && said.len == 0) {
        text_str(why, ": it cannot be run: not a program for this machine");
    } else {
        text_printf(why, ": it did not answer as an adit that can take over does (exit code %d)",
                    WEXITSTATUS(status));
    }
    if (said.len > 0) {
        text_str(why, "; it said: ");
        put_line(said, why);
    }
}

bool upgrade_ended(struct super *s, pid_t pid, int status)
{
    struct upgrade *u = &s->upgrade;
    if (u->trial == 0 || pid != u->trial) {
        return false;
    }
    for (int i = 0; i < 16 && u->output >= 0; i++) {
        upgrade_read(s);
    }
    u->trial = 0;
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                slice_find(slice_of(u->said, u->said_len), SLICE(EXEC_YES)) >= 0;
    if (good) {
        u->step = UPGRADE_WAITING;
        u->end_ms = os_clock_ms() + WAIT_LIMIT_MS;
        return true;
    }
    char buffer[IPC_TEXT_MAX + IPC_PATH_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    describe_trial(u, status, &why);
    buffer[why.len] = '\0';
    upgrade_drop(s, buffer);
    return true;
}

// ---- asking for it ------------------------------------------------------------------------------

// The keeper has asked the kernel as well, but may not be itself any more.
static bool may(int client)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof peer &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static const char *objection(const struct super *s)
{
    if (!s->served || s->draining) {
        return s->draining ? "the edge is stopping" : "the edge does not serve yet";
    }
    if (old_count(s) == OLD_WORKERS_MAX) {
        return "too many workers of earlier upgrades still drain; `adit status` shows them";
    }
    return NULL;
}

void upgrade_request(struct super *s, const char *path, int client)
{
    struct upgrade *u = &s->upgrade;
    if (u->step != UPGRADE_NONE || (client >= 0 && !may(client))) {
        int busy = u->client;
        u->client = client;
        upgrade_answer(s,
                       u->step != UPGRADE_NONE ? "an upgrade is under way already"
                                               : "only root and the user who started the edge "
                                                 "may upgrade it",
                       "");
        u->client = busy;
        return;
    }
    *u = upgrade_none;
    u->step = UPGRADE_TRIAL;
    u->client = client;
    ipc_set_text(u->was, sizeof u->was, slice_str(ADIT_VERSION));
    ipc_set_text(u->path, sizeof u->path, slice_str(path[0] != '\0' ? path : s->exe_path));
    const char *no = objection(s);
    if (no != NULL) {
        upgrade_drop(s, no);
        return;
    }
    char buffer[IPC_TEXT_MAX + IPC_PATH_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    u->program = program_open(u->path, &why);
    int error = u->program < 0 ? u->program : start_trial(s);
    if (error != 0) {
        if (u->program >= 0) {
            text_printf(&why, "it cannot be tried: %s", error_text(error));
        }
        buffer[why.len] = '\0';
        upgrade_drop(s, buffer);
        return;
    }
    log_line(LOG_INFO, "upgrade: trying %s", u->path);
}

// ---- handing over -------------------------------------------------------------------------------

static bool hooks_run(const struct hooks *h)
{
    for (size_t i = 0; i < HOOKS_MAX; i++) {
        if (h->at[i].pid != 0) {
            return true;
        }
    }
    return false;
}

// What would be lost if the keeper ended now, or could not be told to a new one.
static const char *under_way(const struct super *s)
{
    if (s->loading || s->applying) {
        return "a configuration is being loaded";
    }
    if (s->renewal.fd >= 0) {
        return "new certificates are being taken up";
    }
    if (hooks_run(&s->hooks)) {
        return "a DNS hook is running";
    }
    return s->worker.ready ? NULL : "the worker does not serve";
}

static void hand_over(struct super *s)
{
    static struct handover h;
    log_line(LOG_INFO, "upgrade: handing over to %s", s->upgrade.path);
    super_end_keeper(s); // one that did not end by itself
    int state = write_state(s, &h);
    if (state >= 0) {
        exec_program(s->upgrade.program, EXEC_TAKE_OVER, &h, state, -1);
        (void)close(state);
    }
    upgrade_drop(s, "it passed its trial but could not be run");
}

// It answers whoever it is serving, and leaves the others to the next keeper.
static void let_keeper_go(struct super *s)
{
    struct ipc_message m;
    ipc_init(&m, IPC_leave);
    child_send(&s->keeper, &m, NULL, 0);
    s->upgrade.step = UPGRADE_KEEPER;
    s->upgrade.end_ms = os_clock_ms() + KEEPER_LIMIT_MS;
}

bool upgrade_keeper_gone(struct super *s)
{
    if (s->upgrade.step != UPGRADE_KEEPER) {
        return false;
    }
    if (s->keeper.channel >= 0) {
        (void)close(s->keeper.channel);
        s->keeper.channel = -1;
    }
    s->keeper.pid = 0;
    s->loading = false;
    return true;
}

uint64_t upgrade_go_on(struct super *s, uint64_t now_ms)
{
    struct upgrade *u = &s->upgrade;
    if (u->step == UPGRADE_WAITING && under_way(s) == NULL) {
        let_keeper_go(s);
    }
    bool gone = s->keeper.pid == 0 || now_ms >= u->end_ms;
    if (u->step == UPGRADE_KEEPER && gone && under_way(s) == NULL) {
        hand_over(s);
    }
    if (!is_before(u)) {
        return u->step == UPGRADE_NONE ? UINT64_MAX : u->end_ms;
    }
    if (u->step == UPGRADE_KEEPER && gone && s->keeper.pid == 0) {
        u->step = UPGRADE_WAITING; // what it began has not ended yet
        u->end_ms = now_ms + WAIT_LIMIT_MS;
    }
    if (now_ms < u->end_ms) {
        return u->end_ms;
    }
    const char *busy =
        u->step == UPGRADE_TRIAL ? "the new program did not answer in time" : under_way(s);
    upgrade_drop(s, busy);
    return UINT64_MAX;
}
