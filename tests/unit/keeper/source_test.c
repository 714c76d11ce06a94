// SPDX-License-Identifier: Apache-2.0
//
// Files and patterns by way of the supervisor.

#include <fcntl.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "keeper/keeper_int.h"

#include "tap.h"

#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;
static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void make(const char *name)
{
    FILE *f = fopen(in_dir(name), "we");
    REQUIRE(f != NULL);
    (void)fputs(name, f);
    (void)fclose(f);
}

static void begin(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/adit-source-XXXXXX");
    REQUIRE(mkdtemp(dir) != NULL);
    REQUIRE(mkdir(in_dir("a"), 0700) == 0);
    REQUIRE(mkdir(in_dir("b"), 0700) == 0);
    make("one.yaml");
    make("two.yaml");
    make(".hidden.yaml");
    make("other.txt");
    make("a/x.yaml");
    make("b/x.yaml");
    keeper_init(&keeper);
    fake_start(&supervisor, 0);
}

static void end(void)
{
    fake_stop(&supervisor);
    keeper_fini(&keeper);
    static const char *const files[] = {"one.yaml",  "two.yaml", ".hidden.yaml",
                                        "other.txt", "a/x.yaml", "b/x.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)unlink(in_dir(files[i]));
    }
    (void)rmdir(in_dir("a"));
    (void)rmdir(in_dir("b"));
    CHECK(rmdir(dir) == 0);
}

static void files_come_over_the_channel(void)
{
    begin();
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice got = {0};
    struct conf_source *s = &keeper.source;
    CHECK_EQ_INT(s->read(s, in_dir("one.yaml"), 100, &a, &got), 0);
    CHECK_TEXT(got.ptr, got.len, "one.yaml");
    CHECK_EQ_INT(s->read(s, in_dir("one.yaml"), 3, &a, &got), E_TOO_LARGE);
    CHECK_EQ_INT(s->read(s, in_dir("none"), 100, &a, &got), E_NOT_FOUND);
    CHECK_EQ_INT(s->read(s, "/dev/zero", 100, &a, &got), E_INVALID);
    arena_fini(&a);
    end();
}

static uint32_t count_matches(const char *pattern, const char *first)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice paths[4];
    uint32_t count = 0;
    char whole[256];
    (void)snprintf(whole, sizeof whole, "%s", in_dir(pattern));
    CHECK_EQ_INT(keeper.source.glob(&keeper.source, whole, &a, paths, 4, &count), 0);
    if (count > 0) {
        CHECK_TEXT(paths[0].ptr, paths[0].len, in_dir(first));
    }
    arena_fini(&a);
    return count;
}

static void patterns_are_resolved_here(void)
{
    begin();
    CHECK_EQ_INT(count_matches("*.yaml", "one.yaml"), 2);
    CHECK_EQ_INT(count_matches("one.yaml", "one.yaml"), 1);
    CHECK_EQ_INT(count_matches("*/x.yaml", "a/x.yaml"), 2);
    CHECK_EQ_INT(count_matches("[b-z]/*.yaml", "b/x.yaml"), 1);
    CHECK_EQ_INT(count_matches("none/*.yaml", ""), 0);
    CHECK_EQ_INT(count_matches("t?o.yaml", "two.yaml"), 1);
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice path;
    uint32_t count = 0;
    CHECK_EQ_INT(keeper.source.glob(&keeper.source, in_dir("*.yaml"), &a, &path, 1, &count),
                 E_TOO_LARGE);
    arena_fini(&a);
    end();
}

static void a_dead_supervisor_is_the_end(void)
{
    begin();
    end();
    keeper_init(&keeper);
    int pair[2];
    REQUIRE(fdpass_pair(pair) == 0);
    (void)dup2(pair[1], IPC_CHANNEL);
    (void)close(pair[0]);
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct slice got;
    CHECK(keeper.source.read(&keeper.source, "/etc/hosts", 100, &a, &got) < 0);
    CHECK(keeper.ending);
    arena_fini(&a);
    keeper_fini(&keeper);
}

TAP_MAIN(files_come_over_the_channel, patterns_are_resolved_here, a_dead_supervisor_is_the_end)
