// SPDX-License-Identifier: Apache-2.0
//
// Certificates on the keeper's main thread (keeper/certificates.h).
//
// Only this thread talks to the supervisor. Credentials are sent with a plan, or alone when only they
// changed; alone only one at a time, and never while a load is under way, so that there is no doubt
// about which ones are in force.

#include "keeper/certificates.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "tls/credentials.h"

#include "keeper/bundle.h"
#include "keeper/issuer.h"
#include "keeper/keeper_int.h"
#include "keeper/local.h"
#include "keeper/records.h"
#include "keeper/sticky_key.h"

enum {
    RETRY_MS = 1000,   // until credentials that came at the wrong moment are sent again
    WAIT_MAX_S = 3600, // a wall clock may be set
    LOCAL_RETRY_MS = 60000,
};

static uint64_t now_s(void)
{
    return os_clock_wall_ms() / 1000;
}

void certificates_init(struct certificates *c)
{
    *c = (struct certificates){0};
    vault_init(&c->vault);
    c->vault.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

// ---- with a load --------------------------------------------------------------------------------

static void recall_name(void *arg, struct slice name)
{
    struct keeper *k = arg;
    char buffer[IPC_NAME_MAX + 8];
    struct text id = text_on(buffer, sizeof buffer);
    text_printf(&id, "acme:%.*s", SLICE_ARG(name));
    struct holding *h =
        id.overflow ? NULL : vault_add(&k->certificates.vault, NEED_ACME, text_slice(&id), name);
    if (h == NULL || h->looked) {
        return;
    }
    h->on_demand = true;
    h->wanted = true;
    h->ocsp = true;
    record_load(h, k->state, now_s());
}

// Certificates of ACME that are on disk.
static void recall(struct keeper *k, const struct needs *n)
{
    struct vault *v = &k->certificates.vault;
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        struct holding *h =
            one->kind == NEED_ACME ? vault_add(v, NEED_ACME, one->id, one->name) : NULL;
        if (h != NULL && !h->looked) {
            record_load(h, k->state, now_s());
        }
    }
    if (n->on_demand && !k->certificates.recalled) {
        records_on_demand(k->state, recall_name, k);
        k->certificates.recalled = true;
    }
}

int certificates_stage(struct keeper *k, struct needs *n, int *fd, uint64_t *number)
{
    struct certificates *c = &k->certificates;
    int error = 0;
    vault_lock(&c->vault);
    recall(k, n);
    (void)local_renew(&c->vault, n, k->state, now_s(), &error);
    (void)tickets_rotate(&c->vault.tickets, now_s());
    sticky_key_ready(&c->vault, k->state);
    *fd = bundle_make(&c->vault, n);
    c->sent = c->vault.version;
    vault_unlock(&c->vault);
    if (*fd < 0) {
        return *fd;
    }
    c->awaiting = false; // the supervisor forgets those that it had not passed on
    *number = ++c->number;
    return 0;
}

void certificates_unstage(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    vault_lock(&c->vault);
    c->sent = 0; // nobody took them: those of the document in force are to be sent again
    vault_wake(&c->vault);
    vault_unlock(&c->vault);
}

static void unwant(void *arg, struct holding *h)
{
    const struct needs *n = arg;
    h->wanted = h->on_demand && n->on_demand;
}

static void want(struct keeper *k, const struct need *one)
{
    struct vault *v = &k->certificates.vault;
    if (one->kind == NEED_AUTHORITY || (one->kind == NEED_FILES && !one->ocsp)) {
        return;
    }
    struct slice name = one->kind == NEED_FILES ? one->cert : one->name;
    struct holding *h = vault_add(v, one->kind, one->id, name);
    if (h == NULL) {
        return;
    }
    h->wanted = true;
    h->ocsp = one->ocsp;
    h->rsa = one->rsa;
    if (one->kind == NEED_FILES) {
        int ignored = holding_set(h, one->chain, SLICE("")); // then it has no staple
        (void)ignored;
    }
    if (one->kind == NEED_ACME && !slice_eq(h->hook, one->hook)) {
        secret_free(&h->hook);
        h->hook = secret_dup(one->hook);
        h->next_attempt = 0; // who changes it wants to see whether it works now
    }
}

static bool keeps_something(const struct needs *n)
{
    bool keeps = n->on_demand;
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        keeps = keeps || one->kind == NEED_LOCAL || one->kind == NEED_ACME;
    }
    return keeps;
}

static void warn_without_state(struct keeper *k)
{
    if (k->state >= 0 || k->certificates.warned || !keeps_something(k->certificates.needs)) {
        return;
    }
    k->certificates.warned = true;
    log_line(LOG_WARN, "certificates, keys and accounts are not kept when adit ends, because there "
                       "is no state directory that can be written to; name one with --state DIR");
}

void certificates_commit(struct keeper *k, struct needs *n)
{
    struct certificates *c = &k->certificates;
    struct needs *old = c->needs;
    vault_lock(&c->vault);
    vault_each(&c->vault, unwant, n);
    for (const struct need *one = n->first; one != NULL; one = one->next) {
        want(k, one);
    }
    vault_sweep(&c->vault);
    c->needs = n;
    c->vault.served = c->sent;
    ensure(pthread_cond_broadcast(&c->vault.changed) == 0);
    needs_unref(old);
    vault_unlock(&c->vault);
    warn_without_state(k);
    issuer_start(k);
}

// ---- between loads ------------------------------------------------------------------------------

static void send_changed(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    vault_lock(&c->vault);
    uint64_t version = c->vault.version;
    int fd = version != c->sent ? bundle_make(&c->vault, c->needs) : E_NOT_FOUND;
    vault_unlock(&c->vault);
    if (fd == E_NOT_FOUND) {
        return;
    }
    c->sent = version;
    if (fd < 0) {
        log_line(LOG_ERROR, "new certificates cannot be given to the workers: %s", error_text(fd));
        return;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_credentials);
    m.u.credentials.number = ++c->number;
    c->awaiting = keeper_send(k, &m, &fd, 1) == 0;
    (void)close(fd);
}

void certificates_in_force(struct keeper *k, const struct ipc_done *m)
{
    struct certificates *c = &k->certificates;
    if (!c->awaiting || m->number != c->number) {
        return;
    }
    c->awaiting = false;
    if (m->error == E_AGAIN) {
        c->sent = 0; // a version is never so low again
        c->retry_at_ms = os_clock_ms() + RETRY_MS;
        return;
    }
    vault_lock(&c->vault);
    if (m->error == 0) {
        c->vault.served = c->sent;
    } else {
        c->vault.failed = c->sent;
        log_line(LOG_ERROR, "the workers could not take new certificates: %s; those before stay",
                 m->text[0] != '\0' ? m->text : error_text(m->error));
    }
    // What changed meanwhile has been waiting for this, and its call may have been answered already.
    vault_wake(&c->vault);
    ensure(pthread_cond_broadcast(&c->vault.changed) == 0);
    vault_unlock(&c->vault);
}

void certificates_tick(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    uint64_t ignored = 0;
    if (read(c->vault.wake, &ignored, sizeof ignored) < 0) {
        ignored = 0; // nobody called
    }
    issuer_send_hooks(k);
    if (c->needs == NULL || k->ending) {
        return;
    }
    int error = 0;
    vault_lock(&c->vault);
    bool changed = local_renew(&c->vault, c->needs, k->state, now_s(), &error);
    changed = (c->needs->listens && tickets_rotate(&c->vault.tickets, now_s())) || changed;
    if (changed) {
        vault_touch(&c->vault);
    }
    vault_unlock(&c->vault);
    if (error != 0) {
        c->retry_at_ms = os_clock_ms() + LOCAL_RETRY_MS;
    }
    if (!c->awaiting && os_clock_ms() >= c->retry_at_ms) {
        c->retry_at_ms = 0;
        send_changed(k);
    }
}

int certificates_wait_ms(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    if (c->needs == NULL) {
        return -1;
    }
    if (c->retry_at_ms != 0) {
        uint64_t now = os_clock_ms();
        return c->retry_at_ms > now ? (int)(c->retry_at_ms - now) : 0;
    }
    vault_lock(&c->vault);
    uint64_t due = c->needs->listens ? tickets_due(&c->vault.tickets) : UINT64_MAX;
    due = num_min_u64(due, local_due(&c->vault, c->needs));
    vault_unlock(&c->vault);
    if (due == UINT64_MAX) {
        return -1;
    }
    uint64_t now = now_s();
    return due > now ? (int)num_min_u64(due - now, WAIT_MAX_S) * 1000 : 0;
}

// ---- taking over --------------------------------------------------------------------------------

void certificates_recover(struct keeper *k, const struct ipc_doc *doc, const struct ipc_fds *fds)
{
    struct certificates *c = &k->certificates;
    struct slice bytes = {0};
    struct slice credentials = {0};
    const struct conf_doc *checked = NULL;
    struct needs *n = NULL;
    if (os_memfd_map(fds->fd[0], IPC_DOC_MAX, &bytes) == 0 &&
        conf_doc_open(bytes.ptr, bytes.len, &checked) == 0) {
        n = needs_new(checked);
    }
    if (n != NULL && fds->count > 1 &&
        os_memfd_map(fds->fd[1], CREDENTIALS_BYTES_MAX, &credentials) == 0) {
        vault_lock(&c->vault);
        recall(k, n);
        bundle_recover(&c->vault, n, credentials);
        c->sent = c->vault.version;
        vault_unlock(&c->vault);
    }
    os_memfd_unmap(credentials);
    os_memfd_unmap(bytes);
    c->number = doc->credentials;
    if (n == NULL) {
        log_line(LOG_ERROR, "the keeper could not take over the certificates; `adit reload` helps");
        return;
    }
    certificates_commit(k, n);
}
