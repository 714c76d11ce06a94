// SPDX-License-Identifier: Apache-2.0
//
// window: what was counted leaves after its time, whoever counts meanwhile.

#include "upstream/window.h"

#include <pthread.h>

#include "tap.h"

enum { MS = 10000 };

static struct window_sum sum(struct window *w, uint64_t now)
{
    return window_read(w, MS, now);
}

static void counts_and_forgets(void)
{
    static struct window w; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&w, 0, sizeof w);
    CHECK_EQ_INT(sum(&w, 0).total, 0);
    window_add(&w, MS, 5000, (struct window_sum){3, 1});
    window_add(&w, MS, 5999, (struct window_sum){2, 0});
    window_add(&w, MS, 6000, (struct window_sum){1, 1});
    CHECK_EQ_INT(sum(&w, 6000).total, 6);
    CHECK_EQ_INT(sum(&w, 6000).marked, 2);
    CHECK_EQ_INT(sum(&w, 14999).total, 6);
    CHECK_EQ_INT(sum(&w, 15000).total, 1); // the second of 5000..5999 has left
    CHECK_EQ_INT(sum(&w, 15000).marked, 1);
    CHECK_EQ_INT(sum(&w, 16000).total, 0);
}

static void slots_are_used_again(void)
{
    static struct window w; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&w, 0, sizeof w);
    for (uint64_t now = 0; now < 100000; now += 100) {
        window_add(&w, MS, now, (struct window_sum){1, 0});
    }
    CHECK_EQ_INT(sum(&w, 99999).total, 100);
    window_clear(&w);
    CHECK_EQ_INT(sum(&w, 99999).total, 0);
}

static void marks_are_taken_back(void)
{
    static struct window w; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&w, 0, sizeof w);
    window_add(&w, MS, 0, (struct window_sum){1, 1});
    window_unmark(&w, MS, 0);
    window_unmark(&w, MS, 0); // there is none any more
    CHECK_EQ_INT(sum(&w, 0).marked, 0);
    CHECK_EQ_INT(sum(&w, 0).total, 1);
    window_add(&w, MS, 0, (struct window_sum){0, 1});
    window_unmark(&w, MS, 1000); // another slot's
    CHECK_EQ_INT(sum(&w, 1000).marked, 1);
}

static void a_full_slot_stays_full(void)
{
    static struct window w; // gcc 12 does not align it on ASan's stack (PR 110027)
    memset(&w, 0, sizeof w);
    for (uint32_t i = 0; i < 1 << 15; i++) {
        window_add(&w, MS, 0, (struct window_sum){256, 256});
    }
    struct window_sum full = sum(&w, 0);
    CHECK(full.total > 4000000 && full.total < 1 << 22);
    CHECK_EQ_INT(full.marked, full.total);
}

static struct window shared;
enum { THREADS = 4, ADDS = 20000 };

static void *adds(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ADDS; i++) {
        window_add(&shared, MS, i / 4, (struct window_sum){1, i % 2 == 0}); // 5 s pass
    }
    return NULL;
}

static void threads_lose_nothing(void)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, adds, NULL) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ_INT(sum(&shared, 5000).total, THREADS * ADDS);
    CHECK_EQ_INT(sum(&shared, 5000).marked, THREADS * ADDS / 2);
}

TAP_MAIN(counts_and_forgets, slots_are_used_again, marks_are_taken_back, a_full_slot_stays_full,
         threads_lose_nothing)
