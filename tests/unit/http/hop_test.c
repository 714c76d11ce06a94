// SPDX-License-Identifier: Apache-2.0
//
// Which names are special: sets of them, and those that imitate them.

#include "http/hop.h"

#include "tap.h"

static void knows_imitations(void)
{
    static const char *const imitations[] = {"content_length",    "Content.Length",
                                             "transfer_encoding", "x_forwarded_for",
                                             "http2_settings",    "via_"};
    for (size_t i = 0; i + 1 < array_len(imitations); i++) {
        CHECK(http_name_imitates(slice_str(imitations[i])));
    }
    CHECK(!http_name_imitates(slice_str(imitations[array_len(imitations) - 1])));
}

static void lets_others_pass(void)
{
    static const char *const others[] = {"content-length", "x_custom", "a", "",
                                         "x_a_name_that_is_longer_than_any_known_one"};
    for (size_t i = 0; i < array_len(others); i++) {
        CHECK(!http_name_imitates(slice_str(others[i])));
    }
}

static void sets_hold_what_they_say(void)
{
    CHECK(http_id_in(HTTP_HOP_IDS, HTTP_CONNECTION));
    CHECK(!http_id_in(HTTP_HOP_IDS, HTTP_COOKIE));
    CHECK(http_id_in(HTTP_NOT_IN_TRAILERS, HTTP_CONTENT_LENGTH));
    CHECK(!http_id_in(HTTP_NOT_IN_TRAILERS, HTTP_ETAG));
    CHECK(!http_id_in(HTTP_IMITATED_IDS, HTTP_OTHER));
}

TAP_MAIN(knows_imitations, lets_others_pass, sets_hold_what_they_say)
