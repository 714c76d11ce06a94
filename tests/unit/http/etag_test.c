// SPDX-License-Identifier: Apache-2.0
//
// Entity tags and their lists.

#include "http/etag.h"

#include "tap.h"

static void knows_good_tags(void)
{
    CHECK(http_etag_ok(SLICE("\"\"")));
    CHECK(http_etag_ok(SLICE("\"a,b\"")));
    CHECK(http_etag_ok(SLICE("W/\"\xe9\"")));
    CHECK(!http_etag_ok(SLICE("")));
    CHECK(!http_etag_ok(SLICE("a")));
    CHECK(!http_etag_ok(SLICE("\"")));
    CHECK(!http_etag_ok(SLICE("w/\"a\"")));
    CHECK(!http_etag_ok(SLICE("\"a b\"")));
    CHECK(!http_etag_ok(SLICE("\"a\"b\"")));
    CHECK(!http_etag_ok(SLICE("W/a")));
}

static void compares(void)
{
    // The table of RFC 9110 8.8.3.2.
    CHECK(!http_etag_match_strong(SLICE("W/\"1\""), SLICE("W/\"1\"")));
    CHECK(http_etag_match_weak(SLICE("W/\"1\""), SLICE("W/\"1\"")));
    CHECK(!http_etag_match_weak(SLICE("W/\"1\""), SLICE("W/\"2\"")));
    CHECK(!http_etag_match_strong(SLICE("W/\"1\""), SLICE("\"1\"")));
    CHECK(http_etag_match_weak(SLICE("W/\"1\""), SLICE("\"1\"")));
    CHECK(http_etag_match_strong(SLICE("\"1\""), SLICE("\"1\"")));
    CHECK(!http_etag_match_weak(SLICE("1"), SLICE("1")));
}

static void searches_lists(void)
{
    CHECK(http_etag_listed(SLICE("*"), SLICE("\"a\""), false));
    CHECK(!http_etag_listed(SLICE("*"), SLICE(""), false));
    CHECK(http_etag_listed(SLICE("\"a\", W/\"b\" ,, \"c,d\""), SLICE("\"b\""), false));
    CHECK(!http_etag_listed(SLICE("\"a\", W/\"b\" ,, \"c,d\""), SLICE("\"b\""), true));
    CHECK(http_etag_listed(SLICE("\"a\", W/\"b\" ,, \"c,d\""), SLICE("\"c,d\""), true));
    CHECK(!http_etag_listed(SLICE("\"a\", W/\"b\""), SLICE("\"c\""), false));
    CHECK(!http_etag_listed(SLICE("a, \"b\""), SLICE("\"b\""), false));
    CHECK(!http_etag_listed(SLICE("\"a"), SLICE("\"a\""), false));
    CHECK(!http_etag_listed(SLICE(""), SLICE("\"a\""), false));
}

TAP_MAIN(knows_good_tags, compares, searches_lists)
