// SPDX-License-Identifier: Apache-2.0
//
// The direct source: files, patterns and variables of this machine, and each way they can fail.

#include "conf_help.h"

#include <sys/stat.h>

static char dir[] = "/tmp/adit-source-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    REQUIRE(f != NULL);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void reads_files(void)
{
    struct conf_source *s = conf_source_files();
    struct arena a;
    struct slice text = SLICE("");
    REQUIRE(mkdtemp(dir) != NULL);
    put_file("b.yaml", "b");
    put_file("a.yaml", "hello\n");
    put_file("empty.yaml", "");
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    CHECK_EQ_INT(s->read(s, path_of("a.yaml"), 100, &a, &text), 0);
    CHECK_TEXT(text.ptr, text.len, "hello\n");
    CHECK_EQ_INT(s->read(s, path_of("empty.yaml"), 100, &a, &text), 0);
    CHECK_EQ_INT(text.len, 0);
    CHECK_EQ_INT(s->read(s, path_of("a.yaml"), 5, &a, &text), E_TOO_LARGE);
    CHECK_EQ_INT(s->read(s, path_of("none"), 5, &a, &text), E_NOT_FOUND);
    CHECK_EQ_INT(s->read(s, path_of("a.yaml/x"), 5, &a, &text), E_NOT_FOUND);
    CHECK_EQ_INT(s->read(s, dir, 100, &a, &text), E_INVALID);
    CHECK_EQ_INT(mkfifo(path_of("pipe"), 0600), 0); // must not wait for a writer
    CHECK_EQ_INT(s->read(s, path_of("pipe"), 100, &a, &text), E_INVALID);
    arena_fini(&a);
}

static void lists_files(void)
{
    struct conf_source *s = conf_source_files();
    struct slice paths[3];
    struct arena a;
    uint32_t count = 9;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    CHECK_EQ_INT(s->glob(s, path_of("*.yaml"), &a, paths, 3, &count), 0);
    CHECK_EQ_INT(count, 3);
    CHECK(slice_ends(paths[0], SLICE("/a.yaml"))); // sorted
    CHECK(slice_ends(paths[1], SLICE("/b.yaml")));
    CHECK_EQ_INT(s->glob(s, path_of("*.yaml"), &a, paths, 2, &count), E_TOO_LARGE);
    CHECK_EQ_INT(s->glob(s, path_of("*.json"), &a, paths, 3, &count), 0);
    CHECK_EQ_INT(count, 0);
    arena_fini(&a);
    static const char *const names[] = {"a.yaml", "b.yaml", "empty.yaml", "pipe"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(path_of(names[i]));
    }
    CHECK_EQ_INT(rmdir(dir), 0);
}

static void reads_variables(void)
{
    struct conf_source *s = conf_source_files();
    CHECK_EQ_INT(setenv("ADIT_SOURCE_TEST", "x", 1), 0);
    CHECK_STR(s->env(s, "ADIT_SOURCE_TEST"), "x");
    CHECK(s->env(s, "ADIT_SOURCE_TEST_NOT") == NULL);
}

TAP_MAIN(reads_files, lists_files, reads_variables)
