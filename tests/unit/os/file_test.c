// SPDX-License-Identifier: Apache-2.0
//
// file: what is written is read back whole, within its limit, and only from regular files.

#include "os/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/chunk.h"
#include "base/error.h"
#include "tap.h"

static struct chunk_pool pool;
static struct arena arena;

static void setup(void)
{
    chunk_pool_init(&pool, 16, 1);
    arena_init(&arena, NULL, 0, &pool, 16 * 1024);
}

static void reads_all_from_the_first_byte(void)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK_EQ_INT(os_file_write(fd, SLICE("all of it")), 0);
    struct slice out;
    REQUIRE(os_file_read(fd, 100, &arena, &out) == 0); // the position is at the end
    CHECK_TEXT(out.ptr, out.len, "all of it");
    CHECK_EQ_INT(os_file_read(fd, 9, &arena, &out), 0);
    CHECK_EQ_INT(os_file_read(fd, 8, &arena, &out), E_TOO_LARGE);
    CHECK_EQ_INT(ftruncate(fd, 0), 0);
    CHECK_EQ_INT(os_file_read(fd, 8, &arena, &out), 0);
    CHECK_EQ_INT(out.len, 0);
    (void)close(fd);
}

static void only_regular_files(void)
{
    struct slice out;
    int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK_EQ_INT(os_file_read(fd, 100, &arena, &out), E_INVALID);
    (void)close(fd);
    CHECK(os_file_read(-1, 100, &arena, &out) < 0);
    CHECK(os_file_write(-1, SLICE("x")) < 0);
}

static void fini(void)
{
    arena_fini(&arena);
    chunk_pool_fini(&pool);
}

TAP_MAIN(setup, reads_all_from_the_first_byte, only_regular_files, fini)
