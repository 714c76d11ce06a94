// SPDX-License-Identifier: Apache-2.0
//
// Own domains (keeper/grants.h): app.customer.com is its owner's while the TXT record at
// _adit.app.customer.com says so. It is asked for before the first use, then once a day; as long as it
// is not proved soon at first and then every hour. What the name servers say counts at once: no such
// name, or another text, and the domain is taken away. When nobody can say, it stays for three days.
//
// Name servers are asked by a thread that lives as long as one round of questions, so that nobody
// waits for them; what it was told, the main thread takes up and writes down.

#include "keeper/domains.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "net/txt.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "state/state.h"

#include "keeper/keeper_int.h"
#include "keeper/vault.h"

enum {
    FIRST_MS = 10000, // after a question that proved nothing; then twice as long each time
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
    DOUBLED_MAX = 9,
    GRACE_DAYS = 3, // beyond the day after which it is asked again
    RESOLV_CONF_MAX = 64 << 10,
};

struct domain_asker {
    pthread_t thread;
    atomic_bool done;
    int wake; // eventfd of the main thread
    struct txt_client *dns;
    char servers[GRANTS_RESOLVER_MAX];
    int error; // nothing was asked
    uint32_t count;
    struct txt_question questions[TXT_QUESTIONS_MAX];
    char values[TXT_QUESTIONS_MAX][DOMAIN_VALUE_MAX];
};

// ---- what an answer means -----------------------------------------------------------------------

uint64_t domain_due_ms(const struct state_domain *d)
{
    if (d->asked_ms == 0) {
        return 1; // never asked: at once
    }
    if (d->proved_ms != 0) {
        return d->asked_ms + (d->failures == 0 ? DAY_MS : HOUR_MS);
    }
    uint32_t doubled = d->failures < DOUBLED_MAX ? d->failures : DOUBLED_MAX;
    return d->asked_ms + num_min_u64((uint64_t)FIRST_MS << doubled, HOUR_MS);
}

bool domain_judge(struct state_domain *d, const struct txt_question *q, uint64_t now_ms)
{
    bool was = d->proved_ms != 0;
    d->asked_ms = now_ms;
    if (q->error == 0 && q->found) {
        d->proved_ms = now_ms;
        d->failures = 0;
        d->why = SLICE("");
        return !was;
    }
    d->failures++;
    d->why = q->error == E_AGAIN       ? slice_str(q->why)
             : q->error == E_NOT_FOUND ? SLICE("there is no TXT record")
                                       : SLICE("the TXT record says something else");
    uint64_t grace = d->proved_ms + (uint64_t)DAY_MS * (1 + GRACE_DAYS);
    if (!was || (q->error == E_AGAIN && now_ms < grace)) {
        return false;
    }
    d->proved_ms = 0;
    d->failures = 0;
    return true;
}

// ---- the thread ---------------------------------------------------------------------------------

static void *asker_main(void *arg)
{
    struct domain_asker *a = arg;
    struct arena arena;
    struct slice resolv_conf = SLICE("");
    (void)prctl(PR_SET_NAME, "adit-domains", 0, 0, 0);
    arena_init(&arena, NULL, 0, NULL, 2 * RESOLV_CONF_MAX);
    int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        int ignored = os_file_read(fd, RESOLV_CONF_MAX, &arena, &resolv_conf); // empty, then
        (void)ignored;
        (void)close(fd);
    }
    a->error = txt_ask(a->dns, slice_str(a->servers), resolv_conf, a->questions, a->count);
    arena_fini(&arena);
    atomic_store(&a->done, true);
    static const uint64_t one = 1;
    ssize_t ignored = write(a->wake, &one, sizeof one); // it can only be full: then all is well
    (void)ignored;
    return NULL;
}

struct due {
    struct domain_asker *asker;
    uint64_t now_ms;
    uint64_t next_ms; // of those that are not due
};

static void take_due(void *arg, const struct state_domain *d)
{
    struct due *due = arg;
    struct domain_asker *a = due->asker;
    uint64_t at = domain_due_ms(d);
    if (at > due->now_ms || a == NULL || a->count == TXT_QUESTIONS_MAX) {
        at = at > due->now_ms ? at : due->now_ms;
        due->next_ms = due->next_ms == 0 ? at : num_min_u64(due->next_ms, at);
        return;
    }
    struct txt_question *q = &a->questions[a->count];
    int len = snprintf(q->name, sizeof q->name, DOMAIN_LABEL ".%.*s", SLICE_ARG(d->name));
    if (len < 0 || (size_t)len >= sizeof q->name) {
        return; // add-domain takes no name that long
    }
    (void)snprintf(a->values[a->count], DOMAIN_VALUE_MAX, DOMAIN_VALUE "%.*s", SLICE_ARG(d->value));
    q->wanted = slice_str(a->values[a->count]);
    a->count++;
}

static void start(struct keeper *k)
{
    struct keeper_grants *g = &k->grants;
    struct domain_asker *a = g->dns != NULL ? mem_zalloc(sizeof *a) : NULL;
    struct due due = {.asker = a, .now_ms = os_clock_wall_ms()};
    int error = state_domains_each(g->state, take_due, &due);
    g->ask_at_ms = due.next_ms;
    if (a == NULL || error != 0 || a->count == 0) {
        g->ask_at_ms = a == NULL && due.next_ms != 0 ? due.now_ms + HOUR_MS : g->ask_at_ms;
        mem_free(a);
        return;
    }
    a->dns = g->dns;
    a->wake = k->certificates.vault.wake;
    memcpy(a->servers, g->resolver, sizeof a->servers);
    if (pthread_create(&a->thread, NULL, asker_main, a) != 0) {
        log_line(LOG_ERROR, "no thread for asking about domains can be started");
        g->ask_at_ms = due.now_ms + HOUR_MS;
        mem_free(a);
        return;
    }
    g->asker = a;
}

// ---- taking up ----------------------------------------------------------------------------------

struct judged {
    struct domain_asker *asker;
    struct state_domain changed[TXT_QUESTIONS_MAX]; // their texts are on the arena
    uint32_t count;
    struct arena arena;
    bool table; // it is another one for workers
};

static const struct txt_question *question_of(const struct domain_asker *a, struct slice name)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (slice_eq(slice_from(slice_str(a->questions[i].name), strlen(DOMAIN_LABEL ".")), name)) {
            return &a->questions[i];
        }
    }
    return NULL;
}

static void tell(const struct state_domain *d, bool proved)
{
    if (proved) {
        log_line(LOG_INFO, "domain proved name=%.*s owner=%.*s", SLICE_ARG(d->name),
                 SLICE_ARG(d->owner));
    } else {
        log_line(LOG_WARN, "domain taken away name=%.*s owner=%.*s: %.*s", SLICE_ARG(d->name),
                 SLICE_ARG(d->owner), SLICE_ARG(d->why));
    }
}

static void judge_row(void *arg, const struct state_domain *d)
{
    struct judged *j = arg;
    const struct txt_question *q = question_of(j->asker, d->name);
    if (q == NULL || j->count == TXT_QUESTIONS_MAX) {
        return;
    }
    // It may have been removed and added again for another owner while the question was under way.
    struct slice value = slice_from(q->wanted, strlen(DOMAIN_VALUE));
    struct state_domain *to = &j->changed[j->count];
    *to = *d;
    to->name = arena_dup(&j->arena, d->name);
    to->owner = arena_dup(&j->arena, d->owner);
    to->value = arena_dup(&j->arena, d->value);
    if (!slice_eq(value, d->value) || to->name.ptr == NULL || to->owner.ptr == NULL ||
        to->value.ptr == NULL) {
        return;
    }
    j->count++;
    if (domain_judge(to, q, os_clock_wall_ms())) {
        j->table = true;
        tell(to, to->proved_ms != 0);
    }
}

static void take_up(struct keeper *k)
{
    struct keeper_grants *g = &k->grants;
    struct domain_asker *a = g->asker;
    struct judged *j = mem_zalloc(sizeof *j);
    ensure(pthread_join(a->thread, NULL) == 0);
    g->asker = NULL;
    for (uint32_t i = 0; a->error != 0 && i < a->count; i++) {
        a->questions[i].error = E_AGAIN;
        a->questions[i].why =
            a->error == E_NOT_FOUND ? "there is no name server" : error_text(a->error);
    }
    int error = j != NULL ? 0 : E_NO_MEMORY;
    if (j != NULL) {
        arena_init(&j->arena, NULL, 0, NULL, 1 << 20);
        j->asker = a;
        error = state_domains_each(g->state, judge_row, j);
        error = error == 0 ? state_begin(g->state) : error;
        for (uint32_t i = 0; error == 0 && i < j->count; i++) {
            error = state_domain_put(g->state, &j->changed[i]);
        }
        error = state_end(g->state, error);
        if (error == 0 && j->table) {
            (void)grants_send(k, false);
        }
        arena_fini(&j->arena);
    }
    if (error != 0) {
        log_line(LOG_ERROR, "what became of domains cannot be written: %s", error_text(error));
    }
    g->ask_at_ms = error != 0 ? os_clock_wall_ms() + HOUR_MS : 1;
    mem_free(j);
    mem_free(a);
}

void domains_tick(struct keeper *k)
{
    struct keeper_grants *g = &k->grants;
    if (g->asker != NULL && atomic_load(&g->asker->done)) {
        take_up(k);
    }
    if (g->asker == NULL && g->state != NULL && g->ask_at_ms != 0 &&
        os_clock_wall_ms() >= g->ask_at_ms) {
        start(k);
    }
}

bool domains_stop(struct keeper *k)
{
    struct domain_asker *a = k->grants.asker;
    if (a == NULL) {
        return true;
    }
    if (!atomic_load(&a->done)) {
        return false;
    }
    ensure(pthread_join(a->thread, NULL) == 0);
    k->grants.asker = NULL;
    mem_free(a);
    return true;
}
