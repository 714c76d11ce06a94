// SPDX-License-Identifier: Apache-2.0
//
// Bytes that may not stand in a URI.

#include "headers/target.h"

#include "tap.h"

static void encodes_what_may_not_stand(void)
{
    static const struct {
        const char *in;
        const char *path;
        const char *location;
    } rows[] = {
        {"/a/b?c=d&e", "/a/b?c=d&e", "/a/b?c=d&e"},
        {"/a b", "/a%20b", "/a%20b"},
        {"/a%20b%", "/a%20b%", "/a%20b%"},
        {"/a#b", "/a%23b", "/a#b"},
        {"/\xc3\xa9\x01\x7f", "/%C3%A9%01%7F", "/%C3%A9%01%7F"},
        {"/\"<>\\^`{|}", "/%22%3C%3E%5C%5E%60%7B%7C%7D", "/%22%3C%3E%5C%5E%60%7B%7C%7D"},
        {"", "", ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct arena a;
        struct slice out;
        arena_init(&a, NULL, 0, NULL, 4096);
        CHECK(target_encode(slice_str(rows[i].in), false, &a, &out) == 0);
        CHECK_TEXT(out.ptr, out.len, rows[i].path);
        CHECK(target_encode(slice_str(rows[i].in), true, &a, &out) == 0);
        CHECK_TEXT(out.ptr, out.len, rows[i].location);
        arena_fini(&a);
    }
}

TAP_MAIN(encodes_what_may_not_stand)
