// SPDX-License-Identifier: Apache-2.0
//
// Files of the state directory.

#include "keeper/shelf.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/error.h"

#include "tap.h"

static char path[] = "/tmp/adit-shelf-XXXXXX";
static int dir = -1;

static void setup(void)
{
    REQUIRE(mkdtemp(path) != NULL);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(dir >= 0);
}

static void count_name(void *arg, const char *name)
{
    int *count = arg;
    *count += strcmp(name, "key.pem") == 0 || strcmp(name, "old.pem") == 0 ? 1 : 100;
}

static void what_is_written_is_read(void)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice got;
    CHECK_EQ_INT(shelf_write(dir, "certificates/a.test/key.pem", SLICE("one"), SHELF_KEY), 0);
    CHECK_EQ_INT(shelf_write(dir, "certificates/a.test/key.pem", SLICE("two"), SHELF_KEY), 0);
    CHECK_EQ_INT(shelf_read(dir, "certificates/a.test/key.pem", 100, &a, &got), 0);
    CHECK_TEXT(got.ptr, got.len, "two");
    struct stat st;
    CHECK(fstatat(dir, "certificates/a.test/key.pem", &st, 0) == 0);
    CHECK_EQ_INT(st.st_mode & 0777, 0600);
    CHECK(fstatat(dir, "certificates", &st, 0) == 0);
    CHECK(S_ISDIR(st.st_mode));
    CHECK_EQ_INT(shelf_replace(dir, "certificates/a.test/key.pem", "certificates/a.test/old.pem"),
                 0);
    int names = 0;
    shelf_names(dir, "certificates/a.test", count_name, &names);
    CHECK_EQ_INT(names, 1);
    shelf_remove(dir, "certificates/a.test/old.pem");
    CHECK_EQ_INT(shelf_read(dir, "certificates/a.test/old.pem", 100, &a, &got), E_NOT_FOUND);
    arena_fini(&a);
}

static void what_is_no_file_is_not_read(void)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice got;
    CHECK(symlinkat("/etc/passwd", dir, "link") == 0);
    CHECK(shelf_read(dir, "link", 1 << 20, &a, &got) != 0);
    CHECK_EQ_INT(shelf_read(dir, "certificates", 100, &a, &got), E_INVALID);
    CHECK_EQ_INT(shelf_write(dir, "large", SLICE("0123456789"), SHELF_PUBLIC), 0);
    CHECK_EQ_INT(shelf_read(dir, "large", 9, &a, &got), E_TOO_LARGE);
    CHECK_EQ_INT(shelf_read(-1, "large", 9, &a, &got), E_NOT_FOUND);
    CHECK_EQ_INT(shelf_write(-1, "large", SLICE("x"), SHELF_KEY), E_UNSUPPORTED);
    CHECK_EQ_INT(shelf_replace(-1, "large", "x"), E_UNSUPPORTED);
    shelf_remove(-1, "large");
    int names = 0;
    shelf_names(-1, "certificates", count_name, &names);
    shelf_names(dir, "none", count_name, &names);
    CHECK_EQ_INT(names, 0);
    arena_fini(&a);
    (void)unlinkat(dir, "link", 0);
    (void)unlinkat(dir, "large", 0);
    (void)unlinkat(dir, "certificates/a.test", AT_REMOVEDIR);
    (void)unlinkat(dir, "certificates", AT_REMOVEDIR);
    CHECK(rmdir(path) == 0);
}

static void names_become_folders(void)
{
    char out[64];
    CHECK(shelf_folder(SLICE("example.com"), out, sizeof out));
    CHECK_STR(out, "example.com");
    CHECK(shelf_folder(SLICE("*.example.com"), out, sizeof out));
    CHECK_STR(out, "_wildcard.example.com");
    CHECK(shelf_folder(SLICE("ca.test:8443"), out, sizeof out));
    CHECK_STR(out, "ca.test_8443");
    CHECK(shelf_folder(SLICE("[2001:db8::1]"), out, sizeof out));
    CHECK_STR(out, "2001_db8__1");
    CHECK(!shelf_folder(SLICE("../etc"), out, sizeof out));
    CHECK(!shelf_folder(SLICE("a/b"), out, sizeof out));
    CHECK(!shelf_folder(SLICE("."), out, sizeof out));
    CHECK(!shelf_folder(SLICE(""), out, sizeof out));
    CHECK(!shelf_folder(SLICE("a-name-that-is-longer-than-the-room"), out, 20));
}

TAP_MAIN(setup, what_is_written_is_read, what_is_no_file_is_not_read, names_become_folders)
