// SPDX-License-Identifier: Apache-2.0
//
// Files below a folder: what is found, and that nothing leads out.

#include "os/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

static char top[] = "/tmp/adit-folder-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", top, name);
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    REQUIRE(fputs(text, f) >= 0);
    REQUIRE(fclose(f) == 0);
}

static void at_top(const char *name, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", top, name);
}

static void setup(void)
{
    char path[128];
    char other[128];
    REQUIRE(mkdtemp(top) != NULL);
    at_top("root", path);
    REQUIRE(mkdir(path, 0700) == 0);
    at_top("root/sub", path);
    REQUIRE(mkdir(path, 0700) == 0);
    write_file("secret", "secret");
    write_file("root/a.txt", "hello");
    at_top("root/out", path);
    REQUIRE(symlink("../secret", path) == 0);
    at_top("secret", other);
    at_top("root/absolute", path);
    REQUIRE(symlink(other, path) == 0);
    at_top("root/in", path);
    REQUIRE(symlink("sub/../a.txt", path) == 0);
    at_top("root/loop", path);
    REQUIRE(symlink("loop", path) == 0);
    at_top("root/pipe", path);
    REQUIRE(mkfifo(path, 0600) == 0);
}

static const struct {
    const char *path;
    int error;
    bool folder;
} rows[] = {
    {"", 0, true},
    {"sub", 0, true},
    {"a.txt", 0, false},
    {"in", 0, false}, // a link that stays within
    {"sub/../a.txt", 0, false},
    {"out", E_NOT_FOUND, false},
    {"absolute", E_NOT_FOUND, false},
    {"../secret", E_NOT_FOUND, false},
    {"sub/../../secret", E_NOT_FOUND, false},
    {"/etc/passwd", E_NOT_FOUND, false},
    {"loop", E_NOT_FOUND, false},
    {"pipe", E_NOT_FOUND, false},
    {"none", E_NOT_FOUND, false},
    {"a.txt/b", E_NOT_FOUND, false},
};

static void finds_what_is_below(void)
{
    char path[128];
    setup();
    at_top("root", path);
    int root = os_folder_open(path);
    REQUIRE(root >= 0);
    for (size_t i = 0; i < array_len(rows); i++) {
        struct os_found found = {.fd = -1};
        if (!CHECK_EQ_INT(os_folder_find(root, rows[i].path, &found), rows[i].error)) {
            printf("# %s\n", rows[i].path);
        }
        if (found.fd >= 0) {
            CHECK_EQ_INT(found.folder, rows[i].folder);
            CHECK(found.folder || found.size == 5);
            os_folder_close(found.fd);
        }
    }
    struct os_found found;
    char bytes[8];
    REQUIRE(os_folder_find(root, "a.txt", &found) == 0);
    CHECK_EQ_INT(os_folder_read(found.fd, bytes, sizeof(bytes), 2), 3);
    CHECK_TEXT(bytes, 3, "llo");
    CHECK_EQ_INT(os_folder_read(found.fd, bytes, sizeof(bytes), 5), 0);
    os_folder_close(found.fd);
    os_folder_close(root);
    CHECK(os_folder_open("/tmp/there-is-no-such-folder") < 0);
    static const char *const all[] = {"root/pipe", "root/loop",  "root/in", "root/absolute",
                                      "root/out",  "root/a.txt", "secret"};
    for (size_t i = 0; i < array_len(all); i++) {
        at_top(all[i], path);
        REQUIRE(unlink(path) == 0);
    }
    at_top("root/sub", path);
    REQUIRE(rmdir(path) == 0);
    at_top("root", path);
    REQUIRE(rmdir(path) == 0);
    REQUIRE(rmdir(top) == 0);
}

TAP_MAIN(finds_what_is_below)
