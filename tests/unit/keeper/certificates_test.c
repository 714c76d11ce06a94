// SPDX-License-Identifier: Apache-2.0
//
// Certificates on the main thread: what goes to the workers and when, what becomes of it, and a keeper
// that takes over.

#include "keeper/certificates.h"

#include <poll.h>

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"
#include "keeper/keeper_int.h"
#include "os/clock.h"
#include "os/memfd.h"

#include "tap.h"

#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;
static struct conf_doc *doc;
static uint64_t number;
static int credentials = -1;

#define LOCAL "listen: {at: \"127.0.0.1:8443\", tls: on}\nsites: {a.internal: {respond: a}}\n"
#define CLEAR "listen: 8080\nsites: {a.internal: {respond: a}}\n"

static struct needs *needs_of(const char *yaml)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    struct needs *n = needs_new(doc);
    REQUIRE(n != NULL);
    conf_diags_free(d);
    return n;
}

// A keeper with this document in force, as a load leaves it.
static void begin(const char *yaml)
{
    fake_open(&supervisor);
    keeper_init(&keeper);
    struct needs *n = needs_of(yaml);
    REQUIRE(certificates_stage(&keeper, n, &credentials, &number) == 0);
    certificates_commit(&keeper, n);
}

static void end(void)
{
    keeper_fini(&keeper);
    (void)close(credentials);
    (void)close(IPC_CHANNEL);
    (void)close(supervisor.channel);
    conf_doc_free(doc);
}

// The number of credentials that came alone; 0: none did.
static uint64_t came_alone(void)
{
    struct ipc_message m;
    struct ipc_fds fds;
    if (ipc_recv(supervisor.channel, IPC_KEEPER, &m, &fds, 0) != 0) {
        return 0;
    }
    CHECK_EQ_INT(m.type, IPC_credentials);
    CHECK_EQ_INT(fds.count, 1);
    ipc_drop(&fds);
    return m.u.credentials.number;
}

static void change(void)
{
    vault_lock(&keeper.certificates.vault);
    vault_touch(&keeper.certificates.vault);
    vault_unlock(&keeper.certificates.vault);
}

static bool is_called(void)
{
    struct pollfd p = {.fd = keeper.certificates.vault.wake, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static uint64_t served(void)
{
    return keeper.certificates.vault.served;
}

static void a_load_carries_them(void)
{
    begin(LOCAL);
    CHECK_EQ_INT(number, 1);
    CHECK(credentials >= 0);
    const struct holding *h = vault_get(&keeper.certificates.vault, SLICE("local:a.internal"));
    REQUIRE(h != NULL);
    CHECK(h->wanted);
    CHECK(holding_valid(h, os_clock_wall_ms() / 1000));
    CHECK(served() == keeper.certificates.sent);
    int wait = certificates_wait_ms(&keeper); // for ticket keys or a renewal, which is far
    CHECK(wait > 60000);
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 0);
    end();
}

static void without_tls_there_is_nothing_to_do(void)
{
    begin(CLEAR);
    CHECK_EQ_INT(certificates_wait_ms(&keeper), -1);
    CHECK(keeper.issuer == NULL);
    end();
}

static void a_change_is_sent_alone_and_once(void)
{
    begin(LOCAL);
    change();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 2);
    change();
    certificates_tick(&keeper); // not before it is known what became of the first
    CHECK_EQ_INT(came_alone(), 0);
    uint64_t before = served();
    certificates_in_force(&keeper, &(struct ipc_done){.number = 1}); // of an older one
    CHECK(served() == before);
    certificates_in_force(&keeper, &(struct ipc_done){.number = 2});
    CHECK(served() > before);
    CHECK(is_called()); // the call of the second change was answered in vain
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 3);
    end();
}

static void a_change_that_went_with_a_refused_document_is_sent_again(void)
{
    begin(LOCAL);
    change();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 2);
    int fd = -1;
    uint64_t other = 0;
    REQUIRE(certificates_stage(&keeper, keeper.certificates.needs, &fd, &other) == 0);
    (void)close(fd);
    certificates_in_force(&keeper, &(struct ipc_done){.number = 2, .error = E_AGAIN});
    certificates_unstage(&keeper);
    CHECK(is_called());
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 4);
    end();
}

static void what_workers_cannot_take_is_noted(void)
{
    begin(LOCAL);
    uint64_t before = served();
    change();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 2);
    struct ipc_done m = {.number = 2, .error = E_NO_MEMORY};
    certificates_in_force(&keeper, &m);
    CHECK(served() == before);
    CHECK(keeper.certificates.vault.failed == keeper.certificates.sent);
    certificates_tick(&keeper); // the same again would fail again
    CHECK_EQ_INT(came_alone(), 0);
    end();
}

static void what_came_at_the_wrong_moment_is_sent_again(void)
{
    begin(LOCAL);
    change();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 2);
    struct ipc_done m = {.number = 2, .error = E_AGAIN};
    certificates_in_force(&keeper, &m);
    int wait = certificates_wait_ms(&keeper);
    CHECK(wait > 0 && wait <= 1000);
    keeper.certificates.retry_at_ms = os_clock_ms();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 3);
    end();
}

static void what_no_document_wants_is_forgotten(void)
{
    begin(LOCAL);
    conf_doc_free(doc);
    struct needs *n = needs_of(CLEAR);
    (void)close(credentials);
    REQUIRE(certificates_stage(&keeper, n, &credentials, &number) == 0);
    CHECK_EQ_INT(number, 2);
    certificates_commit(&keeper, n);
    CHECK(vault_get(&keeper.certificates.vault, SLICE("local:a.internal")) == NULL);
    end();
}

// A new keeper gets from the supervisor what the one before it left in force: the same certificates
// and ticket keys, without a state directory.
static void a_new_keeper_takes_over(void)
{
    begin(LOCAL);
    struct vault *v = &keeper.certificates.vault;
    char chain[8192];
    struct slice before = vault_get(v, SLICE("local:a.internal"))->chain;
    REQUIRE(before.len <= sizeof chain);
    memcpy(chain, before.ptr, before.len);
    before.ptr = chain;
    struct tickets tickets = v->tickets;
    keeper_fini(&keeper);
    keeper_init(&keeper);
    int fd = os_memfd_make("document", conf_doc_bytes(doc));
    REQUIRE(fd >= 0);
    struct ipc_fds fds = {.count = 2, .fd = {fd, credentials}};
    certificates_recover(&keeper, &(struct ipc_doc){.credentials = 7}, &fds);
    const struct holding *h = vault_get(v, SLICE("local:a.internal"));
    REQUIRE(h != NULL);
    CHECK(slice_eq(h->chain, before));
    CHECK(memcmp(&v->tickets, &tickets, sizeof tickets) == 0);
    change();
    certificates_tick(&keeper);
    CHECK_EQ_INT(came_alone(), 8);
    (void)close(fd);
    end();
}

TAP_MAIN(a_load_carries_them, without_tls_there_is_nothing_to_do, a_change_is_sent_alone_and_once,
         a_change_that_went_with_a_refused_document_is_sent_again,
         what_workers_cannot_take_is_noted, what_came_at_the_wrong_moment_is_sent_again,
         what_no_document_wants_is_forgotten, a_new_keeper_takes_over)
