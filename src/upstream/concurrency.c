// SPDX-License-Identifier: Apache-2.0
//
// Adaptive concurrency (upstream/concurrency.h).

#include "upstream/concurrency.h"

#include "base/ensure.h"
#include "base/error.h"
#include "base/num.h"
#include "conf/doc.h"
#include "proxy/upstream.h"

/** The samples' word: 20 bits of count, 44 of microseconds (half a year of them). */
enum { COUNT_BITS = 20, COUNT_FULL = (1 << COUNT_BITS) - (1 << 12) };

static const uint64_t sample_us_max = UINT64_C(60000000); // one minute says enough

void concurrency_reset(const struct concurrency_settings *settings, struct concurrency *c,
                       struct vitals *v)
{
    uint32_t limit = settings->target_ms == 0 ? 0 : CONCURRENCY_FIRST;
    if (limit > settings->most) {
        limit = settings->most;
    }
    atomic_store_explicit(&c->samples, 0, memory_order_relaxed);
    atomic_store_explicit(&c->ends_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&c->most_active, 0, memory_order_relaxed);
    atomic_store_explicit(&v->limit, limit, memory_order_relaxed);
}

/** 0: it says nothing of how busy the server is. */
static uint64_t sample_us(const struct concurrency_settings *settings,
                          const struct upstream_outcome *o)
{
    uint64_t overload = (uint64_t)settings->target_ms * 2000;
    if (o->abandoned) {
        return 0;
    }
    switch (o->error) {
    case 0:
        break;
    case E_CONNECT_TIMEOUT:
    case E_RESPONSE_TIMEOUT:
    case E_TLS_TIMEOUT:
        return overload;
    default:
        return 0;
    }
    if (o->status == 503 || o->status == 504 || o->status == 429) {
        return overload;
    }
    if (o->status >= 500) {
        return 0;
    }
    return num_min_u64(o->latency_ns / 1000, sample_us_max);
}

static uint32_t root_of(uint32_t n)
{
    uint32_t root = 1;
    while ((root + 1) * (root + 1) <= n) {
        root++;
    }
    return root;
}

static uint32_t next_limit(const struct concurrency_settings *settings, uint32_t limit,
                           uint32_t used, uint64_t mean_us)
{
    uint64_t target_us = (uint64_t)settings->target_ms * 1000;
    if (mean_us > target_us) {
        // What was not used has not made the server slow.
        uint64_t from = used < limit ? used : limit;
        uint64_t less = from * target_us / mean_us;
        less = less < from / 2 ? from / 2 : less;
        less = less == from && less > 0 ? less - 1 : less;
        return less < CONCURRENCY_LEAST ? CONCURRENCY_LEAST : (uint32_t)less;
    }
    if (mean_us * 10 > target_us * 9 || used * 2 < limit) {
        return limit;
    }
    uint32_t more = limit + root_of(limit);
    return more < settings->most ? more : settings->most;
}

static void note_active(struct concurrency *c, uint32_t active)
{
    unsigned most = atomic_load_explicit(&c->most_active, memory_order_relaxed);
    while (active > most &&
           !atomic_compare_exchange_weak_explicit(&c->most_active, &most, active,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

/** This core ends the window. */
static bool decide(const struct concurrency_settings *settings, struct concurrency *c,
                   struct vitals *v)
{
    uint64_t word = atomic_exchange_explicit(&c->samples, 0, memory_order_relaxed);
    uint32_t used = atomic_exchange_explicit(&c->most_active, 0, memory_order_relaxed);
    uint64_t count = word & ((1 << COUNT_BITS) - 1);
    uint32_t limit = atomic_load_explicit(&v->limit, memory_order_relaxed);
    if (count == 0 || limit == 0) {
        return false;
    }
    uint32_t next = next_limit(settings, limit, used, (word >> COUNT_BITS) / count);
    atomic_store_explicit(&v->limit, next, memory_order_relaxed);
    return next > limit;
}

bool concurrency_observe(const struct concurrency_settings *settings, struct concurrency *c,
                         struct vitals *v, const struct upstream_outcome *o, uint64_t now_ms)
{
    if (settings->target_ms == 0) {
        return false;
    }
    uint64_t us = sample_us(settings, o);
    if (us == 0) {
        return false;
    }
    note_active(c, vitals_active(v));
    uint64_t word = atomic_load_explicit(&c->samples, memory_order_relaxed);
    if ((word & ((1 << COUNT_BITS) - 1)) < COUNT_FULL) {
        word = atomic_fetch_add_explicit(&c->samples, us << COUNT_BITS | 1, memory_order_relaxed);
    }
    uint64_t ends = atomic_load_explicit(&c->ends_ms, memory_order_relaxed);
    uint64_t window = (uint64_t)settings->target_ms * 2;
    window = window < CONCURRENCY_WINDOW_MS ? CONCURRENCY_WINDOW_MS : window;
    bool enough = (word & ((1 << COUNT_BITS) - 1)) + 1 >= CONCURRENCY_SAMPLES;
    if (ends != 0 && (now_ms < ends || !enough)) {
        return false;
    }
    if (!atomic_compare_exchange_strong_explicit(&c->ends_ms, &ends, now_ms + window,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        return false;
    }
    return ends != 0 && decide(settings, c, v);
}

void concurrency_compile(struct concurrency_settings *settings, struct conf_node n)
{
    *settings = (struct concurrency_settings){.most = 1};
    if (!conf_exists(n) || conf_is_off(n)) {
        return;
    }
    settings->target_ms = (uint32_t)conf_duration_ms(conf_get(n, "target"), 100);
    settings->most = (uint32_t)conf_int(conf_get(n, "most"), 1000);
}
