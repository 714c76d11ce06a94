// SPDX-License-Identifier: Apache-2.0
//
// The circuit breaker (upstream/breaker.h).

#include "upstream/breaker.h"

#include "conf/doc.h"

/** The word: 2 bits of state, 8 of probes sent, 8 of probes that went well, 46 of milliseconds. */
struct phase {
    enum breaker_state state;
    uint32_t sent;
    uint32_t good;
    uint64_t since_ms;
};

static uint64_t pack(struct phase p)
{
    ensure(p.sent <= UINT8_MAX && p.good <= UINT8_MAX && p.since_ms < UINT64_C(1) << 46);
    return p.since_ms << 18 | (uint64_t)p.good << 10 | (uint64_t)p.sent << 2 | (uint64_t)p.state;
}

static struct phase unpack(uint64_t word)
{
    return (struct phase){.state = (enum breaker_state)(word & 3),
                          .sent = (uint32_t)(word >> 2 & 0xff),
                          .good = (uint32_t)(word >> 10 & 0xff),
                          .since_ms = word >> 18};
}

/** False: another core was quicker, *word is what it made. */
static bool change(struct breaker *b, uint64_t *word, struct phase to)
{
    return atomic_compare_exchange_strong_explicit(&b->word, word, pack(to), memory_order_relaxed,
                                                   memory_order_relaxed);
}

/** A further probe, if there is one to be had; *may says whether. */
static struct phase next_probe(struct phase p, const struct breaker_settings *settings,
                               uint64_t now_ms, bool *may)
{
    bool over = now_ms >= p.since_ms + settings->open_ms;
    *may = true;
    if (p.state == BREAKER_OPEN && over) {
        return (struct phase){.state = BREAKER_HALF_OPEN, .sent = 1, .since_ms = now_ms};
    }
    if (p.state == BREAKER_HALF_OPEN && p.sent < settings->probes) {
        p.sent++;
        return p;
    }
    if (p.state == BREAKER_HALF_OPEN && over) {
        p.sent = 1;
        p.since_ms = now_ms;
        return p;
    }
    *may = false;
    return p;
}

enum breaker_pass breaker_enter(struct breaker *b, const struct breaker_settings *settings,
                                uint64_t now_ms)
{
    if (settings->percent == 0) {
        return BREAKER_PASSED;
    }
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    for (;;) {
        struct phase p = unpack(word);
        if (p.state == BREAKER_CLOSED) {
            return BREAKER_PASSED;
        }
        bool may = false;
        struct phase next = next_probe(p, settings, now_ms, &may);
        if (!may) {
            return BREAKER_REFUSED;
        }
        if (change(b, &word, next)) {
            return BREAKER_PROBE;
        }
    }
}

uint64_t breaker_left_ms(const struct breaker *b, const struct breaker_settings *settings,
                         uint64_t now_ms)
{
    struct phase p = unpack(atomic_load_explicit(&b->word, memory_order_relaxed));
    uint64_t over = p.since_ms + settings->open_ms;
    return p.state == BREAKER_OPEN && over > now_ms ? over - now_ms : 1;
}

/** An ordinary request went wrong: do the failures suffice to open? */
static bool open_by_share(struct breaker *b, const struct breaker_settings *settings,
                          uint64_t now_ms)
{
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    if (unpack(word).state != BREAKER_CLOSED) {
        return false;
    }
    struct window_sum sum = window_read(&b->window, settings->window_ms, now_ms);
    if (sum.total < settings->least ||
        (uint64_t)sum.marked * 100 < (uint64_t)sum.total * settings->percent) {
        return false;
    }
    if (!change(b, &word, (struct phase){.state = BREAKER_OPEN, .since_ms = now_ms})) {
        return false;
    }
    (void)atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
    return true;
}

/** What a probe's end makes of a half-open breaker. */
static struct phase after_probe(struct phase p, const struct breaker_settings *settings,
                                enum verdict verdict, uint64_t now_ms)
{
    switch (verdict) {
    case VERDICT_BAD:
        return (struct phase){.state = BREAKER_OPEN, .since_ms = now_ms};
    case VERDICT_GOOD:
        p.good++;
        return p.good < settings->probes ? p : (struct phase){.state = BREAKER_CLOSED};
    case VERDICT_NONE:
        p.sent -= p.sent > 0;
        return p;
    }
    unreachable();
}

static bool leave_probe(struct breaker *b, const struct breaker_settings *settings,
                        enum verdict verdict, uint64_t now_ms)
{
    uint64_t word = atomic_load_explicit(&b->word, memory_order_relaxed);
    for (;;) {
        struct phase p = unpack(word);
        if (p.state != BREAKER_HALF_OPEN) {
            return false;
        }
        struct phase next = after_probe(p, settings, verdict, now_ms);
        if (next.state == BREAKER_CLOSED) {
            window_clear(&b->window);
        }
        if (change(b, &word, next)) {
            return next.state != BREAKER_HALF_OPEN;
        }
    }
}

bool breaker_leave(struct breaker *b, const struct breaker_settings *settings,
                   enum breaker_pass pass, enum verdict verdict, uint64_t now_ms)
{
    ensure(pass != BREAKER_REFUSED);
    if (settings->percent == 0) {
        if (atomic_load_explicit(&b->word, memory_order_relaxed) != 0) {
            atomic_store_explicit(&b->word, 0, memory_order_relaxed); // it was switched off
        }
        return false;
    }
    if (pass == BREAKER_PROBE) {
        return leave_probe(b, settings, verdict, now_ms);
    }
    if (verdict == VERDICT_NONE) {
        return false;
    }
    bool bad = verdict == VERDICT_BAD;
    window_add(&b->window, settings->window_ms, now_ms,
               (struct window_sum){.total = 1, .marked = bad});
    return bad && open_by_share(b, settings, now_ms);
}

enum breaker_state breaker_state(const struct breaker *b)
{
    return unpack(atomic_load_explicit(&b->word, memory_order_relaxed)).state;
}

void breaker_compile(struct breaker_settings *settings, struct conf_node n)
{
    *settings = (struct breaker_settings){0};
    if (!conf_exists(n) || conf_is_off(n)) {
        return;
    }
    settings->percent = conf_percent(conf_get(n, "failures"), 50);
    settings->least = (uint32_t)conf_int(conf_get(n, "least"), 20);
    settings->window_ms = (uint32_t)conf_duration_ms(conf_get(n, "window"), 10000);
    settings->open_ms = (uint32_t)conf_duration_ms(conf_get(n, "open"), 5000);
    settings->probes = (uint32_t)conf_int(conf_get(n, "probes"), 3);
}
