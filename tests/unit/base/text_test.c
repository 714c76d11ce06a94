// SPDX-License-Identifier: Apache-2.0
//
// text: bounded building and the two escapings.

#include "base/text.h"

#include "tap.h"

static char buffer[256];

static void builds(void)
{
    struct text t = text_on(buffer, sizeof(buffer));
    text_str(&t, "a=");
    text_u64(&t, 42);
    text_char(&t, ' ');
    text_hex(&t, 255);
    text_printf(&t, " %s-%d", "x", 7);
    text_put(&t, slice_of(NULL, 0));
    CHECK_TEXT(text_slice(&t).ptr, text_slice(&t).len, "a=42 ff x-7");
    CHECK(!t.overflow);
}

static void never_writes_past_its_end(void)
{
    char small[4] = {'#', '#', '#', '#'};
    struct text t = text_on(small, 3);
    text_put(&t, SLICE("ab"));
    text_put(&t, SLICE("cd"));
    CHECK(t.overflow && t.len == 2);
    text_char(&t, 'c');
    text_char(&t, 'd');
    CHECK(t.len == 3 && small[3] == '#');
    t = text_on(small, 3);
    text_printf(&t, "%s", "abc");
    CHECK(t.overflow && t.len == 0 && small[3] == '#');
    t = text_on(small, 3);
    text_printf(&t, "%s", "ab");
    CHECK(!t.overflow && t.len == 2);
    t = text_on(small, 3);
    text_json(&t, SLICE("\"\"\"\""));
    CHECK(t.overflow && small[3] == '#');
    t = text_on(small, 3);
    text_html(&t, SLICE("<<"));
    CHECK(t.overflow && small[3] == '#');
}

static void json(const char *in, size_t len, const char *want)
{
    struct text t = text_on(buffer, sizeof(buffer));
    text_json(&t, slice_of(in, len));
    CHECK_TEXT(t.ptr, t.len, want);
}

static void escapes_json(void)
{
    json("plain", 5, "plain");
    json("a\"b\\c\n\r\t\b\f\x01\x7f/", 13, "a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u007f/");
    json("\0", 1, "\\u0000");
    json("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    json("\xff", 1, "\xef\xbf\xbd");
    json("\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd");                 // overlong
    json("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); // surrogate
    json("\xf4\x90\x80\x80", 1, "\xef\xbf\xbd");                     // cut short
    json("\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd");
}

static void writes_members_of_json(void)
{
    struct text t = text_on(buffer, sizeof(buffer));
    text_json_string(&t, "name", SLICE("a\"b"));
    text_json_number(&t, "count", UINT64_MAX);
    CHECK_TEXT(t.ptr, t.len, ",\"name\":\"a\\\"b\",\"count\":18446744073709551615");
}

static void escapes_html(void)
{
    struct text t = text_on(buffer, sizeof(buffer));
    text_html(&t, SLICE("<a href=\"x\">'&'</a>"));
    CHECK_TEXT(t.ptr, t.len, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
}

TAP_MAIN(builds, never_writes_past_its_end, escapes_json, writes_members_of_json, escapes_html)
