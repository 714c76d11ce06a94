// SPDX-License-Identifier: Apache-2.0
//
// Sealed memory files.

#include "os/memfd.h"

#include <sys/mman.h>

#include "base/error.h"
#include "tap.h"

static void carries_bytes(void)
{
    int fd = os_memfd_make("test", SLICE("a document"));
    REQUIRE(fd >= 0);
    CHECK(write(fd, "x", 1) < 0);
    CHECK(ftruncate(fd, 3) != 0);
    struct slice s;
    CHECK_EQ_INT(os_memfd_map(fd, 5, &s), E_TOO_LARGE);
    CHECK_EQ_INT(os_memfd_map(fd, 100, &s), 0);
    (void)close(fd);
    CHECK_TEXT(s.ptr, s.len, "a document");
    os_memfd_unmap(s);
    fd = os_memfd_make("empty", SLICE(""));
    CHECK_EQ_INT(os_memfd_map(fd, 100, &s), 0);
    CHECK_EQ_INT(s.len, 0);
    os_memfd_unmap(s);
    (void)close(fd);
}

static void refuses_what_may_change(void)
{
    int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    REQUIRE(fd >= 0);
    struct slice s;
    CHECK_EQ_INT(os_memfd_map(fd, 100, &s), E_INVALID);
    (void)close(fd);
    CHECK_EQ_INT(os_memfd_map(0, 100, &s), E_INVALID);
    CHECK_EQ_INT(os_memfd_map(-1, 100, &s), E_INVALID);
}

TAP_MAIN(carries_bytes, refuses_what_may_change)
