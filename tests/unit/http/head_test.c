// SPDX-License-Identifier: Apache-2.0
//
// Methods, reasons, dates.

#include "http/head.h"

#include <time.h>

#include "tap.h"

static void knows_methods(void)
{
    CHECK_EQ_INT(http_method_of(SLICE("GET")), HTTP_METHOD_GET);
    CHECK_EQ_INT(http_method_of(SLICE("PROPFIND")), HTTP_METHOD_PROPFIND);
    CHECK_EQ_INT(http_method_of(SLICE("get")), HTTP_METHOD_OTHER);
    CHECK_EQ_INT(http_method_of(SLICE("")), HTTP_METHOD_OTHER);
    for (int m = 1; m < HTTP_METHOD_COUNT; m++) {
        CHECK_EQ_INT(http_method_of(http_method_text((enum http_method)m)), m);
    }
    CHECK(http_method_is_safe(HTTP_METHOD_QUERY));
    CHECK(!http_method_is_safe(HTTP_METHOD_PUT));
    CHECK(http_method_is_idempotent(HTTP_METHOD_PUT));
    CHECK(http_method_is_idempotent(HTTP_METHOD_DELETE));
    CHECK(http_method_is_idempotent(HTTP_METHOD_HEAD));
    CHECK(!http_method_is_idempotent(HTTP_METHOD_POST));
    CHECK(!http_method_is_idempotent(HTTP_METHOD_PATCH));
    CHECK(!http_method_is_idempotent(HTTP_METHOD_OTHER));
    CHECK(!http_method_is_safe(HTTP_METHOD_OTHER));
}

static void knows_reasons(void)
{
    CHECK(slice_eq(http_status_reason(200), SLICE("OK")));
    CHECK(slice_eq(http_status_reason(431), SLICE("Request Header Fields Too Large")));
    CHECK(slice_eq(http_status_reason(299), SLICE("Unknown")));
    CHECK(slice_eq(http_status_reason(999), SLICE("Unknown")));
    CHECK(slice_eq(http_status_reason(0), SLICE("Unknown")));
}

static void formats_dates(void)
{
    char out[29];
    http_date_format(out, 784111777);
    CHECK_TEXT(out, 29, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date_format(out, 0);
    CHECK_TEXT(out, 29, "Thu, 01 Jan 1970 00:00:00 GMT");
    // Every day of four centuries and some seconds of it, against the C library.
    for (uint64_t day = 0; day < 146097; day++) {
        time_t when = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char want[64];
        (void)gmtime_r(&when, &tm);
        (void)strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        http_date_format(out, (uint64_t)when);
        if (memcmp(out, want, 29) != 0) {
            CHECK_TEXT(out, 29, want);
            return;
        }
    }
}

static void begins_empty(void)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, NULL, 4096);
    struct http_head head;
    memset(&head, 0xff, sizeof(head));
    http_head_init(&head, &arena, 1000, 10);
    CHECK_EQ_INT(head.fields.count, 0);
    CHECK_EQ_INT(head.status, 0);
    CHECK_EQ_INT(head.target.len, 0);
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    arena_fini(&arena);
}

TAP_MAIN(knows_methods, knows_reasons, formats_dates, begins_empty)
