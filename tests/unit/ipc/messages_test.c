// SPDX-License-Identifier: Apache-2.0
//
// Messages between the processes: what arrives is what was sent, and what the table does not allow
// does not arrive.

#include "ipc/messages.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "os/fdpass.h"
#include "tap.h"

static void a_message_with_a_descriptor_arrives(void)
{
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    struct ipc_message out;
    ipc_init(&out, IPC_doc);
    out.u.doc.generation = 7;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(ipc_send(ends[0], &out, &null, 1) == 0);
    struct ipc_message in;
    struct ipc_fds fds;
    REQUIRE(ipc_recv(ends[1], IPC_SUPERVISOR, &in, &fds, 1000) == 0);
    CHECK_EQ_INT(in.type, IPC_doc);
    CHECK_EQ_INT(in.u.doc.generation, 7);
    CHECK_EQ_INT(fds.count, 1);
    CHECK(fcntl(fds.fd[0], F_GETFD) == FD_CLOEXEC);
    ipc_drop(&fds);
    CHECK(ipc_recv(ends[1], IPC_SUPERVISOR, &in, &fds, 0) == E_AGAIN);
    (void)close(null);
    (void)close(ends[0]);
    CHECK(ipc_recv(ends[1], IPC_SUPERVISOR, &in, &fds, 0) == E_EOF);
    (void)close(ends[1]);
}

static void only_its_sender_may_send_a_type(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_plan);
    size_t len = sizeof m.u.plan;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, len, 1, IPC_WORKER) == E_INVALID);
    CHECK(ipc_check(&m, len, 1, IPC_SUPERVISOR) == E_INVALID);
}

static void length_and_descriptors_must_fit_the_table(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_plan);
    size_t len = sizeof m.u.plan;
    CHECK(ipc_check(&m, len - 1, 1, IPC_KEEPER) == E_INVALID);
    CHECK(ipc_check(&m, len + 1, 1, IPC_KEEPER) == E_INVALID);
    CHECK(ipc_check(&m, len, 0, IPC_KEEPER) == E_INVALID);
    CHECK(ipc_check(&m, len, 2, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, len, 3, IPC_KEEPER) == E_INVALID);
    m.type = IPC_TYPE_COUNT;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == E_INVALID);
    m.type = IPC_none;
    CHECK(ipc_check(&m, 0, 0, IPC_KEEPER) == E_INVALID);
}

static void a_text_without_its_end_is_refused(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_file_request);
    memset(m.u.file_request.path, 'a', sizeof m.u.file_request.path);
    CHECK(ipc_check(&m, sizeof m.u.file_request, 0, IPC_KEEPER) == E_INVALID);
    m.u.file_request.path[IPC_PATH_MAX - 1] = '\0';
    CHECK(ipc_check(&m, sizeof m.u.file_request, 0, IPC_KEEPER) == 0);
    ipc_init(&m, IPC_death);
    memset(m.u.death.text, 'a', sizeof m.u.death.text);
    CHECK(ipc_check(&m, sizeof m.u.death, 0, IPC_WORKER) == E_INVALID);
}

static void messages_about_certificates(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_credentials);
    CHECK(ipc_check(&m, sizeof m.u.credentials, 1, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, sizeof m.u.credentials, 0, IPC_KEEPER) == E_INVALID);
    CHECK(ipc_check(&m, sizeof m.u.credentials, 1, IPC_WORKER) == E_INVALID);
    ipc_init(&m, IPC_want);
    CHECK(ipc_check(&m, sizeof m.u.want, 0, IPC_WORKER) == 0);
    CHECK(ipc_check(&m, sizeof m.u.want, 0, IPC_KEEPER) == E_INVALID);
    memset(m.u.want.name, 'a', sizeof m.u.want.name);
    CHECK(ipc_check(&m, sizeof m.u.want, 0, IPC_WORKER) == E_INVALID);
    ipc_init(&m, IPC_hook_request);
    CHECK(ipc_check(&m, sizeof m.u.hook_request, 0, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, sizeof m.u.hook_request, 0, IPC_WORKER) == E_INVALID);
    memset(m.u.hook_request.value, 'a', sizeof m.u.hook_request.value);
    CHECK(ipc_check(&m, sizeof m.u.hook_request, 0, IPC_KEEPER) == E_INVALID);
    ipc_init(&m, IPC_hook);
    memset(m.u.hook.text, 'a', sizeof m.u.hook.text);
    CHECK(ipc_check(&m, sizeof m.u.hook, 0, IPC_SUPERVISOR) == E_INVALID);
    ipc_init(&m, IPC_in_force);
    memset(m.u.in_force.text, 'a', sizeof m.u.in_force.text);
    CHECK(ipc_check(&m, sizeof m.u.in_force, 0, IPC_WORKER) == E_INVALID);
}

static void messages_about_ports(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_plan);
    size_t len = sizeof m.u.plan;
    m.u.plan.port_ranges = 1;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == E_INVALID); // of no address
    m.u.plan.ranges[0].first.kind = OS_ADDR_V6;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == 0);
    m.u.plan.ranges[0].first.kind = OS_ADDR_UNIX;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == E_INVALID);
    m.u.plan.ranges[0].first.kind = OS_ADDR_V4;
    memset(&m.u.plan.ranges[0].first.dual, 2, 1);
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == E_INVALID);
    m.u.plan.ranges[0].first.dual = false;
    m.u.plan.port_ranges = IPC_PORT_RANGES_MAX + 1;
    CHECK(ipc_check(&m, len, 1, IPC_KEEPER) == E_INVALID);
    ipc_init(&m, IPC_ports);
    CHECK(ipc_check(&m, sizeof m.u.ports, 0, IPC_SUPERVISOR) == E_INVALID);
    CHECK(ipc_check(&m, sizeof m.u.ports, IPC_PORTS_BATCH, IPC_SUPERVISOR) == 0);
    CHECK(ipc_check(&m, sizeof m.u.ports, IPC_PORTS_BATCH + 1, IPC_SUPERVISOR) == E_INVALID);
    CHECK(ipc_check(&m, sizeof m.u.ports, 1, IPC_WORKER) == E_INVALID);
    ipc_init(&m, IPC_unlisten_ports);
    CHECK(ipc_check(&m, sizeof m.u.unlisten_ports, 0, IPC_SUPERVISOR) == 0);
    CHECK(ipc_check(&m, sizeof m.u.unlisten_ports, 0, IPC_WORKER) == E_INVALID);
}

static void messages_about_tunnels(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_grants);
    CHECK(ipc_check(&m, sizeof m.u.grants, 1, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, sizeof m.u.grants, 0, IPC_KEEPER) == E_INVALID);
    CHECK(ipc_check(&m, sizeof m.u.grants, 1, IPC_WORKER) == E_INVALID);
    ipc_init(&m, IPC_grants_done);
    memset(m.u.grants_done.text, 'a', sizeof m.u.grants_done.text);
    CHECK(ipc_check(&m, sizeof m.u.grants_done, 0, IPC_WORKER) == E_INVALID);
    ipc_init(&m, IPC_kick);
    CHECK(ipc_check(&m, sizeof m.u.kick, 0, IPC_KEEPER) == 0);
    CHECK(ipc_check(&m, sizeof m.u.kick, 0, IPC_WORKER) == E_INVALID);
    memset(m.u.kick.zone, 'a', sizeof m.u.kick.zone);
    CHECK(ipc_check(&m, sizeof m.u.kick, 0, IPC_KEEPER) == E_INVALID);
    ipc_init(&m, IPC_kicked);
    CHECK(ipc_check(&m, sizeof m.u.kicked, 0, IPC_WORKER) == 0);
    ipc_init(&m, IPC_tunnels);
    CHECK(ipc_check(&m, sizeof m.u.tunnels, 2, IPC_SUPERVISOR) == 0);
    CHECK(ipc_check(&m, sizeof m.u.tunnels, 0, IPC_WORKER) == E_INVALID);
}

static void an_address_must_be_one(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    m.u.listener.addr.kind = OS_ADDR_V4;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == 0);
    m.u.listener.addr.kind = 200;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
    m.u.listener.addr.kind = OS_ADDR_UNIX;
    m.u.listener.addr.path_len = OS_ADDR_PATH_MAX + 1;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
    m.u.listener.addr.path_len = 0;
    memset(&m.u.listener.addr.dual, 2, 1);
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
}

static void sources_of_proxy_headers_must_be_networks(void)
{
    struct ipc_message m;
    ipc_init(&m, IPC_listener);
    struct ipc_speech *s = &m.u.listener.speech;
    m.u.listener.addr.kind = OS_ADDR_V4;
    s->proxy_count = IPC_PROXIES_MAX;
    for (size_t i = 0; i < IPC_PROXIES_MAX; i++) {
        s->proxies[i] = (struct os_cidr){.kind = OS_ADDR_V6, .bits = 128};
    }
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == 0);
    s->proxies[3].kind = OS_ADDR_V4; // of 128 bits
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
    s->proxies[3].kind = OS_ADDR_NONE;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
    s->proxies[3].kind = OS_ADDR_UNIX;
    s->proxy_count = IPC_PROXIES_MAX + 1;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
    s->proxy_count = 0;
    s->secure = 2;
    CHECK(ipc_check(&m, sizeof m.u.listener, 0, IPC_KEEPER) == E_INVALID);
}

static void refused_packets_leave_no_descriptor(void)
{
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int before = dup(null);
    (void)close(before);
    CHECK(fdpass_send(ends[0], IPC_drain, 0, SLICE("junk"), &null, 1) == 0);
    struct ipc_message in;
    struct ipc_fds fds;
    CHECK(ipc_recv(ends[1], IPC_SUPERVISOR, &in, &fds, 0) == E_INVALID);
    int after = dup(null);
    CHECK_EQ_INT(after, before);
    (void)close(after);
    (void)close(null);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void texts_are_cut_to_their_field(void)
{
    char field[4];
    ipc_set_text(field, sizeof field, SLICE("abcdef"));
    CHECK_STR(field, "abc");
    ipc_set_text(field, sizeof field, SLICE(""));
    CHECK_STR(field, "");
    CHECK_STR(ipc_name(IPC_death), "death");
    CHECK_STR(ipc_name(1000), "unknown");
}

TAP_MAIN(a_message_with_a_descriptor_arrives, only_its_sender_may_send_a_type,
         length_and_descriptors_must_fit_the_table, a_text_without_its_end_is_refused,
         messages_about_certificates, messages_about_ports, messages_about_tunnels,
         an_address_must_be_one, sources_of_proxy_headers_must_be_networks,
         refused_packets_leave_no_descriptor, texts_are_cut_to_their_field)
