// SPDX-License-Identifier: Apache-2.0
//
// What an order asks of its host: challenges that are shown once the workers serve them, hooks that the
// supervisor runs, accounts that are kept. The test is the keeper's main thread; the order is a thread.

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "keeper/issuer.h"
#include "keeper/issuer_int.h"
#include "keeper/keeper_int.h"

#include "tap.h"

#include "made.h"
#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;
static struct issuer issuer;
static struct issuer_run run;
static pthread_t thread;
static char buffer[512];
static struct text why;

static const struct acme_challenge http = {
    .kind = ACME_HTTP_01,
    .name = SLICE("a.example.com"),
    .token = SLICE("token"),
    .value = SLICE("token.thumbprint"),
};
static const struct acme_challenge dns = {
    .kind = ACME_DNS_01,
    .name = SLICE("a.example.com"),
    .value = SLICE("digest"),
};

static void begin(const char *hook)
{
    fake_open(&supervisor);
    keeper_init(&keeper);
    issuer = (struct issuer){.magic = ISSUER_MAGIC, .keeper = &keeper};
    keeper.issuer = &issuer;
    issuer_run_init(&run, &issuer, slice_str(hook));
    why = text_on(buffer, sizeof buffer - 1);
}

static void end(void)
{
    for (size_t i = 0; i < NEEDS_ISSUERS_MAX; i++) {
        secret_free(&issuer.accounts[i].directory);
        secret_free(&issuer.accounts[i].key);
        secret_free(&issuer.accounts[i].url);
    }
    keeper_fini(&keeper);
    (void)close(IPC_CHANNEL);
    (void)close(supervisor.channel);
}

static void *present(void *challenge)
{
    return (void *)(intptr_t)run.base.present(&run.base, challenge, &why);
}

static void start(const struct acme_challenge *c)
{
    REQUIRE(pthread_create(&thread, NULL, present, (void *)(uintptr_t)c) == 0);
}

static int result(void)
{
    void *error = NULL;
    REQUIRE(pthread_join(thread, &error) == 0);
    buffer[why.len] = '\0';
    return (int)(intptr_t)error;
}

// Waits until the order shows a challenge; with the vault's lock.
static struct vault *shown(void)
{
    struct vault *v = issuer_vault(&issuer);
    vault_lock(v);
    while (v->challenges == NULL) {
        vault_unlock(v);
        (void)sched_yield();
        vault_lock(v);
    }
    return v;
}

static void tell(struct vault *v)
{
    ensure(pthread_cond_broadcast(&v->changed) == 0);
    vault_unlock(v);
}

static void a_challenge_is_shown_when_all_workers_serve_it(void)
{
    begin("");
    start(&http);
    struct vault *v = shown();
    CHECK(slice_eq(v->challenges->id, http.token));
    CHECK(slice_eq(v->challenges->key, http.value));
    v->served = v->version;
    tell(v);
    CHECK_EQ_INT(result(), 0);
    run.base.withdraw(&run.base, &http);
    CHECK(v->challenges == NULL);
    CHECK(v->version > v->served); // the workers are to forget it as well
    end();
}

static void workers_that_cannot_are_a_reason(void)
{
    begin("");
    start(&http);
    struct vault *v = shown();
    v->failed = v->version;
    tell(v);
    CHECK_EQ_INT(result(), E_INTERNAL);
    CHECK(strstr(buffer, "could not take the answer") != NULL);
    end();
}

static void who_ends_waits_no_longer(void)
{
    begin("");
    start(&http);
    struct vault *v = shown();
    atomic_store(&issuer.cancel, true);
    tell(v);
    CHECK_EQ_INT(result(), E_DRAINING);
    end();
}

// Sends what is queued, as the main thread does when it is woken; the request as it came.
static struct ipc_hook_request sent(void)
{
    struct ipc_message m;
    struct ipc_fds fds;
    for (;;) {
        issuer_send_hooks(&keeper);
        if (ipc_recv(supervisor.channel, IPC_KEEPER, &m, &fds, 0) == 0) {
            CHECK_EQ_INT(m.type, IPC_hook_request);
            return m.u.hook_request;
        }
        (void)sched_yield();
    }
}

static void the_supervisor_runs_the_hook(void)
{
    begin("/etc/adit/dns-hook");
    start(&dns);
    struct ipc_hook_request r = sent();
    CHECK_STR(r.command, "/etc/adit/dns-hook");
    CHECK_STR(r.domain, "a.example.com");
    CHECK_STR(r.value, "digest");
    CHECK_EQ_INT(r.action, IPC_HOOK_PRESENT);
    struct ipc_hook other = {.number = r.number + 1, .error = E_INTERNAL};
    issuer_hook_ended(&keeper, &other); // of somebody else
    struct ipc_hook own = {.number = r.number};
    issuer_hook_ended(&keeper, &own);
    CHECK_EQ_INT(result(), 0);
    CHECK(issuer.hooks == NULL);
    end();
}

static void what_the_hook_says_is_the_reason(void)
{
    begin("/etc/adit/dns-hook");
    start(&dns);
    struct ipc_hook m = {.number = sent().number, .error = E_INTERNAL};
    ipc_set_text(m.text, sizeof m.text, SLICE("NOTAUTH"));
    issuer_hook_ended(&keeper, &m);
    CHECK_EQ_INT(result(), E_INTERNAL);
    CHECK_STR(buffer, "the DNS hook /etc/adit/dns-hook failed: NOTAUTH");
    end();
    begin("");
    CHECK_EQ_INT(run.base.present(&run.base, &dns, &why), E_INVALID);
    end();
}

static void accounts_are_kept_in_memory_and_on_disk(void)
{
    static char path[] = "/tmp/adit-host-XXXXXX";
    struct acme_issuer ca = {.name = SLICE("ca"), .directory = SLICE("https://ca/dir")};
    struct acme_issuer other = {.name = SLICE("other"), .directory = SLICE("https://other/dir")};
    struct slice key = {0};
    struct slice url = {0};
    struct made m;
    struct arena a;
    made_new(&m, "a.example.com", 86400);
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    begin("");
    CHECK(!run.base.load_account(&run.base, &ca, &a, &key, &url));
    CHECK(!issuer.registered);
    CHECK_EQ_INT(run.base.save_account(&run.base, &ca, m.key, SLICE("https://ca/1")), 0);
    CHECK(issuer.registered);
    REQUIRE(run.base.load_account(&run.base, &ca, &a, &key, &url));
    CHECK(slice_eq(key, m.key));
    CHECK_TEXT(url.ptr, url.len, "https://ca/1");
    CHECK(!run.base.load_account(&run.base, &other, &a, &key, &url));
    keeper.state = made_dir(path);
    CHECK_EQ_INT(run.base.save_account(&run.base, &ca, m.key, SLICE("https://ca/2")), 0);
    int state = keeper.state;
    end();
    begin("");
    keeper.state = state;
    REQUIRE(run.base.load_account(&run.base, &ca, &a, &key, &url));
    CHECK_TEXT(url.ptr, url.len, "https://ca/2");
    end();
    made_remove(path, state);
    arena_fini(&a);
    made_free(&m);
}

TAP_MAIN(a_challenge_is_shown_when_all_workers_serve_it, workers_that_cannot_are_a_reason,
         who_ends_waits_no_longer, the_supervisor_runs_the_hook, what_the_hook_says_is_the_reason,
         accounts_are_kept_in_memory_and_on_disk)
