// SPDX-License-Identifier: Apache-2.0
//
// wheel: order, pushing back, far times, and the wheel against a plain array over a long time.

#include "base/wheel.h"

#include "base/rng.h"
#include "tap.h"

static struct wheel w;
static uint64_t log_ms[64];
static int log_id[64];
static int log_count;

struct timer {
    struct wheel_timer t;
    int id;
    uint64_t model_ms; // 0: not set
    int again;
};

static void note(struct wheel_timer *t)
{
    struct timer *x = container_of(t, struct timer, t);
    CHECK(!wheel_timer_is_set(t));
    log_ms[log_count] = w.now_ms;
    log_id[log_count++] = x->id;
}

static void setup(struct timer *timers, int n, void (*fn)(struct wheel_timer *t), uint64_t now)
{
    wheel_init(&w, now);
    log_count = 0;
    for (int i = 0; i < n; i++) {
        timers[i] = (struct timer){.id = i};
        wheel_timer_init(&timers[i].t, fn);
    }
}

static void fires_in_order(void)
{
    struct timer t[6];
    setup(t, 6, note, 1000);
    static const uint64_t at[] = {70000, 1300, 1300, 1000, 5000000, 1001};
    for (int i = 0; i < 6; i++) {
        wheel_set(&w, &t[i].t, at[i]);
    }
    CHECK_EQ_INT(w.count, 6);
    CHECK_EQ_INT(wheel_next_ms(&w, 500), 0);
    wheel_advance(&w, 10000000);
    static const int order[] = {3, 5, 1, 2, 0, 4};
    REQUIRE(log_count == 6);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ_INT(log_id[i], order[i]);
        CHECK_EQ_INT(log_ms[i], at[order[i]]);
    }
    CHECK_EQ_INT(w.count, 0);
    CHECK_EQ_INT(wheel_next_ms(&w, 500), 500);
}

static void keeps_the_order_of_one_tick_over_cascades(void)
{
    struct timer t[3];
    setup(t, 3, note, 0);
    wheel_set(&w, &t[0].t, 66000);
    wheel_advance(&w, 65000);
    wheel_set(&w, &t[1].t, 66000);
    wheel_advance(&w, 65800);
    wheel_set(&w, &t[2].t, 66000);
    wheel_advance(&w, 66000);
    REQUIRE(log_count == 3);
    CHECK(log_id[0] == 0 && log_id[1] == 1 && log_id[2] == 2);
}

static void pushes_back_without_moving(void)
{
    struct timer t[1];
    setup(t, 1, note, 0);
    wheel_set(&w, &t[0].t, 100);
    for (uint64_t ms = 1; ms < 1000; ms++) {
        wheel_advance(&w, ms);
        wheel_set(&w, &t[0].t, ms + 100);
    }
    CHECK_EQ_INT(log_count, 0);
    wheel_advance(&w, 1098);
    CHECK_EQ_INT(log_count, 0);
    wheel_advance(&w, 1099);
    CHECK_EQ_INT(log_count, 1);
    wheel_set(&w, &t[0].t, 5000);
    wheel_set(&w, &t[0].t, 1200); // earlier: is moved at once
    CHECK(wheel_next_ms(&w, 10000) <= 101);
    wheel_advance(&w, 1200);
    CHECK_EQ_INT(log_count, 2);
}

static void reaches_far(void)
{
    struct timer t[4];
    uint64_t start = (UINT64_C(1) << 32) - 5;
    setup(t, 4, note, start);
    wheel_set(&w, &t[0].t, start + 4);
    wheel_set(&w, &t[1].t, start + 5);
    wheel_set(&w, &t[2].t, start + 6);
    wheel_set(&w, &t[3].t, start * 5);
    wheel_advance(&w, start * 5 - 1);
    REQUIRE(log_count == 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ_INT(log_ms[i], start + 4 + (uint64_t)i);
    }
    wheel_advance(&w, start * 5);
    CHECK_EQ_INT(log_count, 4);
    wheel_set(&w, &t[3].t, start * 50);
    CHECK(wheel_next_ms(&w, UINT64_MAX) <= start * 45);
    wheel_stop(&w, &t[3].t);
    wheel_stop(&w, &t[3].t);
    CHECK_EQ_INT(w.count, 0);
}

static void set_again(struct wheel_timer *t)
{
    struct timer *x = container_of(t, struct timer, t);
    note(t);
    if (x->again-- > 0) {
        wheel_set(&w, t, w.now_ms);
    }
}

static void fires_once_more_in_the_same_call(void)
{
    struct timer t[1];
    setup(t, 1, set_again, 0);
    t[0].again = 3;
    wheel_set(&w, &t[0].t, 10);
    wheel_advance(&w, 10);
    CHECK_EQ_INT(log_count, 2);
    CHECK_EQ_INT(wheel_next_ms(&w, 100), 0);
    wheel_advance(&w, 10);
    CHECK_EQ_INT(log_count, 4);
    wheel_advance(&w, 20);
    CHECK_EQ_INT(log_count, 4);
    // With time ahead the rest comes a tick later each time, and the call ends.
    t[0].again = 5;
    wheel_set(&w, &t[0].t, 30);
    wheel_advance(&w, 40);
    CHECK_EQ_INT(log_count, 10);
    CHECK_EQ_INT(log_ms[9], 32);
}

static struct timer pair[2];

static void stop_other(struct wheel_timer *t)
{
    note(t);
    wheel_stop(&w, &pair[1].t);
    wheel_set(&w, &pair[0].t, 500);
}

static void may_stop_a_neighbour_that_is_due(void)
{
    setup(pair, 2, stop_other, 0);
    wheel_set(&w, &pair[0].t, 10);
    wheel_set(&w, &pair[1].t, 10);
    wheel_advance(&w, 20);
    CHECK_EQ_INT(log_count, 1);
    CHECK_EQ_INT(w.count, 1);
    wheel_stop(&w, &pair[0].t);
    wheel_advance(&w, 1000);
    CHECK_EQ_INT(log_count, 1);
}

// ---- against an array ----------------------------------------------------------------------------------

enum { TIMERS = 200 };

static struct timer timers[TIMERS];
static struct rng rng;
static uint64_t last_fired_ms;
static uint64_t fired;
static bool wrong;

static uint64_t random_delay(void)
{
    switch (rng_below(&rng, 6)) {
    case 0:
        return rng_below(&rng, 3);
    case 1:
        return rng_below(&rng, 300);
    case 2:
        return rng_below(&rng, 70000);
    case 3:
        return rng_below(&rng, 20000000);
    case 4:
        return rng_below(&rng, UINT64_C(1) << 33);
    default:
        return 30000;
    }
}

static void check_fire(struct wheel_timer *t)
{
    struct timer *x = container_of(t, struct timer, t);
    wrong = wrong || x->model_ms == 0 || w.now_ms != x->model_ms || w.now_ms < last_fired_ms;
    last_fired_ms = w.now_ms;
    x->model_ms = 0;
    fired++;
    if (rng_chance(&rng, 0.5)) {
        x->model_ms = w.now_ms + 1 + random_delay();
        wheel_set(&w, t, x->model_ms);
    }
    struct timer *other = &timers[rng_below(&rng, TIMERS)];
    if (rng_chance(&rng, 0.1)) {
        wheel_stop(&w, &other->t);
        other->model_ms = 0;
    }
}

static void change_some(void)
{
    for (int i = 0; i < 5; i++) {
        struct timer *x = &timers[rng_below(&rng, TIMERS)];
        if (rng_chance(&rng, 0.2)) {
            wheel_stop(&w, &x->t);
            x->model_ms = 0;
        } else {
            x->model_ms = w.now_ms + 1 + random_delay();
            wheel_set(&w, &x->t, x->model_ms);
        }
    }
}

static void equals_an_array(void)
{
    rng_seed(&rng, 17);
    setup(timers, TIMERS, check_fire, (UINT64_C(1) << 32) - 1000000);
    last_fired_ms = 0;
    for (int step = 0; step < 60000 && !wrong; step++) {
        change_some();
        uint64_t earliest = UINT64_MAX;
        uint32_t count = 0;
        for (int i = 0; i < TIMERS; i++) {
            wrong = wrong || (timers[i].model_ms != 0) != wheel_timer_is_set(&timers[i].t);
            if (timers[i].model_ms != 0) {
                count++;
                earliest = timers[i].model_ms < earliest ? timers[i].model_ms : earliest;
            }
        }
        wrong = wrong || w.count != count;
        // The next thing to do is never later than the earliest expiry.
        wrong = wrong || (count > 0 && w.now_ms + wheel_next_ms(&w, UINT32_MAX) > earliest);
        uint64_t to = w.now_ms + (rng_chance(&rng, 0.5) ? rng_below(&rng, 50) : random_delay());
        wheel_advance(&w, to);
        for (int i = 0; i < TIMERS; i++) {
            wrong = wrong || (timers[i].model_ms != 0 && timers[i].model_ms <= to);
        }
    }
    CHECK(!wrong);
    CHECK(fired > 10000);
}

TAP_MAIN(fires_in_order, keeps_the_order_of_one_tick_over_cascades, pushes_back_without_moving,
         reaches_far, fires_once_more_in_the_same_call, may_stop_a_neighbour_that_is_due,
         equals_an_array)
