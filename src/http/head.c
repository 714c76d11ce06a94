// SPDX-License-Identifier: Apache-2.0
//
// Methods, status codes and dates: the small tables of RFC 9110, and what they say of a message.
// Nothing here looks at framing, which belongs to a codec. Authority and path are in uri.c.

#include "http/head.h"

#include "base/ensure.h"

void http_head_init(struct http_head *h, struct arena *arena, uint32_t bytes_max,
                    uint16_t count_max)
{
    *h = (struct http_head){.version_minor = 1};
    fields_init(&h->fields, arena, bytes_max, count_max);
}

// ---- methods ---------------------------------------------------------------------------------------

static const struct slice method_texts[HTTP_METHOD_COUNT] = {
#define HTTP_METHOD_TEXT(name) [HTTP_METHOD_##name] = SLICE_INIT(#name),
    HTTP_METHOD_TABLE(HTTP_METHOD_TEXT)
#undef HTTP_METHOD_TEXT
};

enum http_method http_method_of(struct slice text)
{
    // Methods are case-sensitive (RFC 9110 9.1).
    for (unsigned m = 1; m < HTTP_METHOD_COUNT; m++) {
        if (slice_eq(method_texts[m], text)) {
            return (enum http_method)m;
        }
    }
    return HTTP_METHOD_OTHER;
}

struct slice http_method_text(enum http_method m)
{
    ensure(m > HTTP_METHOD_OTHER && m < HTTP_METHOD_COUNT);
    return method_texts[m];
}

enum {
    SAFE_METHODS = 1 << HTTP_METHOD_GET | 1 << HTTP_METHOD_HEAD | 1 << HTTP_METHOD_OPTIONS |
                   1 << HTTP_METHOD_TRACE | 1 << HTTP_METHOD_QUERY | 1 << HTTP_METHOD_PROPFIND,
    IDEMPOTENT_METHODS = SAFE_METHODS | 1 << HTTP_METHOD_PUT | 1 << HTTP_METHOD_DELETE,
};

bool http_method_is_safe(enum http_method m)
{
    return (SAFE_METHODS >> m & 1) != 0;
}

bool http_method_is_idempotent(enum http_method m)
{
    return (IDEMPOTENT_METHODS >> m & 1) != 0;
}

// ---- status codes ----------------------------------------------------------------------------------

static const struct slice reasons[] = {
    [100] = SLICE_INIT("Continue"),
    [101] = SLICE_INIT("Switching Protocols"),
    [102] = SLICE_INIT("Processing"),
    [103] = SLICE_INIT("Early Hints"),
    [200] = SLICE_INIT("OK"),
    [201] = SLICE_INIT("Created"),
    [202] = SLICE_INIT("Accepted"),
    [203] = SLICE_INIT("Non-Authoritative Information"),
    [204] = SLICE_INIT("No Content"),
    [205] = SLICE_INIT("Reset Content"),
    [206] = SLICE_INIT("Partial Content"),
    [207] = SLICE_INIT("Multi-Status"),
    [208] = SLICE_INIT("Already Reported"),
    [226] = SLICE_INIT("IM Used"),
    [300] = SLICE_INIT("Multiple Choices"),
    [301] = SLICE_INIT("Moved Permanently"),
    [302] = SLICE_INIT("Found"),
    [303] = SLICE_INIT("See Other"),
    [304] = SLICE_INIT("Not Modified"),
    [305] = SLICE_INIT("Use Proxy"),
    [307] = SLICE_INIT("Temporary Redirect"),
    [308] = SLICE_INIT("Permanent Redirect"),
    [400] = SLICE_INIT("Bad Request"),
    [401] = SLICE_INIT("Unauthorized"),
    [402] = SLICE_INIT("Payment Required"),
    [403] = SLICE_INIT("Forbidden"),
    [404] = SLICE_INIT("Not Found"),
    [405] = SLICE_INIT("Method Not Allowed"),
    [406] = SLICE_INIT("Not Acceptable"),
    [407] = SLICE_INIT("Proxy Authentication Required"),
    [408] = SLICE_INIT("Request Timeout"),
    [409] = SLICE_INIT("Conflict"),
    [410] = SLICE_INIT("Gone"),
    [411] = SLICE_INIT("Length Required"),
    [412] = SLICE_INIT("Precondition Failed"),
    [413] = SLICE_INIT("Content Too Large"),
    [414] = SLICE_INIT("URI Too Long"),
    [415] = SLICE_INIT("Unsupported Media Type"),
    [416] = SLICE_INIT("Range Not Satisfiable"),
    [417] = SLICE_INIT("Expectation Failed"),
    [421] = SLICE_INIT("Misdirected Request"),
    [422] = SLICE_INIT("Unprocessable Content"),
    [423] = SLICE_INIT("Locked"),
    [424] = SLICE_INIT("Failed Dependency"),
    [425] = SLICE_INIT("Too Early"),
    [426] = SLICE_INIT("Upgrade Required"),
    [428] = SLICE_INIT("Precondition Required"),
    [429] = SLICE_INIT("Too Many Requests"),
    [431] = SLICE_INIT("Request Header Fields Too Large"),
    [451] = SLICE_INIT("Unavailable For Legal Reasons"),
    [499] = SLICE_INIT("Client Closed Request"),
    [500] = SLICE_INIT("Internal Server Error"),
    [501] = SLICE_INIT("Not Implemented"),
    [502] = SLICE_INIT("Bad Gateway"),
    [503] = SLICE_INIT("Service Unavailable"),
    [504] = SLICE_INIT("Gateway Timeout"),
    [505] = SLICE_INIT("HTTP Version Not Supported"),
    [506] = SLICE_INIT("Variant Also Negotiates"),
    [507] = SLICE_INIT("Insufficient Storage"),
    [508] = SLICE_INIT("Loop Detected"),
    [511] = SLICE_INIT("Network Authentication Required"),
};

struct slice http_status_reason(unsigned status)
{
    if (status < array_len(reasons) && reasons[status].len > 0) {
        return reasons[status];
    }
    return SLICE("Unknown");
}

// ---- dates -----------------------------------------------------------------------------------------

static void put_two(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

void http_date_format(char out[29], uint64_t unix_seconds)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; // 1970 began on a Thursday
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    uint64_t day = unix_seconds / 86400;
    unsigned second = (unsigned)(unix_seconds % 86400);

    // The civil date of a day count, in a calendar whose years begin in March so that the leap day
    // is the last of its year: 146097 days are 400 years.
    uint64_t shifted = day + 719468;
    uint64_t era = shifted / 146097;
    uint64_t day_of_era = shifted % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month = (5 * day_of_year + 2) / 153; // 0 is March
    unsigned day_of_month = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    uint64_t year = era * 400 + year_of_era + (month >= 10 ? 1 : 0);
    ensure(year <= 9999);

    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", 29);
    memcpy(out, days + day % 7 * 3, 3);
    put_two(out + 5, day_of_month);
    memcpy(out + 8, months + month * 3, 3);
    put_two(out + 12, (unsigned)(year / 100));
    put_two(out + 14, (unsigned)(year % 100));
    put_two(out + 17, second / 3600);
    put_two(out + 20, second / 60 % 60);
    put_two(out + 23, second % 60);
}
