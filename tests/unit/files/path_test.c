// SPDX-License-Identifier: Apache-2.0
//
// Paths below a folder, and the types of names.

#include "base/error.h"
#include "files/path.h"
#include "tap.h"

static const struct {
    const char *path;
    const char *below; // NULL: not found
} rows[] = {
    {"/", ""},
    {"/a", "a"},
    {"/a/", "a"},
    {"/a/b.txt", "a/b.txt"},
    {"//a///b//", "a/b"},
    {"/a%20b", "a b"},
    {"/%c3%A4", "\xc3\xa4"},
    {"/100%25", "100%"},
    {"/a.b..c", "a.b..c"},
    {"/.git", NULL},
    {"/a/.env", NULL},
    {"/%2egit", NULL},
    {"/..", NULL},
    {"/a/../b", NULL},
    {"/a/%2e%2e/b", NULL},
    {"/a%2fb", NULL},
    {"/a%00b", NULL},
    {"/a%0ab", NULL},
    {"/a%", NULL},
    {"/a%4", NULL},
    {"/a%zz", NULL},
};

static void reads_paths(void)
{
    char out[FILES_PATH_MAX];
    for (size_t i = 0; i < array_len(rows); i++) {
        int e = files_path_read(slice_str(rows[i].path), out);
        if (!CHECK_EQ_INT(e, rows[i].below == NULL ? E_NOT_FOUND : 0)) {
            printf("# %s\n", rows[i].path);
        } else if (e == 0) {
            CHECK_STR(out, rows[i].below);
        }
    }
    static char large[2 * FILES_PATH_MAX];
    memset(large, 'a', sizeof(large));
    CHECK_EQ_INT(files_path_read(slice_of(large, sizeof(large)), out), E_NOT_FOUND);
}

static void knows_types(void)
{
    static const struct {
        const char *name, *type;
    } names[] = {
        {"index.html", "text/html; charset=utf-8"}, {"a/b.JPG", "image/jpeg"},
        {"x.tar.gz", "application/gzip"},           {"Makefile", "application/octet-stream"},
        {"a.b/c", "application/octet-stream"},      {"x.", "application/octet-stream"},
        {"x.unheard", "application/octet-stream"},  {"", "application/octet-stream"},
    };
    for (size_t i = 0; i < array_len(names); i++) {
        struct slice type = files_type_of(slice_str(names[i].name));
        CHECK_TEXT(type.ptr, type.len, names[i].type);
    }
}

TAP_MAIN(reads_paths, knows_types)
