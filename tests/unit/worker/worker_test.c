// SPDX-License-Identifier: Apache-2.0
//
// A whole worker, sandbox and all, with the test in the supervisor's place.

#include "worker/worker.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/error.h"
#include "conf/load.h"
#include "ipc/messages.h"
#include "obs/counters.h"
#include "obs/server_rows.h"
#include "obs/tunnel_rows.h"
#include "os/fdpass.h"
#include "os/listen.h"
#include "os/memfd.h"
#include "os/privileges.h"
#include "os/shared.h"
#include "tunnel/access.h"

#include "tap.h"

enum { CORES = 2, WAIT_MS = 20000 };

struct rig {
    pid_t pid;
    int channel;
    struct counters *counters;
    void *tunnels;
    int listener;
    uint16_t port;
};

static void start_child(struct rig *r)
{
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid == 0) {
        (void)dup2(ends[1], IPC_CHANNEL);
        (void)fcntl(IPC_CHANNEL, F_SETFD, 0);
        exit(worker_main());
    }
    (void)close(ends[1]);
    r->channel = ends[0];
}

static void send_start(struct rig *r)
{
    int fd = os_shared_make("counters", server_rows_block_bytes(CORES));
    void *rows = NULL;
    REQUIRE(os_shared_map(fd, server_rows_block_bytes(CORES), false, &rows) == 0);
    r->counters = rows;
    struct os_identity who;
    REQUIRE(os_identity_find("", &who) == 0);
    struct ipc_message m;
    ipc_init(&m, IPC_start_worker);
    m.u.start_worker = (struct ipc_start_worker){
        .parent = getpid(),
        .cores = CORES,
        .log_level = 3,
        .connections = 100,
        .memory_bytes = 64 << 20,
        .identity = {who.change, who.uid, who.gid},
    };
    REQUIRE(ipc_send(r->channel, &m, &fd, 1) == 0);
    (void)close(fd);
    int tunnels[2];
    for (int i = 0; i < 2; i++) { // its own, and those of a worker that never began its
        tunnels[i] = os_shared_make("tunnels", tunnel_rows_bytes());
        REQUIRE(tunnels[i] >= 0);
    }
    REQUIRE(os_shared_map(tunnels[0], tunnel_rows_bytes(), false, &r->tunnels) == 0);
    ipc_init(&m, IPC_tunnels);
    REQUIRE(ipc_send(r->channel, &m, tunnels, 2) == 0);
    (void)close(tunnels[0]);
    (void)close(tunnels[1]);
}

static void send_listener(struct rig *r)
{
    struct os_listen how = {.addr = {.kind = OS_ADDR_V4, .u.ip = {127, 0, 0, 1}}};
    r->listener = os_listen_open(&how);
    REQUIRE(r->listener >= 0);
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    REQUIRE(os_listen_addr(r->listener, &m.u.listener.addr) == 0);
    r->port = m.u.listener.addr.port;
    REQUIRE(ipc_send(r->channel, &m, &r->listener, 1) == 0);
}

// Sends a configuration and returns what the worker says of it.
static int32_t send_doc(struct rig *r, const char *yaml, uint32_t generation)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    int fd = os_memfd_make("document", conf_doc_bytes(doc));
    conf_doc_free(doc);
    conf_diags_free(d);
    struct ipc_message m;
    ipc_init(&m, IPC_doc);
    m.u.doc.generation = generation;
    REQUIRE(ipc_send(r->channel, &m, &fd, 1) == 0);
    (void)close(fd);
    struct ipc_fds fds;
    REQUIRE(ipc_recv(r->channel, IPC_WORKER, &m, &fds, WAIT_MS) == 0);
    CHECK_EQ_INT(m.type, IPC_result);
    CHECK_EQ_INT(m.u.result.generation, generation);
    return m.u.result.error;
}

static void send_simple(struct rig *r, enum ipc_type type)
{
    struct ipc_message m;
    ipc_init(&m, type);
    if (type == IPC_drain) {
        m.u.drain.limit_ms = 5000;
    }
    REQUIRE(ipc_send(r->channel, &m, NULL, 0) == 0);
}

static int exit_code(struct rig *r)
{
    int status = 0;
    REQUIRE(waitpid(r->pid, &status, 0) == r->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// The status of one request, 0 when there was no answer.
static int ask(const struct rig *r)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(r->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char request[] = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    char answer[64] = "";
    ssize_t n = 0;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0) {
        n = recv(fd, answer, sizeof answer, 0);
    }
    (void)close(fd);
    return n > 12 ? (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0') : 0;
}

// A port of this machine where nobody listens, so that the origin refuses.
#define YAML "sites: {default: {proxy: \"127.0.0.1:1\"}}\n"

static void a_worker_lives_and_drains(void)
{
    struct rig r = {0};
    start_child(&r);
    send_start(&r);
    send_listener(&r);
    CHECK_EQ_INT(send_doc(&r, YAML, 1), 0);
    CHECK_EQ_INT(ask(&r), 502);
    CHECK(counters_sum(r.counters, CORES, COUNTER_connections_accepted) >= 1);
    CHECK_EQ_INT(send_doc(&r, "via: off\n" YAML, 2), 0);
    CHECK_EQ_INT(ask(&r), 502);
    send_simple(&r, IPC_logs);
    send_simple(&r, IPC_drain);
    CHECK_EQ_INT(exit_code(&r), 0);
    (void)close(r.channel);
    (void)close(r.listener);
    os_shared_unmap(r.counters, server_rows_block_bytes(CORES));
}

static void a_listener_can_be_left(void)
{
    struct rig r = {0};
    start_child(&r);
    send_start(&r);
    send_listener(&r);
    CHECK_EQ_INT(send_doc(&r, YAML, 1), 0);
    send_simple(&r, IPC_unlisten); // index 0
    CHECK_EQ_INT(send_doc(&r, YAML, 2), 0);
    (void)close(r.listener); // the last one: now the port is closed
    CHECK_EQ_INT(ask(&r), 0);
    (void)close(r.channel); // a worker without a supervisor ends
    CHECK_EQ_INT(exit_code(&r), 0);
    os_shared_unmap(r.counters, server_rows_block_bytes(CORES));
}

static void what_is_no_document_is_refused(void)
{
    struct rig r = {0};
    start_child(&r);
    send_start(&r);
    struct ipc_message m;
    struct ipc_fds fds;
    static const struct slice bad[] = {SLICE_INIT("not a document"), SLICE_INIT("")};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = os_memfd_make("document", bad[i]);
        ipc_init(&m, IPC_doc);
        m.u.doc.generation = 9;
        REQUIRE(ipc_send(r.channel, &m, &fd, 1) == 0);
        (void)close(fd);
        REQUIRE(ipc_recv(r.channel, IPC_WORKER, &m, &fds, WAIT_MS) == 0);
        CHECK(m.u.result.error != 0);
        CHECK(m.u.result.text[0] != '\0');
    }
    send_simple(&r, IPC_drain);
    CHECK_EQ_INT(exit_code(&r), 0);
    (void)close(r.channel);
    os_shared_unmap(r.counters, server_rows_block_bytes(CORES));
}

// What became of who may have tunnels.
static int32_t send_grants(struct rig *r, const char *json, uint64_t number)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("grants", json, access_doc_tables, d, &doc) == 0);
    int fd = os_memfd_make("grants", conf_doc_bytes(doc));
    conf_doc_free(doc);
    conf_diags_free(d);
    struct ipc_message m;
    struct ipc_fds fds;
    ipc_init(&m, IPC_grants);
    m.u.grants.number = number;
    REQUIRE(ipc_send(r->channel, &m, &fd, 1) == 0);
    (void)close(fd);
    REQUIRE(ipc_recv(r->channel, IPC_WORKER, &m, &fds, WAIT_MS) == 0);
    CHECK_EQ_INT(m.type, IPC_grants_done);
    CHECK_EQ_INT(m.u.grants_done.number, number);
    return m.u.grants_done.error;
}

static void who_may_have_tunnels(void)
{
    struct rig r = {0};
    start_child(&r);
    send_start(&r);
    CHECK_EQ_INT(send_grants(&r, "{names: [{name: shop, owner: alice}]}", 1), 0);
    CHECK_EQ_INT(send_grants(&r, "{names: [{name: SHOP, owner: alice}]}", 2), E_INVALID);
    CHECK(tunnel_rows_open(r.tunnels, tunnel_rows_bytes()) != NULL); // it has begun them
    struct ipc_message m;
    struct ipc_fds fds;
    ipc_init(&m, IPC_kick);
    m.u.kick.number = 7;
    ipc_set_text(m.u.kick.name, sizeof m.u.kick.name, SLICE("nobody"));
    REQUIRE(ipc_send(r.channel, &m, NULL, 0) == 0);
    REQUIRE(ipc_recv(r.channel, IPC_WORKER, &m, &fds, WAIT_MS) == 0);
    CHECK_EQ_INT(m.type, IPC_kicked);
    CHECK_EQ_INT(m.u.kicked.number, 7);
    CHECK_EQ_INT(m.u.kicked.count, 0);
    send_simple(&r, IPC_drain);
    CHECK_EQ_INT(exit_code(&r), 0);
    (void)close(r.channel);
    os_shared_unmap(r.counters, server_rows_block_bytes(CORES));
}

static void without_a_start_there_is_no_worker(void)
{
    struct rig r = {0};
    start_child(&r);
    (void)fflush(NULL);
    send_simple(&r, IPC_drain);
    CHECK_EQ_INT(exit_code(&r), 1);
    (void)close(r.channel);
}

TAP_MAIN(a_worker_lives_and_drains, a_listener_can_be_left, what_is_no_document_is_refused,
         who_may_have_tunnels, without_a_start_there_is_no_worker)
