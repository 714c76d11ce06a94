// SPDX-License-Identifier: Apache-2.0
//
// The control socket: one connection, one line of a command, one JSON object as the answer, the end.
// Commands: status, reload, reopen, cert, cert renew NAME, server ..., token ..., name ..., tunnels,
// kick ..., upgrade [FILE], drain. Who may: root and the user who started the edge, by the credentials that the kernel gives (the socket's file
// is closed to others as well).
//
// A client is served at once and alone, with a time limit for its line and for taking the answer. On a socket with
// such limits a call ends with EINTR also when a process was stopped and goes on, without any handler (signal(7)).

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/counters.h"
#include "obs/log.h"
#include "obs/server_rows.h"
#include "os/clock.h"
#include "os/shared.h"

#include "keeper/inventory.h"
#include "keeper/keeper_int.h"

enum { CONTROL_LINE_MAX = 16 << 10, CONTROL_WAIT_S = 2, CONTROL_TEXT_MAX = 64 << 10 };

// ---- answers ------------------------------------------------------------------------------------

static json_t *failure(const char *what)
{
    return json_pack("{s:b, s:s}", "ok", 0, "error", what);
}

static json_t *text_value(struct slice s)
{
    json_t *value = json_stringn(s.ptr, s.len);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

// Adds up what a worker has counted.
static void add_counters(int fd, uint32_t cores, uint64_t sums[COUNTER_COUNT])
{
    void *block = NULL;
    if (cores == 0 || cores > IPC_CORES_MAX ||
        os_shared_map(fd, server_rows_block_bytes(cores), false, &block) != 0) {
        return;
    }
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        sums[id] += counters_total(block, cores, (enum counter)id);
    }
    os_shared_unmap(block, server_rows_block_bytes(cores));
}

static json_t *counters_value(const uint64_t sums[COUNTER_COUNT])
{
    json_t *all = json_object();
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        (void)json_object_set_new(all, counter_name((enum counter)id),
                                  json_integer((json_int_t)sums[id]));
    }
    return all;
}

// Workers of before an upgrade; what they count is part of the whole.
static json_t *take_old_workers(struct keeper *k, uint32_t count, uint64_t sums[COUNTER_COUNT])
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < count; i++) {
        struct ipc_message m;
        struct ipc_fds fds;
        if (keeper_await(k, IPC_old_worker, &m, &fds) != 0) {
            break;
        }
        const struct ipc_old_worker *old = &m.u.old_worker;
        uint64_t own[COUNTER_COUNT] = {0};
        add_counters(fds.count > 0 ? fds.fd[0] : -1, old->cores, own);
        json_t *one = json_pack("{s:i, s:o, s:b, s:I}", "pid", old->pid, "version",
                                text_value(slice_str(old->version)), "draining", (int)old->draining,
                                "left_ms", (json_int_t)old->left_ms);
        if (fds.count > 0) {
            (void)json_object_set_new(one, "connections",
                                      json_integer((json_int_t)own[COUNTER_connections_open]));
        }
        for (unsigned id = 0; id < COUNTER_COUNT; id++) {
            sums[id] += own[id];
        }
        ipc_drop(&fds);
        (void)json_array_append_new(all, one);
    }
    return all;
}

static const char *protocol_of(const struct ipc_speech *l)
{
    if (l->stream != 0) {
        return l->datagram != 0 ? "udp" : "tcp";
    }
    return l->secure != 0 ? "https" : "http";
}

static json_t *take_listeners(struct keeper *k, uint32_t count)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < count; i++) {
        struct ipc_message m;
        struct ipc_fds fds;
        if (keeper_await(k, IPC_listener, &m, &fds) != 0) {
            break;
        }
        ipc_drop(&fds);
        char buffer[OS_ADDR_TEXT_MAX];
        struct text t = text_on(buffer, sizeof buffer);
        os_addr_text(&m.u.listener.addr, &t);
        (void)json_array_append_new(
            all, json_pack("{s:o, s:i, s:b, s:s}", "address", text_value(text_slice(&t)), "backlog",
                           (int)m.u.listener.backlog, "tls", (int)m.u.listener.speech.secure,
                           "protocol", protocol_of(&m.u.listener.speech)));
    }
    return all;
}

static json_t *status(struct keeper *k)
{
    struct ipc_message m;
    struct ipc_fds fds;
    if (keeper_ask_status(k, &m, &fds) != 0) {
        return failure("the supervisor does not answer");
    }
    struct ipc_status s = m.u.status;
    uint64_t sums[COUNTER_COUNT] = {0};
    add_counters(fds.count > 0 ? fds.fd[0] : -1, s.cores, sums);
    json_t *servers = server_summary(k, fds.count > 0 ? fds.fd[0] : -1, s.cores);
    ipc_drop(&fds);
    json_t *listeners = take_listeners(k, s.listeners);
    json_t *old = take_old_workers(k, s.old_workers, sums);
    json_t *counters = counters_value(sums);
    uint64_t now = os_clock_wall_ms();
    uint64_t uptime = now > s.started_wall_ms ? now - s.started_wall_ms : 0;
    return json_pack(
        "{s:b, s:s, s:o, s:i, s:I, s:b, s:{s:i}, s:{s:i}, s:{s:i, s:i, s:i}, s:o, "
        "s:{s:o, s:i, s:I}, s:o, s:{s:i, s:i}, s:o, s:o}",
        "ok", 1, "version", ADIT_VERSION, "program", text_value(slice_str(s.program)), "upgrades",
        (int)s.upgrades, "uptime_s", (json_int_t)(uptime / 1000), "draining", (int)s.draining,
        "supervisor", "pid", s.supervisor, "keeper", "pid", s.keeper, "worker", "pid", s.worker,
        "threads", (int)s.cores, "restarts", (int)s.worker_restarts, "old_workers", old,
        "configuration", "path", text_value(slice_str(s.path)), "generation", (int)s.generation,
        "loaded_ms", (json_int_t)s.loaded_wall_ms, "listeners", listeners, "tunnel_ports", "tcp",
        (int)s.ports[0], "udp", (int)s.ports[1], "servers", servers, "counters", counters);
}

static json_t *reload(struct keeper *k)
{
    char *buffer = mem_alloc(CONTROL_TEXT_MAX);
    if (buffer == NULL) {
        return failure(error_text(E_NO_MEMORY));
    }
    struct text out = text_on(buffer, CONTROL_TEXT_MAX);
    uint32_t generation = 0;
    int error = keeper_load(k, &generation, &out);
    json_t *answer;
    if (error == 0) {
        answer = json_pack("{s:b, s:i, s:o}", "ok", 1, "generation", (int)generation, "diagnostics",
                           text_value(text_slice(&out)));
    } else {
        answer = json_pack("{s:b, s:s, s:b, s:o}", "ok", 0, "error", error_text(error), "config",
                           error == E_CONFIG, "diagnostics", text_value(text_slice(&out)));
    }
    mem_free(buffer);
    return answer;
}

static json_t *reopen(struct keeper *k)
{
    struct ipc_message m;
    ipc_init(&m, IPC_reopen_request);
    return keeper_send(k, &m, NULL, 0) == 0 ? json_pack("{s:b}", "ok", 1)
                                            : failure("the supervisor does not answer");
}

static json_t *drain(struct keeper *k)
{
    struct ipc_message m;
    ipc_init(&m, IPC_drain_request);
    return keeper_send(k, &m, NULL, 0) == 0 ? json_pack("{s:b}", "ok", 1)
                                            : failure("the supervisor does not answer");
}

// The supervisor answers on the connection itself, maybe as another program.
static json_t *upgrade(struct keeper *k, struct slice path, int fd)
{
    struct ipc_message m;
    ipc_init(&m, IPC_upgrade_request);
    ipc_set_text(m.u.upgrade_request.path, IPC_PATH_MAX, path);
    return keeper_send(k, &m, &fd, 1) == 0 ? NULL : failure("the supervisor does not answer");
}

static json_t *obey(struct keeper *k, struct slice command, int fd)
{
    if (slice_eq(command, SLICE("status"))) {
        return status(k);
    }
    if (slice_eq(command, SLICE("reload"))) {
        return reload(k);
    }
    if (slice_eq(command, SLICE("reopen"))) {
        return reopen(k);
    }
    if (slice_eq(command, SLICE("cert"))) {
        return inventory_list(k);
    }
    if (slice_starts(command, SLICE("cert renew "))) {
        return inventory_renew(k, slice_from(command, strlen("cert renew ")));
    }
    if (slice_starts(command, SLICE("server "))) {
        return server_command(k, slice_from(command, strlen("server ")));
    }
    if (slice_starts(command, SLICE("token "))) {
        return token_command(k, slice_from(command, strlen("token ")));
    }
    if (slice_starts(command, SLICE("name "))) {
        return name_command(k, slice_from(command, strlen("name ")));
    }
    if (slice_eq(command, SLICE("tunnels"))) {
        return tunnels_list(k);
    }
    if (slice_starts(command, SLICE("kick "))) {
        return tunnels_kick_command(k, slice_from(command, strlen("kick ")));
    }
    if (slice_eq(command, SLICE("drain"))) {
        return drain(k);
    }
    if (slice_eq(command, SLICE("upgrade"))) {
        return upgrade(k, SLICE(""), fd);
    }
    if (slice_starts(command, SLICE("upgrade "))) {
        return upgrade(k, slice_from(command, strlen("upgrade ")), fd);
    }
    return failure("no such command: status, reload, reopen, cert, cert renew NAME, server ..., "
                   "token ..., name ..., tunnels, kick ..., upgrade [FILE], drain");
}

// ---- connections --------------------------------------------------------------------------------

static bool may(const struct keeper *k, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && len == sizeof peer &&
           (peer.uid == 0 || peer.uid == k->owner);
}

// The line without its end; false when none comes in time.
static bool read_line(int fd, char line[CONTROL_LINE_MAX], struct slice *out)
{
    size_t have = 0;
    while (have < CONTROL_LINE_MAX) {
        ssize_t n = read(fd, line + have, CONTROL_LINE_MAX - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        have += (size_t)n;
        const char *end = memchr(line, '\n', have);
        if (end != NULL) {
            *out = slice_of(line, (size_t)(end - line));
            return true;
        }
    }
    return false;
}

static void write_answer(int fd, const json_t *answer)
{
    char *text = json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text == NULL) {
        return;
    }
    size_t len = strlen(text);
    text[len] = '\n'; // the line's end in the place of the terminator
    for (size_t at = 0; at < len + 1;) {
        ssize_t n = send(fd, text + at, len + 1 - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    text[len] = '\0';
    free(text);
}

void keeper_control(struct keeper *k)
{
    int fd = accept4(k->control, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct timeval limit = {.tv_sec = CONTROL_WAIT_S};
    bool limited = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
    char line[CONTROL_LINE_MAX];
    struct slice command = {0};
    if (limited && may(k, fd) && read_line(fd, line, &command)) {
        json_t *answer = obey(k, command, fd);
        if (answer != NULL) {
            write_answer(fd, answer);
            json_decref(answer);
        }
    }
    (void)close(fd);
}
