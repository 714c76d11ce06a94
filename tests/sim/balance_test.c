// SPDX-License-Identifier: Apache-2.0
//
// The balancing methods under millions of virtual requests: how even they are, what moves when a server
// leaves, what one slow server in ten does, how a server comes back. Each case prints its table as
// Markdown and checks what docs/design/balancing.md says of it; the same numbers come on every machine
// (seeds), so the document must have these very lines.
//
//     sim_balance                  checks
//     sim_balance >tables          the tables: lines that begin with "# |", without the "# "

#include "balance_world.h"

#include <stdarg.h>
#include <time.h>

#include "tap.h"

static const char *const all_methods[] = {"two-choices", "round-robin", "least-conn", "ewma",
                                          "hash"};

// ---- tables ---------------------------------------------------------------------------------------

static char *document; // docs/design/balancing.md; NULL: not there

static void read_document(void)
{
    const char *root = getenv("ADIT_SOURCE_ROOT");
    char path[512];
    (void)snprintf(path, sizeof path, "%s/docs/design/balancing.md", root != NULL ? root : ".");
    FILE *f = fopen(path, "r");
    static char text[65536];
    size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    document = n > 0 ? text : NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
}

/** Prints a line of a table, which the document must have. */
__attribute__((format(printf, 1, 2))) static void row(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("# %s\n", line);
    if (document == NULL) {
        read_document();
    }
    bool told = document != NULL && strstr(document, line) != NULL;
    if (!told) {
        printf("# docs/design/balancing.md has no such line\n");
    }
    CHECK(told);
}

// ---- shares ---------------------------------------------------------------------------------------

static struct world_error shares(const char *method, bool weighted, double load)
{
    struct world *w = world_new(100, 4, 1);
    for (uint32_t i = 0; weighted && i < 100; i++) {
        w->servers[i].weight = 1 + i % 10;
        w->models[i].workers = 2 * (1 + i % 10);
    }
    world_use(w, method);
    uint64_t requests = load < 0.1 ? 300000 : 600000;
    double rate = 0;
    for (uint32_t i = 0; i < 100; i++) {
        rate += load * w->models[i].workers * 100; // per second
    }
    world_run(w, load, (uint64_t)((double)requests / rate * 1e9));
    struct world_error e = world_error(w);
    world_free(w);
    return e;
}

static void shares_are_by_weight(void)
{
    row("| method | equal, load 1 %% | equal, 60 %% | weights 1 to 10, 1 %% | weights 1 to 10, 60 "
        "%% |");
    for (size_t m = 0; m < array_len(all_methods); m++) {
        struct world_error e[4];
        for (int i = 0; i < 4; i++) {
            e[i] = shares(all_methods[m], i >= 2, i % 2 == 0 ? 0.01 : 0.6);
        }
        row("| %s | %.1f %% (%.0f) | %.1f %% (%.0f) | %.1f %% (%.0f) | %.1f %% (%.0f) |",
            all_methods[m], 100 * e[0].deviation, 100 * e[0].largest, 100 * e[1].deviation,
            100 * e[1].largest, 100 * e[2].deviation, 100 * e[2].largest, 100 * e[3].deviation,
            100 * e[3].largest);
        if (strcmp(all_methods[m], "round-robin") == 0) {
            CHECK(e[0].largest < 0.01 && e[2].largest < 0.01);
        }
        for (int i = 0; i < 4; i++) {
            CHECK(e[i].deviation < 0.12);
        }
    }
}

// ---- keys -----------------------------------------------------------------------------------------

static uint64_t key_at(uint64_t i)
{
    return i * 0x9e3779b97f4a7c15u;
}

struct moves {
    double mean; // share of keys that move, times n
    double worst;
    double strays; // of keys that belonged to others
};

// Every server of up to 1,000 as the one that leaves: its keys move, and, tried for one, no others.
static struct moves leave(uint32_t n)
{
    uint64_t keys = n < 1000 ? 400000 : 4000000;
    struct world *w = world_new(n, 1, 3);
    world_use(w, "hash");
    uint16_t *owner = malloc(keys * sizeof *owner);
    REQUIRE(owner != NULL);
    for (uint64_t k = 0; k < keys; k++) {
        uint64_t key = key_at(k);
        owner[k] = (uint16_t)world_pick(w, 0, &key);
        w->models[owner[k]].taken++;
    }
    struct moves m = {0};
    for (uint32_t i = 0; i < n; i++) {
        double share = (double)w->models[i].taken / (double)keys * n;
        m.mean += share / n;
        m.worst = share > m.worst ? share : m.worst;
    }
    // The last one leaves for good: another ring.
    w->count = n - 1;
    world_list(w, NULL);
    world_use(w, "hash");
    uint64_t strays = 0;
    for (uint64_t k = 0; k < keys; k += 7) {
        uint64_t key = key_at(k);
        int now = world_pick(w, 0, &key);
        strays += owner[k] != n - 1 && owner[k] != now;
    }
    m.strays = (double)strays / (double)keys;
    free(owner);
    world_free(w);
    return m;
}

static void only_a_share_of_the_keys_moves(void)
{
    static const uint32_t sizes[] = {2, 3, 10, 100, 1000};
    row("| servers | keys of one server, mean | of the largest | keys of others that move |");
    for (size_t s = 0; s < array_len(sizes); s++) {
        struct moves m = leave(sizes[s]);
        row("| %u | %.2f / n | %.2f / n | %.0f |", sizes[s], m.mean, m.worst, m.strays);
        CHECK(m.worst <= 1.2);
        CHECK(m.strays == 0);
    }
}

// ---- bounded load ---------------------------------------------------------------------------------

struct watch {
    double worst;   // of load / average
    uint32_t above; // choices above the bound
};

// Some keys are asked for much more than others: key k with a probability near 1 / k.
static uint64_t popular_key(struct world *w)
{
    uint64_t u = rng_u64(&w->rng);
    unsigned log = (unsigned)rng_below(&w->rng, 14);
    return key_at(((uint64_t)1 << log) + (u & (((uint64_t)1 << log) - 1)));
}

static void watch_bound(struct world *w, uint32_t i)
{
    struct watch *watch = w->user;
    double all = atomic_load(&w->active) + 1;
    double now = vitals_active(&w->vitals[i]) + 1;
    double average = all / w->count;
    uint32_t bound = (uint32_t)(w->settings.bound_percent * all / 100 / w->count);
    bound += bound * 100 * w->count < w->settings.bound_percent * all;
    watch->above += w->settings.bound_percent != 0 && now > bound;
    if (average >= 4) { // fewer, and rounding up is all there is to see
        watch->worst = now / average > watch->worst ? now / average : watch->worst;
    }
}

static void bounded_load_is_never_exceeded(void)
{
    static const uint32_t bounds[] = {0, 200, 125, 110};
    row("| bound | most requests on one server, of the average | choices above the bound | p99, ms "
        "|");
    for (size_t b = 0; b < array_len(bounds); b++) {
        struct watch watch = {0};
        struct world *w = world_new(100, 4, 5);
        w->settings.bound_percent = bounds[b];
        w->next_key = popular_key;
        w->on_choice = watch_bound;
        w->user = &watch;
        for (uint32_t i = 0; i < 100; i++) {
            w->models[i].workers = 16;
        }
        world_use(w, "hash");
        world_run(w, 0.6, 5 * (uint64_t)WORLD_SECOND);
        char name[16];
        (void)snprintf(name, sizeof name, bounds[b] == 0 ? "off" : "%u %%", bounds[b]);
        row("| %s | %.2f | %u | %.0f |", name, watch.worst, watch.above,
            world_quantile_ms(w, 0.99));
        CHECK_EQ_INT(watch.above, 0);
        CHECK(bounds[b] == 0 || watch.worst <= bounds[b] / 100.0 + 0.25);
        world_free(w);
    }
}

// Cores that choose at the very same moment do not see each other: one request too many for each of
// the others, no more.
static void cores_at_once_exceed_it_by_one_each(void)
{
    enum { CORES = 8 };
    struct world *w = world_new(10, CORES, 6);
    w->settings.bound_percent = 125;
    world_use(w, "hash");
    uint64_t key = 1;
    for (uint32_t round = 0; round < 500; round++) {
        uint32_t all = atomic_load(&w->active);
        uint32_t bound = (125 * (all + 1) + 999) / 1000;
        int chosen[CORES];
        for (uint32_t core = 0; core < CORES; core++) {
            chosen[core] = world_pick(w, core, &key);
        }
        for (uint32_t core = 0; core < CORES; core++) {
            uint32_t now = atomic_fetch_add(&w->vitals[chosen[core]].active, 1) + 1;
            atomic_fetch_add(&w->active, 1);
            CHECK(now <= bound + CORES - 1);
        }
    }
    world_free(w);
}

// ---- one in ten is slow -----------------------------------------------------------------------------

struct tail {
    double p50;
    double p99;
    double p999;
    double slow; // share of the requests that the slow ones got
};

static struct tail with_slow_ones(const char *method, double load)
{
    struct world *w = world_new(100, 4, 7);
    for (uint32_t i = 0; i < 100; i += 10) {
        w->models[i].service_ns *= 10;
    }
    world_use(w, method);
    uint64_t second = WORLD_SECOND;
    world_run(w, load, 5 * second); // until it has settled
    world_forget(w);
    world_run(w, load, load < 0.2 ? 60 * second : 20 * second);
    struct tail t = {world_quantile_ms(w, 0.5), world_quantile_ms(w, 0.99),
                     world_quantile_ms(w, 0.999), 0};
    uint64_t all = 0;
    uint64_t slow = 0;
    for (uint32_t i = 0; i < 100; i++) {
        all += w->models[i].taken;
        slow += i % 10 == 0 ? w->models[i].taken : 0;
    }
    t.slow = (double)slow / (double)all;
    world_free(w);
    return t;
}

static void one_server_in_ten_is_slow(void)
{
    static const double loads[] = {0.08, 0.4, 0.7};
    row("| method, load | p50, ms | p99, ms | p99.9, ms | requests at the slow ones |");
    for (size_t l = 0; l < array_len(loads); l++) {
        double round_robin = 0;
        double p99[array_len(all_methods)];
        for (size_t m = 0; m < array_len(all_methods); m++) {
            struct tail t = with_slow_ones(all_methods[m], loads[l]);
            row("| %s, %.0f %% | %.1f | %.0f | %.0f | %.2f %% |", all_methods[m], 100 * loads[l],
                t.p50, t.p99, t.p999, 100 * t.slow);
            p99[m] = t.p99;
            round_robin = m == 1 ? t.p99 : round_robin;
        }
        CHECK(p99[3] * 3 <= round_robin);                   // ewma
        CHECK(p99[0] * 3 <= round_robin || loads[l] < 0.1); // two-choices
        CHECK(p99[2] * 3 <= round_robin || loads[l] < 0.1); // least-conn
    }
}

// ---- coming back ------------------------------------------------------------------------------------

static void a_slow_start_follows_its_line(void)
{
    enum { SLICES = 6, SECONDS = 30 };
    row("| method | 0-5 s | 5-10 s | 10-15 s | 15-20 s | 20-25 s | 25-30 s | after |");
    for (size_t m = 0; m < array_len(all_methods); m++) {
        struct world *w = world_new(20, 4, 9);
        w->settings.slow_start_ms = SECONDS * 1000;
        world_use(w, all_methods[m]);
        world_run(w, 0.5, 2 * (uint64_t)WORLD_SECOND);
        atomic_store(&w->vitals[3].ready_since_ms, w->now_ns / 1000000);
        double share[SLICES + 1];
        for (int s = 0; s <= SLICES; s++) {
            world_forget(w);
            world_run(w, 0.5, 5 * (uint64_t)WORLD_SECOND);
            share[s] = (double)w->models[3].taken * 20 / (double)w->answered;
        }
        row("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |", all_methods[m], share[0],
            share[1], share[2], share[3], share[4], share[5], share[6]);
        for (int s = 0; s <= SLICES; s++) {
            double line = s == SLICES ? 1 : (s + 0.5) / SLICES;
            CHECK(share[s] < line + 0.25 && share[s] > line - 0.25);
        }
        world_free(w);
    }
}

struct flapping {
    uint64_t next_ns;
    bool out[100];
    uint64_t back_ns[100]; // when it came back
    uint64_t since[100];   // requests that it got since then, for 50 ms
    uint64_t most;
    uint64_t total; // and how many came back
    uint64_t comebacks;
};

static bool is_in(const struct world *w, uint32_t i)
{
    const struct flapping *f = w->user;
    return !f->out[i];
}

// Ten times a second a server goes or comes back.
static void flap(struct world *w)
{
    struct flapping *f = w->user;
    if (w->now_ns < f->next_ns) {
        return;
    }
    f->next_ns = w->now_ns + WORLD_SECOND / 10;
    uint32_t i = (uint32_t)rng_below(&w->rng, 20) * 5;
    f->out[i] = !f->out[i];
    f->back_ns[i] = f->out[i] ? 0 : w->now_ns;
    f->since[i] = 0;
    f->comebacks += !f->out[i];
    world_list(w, is_in);
}

static void count_after_return(struct world *w, uint32_t i)
{
    struct flapping *f = w->user;
    if (f->back_ns[i] == 0 || w->now_ns > f->back_ns[i] + WORLD_SECOND / 20) {
        return;
    }
    f->since[i]++;
    f->total++;
    f->most = f->since[i] > f->most ? f->since[i] : f->most;
}

// 100 servers, a fifth of them coming and going: what one gets in the 50 ms after it came back, of what
// an average server gets in that time (about 13 requests).
static void who_comes_back_gets_no_burst(void)
{
    row("| method | requests in the first 50 ms, of the average | most, of the average | p99, ms "
        "|");
    for (size_t m = 0; m < array_len(all_methods); m++) {
        static struct flapping f;
        memset(&f, 0, sizeof f);
        struct world *w = world_new(100, 4, 11);
        w->user = &f;
        w->on_time = flap;
        w->on_choice = count_after_return;
        world_use(w, all_methods[m]);
        world_run(w, 0.6, 20 * (uint64_t)WORLD_SECOND);
        double average = (double)w->answered / 20 / 20 / 90; // about 90 are in
        double mean = (double)f.total / (double)f.comebacks / average;
        row("| %s | %.2f | %.1f | %.0f |", all_methods[m], mean, (double)f.most / average,
            world_quantile_ms(w, 0.99));
        if (strcmp(all_methods[m], "round-robin") == 0 || strcmp(all_methods[m], "hash") == 0) {
            CHECK(mean > 0.8 && mean < 1.2);
        }
        CHECK(strcmp(all_methods[m], "least-conn") == 0 || mean < 2);
        world_free(w);
    }
}

// ---- cost -------------------------------------------------------------------------------------------

static double pick_ns(const char *method, uint32_t n)
{
    enum { PICKS = 20000, RUNS = 5 };
    struct world *w = world_new(n, 1, 13);
    for (uint32_t i = 0; i < n; i++) {
        atomic_store(&w->vitals[i].active, 1 + i % 7);
    }
    world_use(w, method);
    double best = 1e9;
    for (int run = 0; run < RUNS; run++) {
        clock_t from = clock();
        for (uint64_t k = 0; k < PICKS; k++) {
            uint64_t key = key_at(k);
            CHECK(world_pick(w, 0, &key) >= 0);
        }
        double ns = (double)(clock() - from) * 1e9 / CLOCKS_PER_SEC / PICKS;
        best = ns < best ? ns : best;
    }
    world_free(w);
    return best;
}

static double ring_ms(void)
{
    struct world *w = world_new(1000, 1, 13);
    clock_t from = clock();
    world_use(w, "hash");
    double ms = (double)(clock() - from) * 1e3 / CLOCKS_PER_SEC;
    world_free(w);
    return ms;
}

// Of this machine and build, so only shown; the document has the ratios of one run.
static void what_a_choice_costs(void)
{
    double unit = pick_ns("two-choices", 4);
    printf("# a ring of 1,000 servers is made in %.0f ms\n", ring_ms());
    printf("# 1 is %.0f ns\n# | method | 1 server | 4 | 100 | 1,000 |\n", unit);
    for (size_t m = 0; m < array_len(all_methods); m++) {
        const char *name = all_methods[m];
        printf("# | %s | %.1f | %.1f | %.1f | %.1f |\n", name, pick_ns(name, 1) / unit,
               pick_ns(name, 4) / unit, pick_ns(name, 100) / unit, pick_ns(name, 1000) / unit);
    }
}

TAP_MAIN(shares_are_by_weight, only_a_share_of_the_keys_moves, bounded_load_is_never_exceeded,
         cores_at_once_exceed_it_by_one_each, one_server_in_ten_is_slow,
         a_slow_start_follows_its_line, who_comes_back_gets_no_burst, what_a_choice_costs)
