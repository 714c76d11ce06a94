// SPDX-License-Identifier: Apache-2.0
//
// A process that gave its pages back goes on.

#include "tap.h"

#include "os/memory.h"

static long resident_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = -1;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &kb) == 1) {
            break;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kb;
}

static void goes_on(void)
{
    char *block = malloc(1 << 16);
    REQUIRE(block != NULL);
    memset(block, 7, 1 << 16);
    long before = resident_kb();
    os_memory_trim();
    os_memory_trim();
    CHECK(before > 0 && resident_kb() > 0);
    CHECK_EQ_INT(block[100], 7);
    free(block);
}

TAP_MAIN(goes_on)
