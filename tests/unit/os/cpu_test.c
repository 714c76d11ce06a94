// SPDX-License-Identifier: Apache-2.0
//
// CPUs: counting, pinning, naming.

#include "os/cpu.h"

#include <pthread.h>
#include <sched.h>

#include "tap.h"

static int pinned_rc;
static int pinned_cpus;
static char thread_name[16];

static void *pin_it(void *arg)
{
    (void)arg;
    os_thread_name("a name that is too long");
    (void)pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
    pinned_rc = os_cpu_pin(1000003);
    cpu_set_t set;
    (void)pthread_getaffinity_np(pthread_self(), sizeof(set), &set);
    pinned_cpus = CPU_COUNT(&set);
    return NULL;
}

static void pins_one_thread(void)
{
    uint32_t before = os_cpu_count();
    CHECK(before >= 1);
    pthread_t t;
    REQUIRE(pthread_create(&t, NULL, pin_it, NULL) == 0);
    (void)pthread_join(t, NULL);
    CHECK_EQ_INT(pinned_rc, 0);
    CHECK_EQ_INT(pinned_cpus, 1);
    CHECK_EQ_INT(os_cpu_count(), before);
    CHECK_STR(thread_name, "a name that is ");
}

TAP_MAIN(pins_one_thread)
