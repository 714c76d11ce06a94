// SPDX-License-Identifier: Apache-2.0
//
// Passive ejection (upstream/eject.h). The rule for success rates is that of Envoy's outlier detection
// (mean less 1.9 standard deviations, servers with too few requests left out) with one addition: the
// rate must also be five points below the mean. Without it one failure in ten thousand ejects a server
// whose four neighbours had none, for the deviation is then made by that server alone.

#include "upstream/eject.h"

#include <stdlib.h>

#include "base/num.h"
#include "conf/doc.h"
#include "proxy/upstream.h"
#include "upstream/balance.h"

#define EJECT_DEVIATIONS 1.9
#define EJECT_RATE_GAP   0.05

enum { EJECTIONS_MAX = 1000 };

void eject_server_init(struct eject_server *s, struct vitals *v, struct eject_group *g)
{
    *s = (struct eject_server){.vitals = v, .group = g};
}

void eject_resize(struct eject_group *g, const struct eject_settings *settings, uint32_t servers)
{
    uint32_t limit = (uint32_t)((uint64_t)servers * settings->at_most / 100);
    limit += limit == 0 && servers > 1 && settings->at_most > 0;
    atomic_store_explicit(&g->limit, limit, memory_order_relaxed);
}

/** A place among the ejected, if the limit has one left. */
static bool reserve(struct eject_group *g)
{
    unsigned limit = atomic_load_explicit(&g->limit, memory_order_relaxed);
    unsigned ejected = atomic_load_explicit(&g->ejected, memory_order_relaxed);
    while (ejected < limit) {
        if (atomic_compare_exchange_weak_explicit(&g->ejected, &ejected, ejected + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void give_back(struct eject_group *g)
{
    unsigned before = atomic_fetch_sub_explicit(&g->ejected, 1, memory_order_relaxed);
    ensure(before > 0);
}

static uint64_t duration_ms(const struct eject_settings *settings, uint32_t times)
{
    uint64_t most = settings->for_ms > EJECT_MS_MAX ? settings->for_ms : EJECT_MS_MAX;
    return num_min_u64((uint64_t)settings->for_ms * times, most);
}

static bool clear(struct eject_server *s)
{
    unsigned before = atomic_fetch_and_explicit(&s->vitals->bits, ~(unsigned)VITALS_EJECTED,
                                                memory_order_acq_rel);
    if ((before & VITALS_EJECTED) == 0) {
        return false;
    }
    give_back(s->group);
    return true;
}

static bool eject(const struct eject_settings *settings, struct eject_server *s, uint64_t now_ms)
{
    struct vitals *v = s->vitals;
    const unsigned out = VITALS_DOWN | VITALS_EJECTED | VITALS_MAINTENANCE | VITALS_GONE;
    if ((atomic_load_explicit(&v->bits, memory_order_relaxed) & out) != 0 || !reserve(s->group)) {
        return false;
    }
    uint32_t times = atomic_load_explicit(&v->ejections, memory_order_relaxed) + 1;
    // Before the bit: who sees the bit must find its end.
    atomic_store_explicit(&v->ejected_until_ms, now_ms + duration_ms(settings, times),
                          memory_order_relaxed);
    unsigned before = atomic_fetch_or_explicit(&v->bits, VITALS_EJECTED, memory_order_acq_rel);
    if ((before & VITALS_EJECTED) != 0) {
        give_back(s->group); // another core was quicker
        return false;
    }
    if ((before & VITALS_GONE) != 0) {
        (void)clear(s); // eject_forget() was quicker
        return false;
    }
    if (times <= EJECTIONS_MAX) {
        atomic_store_explicit(&v->ejections, times, memory_order_relaxed);
    }
    (void)atomic_fetch_add_explicit(&s->group->ejections, 1, memory_order_relaxed);
    return true;
}

static void reset_interval(struct eject_server *s)
{
    atomic_store_explicit(&s->total, 0, memory_order_relaxed);
    atomic_store_explicit(&s->failed, 0, memory_order_relaxed);
    atomic_store_explicit(&s->timed, 0, memory_order_relaxed);
    atomic_store_explicit(&s->latency_us, 0, memory_order_relaxed);
}

static void let_in(struct eject_server *s, uint64_t now_ms)
{
    atomic_store_explicit(&s->vitals->streak, 0, memory_order_relaxed);
    atomic_store_explicit(&s->vitals->ready_since_ms, now_ms, memory_order_relaxed);
    reset_interval(s);
    (void)clear(s);
}

void eject_forget(struct eject_server *s)
{
    (void)clear(s);
}

static void count(const struct eject_settings *settings, struct eject_server *s, bool bad,
                  const struct upstream_outcome *o)
{
    if (settings->success_rate) {
        (void)atomic_fetch_add_explicit(&s->total, 1, memory_order_relaxed);
        if (bad) {
            (void)atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
        }
    }
    if (settings->latency != 0 && o->latency_ns != 0) {
        (void)atomic_fetch_add_explicit(&s->timed, 1, memory_order_relaxed);
        (void)atomic_fetch_add_explicit(&s->latency_us, o->latency_ns / 1000, memory_order_relaxed);
    }
}

bool eject_observe(const struct eject_settings *settings, struct eject_server *s,
                   const struct upstream_outcome *o, uint64_t now_ms)
{
    enum verdict verdict = verdict_of(o, &settings->statuses);
    if (verdict == VERDICT_NONE) {
        return false;
    }
    bool bad = verdict == VERDICT_BAD;
    count(settings, s, bad, o);
    atomic_uint *streak = &s->vitals->streak;
    if (!bad) {
        if (atomic_load_explicit(streak, memory_order_relaxed) != 0) {
            atomic_store_explicit(streak, 0, memory_order_relaxed);
        }
        return false;
    }
    unsigned in_a_row = atomic_fetch_add_explicit(streak, 1, memory_order_relaxed) + 1;
    return settings->failures != 0 && in_a_row >= settings->failures && eject(settings, s, now_ms);
}

// ---- the sweep --------------------------------------------------------------------------------------

/** What a server showed in the interval. */
struct shown {
    uint32_t index;
    double value;
};

static bool is_in(const struct eject_server *s)
{
    return (atomic_load_explicit(&s->vitals->bits, memory_order_acquire) & VITALS_EJECTED) == 0;
}

static uint32_t rates(const struct eject_settings *settings, struct eject_server *const *servers,
                      uint32_t n, struct shown *out)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t total = atomic_load_explicit(&servers[i]->total, memory_order_relaxed);
        uint32_t failed = atomic_load_explicit(&servers[i]->failed, memory_order_relaxed);
        if (is_in(servers[i]) && total >= settings->least && total > 0) {
            failed = failed < total ? failed : total;
            out[found++] = (struct shown){i, 1.0 - (double)failed / total};
        }
    }
    return found;
}

struct spread {
    double mean;
    double variance;
};

static struct spread spread_of(const struct shown *shown, uint32_t n)
{
    double sum = 0;
    double squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += shown[i].value;
    }
    double mean = n > 0 ? sum / n : 0;
    for (uint32_t i = 0; i < n; i++) {
        squares += (shown[i].value - mean) * (shown[i].value - mean);
    }
    return (struct spread){mean, n > 0 ? squares / n : 0};
}

/** Below the mean by more than so many deviations (compared as squares) and by the gap. */
static bool is_poor(const struct spread *s, double rate)
{
    double below = s->mean - rate;
    return below > EJECT_RATE_GAP &&
           below * below > EJECT_DEVIATIONS * EJECT_DEVIATIONS * s->variance;
}

static uint32_t latencies(struct eject_server *const *servers, uint32_t n, struct shown *out)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t timed = atomic_load_explicit(&servers[i]->timed, memory_order_relaxed);
        uint64_t us = atomic_load_explicit(&servers[i]->latency_us, memory_order_relaxed);
        if (is_in(servers[i]) && timed >= EJECT_LATENCY_LEAST) {
            out[found++] = (struct shown){i, (double)us / timed};
        }
    }
    return found;
}

static int by_value(const void *a, const void *b)
{
    const struct shown *x = a;
    const struct shown *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/** Sorted; the latency in microseconds above which a server is an outlier; below 0: none is. */
static double latency_limit(const struct eject_settings *settings, struct shown *shown, uint32_t n)
{
    if (n < EJECT_LATENCY_HOSTS) {
        return -1;
    }
    qsort(shown, n, sizeof(*shown), by_value);
    double median =
        shown[(n - 1) / 2].value; // the lower one: half of them must not hide each other
    return median * settings->latency + EJECT_LATENCY_GAP_MS * 1000.0;
}

struct sweep {
    const struct eject_settings *settings;
    struct eject_server *const *servers;
    uint32_t count;
    uint64_t now_ms;
    void (*tell)(void *arg, uint32_t index, enum eject_why why);
    void *arg;
};

static void eject_outlier(const struct sweep *w, uint32_t index, enum eject_why why)
{
    if (eject(w->settings, w->servers[index], w->now_ms)) {
        w->tell(w->arg, index, why);
    }
}

static void compare(const struct sweep *w)
{
    struct shown shown[BALANCE_SERVERS_MAX];
    if (w->settings->success_rate) {
        uint32_t n = rates(w->settings, w->servers, w->count, shown);
        struct spread spread = spread_of(shown, n);
        qsort(shown, n, sizeof(*shown), by_value); // the worst first: there may not be room for all
        for (uint32_t i = 0; n >= EJECT_HOSTS_MIN && i < n && is_poor(&spread, shown[i].value);
             i++) {
            eject_outlier(w, shown[i].index, EJECT_SUCCESS_RATE);
        }
    }
    if (w->settings->latency != 0) {
        uint32_t n = latencies(w->servers, w->count, shown);
        double limit = latency_limit(w->settings, shown, n);
        for (uint32_t i = n; i > 0 && limit >= 0 && shown[i - 1].value > limit; i--) {
            eject_outlier(w, shown[i - 1].index, EJECT_LATENCY);
        }
    }
}

static bool ejects(const struct eject_settings *s)
{
    return s->failures != 0 || s->success_rate || s->latency != 0;
}

/** The ejected one that would come back first, or -1. */
static int first_due(const struct sweep *w)
{
    int first = -1;
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; i < w->count; i++) {
        uint64_t until =
            atomic_load_explicit(&w->servers[i]->vitals->ejected_until_ms, memory_order_relaxed);
        if (!is_in(w->servers[i]) && until < due) {
            first = (int)i;
            due = until;
        }
    }
    return first;
}

static void return_server(const struct sweep *w, uint32_t index)
{
    let_in(w->servers[index], w->now_ms);
    w->tell(w->arg, index, EJECT_RETURN);
}

/** The group may have become smaller: no more may be out than its limit says. */
static void enforce_limit(const struct sweep *w)
{
    const struct eject_group *g = w->servers[0]->group;
    while (atomic_load_explicit(&g->ejected, memory_order_relaxed) >
           atomic_load_explicit(&g->limit, memory_order_relaxed)) {
        int first = first_due(w);
        if (first < 0) {
            return;
        }
        return_server(w, (uint32_t)first);
    }
}

/** Every server's turn: back in, or a step nearer to being trusted as before. */
static void pass_time(const struct sweep *w, bool interval_over)
{
    bool on = ejects(w->settings);
    for (uint32_t i = 0; i < w->count; i++) {
        struct vitals *v = w->servers[i]->vitals;
        ensure(w->servers[i]->group == w->servers[0]->group);
        uint32_t times = atomic_load_explicit(&v->ejections, memory_order_relaxed);
        if (is_in(w->servers[i])) {
            if (interval_over && times > 0) {
                atomic_store_explicit(&v->ejections, times - 1, memory_order_relaxed);
            }
        } else if (!on ||
                   atomic_load_explicit(&v->ejected_until_ms, memory_order_relaxed) <= w->now_ms) {
            return_server(w, i);
        }
    }
}

void eject_sweep(const struct eject_settings *settings, struct eject_server *const *servers,
                 uint32_t count, uint64_t now_ms,
                 void (*tell)(void *arg, uint32_t index, enum eject_why why), void *arg)
{
    ensure(count <= BALANCE_SERVERS_MAX);
    const struct sweep w = {settings, servers, count, now_ms, tell, arg};
    if (count == 0) {
        return;
    }
    struct eject_group *g = servers[0]->group;
    bool interval_over = now_ms >= g->interval_ends_ms;
    bool first = g->interval_ends_ms == 0;
    pass_time(&w, interval_over);
    enforce_limit(&w);
    if (!interval_over) {
        return;
    }
    g->interval_ends_ms = now_ms + settings->every_ms;
    if (!first && ejects(settings)) {
        compare(&w);
    }
    for (uint32_t i = 0; i < count; i++) {
        reset_interval(servers[i]);
    }
}

uint64_t eject_due_ms(struct eject_server *const *servers, uint32_t count)
{
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const struct vitals *v = servers[i]->vitals;
        uint64_t at = servers[i]->group->interval_ends_ms;
        bool out = !is_in(servers[i]);
        if (out) {
            at = atomic_load_explicit(&v->ejected_until_ms, memory_order_relaxed);
        }
        if (out || atomic_load_explicit(&v->ejections, memory_order_relaxed) > 0) {
            due = at < due ? at : due;
        }
    }
    return due;
}

const char *eject_why_text(enum eject_why why)
{
    static const char *const texts[] = {
        [EJECT_NOT] = "not ejected",
        [EJECT_FAILURES] = "too many failures in a row",
        [EJECT_SUCCESS_RATE] = "success rate far below the others'",
        [EJECT_LATENCY] = "latency far above the others'",
        [EJECT_RETURN] = "its time is over",
    };
    ensure((unsigned)why < array_len(texts));
    return texts[why];
}

void eject_compile(struct eject_settings *settings, struct conf_node n)
{
    static const char *const statuses = "502, 503, 504"; // for the circuit breaker in any case
    *settings = (struct eject_settings){0};
    if (conf_is_off(n)) {
        status_set_compile(&settings->statuses, (struct conf_node){NULL, 0}, statuses);
        return;
    }
    settings->failures =
        conf_is_off(conf_get(n, "failures")) ? 0 : (uint32_t)conf_int(conf_get(n, "failures"), 5);
    settings->success_rate = conf_bool(conf_get(n, "success_rate"), true);
    settings->least = (uint32_t)conf_int(conf_get(n, "least"), 100);
    settings->latency =
        conf_is_off(conf_get(n, "latency")) ? 0 : (uint32_t)conf_int(conf_get(n, "latency"), 0);
    settings->every_ms = (uint32_t)conf_duration_ms(conf_get(n, "every"), 10000);
    settings->for_ms = (uint32_t)conf_duration_ms(conf_get(n, "for"), 30000);
    settings->at_most = conf_percent(conf_get(n, "at_most"), 50);
    status_set_compile(&settings->statuses, conf_get(n, "on"), statuses);
}
