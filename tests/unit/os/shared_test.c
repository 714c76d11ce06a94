// SPDX-License-Identifier: Apache-2.0
//
// Shared memory: what one mapping writes the other reads, and nobody can shrink it.

#include "os/shared.h"

#include <unistd.h>

#include "base/error.h"
#include "os/memfd.h"
#include "tap.h"

static void two_mappings_see_each_other(void)
{
    int fd = os_shared_make("test", 4096);
    REQUIRE(fd >= 0);
    void *a = NULL;
    void *b = NULL;
    REQUIRE(os_shared_map(fd, 4096, true, &a) == 0);
    REQUIRE(os_shared_map(fd, 4096, false, &b) == 0);
    CHECK_EQ_INT(((char *)b)[17], 0);
    ((char *)a)[17] = 'x';
    CHECK_EQ_INT(((char *)b)[17], 'x');
    CHECK(ftruncate(fd, 10) != 0);
    os_shared_unmap(a, 4096);
    os_shared_unmap(b, 4096);
    (void)close(fd);
}

static void another_size_is_refused(void)
{
    int fd = os_shared_make("test", 4096);
    void *at = NULL;
    CHECK_EQ_INT(os_shared_map(fd, 8192, false, &at), E_INVALID);
    (void)close(fd);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    CHECK_EQ_INT(os_shared_map(ends[0], 4096, false, &at), E_INVALID);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

TAP_MAIN(two_mappings_see_each_other, another_size_is_refused)
