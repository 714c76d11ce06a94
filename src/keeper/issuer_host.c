// SPDX-License-Identifier: Apache-2.0
//
// What an order asks of its host (acme/acme.h): to show a challenge and wait until every core answers
// it, to run the DNS hook, to load and save accounts. Called on the issuer's threads; what the main
// thread has to do is put down in the vault or in the list of hooks, and waited for.

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"

#include "keeper/issuer.h"
#include "keeper/issuer_int.h"
#include "keeper/keeper_int.h"
#include "keeper/records.h"

enum {
    SHOW_LIMIT_S = 60, // for the workers to take new credentials
    HOOK_WAIT_S = 330, // longer than the supervisor lets a hook run
    ANSWER_LOG_MAX = 300,
};

struct vault *issuer_vault(const struct issuer *i)
{
    return &i->keeper->certificates.vault;
}

static struct issuer_run *run_of(struct acme_host *h)
{
    struct issuer_run *run = container_of(h, struct issuer_run, base);
    ensure_magic(run, ISSUER_RUN_MAGIC);
    return run;
}

// Waits for a change of the vault, with its lock. False: the time is over, or we are to end.
static bool wait_changed(struct issuer *i, uint64_t deadline_s)
{
    struct vault *v = issuer_vault(i);
    struct timespec until = {.tv_sec = (time_t)deadline_s};
    int error = pthread_cond_timedwait(&v->changed, &v->lock, &until);
    return error != ETIMEDOUT && !atomic_load(&i->cancel);
}

static uint64_t in_seconds(uint64_t s)
{
    return os_clock_wall_ms() / 1000 + s;
}

// ---- challenges ---------------------------------------------------------------------------------

static int show(struct issuer *i, const struct acme_challenge *c, struct text *why)
{
    struct vault *v = issuer_vault(i);
    bool http = c->kind == ACME_HTTP_01;
    uint64_t deadline = in_seconds(SHOW_LIMIT_S);
    vault_lock(v);
    int error = http ? vault_challenge(v, c->kind, c->token, SLICE(""), c->value)
                     : vault_challenge(v, c->kind, c->name, c->chain, c->key);
    if (error == 0) {
        vault_touch(v);
    }
    uint64_t version = v->version;
    while (error == 0 && v->served < version) {
        if (v->failed >= version) {
            error = E_INTERNAL;
            text_str(why, "the workers could not take the answer to the challenge");
        } else if (!wait_changed(i, deadline)) {
            error = atomic_load(&i->cancel) ? E_DRAINING : E_INTERNAL;
            text_str(why, "the workers did not take the answer to the challenge in time");
        }
    }
    vault_unlock(v);
    return error;
}

static void hide(struct issuer *i, const struct acme_challenge *c)
{
    struct vault *v = issuer_vault(i);
    vault_lock(v);
    vault_withdraw(v, c->kind, c->kind == ACME_HTTP_01 ? c->token : c->name);
    vault_touch(v);
    vault_unlock(v);
}

// ---- hooks --------------------------------------------------------------------------------------

static void unlink_call(struct issuer *i, const struct hook_call *call)
{
    for (struct hook_call **at = &i->hooks; *at != NULL; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            return;
        }
    }
}

static int run_hook(struct issuer_run *run, uint32_t action, const struct acme_challenge *c,
                    struct text *why)
{
    struct issuer *i = run->issuer;
    struct vault *v = issuer_vault(i);
    struct hook_call call = {.request = {.action = action}};
    struct ipc_hook_request *r = &call.request;
    if (run->hook.len == 0 || run->hook.len >= sizeof r->command ||
        c->name.len >= sizeof r->domain || c->value.len >= sizeof r->value) {
        text_str(why, "there is no DNS hook");
        return E_INVALID;
    }
    ipc_set_text(r->command, sizeof r->command, run->hook);
    ipc_set_text(r->domain, sizeof r->domain, c->name);
    ipc_set_text(r->value, sizeof r->value, c->value);
    uint64_t deadline = in_seconds(HOOK_WAIT_S);
    vault_lock(v);
    r->number = ++i->hook_number;
    call.next = i->hooks;
    i->hooks = &call;
    vault_wake(v);
    bool waiting = true;
    while (call.state != HOOK_DONE && waiting) {
        waiting = wait_changed(i, deadline);
    }
    unlink_call(i, &call);
    vault_unlock(v);
    if (call.state != HOOK_DONE) {
        text_str(why, "the DNS hook did not end in time");
        return E_DRAINING;
    }
    if (call.answer.error != 0) {
        text_printf(why, "the DNS hook %s failed: %.*s", r->command, ANSWER_LOG_MAX,
                    call.answer.text);
    }
    return call.answer.error;
}

void issuer_send_hooks(struct keeper *k)
{
    struct issuer *i = k->issuer;
    if (i == NULL) {
        return;
    }
    vault_lock(issuer_vault(i));
    for (struct hook_call *one = i->hooks; one != NULL; one = one->next) {
        if (one->state == HOOK_QUEUED) {
            struct ipc_message m;
            ipc_init(&m, IPC_hook_request);
            m.u.hook_request = one->request;
            int ignored = keeper_send(k, &m, NULL, 0); // when it fails the keeper ends
            (void)ignored;
            one->state = HOOK_SENT;
        }
    }
    vault_unlock(issuer_vault(i));
}

void issuer_hook_ended(struct keeper *k, const struct ipc_hook *m)
{
    struct issuer *i = k->issuer;
    if (i == NULL) {
        return;
    }
    struct vault *v = issuer_vault(i);
    vault_lock(v);
    for (struct hook_call *one = i->hooks; one != NULL; one = one->next) {
        if (one->state == HOOK_SENT && one->request.number == m->number) {
            one->answer = *m;
            one->state = HOOK_DONE;
        }
    }
    ensure(pthread_cond_broadcast(&v->changed) == 0);
    vault_unlock(v);
}

// ---- what the host offers -----------------------------------------------------------------------

static int present(struct acme_host *h, const struct acme_challenge *c, struct text *why)
{
    struct issuer_run *run = run_of(h);
    return c->kind == ACME_DNS_01 ? run_hook(run, IPC_HOOK_PRESENT, c, why)
                                  : show(run->issuer, c, why);
}

static void withdraw(struct acme_host *h, const struct acme_challenge *c)
{
    struct issuer_run *run = run_of(h);
    if (c->kind != ACME_DNS_01) {
        hide(run->issuer, c);
        return;
    }
    char buffer[IPC_TEXT_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    if (run_hook(run, IPC_HOOK_CLEANUP, c, &why) != 0) {
        log_line(LOG_WARN, "a record was not cleaned up name=_acme-challenge.%.*s: %.*s",
                 SLICE_ARG(c->name), (int)why.len, why.ptr);
    }
}

static struct known_account *account_at(struct issuer *i, struct slice directory)
{
    struct known_account *free_one = NULL;
    for (size_t n = 0; n < NEEDS_ISSUERS_MAX; n++) {
        struct known_account *one = &i->accounts[n];
        if (slice_eq(one->directory, directory)) {
            return one;
        }
        free_one = one->directory.len == 0 && free_one == NULL ? one : free_one;
    }
    return free_one != NULL ? free_one : &i->accounts[0];
}

static void remember_account(struct issuer *i, const struct acme_issuer *at, struct slice key,
                             struct slice url)
{
    vault_lock(issuer_vault(i));
    struct known_account *one = account_at(i, at->directory);
    secret_free(&one->directory);
    secret_free(&one->key);
    secret_free(&one->url);
    *one = (struct known_account){secret_dup(at->directory), secret_dup(key), secret_dup(url)};
    i->registered = true;
    vault_unlock(issuer_vault(i));
}

static bool load_account(struct acme_host *h, const struct acme_issuer *at, struct arena *a,
                         struct slice *key, struct slice *url)
{
    struct issuer *i = run_of(h)->issuer;
    vault_lock(issuer_vault(i));
    const struct known_account *one = account_at(i, at->directory);
    bool known = slice_eq(one->directory, at->directory);
    if (known) {
        *key = arena_dup(a, one->key);
        *url = arena_dup(a, one->url);
        known = key->ptr != NULL && url->ptr != NULL;
    }
    vault_unlock(issuer_vault(i));
    if (!known && account_load(i->keeper->state, at, a, key, url)) {
        remember_account(i, at, *key, *url);
        known = true;
    }
    return known;
}

static int save_account(struct acme_host *h, const struct acme_issuer *at, struct slice key,
                        struct slice url)
{
    struct issuer *i = run_of(h)->issuer;
    remember_account(i, at, key, url);
    int error = i->keeper->state >= 0 ? account_save(i->keeper->state, at, key, url) : 0;
    if (error != 0) {
        log_line(LOG_WARN, "the account at %.*s could not be saved: %s", SLICE_ARG(at->name),
                 error_text(error));
    }
    return 0; // it can be used now
}

void issuer_run_init(struct issuer_run *run, struct issuer *i, struct slice hook)
{
    *run = (struct issuer_run){
        .base = {present, withdraw, load_account, save_account, &i->cancel},
        .magic = ISSUER_RUN_MAGIC,
        .issuer = i,
        .hook = hook,
    };
}
