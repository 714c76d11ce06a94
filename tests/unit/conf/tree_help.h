// SPDX-License-Identifier: Apache-2.0
//
// For tests of what is inside the loading of a configuration: a build with its arena and diags.

#pragma once

#include "conf_help.h"

#include "conf/tree_int.h"

static struct arena build_arena;
static struct conf_build build;

__attribute__((unused)) static struct conf_build *build_begin(void)
{
    arena_init(&build_arena, NULL, 0, NULL, 16 << 20);
    memset(&build, 0, sizeof build);
    build.arena = &build_arena;
    build.diags = conf_diags_new();
    build.source = &memory_source;
    build.tables = conf_tables;
    REQUIRE(build.diags != NULL);
    return &build;
}

__attribute__((unused)) static void build_end(void)
{
    conf_diags_free(build.diags);
    arena_fini(&build_arena);
}

// Parses a text as the next file of the build.
__attribute__((unused)) static struct conf_item *build_parse(const char *text)
{
    struct slice s = slice_str(text);
    return conf_parse(&build, conf_build_file(&build, SLICE("adit.yaml"), s), s);
}
