// SPDX-License-Identifier: Apache-2.0
//
// The issuer's threads (keeper/issuer.h): each takes the most urgent thing that is due, marks its
// holding busy, works without the lock, and writes down what came of it.
//
// What is served is never taken away here: a certificate is replaced by a newer one or stays. A reload
// in the middle of an order changes nothing for the order; its result is kept when the name is still
// wanted by then, and is on disk in any case.

#include "keeper/issuer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"
#include "tls/plan.h"

#include "keeper/issuer_int.h"
#include "keeper/keeper_int.h"
#include "keeper/records.h"

enum {
    JOB_BYTES_MAX = 8 << 20,
    DAY_S = 86400,
    WAIT_MAX_S = 600,    // a wall clock may be set
    STAPLE_MIN_S = 2,    // between two questions, however short its answers last
    STAPLE_RETRY_S = 15, // after a responder that did not answer; doubled each time, up to
    STAPLE_RETRY_MAX_S = 3600,
    MEMORY_RETRY_S = 600,
    WINDOW_RETRY_S = 6 * 3600, // after an issuer that did not say when to renew
    DENIED_S = 60,             // for so long `ask` is not asked again
    DEMAND_PENDING_MAX = 200,  // names on demand without a certificate yet
    DEMAND_FAILURES_MAX = 4,   // then a name is forgotten for a while
    FIRST_ONLY_FAILURES = 2,   // attempts at a renewal that go to the first issuer alone
};

enum job_kind { JOB_NONE, JOB_ORDER, JOB_ASK, JOB_WINDOW, JOB_STAPLE };

// A piece of work, with copies of what it needs: the holding may be given other things meanwhile.
struct job {
    enum job_kind kind;
    struct holding *holding;
    struct needs *needs;
    struct arena arena;
    struct slice chain;
    struct slice hook;
    uint64_t now;
};

static uint64_t now_s(void)
{
    return os_clock_wall_ms() / 1000;
}

// ---- what is due --------------------------------------------------------------------------------

// 0..1, always the same for a name: so that many names are not renewed at once.
static double spread_of(const struct holding *h)
{
    static const struct hash_key fixed = {{0x61646974, 0x72656e65}};
    return (double)(hash_bytes(&fixed, h->id) >> 11) / (double)(UINT64_C(1) << 53);
}

static void plan_renewal(struct holding *h)
{
    const struct acme_window *w = h->window.end > 0 ? &h->window : NULL;
    h->renew_at = acme_renew_at(h->not_before, h->not_after, w, spread_of(h));
}

static uint64_t order_due(struct holding *h, uint64_t now)
{
    if (h->kind != NEED_ACME) {
        return UINT64_MAX;
    }
    if (h->renew) {
        return 0;
    }
    if (h->chain.len > 0 && h->renew_at == 0) {
        plan_renewal(h);
    }
    uint64_t due = holding_valid(h, now) ? h->renew_at : 0;
    return due > h->next_attempt ? due : h->next_attempt;
}

static uint64_t window_due(const struct holding *h)
{
    bool got = h->kind == NEED_ACME && h->chain.len > 0 && h->via[0] != '\0';
    return got ? h->window.ask_again : UINT64_MAX;
}

static uint64_t staple_due(const struct holding *h)
{
    bool asks = h->ocsp && h->responds && h->chain.len > 0 && h->kind != NEED_LOCAL;
    return asks ? h->staple_at : UINT64_MAX;
}

struct search {
    struct issuer *issuer;
    uint64_t now;
    uint64_t due; // the earliest
    enum job_kind kind;
    struct holding *holding;
};

static void consider(struct search *s, struct holding *h, enum job_kind kind, uint64_t due)
{
    if (due < s->due) {
        s->due = due;
        s->kind = kind;
        s->holding = h;
    }
}

static bool is_ordered(const struct issuer *i, struct slice name)
{
    for (uint32_t n = 0; n < i->orders; n++) {
        if (slice_eq(i->ordered[n]->name, name)) {
            return true;
        }
    }
    return false;
}

static void begin_order(struct issuer *i, const struct holding *h)
{
    ensure(i->orders < ISSUER_THREADS);
    i->ordered[i->orders++] = h;
}

static void end_order(struct issuer *i, const struct holding *h)
{
    uint32_t at = 0;
    while (at < i->orders && i->ordered[at] != h) {
        at++;
    }
    ensure(at < i->orders);
    i->ordered[at] = i->ordered[--i->orders];
}

static void look_at(void *arg, struct holding *h)
{
    struct search *s = arg;
    if (h->staple_until != 0 && s->now >= h->staple_until && !h->busy) {
        int ignored = holding_staple(h, SLICE(""), 0); // better none than one that is over
        (void)ignored;
        vault_touch(issuer_vault(s->issuer));
    }
    if (h->staple_until > s->now) {
        consider(s, h, JOB_NONE, h->staple_until); // to be taken away then
    }
    if (!h->wanted || h->busy) {
        return;
    }
    // Until an account is known orders come one by one, or each would register its own.
    bool alone = !s->issuer->registered && s->issuer->orders > 0;
    // Two orders for one name (of an ECDSA and an RSA key) would take each other's place in the answer
    // to a challenge by TLS.
    alone = alone || is_ordered(s->issuer, h->name);
    bool must_ask = h->on_demand && !h->allowed;
    if (must_ask) {
        consider(s, h, JOB_ASK, order_due(h, s->now));
    } else if (!alone) {
        consider(s, h, JOB_ORDER, order_due(h, s->now));
    }
    consider(s, h, JOB_WINDOW, window_due(h));
    consider(s, h, JOB_STAPLE, staple_due(h));
}

// Waits until something is due. False: we are to end. With the lock.
static bool find_job(struct issuer *i, struct job *job)
{
    struct vault *v = issuer_vault(i);
    while (!atomic_load(&i->cancel)) {
        struct search s = {.issuer = i, .now = now_s(), .due = UINT64_MAX};
        if (i->keeper->certificates.needs != NULL) {
            vault_each(v, look_at, &s);
        }
        if (s.kind != JOB_NONE && s.due <= s.now) {
            *job = (struct job){.kind = s.kind, .holding = s.holding, .now = s.now};
            return true;
        }
        uint64_t pause = s.due == UINT64_MAX ? WAIT_MAX_S : num_min_u64(s.due - s.now, WAIT_MAX_S);
        struct timespec until = {.tv_sec = (time_t)(s.now + pause)};
        (void)pthread_cond_timedwait(&v->changed, &v->lock, &until);
    }
    return false;
}

static int begin_job(struct issuer *i, struct job *job)
{
    struct holding *h = job->holding;
    arena_init(&job->arena, NULL, 0, NULL, JOB_BYTES_MAX);
    job->chain = arena_dup(&job->arena, h->chain);
    job->hook = arena_dup(&job->arena, h->hook);
    job->needs = needs_ref(i->keeper->certificates.needs);
    h->busy = true;
    i->working++;
    if (job->kind == JOB_ORDER) {
        begin_order(i, h);
    }
    return job->chain.ptr != NULL && job->hook.ptr != NULL ? 0 : E_NO_MEMORY;
}

static void end_job(struct issuer *i, struct job *job)
{
    struct vault *v = issuer_vault(i);
    job->holding->busy = false;
    i->working--;
    if (job->kind == JOB_ORDER) {
        end_order(i, job->holding);
    }
    needs_unref(job->needs);
    arena_fini(&job->arena);
    if (!job->holding->wanted) {
        vault_drop(v, job->holding);
    }
    ensure(pthread_cond_broadcast(&v->changed) == 0);
}

// ---- names on demand ----------------------------------------------------------------------------

static uint64_t hash_of(const struct issuer *i, struct slice name)
{
    return hash_bytes(&i->keeper->certificates.vault.seed, name);
}

static void deny(struct issuer *i, struct slice name, uint64_t until)
{
    i->denied[i->denied_next++ % ISSUER_DENIED_MAX] = (struct denied_name){hash_of(i, name), until};
}

static bool is_denied(const struct issuer *i, struct slice name, uint64_t now)
{
    uint64_t hash = hash_of(i, name);
    for (size_t n = 0; n < ISSUER_DENIED_MAX; n++) {
        if (i->denied[n].hash == hash && now < i->denied[n].until) {
            return true;
        }
    }
    return false;
}

// `on_demand_limit`: a bucket that fills with time.
static bool within_limit(struct issuer *i, const struct needs *n)
{
    uint64_t now = os_clock_ms();
    double rate = (double)n->limit / (double)n->limit_ms;
    if (i->tokens_at_ms == 0) {
        i->tokens = n->limit;
    } else {
        i->tokens += (double)(now - i->tokens_at_ms) * rate;
    }
    i->tokens = i->tokens > n->limit ? n->limit : i->tokens;
    i->tokens_at_ms = now;
    if (i->tokens < 1) {
        return false;
    }
    i->tokens -= 1;
    return true;
}

static void run_ask(struct issuer *i, struct job *job)
{
    struct holding *h = job->holding;
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    int error = job->needs->ask.len > 0 ? acme_ask(job->needs->ask, h->name, &why) : E_DENIED;
    vault_lock(issuer_vault(i));
    if (error == 0 && h->chain.len == 0 && !within_limit(i, job->needs)) {
        error = E_OVERLOADED;
        text_str(&why, "`on_demand_limit` is reached");
    }
    h->allowed = error == 0;
    if (error != 0) {
        log_line(LOG_WARN, "no certificate on demand name=%.*s: %.*s", SLICE_ARG(h->name),
                 (int)why.len, why.ptr);
        deny(i, h->name, job->now + DENIED_S);
        h->next_attempt = job->now + DAY_S; // for one that is to be renewed
        h->renew = false;
        h->wanted = h->chain.len > 0;
    }
    vault_unlock(issuer_vault(i));
}

// Lower-case letters, digits, dashes and dots, with a dot: what a client may ask a certificate for.
static bool is_host(struct slice name)
{
    for (size_t n = 0; n < name.len; n++) {
        char c = name.ptr[n];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return name.len > 2 && name.ptr[0] != '.' && name.ptr[name.len - 1] != '.' &&
           slice_find_char(name, '.') > 0;
}

static void count_pending(void *arg, struct holding *h)
{
    uint32_t *count = arg;
    *count += h->on_demand && h->chain.len == 0;
}

static void want_new(struct keeper *k, struct slice id, struct slice name)
{
    struct certificates *c = &k->certificates;
    uint32_t pending = 0;
    vault_each(&c->vault, count_pending, &pending);
    if (pending >= DEMAND_PENDING_MAX || is_denied(k->issuer, name, now_s())) {
        return;
    }
    struct holding *h = vault_add(&c->vault, NEED_ACME, id, name);
    if (h == NULL) {
        return;
    }
    h->on_demand = true;
    h->wanted = true;
    h->ocsp = true;
    h->rsa = !c->needs->keys[0];
    h->hook = secret_dup(c->needs->on_demand_hook);
    record_load(h, k->state, now_s()); // an edge before this one may have got it
    if (h->chain.len > 0) {
        vault_touch(&c->vault);
    }
}

void issuer_want(struct keeper *k, const char *text)
{
    struct certificates *c = &k->certificates;
    struct slice name = slice_str(text);
    char buffer[IPC_NAME_MAX + 8];
    struct text id = text_on(buffer, sizeof buffer);
    text_printf(&id, "acme:%.*s", SLICE_ARG(name));
    if (c->needs == NULL || !c->needs->on_demand || !is_host(name) || k->issuer == NULL) {
        return;
    }
    vault_lock(&c->vault);
    if (vault_get(&c->vault, text_slice(&id)) == NULL) {
        want_new(k, text_slice(&id), name);
    }
    ensure(pthread_cond_broadcast(&c->vault.changed) == 0);
    vault_unlock(&c->vault);
}

// ---- orders -------------------------------------------------------------------------------------

static void fill_request(const struct job *job, uint32_t at, struct slice *name,
                         struct acme_request *r)
{
    const struct needs *n = job->needs;
    const struct holding *h = job->holding;
    *name = h->name;
    if (name->len > 2 && name->ptr[0] == '[') { // an IPv6 address
        *name = slice_sub(*name, 1, name->len - 2);
    }
    *r = (struct acme_request){
        .issuer = &n->issuers[at],
        .names = name,
        .name_count = 1,
        .challenges = n->challenges,
        .order = {n->order[0], n->order[1]},
        .key = h->rsa ? ACME_KEY_RSA : ACME_KEY_ECDSA,
    };
    if (job->hook.len > 0) {
        r->challenges = ACME_DNS_01;
        r->order[0] = ACME_DNS_01;
    }
    if (slice_eq(slice_str(h->via), n->issuers[at].name)) {
        r->replaces = job->chain;
    }
}

// A date for people: "2026-11-23 09:30 UTC".
static void put_date(struct text *out, uint64_t seconds)
{
    char buffer[32];
    time_t t = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&t, &parts) != NULL &&
        strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M UTC", &parts) > 0) {
        text_str(out, buffer);
    }
}

static void tell_success(const struct holding *h)
{
    char buffer[128];
    struct text t = text_on(buffer, sizeof buffer);
    text_str(&t, "expires ");
    put_date(&t, h->not_after);
    text_str(&t, ", renewed from ");
    put_date(&t, h->renew_at);
    log_line(LOG_INFO, "certificate got name=%.*s issuer=%s: %.*s", SLICE_ARG(h->name), h->via,
             (int)t.len, t.ptr);
}

// On disk first: a crash must not lose what a CA has counted against its limits.
static void take_certificate(struct issuer *i, struct job *job, uint32_t at,
                             const struct acme_result *got)
{
    struct holding *h = job->holding;
    struct vault *v = issuer_vault(i);
    int dir = i->keeper->state;
    int kept = dir >= 0 ? record_save(h, dir, got->chain, got->key) : 0;
    if (kept != 0) {
        log_line(LOG_ERROR, "a certificate could not be saved name=%.*s: %s", SLICE_ARG(h->name),
                 error_text(kept));
    }
    vault_lock(v);
    int error = holding_set(h, got->chain, got->key);
    if (error == 0) {
        ipc_set_text(h->via, sizeof h->via, job->needs->issuers[at].name);
        h->failures = 0;
        h->error[0] = '\0';
        h->next_attempt = 0;
        h->renew = false;
        h->window = (struct acme_window){0};
        plan_renewal(h);
        vault_touch(v);
    }
    struct holding copy = *h;
    vault_unlock(v);
    record_status(&copy, dir);
    if (error == 0) {
        tell_success(&copy);
    } else {
        log_line(LOG_ERROR, "a certificate cannot be used name=%.*s: %s", SLICE_ARG(h->name),
                 error_text(error));
    }
}

static void note_failure(struct issuer *i, struct job *job, const struct text *why,
                         uint64_t retry_after_ms)
{
    struct holding *h = job->holding;
    struct vault *v = issuer_vault(i);
    uint64_t now = now_s();
    vault_lock(v);
    bool serves = holding_valid(h, now);
    h->failures++;
    h->renew = false;
    ipc_set_text(h->error, sizeof h->error, text_slice(why));
    h->next_attempt =
        now + acme_backoff_s(h->failures, retry_after_ms, serves ? h->not_after - now : 0);
    bool forget = h->on_demand && !serves && h->failures >= DEMAND_FAILURES_MAX;
    if (forget) {
        deny(i, h->name, h->next_attempt);
        h->wanted = false;
    }
    struct holding copy = *h;
    vault_unlock(v);
    record_status(&copy, i->keeper->state);
    char buffer[64];
    struct text next = text_on(buffer, sizeof buffer);
    put_date(&next, copy.next_attempt);
    log_line(LOG_ERROR, "no certificate name=%.*s: %s; %s, next attempt %.*s", SLICE_ARG(h->name),
             copy.error, serves ? "the one before is served on" : "there is none to serve",
             (int)next.len, next.ptr);
}

// The issuers in their order. The first alone while what is served lasts and it has failed but a
// little; all of them when a certificate is wanted badly.
static void run_order(struct issuer *i, struct job *job)
{
    struct holding *h = job->holding;
    const struct needs *n = job->needs;
    bool all = !holding_valid(h, job->now) || h->failures >= FIRST_ONLY_FAILURES;
    char buffer[HOLDING_ERROR_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    uint64_t retry_after_ms = 0;
    for (uint32_t at = 0; at < n->issuer_count && (at == 0 || all); at++) {
        struct slice name;
        struct acme_request request;
        struct acme_result got = {0};
        struct issuer_run run;
        fill_request(job, at, &name, &request);
        issuer_run_init(&run, i, job->hook);
        log_line(LOG_INFO, "certificate ordered name=%.*s issuer=%.*s", SLICE_ARG(h->name),
                 SLICE_ARG(n->issuers[at].name));
        acme_obtain(&request, &run.base, &job->arena, &got);
        if (got.error == 0) {
            take_certificate(i, job, at, &got);
            return;
        }
        if (atomic_load(&i->cancel)) {
            return;
        }
        text_printf(&why, "%s%.*s: ", why.len > 0 ? "; " : "", SLICE_ARG(n->issuers[at].name));
        text_put(&why, slice_sub(got.why, 0, why.capacity - why.len));
        retry_after_ms = got.retry_after_ms > retry_after_ms ? got.retry_after_ms : retry_after_ms;
    }
    note_failure(i, job, &why, retry_after_ms);
}

// ---- when to renew, and staples -----------------------------------------------------------------

static void run_window(struct issuer *i, struct job *job)
{
    struct holding *h = job->holding;
    const struct acme_issuer *from = NULL;
    for (uint32_t at = 0; at < job->needs->issuer_count; at++) {
        if (slice_eq(slice_str(h->via), job->needs->issuers[at].name)) {
            from = &job->needs->issuers[at];
        }
    }
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    struct acme_window window = {0};
    int error = from != NULL ? acme_renewal_window(from, job->chain, &window, &why) : E_UNSUPPORTED;
    vault_lock(issuer_vault(i));
    uint64_t before = h->renew_at;
    if (error == 0) {
        h->window = window;
        plan_renewal(h);
    }
    uint64_t pause = error == E_UNSUPPORTED ? DAY_S : WINDOW_RETRY_S;
    if (error != 0 || h->window.ask_again <= job->now) {
        h->window.ask_again = job->now + pause;
    }
    struct holding copy = *h;
    vault_unlock(issuer_vault(i));
    record_status(&copy, i->keeper->state);
    if (error == 0 && copy.renew_at < before) {
        log_line(LOG_INFO, "the issuer wants an earlier renewal name=%.*s", SLICE_ARG(h->name));
    } else if (error != 0 && error != E_UNSUPPORTED) {
        log_line(LOG_DEBUG, "the issuer does not say when to renew name=%.*s: %.*s",
                 SLICE_ARG(h->name), (int)why.len, why.ptr);
    }
}

// Half of its life later; after a failure soon, and then less and less often.
static uint64_t next_staple_at(struct holding *h, uint64_t now, uint64_t until, int error)
{
    if (error == 0) {
        uint64_t half = until > now ? (until - now) / 2 : 0;
        h->staple_failures = 0;
        return now + (half > STAPLE_MIN_S ? half : STAPLE_MIN_S);
    }
    uint64_t pause = (uint64_t)STAPLE_RETRY_S << num_min_u64(h->staple_failures++, 16);
    return error == E_UNSUPPORTED ? UINT64_MAX : now + num_min_u64(pause, STAPLE_RETRY_MAX_S);
}

static void run_staple(struct issuer *i, struct job *job)
{
    struct holding *h = job->holding;
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    struct slice der = SLICE("");
    uint64_t next = 0;
    int error = acme_ocsp(job->chain, &job->arena, &der, &next, &why);
    vault_lock(issuer_vault(i));
    bool same = slice_eq(h->chain, job->chain); // a reload may have brought another one
    if (error == 0 && same) {
        error = holding_staple(h, der, next);
        vault_touch(issuer_vault(i));
    }
    if (same) {
        h->staple_at = next_staple_at(h, now_s(), next, error);
    }
    if (error == E_DENIED && same && h->kind == NEED_ACME) {
        h->renew_at = job->now; // revoked: nobody will believe it any more
    }
    vault_unlock(issuer_vault(i));
    if (error != 0 && error != E_UNSUPPORTED) {
        log_line(error == E_DENIED ? LOG_ERROR : LOG_WARN,
                 "no OCSP answer to staple name=%.*s: %.*s", SLICE_ARG(h->name), (int)why.len,
                 why.ptr);
    }
}

// ---- threads ------------------------------------------------------------------------------------

static void run_job(struct issuer *i, struct job *job)
{
    switch (job->kind) {
    case JOB_ORDER:
        run_order(i, job);
        break;
    case JOB_ASK:
        run_ask(i, job);
        break;
    case JOB_WINDOW:
        run_window(i, job);
        break;
    case JOB_STAPLE:
        run_staple(i, job);
        break;
    case JOB_NONE:
        break;
    }
}

static void *issuer_main(void *arg)
{
    struct issuer *i = arg;
    struct vault *v = issuer_vault(i);
    struct job job;
    ensure_magic(i, ISSUER_MAGIC);
    (void)prctl(PR_SET_NAME, "adit-issuer", 0, 0, 0);
    vault_lock(v);
    while (find_job(i, &job)) {
        int error = begin_job(i, &job);
        if (error == 0) {
            vault_unlock(v);
            run_job(i, &job);
            vault_lock(v);
        } else {
            job.holding->next_attempt = job.now + MEMORY_RETRY_S;
            job.holding->staple_at = job.now + MEMORY_RETRY_S;
            job.holding->window.ask_again = job.now + MEMORY_RETRY_S;
        }
        end_job(i, &job);
    }
    vault_unlock(v);
    return NULL;
}

static void note_work(void *arg, struct holding *h)
{
    bool *work = arg;
    *work = *work || h->kind == NEED_ACME || (h->ocsp && h->responds);
}

void issuer_start(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    bool work = c->needs->on_demand;
    vault_lock(&c->vault);
    vault_each(&c->vault, note_work, &work);
    vault_unlock(&c->vault);
    if (!work || k->issuer != NULL) {
        return;
    }
    struct issuer *i = mem_zalloc(sizeof *i);
    if (i == NULL) {
        log_line(LOG_ERROR, "no memory for getting certificates");
        return;
    }
    i->magic = ISSUER_MAGIC;
    i->keeper = k;
    k->issuer = i;
    while (i->threads < ISSUER_THREADS &&
           pthread_create(&i->thread[i->threads], NULL, issuer_main, i) == 0) {
        i->threads++;
    }
    if (i->threads == 0) {
        log_line(LOG_ERROR, "no thread for getting certificates can be started");
    }
}

bool issuer_stop(struct keeper *k)
{
    struct issuer *i = k->issuer;
    if (i == NULL) {
        return true;
    }
    struct vault *v = issuer_vault(i);
    vault_lock(v);
    atomic_store(&i->cancel, true);
    acme_stop();
    ensure(pthread_cond_broadcast(&v->changed) == 0);
    bool idle = i->working == 0;
    vault_unlock(v);
    if (!idle) {
        return false;
    }
    for (uint32_t n = 0; n < i->threads; n++) {
        ensure(pthread_join(i->thread[n], NULL) == 0);
    }
    for (size_t n = 0; n < NEEDS_ISSUERS_MAX; n++) {
        secret_free(&i->accounts[n].directory);
        secret_free(&i->accounts[n].key);
        secret_free(&i->accounts[n].url);
    }
    k->issuer = NULL;
    i->magic = 0;
    mem_free(i);
    return true;
}
