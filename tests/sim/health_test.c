// SPDX-License-Identifier: Apache-2.0
//
// Health in numbers: what ejection, the retry budget, the circuit breaker, adaptive concurrency and
// panic do to models of groups, in virtual time. The code is that of src/upstream; only the servers and
// the clients are models. With --verbose the tables of docs/design/health.md are printed.

#include <stdlib.h>

#include "base/error.h"
#include "driver.h"
#include "proxy/upstream.h"
#include "upstream/breaker.h"
#include "upstream/budget.h"
#include "upstream/concurrency.h"
#include "upstream/eject.h"
#include "upstream/eligible.h"

enum { SERVERS = 200, TICK_MS = 10 };

static struct rng rng;

// ---- ejection ---------------------------------------------------------------------------------------

struct group {
    struct eject_settings settings;
    struct eject_group eject;
    struct vitals vitals[SERVERS];
    struct eject_server servers[SERVERS];
    struct eject_server *list[SERVERS];
    uint32_t most_out;
};

static void tell(void *arg, uint32_t index, enum eject_why why)
{
    (void)arg;
    (void)index;
    (void)why;
}

static struct group *group_new(void)
{
    struct group *g = aligned_alloc(64, (sizeof(*g) + 63) / 64 * 64);
    ensure(g != NULL);
    memset(g, 0, sizeof(*g));
    g->settings = (struct eject_settings){.failures = 5,
                                          .success_rate = true,
                                          .least = 100,
                                          .every_ms = 10000,
                                          .for_ms = 30000,
                                          .at_most = 50};
    status_set_add(&g->settings.statuses, 502, 504);
    for (uint32_t i = 0; i < SERVERS; i++) {
        eject_server_init(&g->servers[i], &g->vitals[i], &g->eject);
        g->list[i] = &g->servers[i];
    }
    eject_resize(&g->eject, &g->settings, SERVERS);
    return g;
}

/** A request to a random server that may be asked; true: it failed. The first `sick` servers fail so
 * many of a thousand. */
static bool ask(struct group *g, uint32_t sick, uint32_t per_mille, uint64_t now_ms)
{
    uint32_t i = 0;
    do {
        i = (uint32_t)rng_below(&rng, SERVERS);
    } while (!vitals_usable(&g->vitals[i]));
    bool fails = i < sick && rng_below(&rng, 1000) < per_mille;
    struct upstream_outcome o = {.status = fails ? 503 : 200, .latency_ns = 1000000};
    (void)eject_observe(&g->settings, &g->servers[i], &o, now_ms);
    return fails;
}

/** Ten minutes, 10,000 requests a second; `sick` servers from the first to the third minute. Gives the
 * share of failures in each of the first `seconds`, in one of 10,000. */
static void run_ejection(struct sim_case *c, struct group *g, uint32_t sick, uint32_t per_mille,
                         uint32_t *failed)
{
    for (uint64_t now = 0; now < 600000; now += TICK_MS) {
        bool ill = now >= 60000 && now < 180000;
        for (uint32_t n = 0; n < 100; n++) {
            failed[now / 10000] += ask(g, ill ? sick : 0, per_mille, now);
        }
        uint32_t out = g->eject.ejected;
        g->most_out = out > g->most_out ? out : g->most_out;
        if (out > SERVERS / 2) {
            sim_fail(c, "%u of %u servers are ejected", out, SERVERS);
        }
        if (now % 500 == 0) {
            eject_sweep(&g->settings, g->list, SERVERS, now, tell, NULL);
        }
    }
}

static void ejection(struct sim_case *c)
{
    static const struct {
        uint32_t sick;
        uint32_t per_mille;
        uint32_t limit; // of failures 10 to 20 s after it began, in 10,000 of the requests
    } rows[] = {{20, 1000, 60}, {20, 200, 300}, {100, 1000, 300}, {140, 1000, 10000}};
    rng_seed(&rng, c->seed);
    for (size_t r = 0; r < array_len(rows); r++) {
        uint32_t failed[60] = {0};
        struct group *g = group_new();
        run_ejection(c, g, rows[r].sick, rows[r].per_mille, failed);
        uint32_t after = failed[7] / 10;
        uint32_t end = failed[59];
        sim_note(c,
                 "ejection: %3u of %u fail %3u%%: of 10,000 requests fail %4u in the first 10 s, "
                 "%4u in the second, %4u in the sixth; most ejected %3u; 6 min later %u failures",
                 rows[r].sick, SERVERS, rows[r].per_mille / 10, failed[6] / 10, after,
                 failed[11] / 10, g->most_out, end);
        if (after > rows[r].limit || end != 0 || g->eject.ejected != 0) {
            sim_fail(c, "row %zu: %u failures of 10,000 after ten seconds, %u at the end, %u out",
                     r, after, end, g->eject.ejected);
        }
        free(g);
    }
}

// ---- a retry storm ----------------------------------------------------------------------------------

/** A group with room for so much work in a tick; what comes beyond it costs work all the same, as a
 * request that is taken, times out and is thrown away does. */
struct storm {
    uint64_t requests;
    uint64_t attempts;
    uint64_t served;
    uint64_t late_served; // in the last ten of the sixty seconds
    uint64_t late_requests;
};

enum { OFFERED = 80, FULL = 100, HALF = 50, STORM_S = 60, RETRIES = 3 };

/** Each tick has new requests and those that failed a tick before and are asked again. The more comes
 * beyond what can be done, the less is done: half the work of what is refused is lost. */
static struct storm run_storm(const struct budget_settings *settings)
{
    struct storm s = {0};
    struct budget *b = aligned_alloc(64, (sizeof(*b) + 63) / 64 * 64);
    ensure(b != NULL);
    memset(b, 0, sizeof(*b));
    uint64_t again[RETRIES + 1] = {0}; // by the number of attempts there were
    for (uint64_t now = 0; now < STORM_S * 1000; now += TICK_MS) {
        bool weak = now >= 10000 && now < 20000;
        uint64_t arrivals[RETRIES + 1] = {OFFERED, again[1], again[2], again[3]};
        uint64_t total = 0;
        for (int i = 0; i <= RETRIES; i++) {
            total += arrivals[i];
            again[i] = 0;
        }
        uint64_t capacity = weak ? HALF : FULL;
        uint64_t excess = total > capacity ? total - capacity : 0;
        uint64_t lost = excess / 2 < capacity ? excess / 2 : capacity;
        uint64_t done = excess > 0 ? capacity - lost : total;
        s.attempts += total;
        s.requests += OFFERED;
        s.served += done;
        s.late_served += now >= 50000 ? done : 0;
        s.late_requests += now >= 50000 ? OFFERED : 0;
        for (uint64_t n = 0; n < OFFERED; n++) {
            budget_request(b, now);
        }
        for (int i = 0; i < RETRIES; i++) {
            uint64_t failed = total == 0 ? 0 : arrivals[i] * (total - done) / total;
            for (uint64_t n = 0; n < failed; n++) {
                again[i + 1] += budget_take(b, settings, now);
            }
        }
    }
    free(b);
    return s;
}

static void retry_storm(struct sim_case *c)
{
    static const struct budget_settings without = {.unlimited = true};
    static const struct budget_settings with = {.percent = 20, .floor = 3};
    const struct storm all = run_storm(&without);
    const struct storm some = run_storm(&with);
    const struct storm *both[] = {&all, &some};
    for (int i = 0; i < 2; i++) {
        const struct storm *s = both[i];
        sim_note(c,
                 "storm, %s budget: %.2f attempts per request, %.1f%% served in all, %.1f%% half a "
                 "minute after the group was well again",
                 i == 0 ? "without" : "with   ", (double)s->attempts / (double)s->requests,
                 100.0 * (double)s->served / (double)s->requests,
                 100.0 * (double)s->late_served / (double)s->late_requests);
    }
    // Without one the storm holds itself up; with one it ends with its cause.
    if (all.late_served * 2 > all.late_requests || some.late_served < some.late_requests) {
        sim_fail(c, "served late: %llu of %llu without, %llu with",
                 (unsigned long long)all.late_served, (unsigned long long)all.late_requests,
                 (unsigned long long)some.late_served);
    }
    if (some.attempts * 100 > some.requests * 121) {
        sim_fail(c, "the budget was exceeded");
    }
}

// ---- the breaker ------------------------------------------------------------------------------------

static void breaker(struct sim_case *c)
{
    static const struct breaker_settings settings = {
        .percent = 50, .least = 20, .window_ms = 10000, .open_ms = 5000, .probes = 3};
    static struct breaker b;
    uint64_t sent[6] = {0}; // per ten seconds
    memset(&b, 0, sizeof(b));
    uint64_t closed_at = 0;
    for (uint64_t now = 0; now < 60000; now += TICK_MS) { // 100 requests a second
        bool dead = now >= 10000 && now < 40000;
        enum breaker_pass pass = breaker_enter(&b, &settings, now);
        if (pass != BREAKER_REFUSED) {
            sent[now / 10000]++;
            (void)breaker_leave(&b, &settings, pass, dead ? VERDICT_BAD : VERDICT_GOOD, now);
        }
        if (now >= 40000 && closed_at == 0 && breaker_state(&b) == BREAKER_CLOSED) {
            closed_at = now;
        }
    }
    sim_note(c,
             "breaker: of 1,000 requests in ten seconds are sent %llu; dead from here: %llu, %llu, "
             "%llu; alive: %llu, %llu; closed %llu ms after the end",
             (unsigned long long)sent[0], (unsigned long long)sent[1], (unsigned long long)sent[2],
             (unsigned long long)sent[3], (unsigned long long)sent[4], (unsigned long long)sent[5],
             (unsigned long long)(closed_at - 40000));
    if (sent[2] > 6 || sent[3] > 6 || sent[5] != 1000 || closed_at > 45100) {
        sim_fail(c, "sent %llu and %llu while dead, closed at %llu", (unsigned long long)sent[2],
                 (unsigned long long)sent[3], (unsigned long long)closed_at);
    }
}

// ---- adaptive concurrency ---------------------------------------------------------------------------

/** Latency in milliseconds of a server with so many workers that each need 20 ms. */
static double latency_ms(uint32_t active, uint32_t workers)
{
    return active <= workers ? 20.0 : 20.0 * active / workers;
}

static void concurrency(struct sim_case *c)
{
    static const struct concurrency_settings settings = {.target_ms = 100, .most = 1000};
    static struct concurrency state;
    static struct vitals v;
    static const uint32_t workers[] = {10, 40, 5, 20};
    memset(&state, 0, sizeof(state));
    memset(&v, 0, sizeof(v));
    rng_seed(&rng, c->seed);
    concurrency_reset(&settings, &state, &v);
    for (uint32_t phase = 0; phase < array_len(workers); phase++) {
        double sum = 0;
        uint32_t count = 0;
        double left = 0;
        for (uint64_t t = 0; t < 30000; t += TICK_MS) { // more wants in than ever fits
            uint64_t now = phase * 30000 + t + 1000;
            uint32_t active = v.limit;
            double ms = latency_ms(active, workers[phase]);
            v.active = active;
            for (left += active * TICK_MS / ms; left >= 1; left--) {
                double noise = 0.5 + (double)rng_below(&rng, 1000) / 1000;
                struct upstream_outcome o = {.status = 200,
                                             .latency_ns = (uint64_t)(ms * noise * 1e6)};
                (void)concurrency_observe(&settings, &state, &v, &o, now);
            }
            if (t >= 15000) {
                sum += ms;
                count++;
            }
        }
        double mean = sum / count;
        sim_note(c,
                 "concurrency: %2u workers of 20 ms: limit %3u (of %3u that would take 100 ms), "
                 "latency %.0f ms; without a limit and with 500 at once %.0f ms",
                 workers[phase], v.limit, workers[phase] * 5, mean,
                 latency_ms(500, workers[phase]));
        if (mean < 80 || mean > 110) {
            sim_fail(c, "%u workers: latency %.1f ms", workers[phase], mean);
        }
    }
}

// ---- panic ------------------------------------------------------------------------------------------

/** Every server can do twice its fair share. Those that pass their checks but get more than that fail
 * what is too much. Gives the share of requests served, in percent. */
static uint32_t served(uint32_t down, uint32_t really_down, uint32_t panic_percent)
{
    static struct vitals vitals[SERVERS];
    struct balance_server servers[SERVERS];
    uint8_t tiers[SERVERS] = {0};
    uint16_t list[SERVERS];
    for (uint32_t i = 0; i < SERVERS; i++) {
        vitals[i].bits = i < down ? VITALS_DOWN : 0;
        servers[i] = (struct balance_server){.vitals = &vitals[i], .weight = 1};
    }
    struct eligible e = {.list = list};
    eligible_fill(&e, servers, tiers, SERVERS, panic_percent);
    uint64_t each = e.count == 0 ? 0 : 100000ULL / e.count; // of 100,000 requests
    uint64_t room = 100000ULL * 2 / SERVERS;
    uint64_t ok = 0;
    for (uint32_t i = 0; i < e.count; i++) {
        bool dead = list[i] < really_down;
        bool crushed = each > room * 2; // by more than twice what it can do: it does nothing at all
        ok += dead || crushed ? 0 : each < room ? each : room;
    }
    return (uint32_t)(ok / 1000);
}

static void panic(struct sim_case *c)
{
    static const uint32_t down[] = {0, 50, 100, 120, 160, 180, 200};
    for (size_t i = 0; i < array_len(down); i++) {
        uint32_t n = down[i];
        sim_note(
            c,
            "panic: %3u of %u down: served %3u%% without panic, %3u%% with; when the checks are "
            "wrong %3u%% without, %3u%% with",
            n, SERVERS, served(n, n, 0), served(n, n, 50), served(n, 0, 0), served(n, 0, 50));
        if (served(n, 0, 50) < 99) {
            sim_fail(c, "%u said to be down: %u%% are served", n, served(n, 0, 50));
        }
    }
}

int main(int argc, char **argv)
{
    static const struct sim_scenario scenarios[] = {
        {"ejection", ejection, 1}, {"retry_storm", retry_storm, 1},
        {"breaker", breaker, 1},   {"concurrency", concurrency, 5},
        {"panic", panic, 1},
    };
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
