// SPDX-License-Identifier: Apache-2.0
//
// Wanted names: each once, few of them, none for ever.

#include "worker/wanted.h"

#include <poll.h>

#include "tap.h"

static struct wanted w;

static bool add(const char *name, uint64_t now_ms)
{
    return wanted_add(&w, slice_str(name), now_ms);
}

static bool awake(void)
{
    struct pollfd p = {.fd = w.wake, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void a_name_passes_once_in_a_while(void)
{
    char name[IPC_NAME_MAX];
    REQUIRE(wanted_init(&w) == 0);
    CHECK(!awake());
    CHECK(add("a.test", 1000));
    CHECK(!add("a.test", 1001));
    CHECK(awake());
    CHECK(wanted_take(&w, name));
    CHECK_STR(name, "a.test");
    CHECK(!wanted_take(&w, name));
    CHECK(!awake());
    CHECK(!add("a.test", 5000));
    CHECK(add("a.test", 1000 + WANTED_AGAIN_MS));
    CHECK(wanted_take(&w, name));
    wanted_fini(&w);
}

static void few_pass_in_a_second(void)
{
    char name[IPC_NAME_MAX];
    REQUIRE(wanted_init(&w) == 0);
    int passed = 0;
    for (int i = 0; i < 1000; i++) {
        char buffer[32];
        (void)snprintf(buffer, sizeof buffer, "n%d.test", i);
        passed += add(buffer, 7000);
    }
    CHECK_EQ_INT(passed, WANTED_PER_S);
    for (uint64_t second = 8; second < 30; second++) { // until all places wait
        for (int i = 0; i < 1000; i++) {
            char buffer[32];
            (void)snprintf(buffer, sizeof buffer, "n%d.%d.test", i, (int)second);
            passed += add(buffer, second * 1000);
        }
    }
    CHECK_EQ_INT(passed, WANTED_MAX);
    while (wanted_take(&w, name)) {
        passed--;
    }
    CHECK_EQ_INT(passed, 0);
    CHECK(add("late.test", 60000));
    wanted_fini(&w);
}

static void what_is_no_name_does_not(void)
{
    char name[IPC_NAME_MAX + 8];
    REQUIRE(wanted_init(&w) == 0);
    memset(name, 'a', sizeof name);
    CHECK(!wanted_add(&w, slice_of(name, IPC_NAME_MAX), 1));
    CHECK(!wanted_add(&w, SLICE(""), 1));
    CHECK(!wanted_add(&w, slice_of("a\0b", 3), 1));
    w.base.want(&w.base, SLICE("by-the-interface.test"));
    CHECK(wanted_take(&w, name));
    CHECK_STR(name, "by-the-interface.test");
    wanted_fini(&w);
}

TAP_MAIN(a_name_passes_once_in_a_while, few_pass_in_a_second, what_is_no_name_does_not)
