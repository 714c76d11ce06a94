// SPDX-License-Identifier: Apache-2.0
//
// Suggestions: near names are found, far ones are not offered.

#include "tap.h"

#include "conf/nearest.h"

static size_t distance(const char *a, const char *b)
{
    return conf_edit_distance(slice_str(a), slice_str(b));
}

static void counts_edits(void)
{
    CHECK_EQ_INT(distance("", ""), 0);
    CHECK_EQ_INT(distance("abc", ""), 3);
    CHECK_EQ_INT(distance("proxy", "proxy"), 0);
    CHECK_EQ_INT(distance("Proxy", "proxy"), 0);
    CHECK_EQ_INT(distance("prxy", "proxy"), 1);
    CHECK_EQ_INT(distance("prxoy", "proxy"), 1); // two letters swapped
    CHECK_EQ_INT(distance("porxys", "proxy"), 2);
    CHECK_EQ_INT(distance("kitten", "sitting"), 3);
}

static void refuses_long_names(void)
{
    char name[CONF_NEAREST_NAME_MAX + 2];
    memset(name, 'a', sizeof name);
    CHECK(conf_edit_distance(slice_of(name, sizeof name), SLICE("a")) == SIZE_MAX);
    struct conf_nearest n = conf_nearest_to(slice_of(name, sizeof name));
    conf_nearest_offer(&n, slice_of(name, sizeof name));
    CHECK_EQ_INT(n.best.len, 0);
}

static const char *nearest(const char *wanted)
{
    static const char *const known[] = {"proxy", "redirect", "respond", "path", "at", "to"};
    static char found[CONF_NEAREST_NAME_MAX + 1];
    struct conf_nearest n = conf_nearest_to(slice_str(wanted));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        conf_nearest_offer(&n, slice_str(known[i]));
    }
    memcpy(found, n.best.ptr, n.best.len);
    found[n.best.len] = '\0';
    return found;
}

static void finds_the_nearest(void)
{
    CHECK_STR(nearest("prxy"), "proxy");
    CHECK_STR(nearest("redirct"), "redirect");
    CHECK_STR(nearest("pth"), "path");
    CHECK_STR(nearest("response"), "respond");
    CHECK_STR(nearest("tls"), "");
    CHECK_STR(nearest("x"), "");
    CHECK_STR(nearest("completely different"), "");
}

TAP_MAIN(counts_edits, refuses_long_names, finds_the_nearest)
