// SPDX-License-Identifier: Apache-2.0
//
// CPUs. The allowed set is what the affinity mask says, which containers and taskset narrow; CPU
// quotas (cgroup bandwidth) are not looked at, since they limit time and not places.

#include "os/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/error.h"

uint32_t os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

int os_cpu_pin(uint32_t index)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return error_from_errno(errno);
    }
    uint32_t nth = index % os_cpu_count();
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            int rc = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
            return error_from_errno(rc);
        }
    }
    return E_NOT_FOUND;
}

void os_thread_name(const char *name)
{
    char cut[16] = "";
    size_t n = strnlen(name, sizeof(cut) - 1);
    memcpy(cut, name, n);
    (void)pthread_setname_np(pthread_self(), cut);
}
