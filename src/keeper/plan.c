// SPDX-License-Identifier: Apache-2.0
//
// From a checked document to what the supervisor has to do: listeners to bind, threads to start, the
// user, the logs. Only these few values leave the keeper as structs; the rest travels as the sealed
// document, which the supervisor never reads.

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "l4/plan.h"
#include "obs/log.h"
#include "os/addr.h"
#include "os/memfd.h"
#include "tls/plan.h"
#include "tunnel/ports.h"

#include "keeper/keeper_int.h"

enum {
    DEFAULT_CONNECTIONS = 65536,
    DEFAULT_DRAIN_MS = 30000,
};

static_assert((int)TUNNEL_PORT_RANGES_MAX == (int)IPC_PORT_RANGES_MAX, "each fits the plan");
static_assert((int)TLS_PLAN_LISTENERS_MAX == (int)IPC_LISTENERS_MAX, "the check bounds them");

static const uint64_t default_memory = UINT64_C(1) << 30;

// "[::]:80" is how a checked document says "every address of both families".
static bool parse_listen(struct slice text, struct os_addr *out)
{
    static const uint8_t any[16];
    if (os_addr_parse_listen(text, out) != 0) {
        return false;
    }
    if (out->kind == OS_ADDR_V6 && memcmp(out->u.ip, any, sizeof any) == 0) {
        out->dual = true;
    }
    return true;
}

// Who must send a PROXY header here.
static int take_proxies(struct conf_node at, struct ipc_speech *speech)
{
    conf_each(range, conf_get(at, "proxy_protocol"))
    {
        if (speech->proxy_count == IPC_PROXIES_MAX ||
            os_cidr_parse(conf_text(range), &speech->proxies[speech->proxy_count]) != 0) {
            return E_CONFIG;
        }
        speech->proxy_count++;
    }
    return 0;
}

static int send_listener(struct keeper *k, struct slice address, struct conf_node at,
                         const struct ipc_listener *l)
{
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    m.u.listener.index = l->index;
    m.u.listener.backlog = l->backlog;
    m.u.listener.speech.secure = l->speech.secure;
    m.u.listener.speech.datagram = l->speech.datagram;
    m.u.listener.speech.stream = l->speech.stream;
    if (!parse_listen(address, &m.u.listener.addr) ||
        (conf_exists(at) && take_proxies(at, &m.u.listener.speech) != 0)) {
        return E_CONFIG;
    }
    return keeper_send(k, &m, NULL, 0);
}

static int send_stream_listeners(struct keeper *k, struct conf_node root, uint32_t *count)
{
    struct l4_plan_listener listeners[L4_PLAN_LISTENERS_MAX];
    uint32_t streams = l4_plan_listeners(root, listeners);
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < streams; i++) {
        const struct l4_plan_listener *l = &listeners[i];
        const struct ipc_listener one = {
            .index = *count,
            .backlog = l->backlog,
            .speech = {.datagram = l->datagram, .stream = l->key},
        };
        struct conf_node listen = conf_get(l->stream, "listen");
        error = *count < IPC_LISTENERS_MAX ? send_listener(k, l->address, listen, &one) : E_CONFIG;
        (*count)++;
    }
    return error;
}

static int send_listeners(struct keeper *k, struct conf_node root, uint32_t *count)
{
    struct tls_plan_listener listeners[TLS_PLAN_LISTENERS_MAX];
    int error = 0;
    *count = tls_plan_listeners(root, listeners);
    for (uint32_t i = 0; error == 0 && i < *count; i++) {
        const struct ipc_listener one = {
            .index = i, .backlog = listeners[i].backlog, .speech = {.secure = listeners[i].tls}};
        error = send_listener(k, listeners[i].address, listeners[i].at, &one);
    }
    return error == 0 ? send_stream_listeners(k, root, count) : error;
}

static int plan_access(struct ipc_plan *plan, struct conf_node access, struct text *why)
{
    struct slice to = SLICE("stdout");
    if (conf_exists(access) && conf_kind_of(access) == CONF_SCALAR) {
        to = conf_is_off(access) ? SLICE("off") : to;
    } else if (conf_exists(access)) {
        to = conf_string(conf_get(access, "to"), "stdout");
    }
    if (to.len >= sizeof plan->access_path) {
        text_printf(why, "access_log: a path may have %d bytes\n", IPC_PATH_MAX - 1);
        return E_CONFIG;
    }
    plan->access = slice_eq(to, SLICE("off"))      ? IPC_ACCESS_OFF
                   : slice_eq(to, SLICE("stdout")) ? IPC_ACCESS_STDOUT
                   : slice_eq(to, SLICE("stderr")) ? IPC_ACCESS_STDERR
                                                   : IPC_ACCESS_FILE;
    if (plan->access == IPC_ACCESS_FILE) {
        ipc_set_text(plan->access_path, sizeof plan->access_path, to);
    }
    return 0;
}

static void plan_control(struct ipc_plan *plan, struct conf_node control)
{
    if (!conf_exists(control)) {
        plan->control = IPC_CONTROL_DEFAULT;
    } else if (conf_is_off(control)) {
        plan->control = IPC_CONTROL_OFF;
    } else {
        plan->control = IPC_CONTROL_PATH;
        struct slice path = conf_text(control);
        if (slice_starts(path, SLICE("unix:"))) {
            path = slice_from(path, 5);
        }
        ipc_set_text(plan->control_path, sizeof plan->control_path, path);
    }
}

static uint32_t log_level_of(struct slice word)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (uint32_t i = 0; i < array_len(words); i++) {
        if (slice_eq(word, slice_str(words[i]))) {
            return i;
        }
    }
    return LOG_INFO;
}

static void plan_ports(struct ipc_plan *plan, struct conf_node root)
{
    struct tunnel_port_range ranges[TUNNEL_PORT_RANGES_MAX];
    plan->port_ranges = tunnel_port_ranges(root, ranges);
    for (uint32_t i = 0; i < plan->port_ranges; i++) {
        plan->ranges[i] = (struct ipc_port_range){.keys = {ranges[i].keys[0], ranges[i].keys[1]},
                                                  .last = ranges[i].last,
                                                  .first = ranges[i].first};
    }
}

static int fill_plan(struct ipc_plan *plan, struct conf_node root, struct text *why)
{
    struct slice workers = conf_string(conf_get(root, "workers"), "auto");
    uint64_t count = 0;
    if (num_parse_u64(workers, IPC_CORES_MAX, &count) == 0) {
        plan->workers = (uint32_t)count;
    }
    plan->log_level = log_level_of(conf_string(conf_get(root, "log"), "info"));
    plan->drain_ms = conf_duration_ms(conf_get(root, "drain"), DEFAULT_DRAIN_MS);
    plan->connections = (uint32_t)conf_int(conf_get(root, "connections"), DEFAULT_CONNECTIONS);
    plan->memory_bytes = conf_size(conf_get(root, "memory"), default_memory);
    ipc_set_text(plan->user, sizeof plan->user, conf_string(conf_get(root, "user"), ""));
    plan_control(plan, conf_get(root, "control"));
    plan_ports(plan, root);
    return plan_access(plan, conf_get(root, "access_log"), why);
}

int keeper_plan_send(struct keeper *k, const struct conf_doc *doc, struct needs *n,
                     struct text *why)
{
    struct conf_node root = conf_root(doc);
    struct ipc_message m;
    ipc_init(&m, IPC_plan);
    int error = send_listeners(k, root, &m.u.plan.listeners);
    if (error == 0) {
        error = fill_plan(&m.u.plan, root, why);
    }
    if (error != 0) {
        return error;
    }
    int fds[2] = {-1, -1};
    fds[0] = os_memfd_make("adit-document", conf_doc_bytes(doc));
    error = fds[0] < 0 ? fds[0] : certificates_stage(k, n, &fds[1], &m.u.plan.credentials);
    if (error == 0) {
        error = keeper_send(k, &m, fds, 2);
    }
    for (size_t i = 0; i < array_len(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    return error;
}
