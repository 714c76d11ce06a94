// SPDX-License-Identifier: Apache-2.0
//
// Listings: in order, escaped, without what begins with a dot, and bounded.

#include "files/listing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "os/folder.h"
#include "tap.h"

static char folder[] = "/tmp/adit-listing-XXXXXX";

static void make(int at, const char *name, bool is_folder)
{
    if (is_folder) {
        REQUIRE(mkdirat(at, name, 0700) == 0);
        return;
    }
    int fd = openat(at, name, O_CREAT | O_WRONLY, 0600);
    REQUIRE(fd >= 0);
    (void)close(fd);
}

static void clear(int at, const char *name, bool is_folder)
{
    REQUIRE(unlinkat(at, name, is_folder ? AT_REMOVEDIR : 0) == 0);
}

static void lists_a_folder(void)
{
    static const struct {
        const char *name;
        bool folder;
    } entries[] = {{"b.txt", false},
                   {"a<b>&\"c.txt", false},
                   {"z", true},
                   {".hidden", false},
                   {"50% off", false}};
    REQUIRE(mkdtemp(folder) != NULL);
    int at = os_folder_open(folder);
    REQUIRE(at >= 0);
    for (size_t i = 0; i < array_len(entries); i++) {
        make(at, entries[i].name, entries[i].folder);
    }
    struct arena arena;
    struct slice page;
    arena_init(&arena, NULL, 0, NULL, 1 << 20);
    CHECK_EQ_INT(files_listing(at, SLICE("/<x>/"), false, &arena, &page), 0);
    ptrdiff_t list = slice_find(page, SLICE("<ul>"));
    CHECK(slice_find(page, SLICE("<h1>/&lt;x&gt;/</h1>")) >= 0);
    struct slice rest = slice_from(page, list < 0 ? 0 : (size_t)list);
    CHECK_TEXT(rest.ptr, rest.len,
               "<ul>\n<li><a href=\"../\">../</a>\n<li><a href=\"./z/\">z/</a>\n"
               "<li><a href=\"./50%25%20off\">50% off</a>\n"
               "<li><a href=\"./a%3Cb%3E%26%22c.txt\">a&lt;b&gt;&amp;&quot;c.txt</a>\n"
               "<li><a href=\"./b.txt\">b.txt</a>\n</ul>\n");
    arena_fini(&arena);
    for (size_t i = 0; i < array_len(entries); i++) {
        clear(at, entries[i].name, entries[i].folder);
    }
    os_folder_close(at);
}

static void says_when_there_are_more(void)
{
    char name[32];
    int at = os_folder_open(folder);
    REQUIRE(at >= 0);
    for (int i = 0; i < 1100; i++) {
        (void)snprintf(name, sizeof(name), "file-%04d", i);
        make(at, name, false);
    }
    struct arena arena;
    struct slice page;
    arena_init(&arena, NULL, 0, NULL, 256 * 1024); // an exchange's
    CHECK_EQ_INT(files_listing(at, SLICE("/"), true, &arena, &page), 0);
    CHECK(slice_find(page, SLICE("<li>and more")) >= 0);
    CHECK(slice_find(page, SLICE("../")) < 0);
    arena_fini(&arena);
    for (int i = 0; i < 1100; i++) {
        (void)snprintf(name, sizeof(name), "file-%04d", i);
        clear(at, name, false);
    }
    os_folder_close(at);
    (void)rmdir(folder);
}

TAP_MAIN(lists_a_folder, says_when_there_are_more)
