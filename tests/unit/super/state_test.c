// SPDX-License-Identifier: Apache-2.0
//
// The state directory: made, given away, refused.

#include "super/state.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"

#include "tap.h"

static char reason[2048];

static int open_it(const char *path, const struct os_identity *who)
{
    struct text why = text_on(reason, sizeof reason - 1);
    int fd = super_state_open(path, who, &why);
    reason[why.len] = '\0';
    return fd;
}

static void it_is_made_with_all_above(void)
{
    char path[] = "/tmp/adit-state-XXXXXX";
    REQUIRE(mkdtemp(path) != NULL);
    char deep[128];
    (void)snprintf(deep, sizeof deep, "%s//a/b", path);
    struct os_identity me = {false, geteuid(), getegid()};
    for (int i = 0; i < 2; i++) {
        int fd = open_it(deep, &me);
        struct stat st;
        CHECK(fd >= 0);
        CHECK(stat(deep, &st) == 0 && (st.st_mode & 0777) == 0755);
        (void)close(fd);
    }
    if (geteuid() == 0) {
        struct os_identity other = {true, 65534, 65534};
        int fd = open_it(deep, &other);
        struct stat st;
        CHECK(fd >= 0);
        CHECK(stat(deep, &st) == 0 && st.st_uid == 65534);
        (void)close(fd);
        struct os_identity third = {true, 1, 1};
        CHECK_EQ_INT(open_it(deep, &third), E_DENIED);
        CHECK(strstr(reason, "belongs to user 65534") != NULL);
    }
    CHECK(rmdir(deep) == 0);
    deep[strlen(deep) - 2] = '\0';
    CHECK(rmdir(deep) == 0);
    CHECK(rmdir(path) == 0);
}

static void what_cannot_be_is_told(void)
{
    struct os_identity me = {false, geteuid(), getegid()};
    CHECK(open_it("/proc/none/a", &me) < 0);
    CHECK(strstr(reason, "/proc/none/a: ") != NULL);
    CHECK(open_it("/etc/passwd/a", &me) < 0);
}

static void the_usual_place(void)
{
    char path[STATE_PATH_MAX];
    super_state_default(path);
    if (geteuid() == 0) {
        CHECK_STR(path, "/var/lib/adit");
        return;
    }
    (void)setenv("XDG_STATE_HOME", "/x", 1);
    super_state_default(path);
    CHECK_STR(path, "/x/adit");
    (void)unsetenv("XDG_STATE_HOME");
    (void)setenv("HOME", "/h", 1);
    super_state_default(path);
    CHECK_STR(path, "/h/.local/state/adit");
    (void)unsetenv("HOME");
    super_state_default(path);
    CHECK_STR(path, "");
}

TAP_MAIN(it_is_made_with_all_above, what_cannot_be_is_told, the_usual_place)
