// SPDX-License-Identifier: Apache-2.0
//
// Templates: what they are taken apart into, and what a mistake is told.

#include "tap.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "conf/template.h"

// The pieces written out, or the error with its offset.
static const char *parsed(const char *text)
{
    static char buffer[1024];
    struct conf_template t;
    struct conf_template_error e = {0};
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    int rc = conf_template_parse(slice_str(text), &a, &t, &e);
    struct text out = text_on(buffer, sizeof buffer - 1);
    if (rc != 0) {
        text_printf(&out, "%zu %s | %s", e.offset, e.message, e.hint);
    }
    for (uint32_t i = 0; rc == 0 && i < t.count; i++) {
        text_char(&out, '<');
        conf_template_write(&out, &t.pieces[i]);
        text_char(&out, '>');
    }
    buffer[out.len] = '\0';
    arena_fini(&a);
    return buffer;
}

static void takes_apart(void)
{
    CHECK_STR(parsed(""), "");
    CHECK_STR(parsed("plain"), "<plain>");
    CHECK_STR(parsed("/new$path"), "</new><${path}>");
    CHECK_STR(parsed("https://$host$path$query"), "<https://><${host}><${path}><${query}>");
    CHECK_STR(parsed("${host}name"), "<${host}><name>");
    CHECK_STR(parsed("$header(x-user)!"), "<${header(x-user)}><!>");
    CHECK_STR(parsed("${header(x-user)}"), "<${header(x-user)}>");
    CHECK_STR(parsed("$match(1)$match(0)"), "<${match(1)}><${match(0)}>");
    CHECK_STR(parsed("5 $$ a"), "<5 ><$$>< a>");
    CHECK_STR(parsed("$host(x)"), "<${host}><(x)>");
    CHECK_STR(parsed("$env(A_B)$file(/etc/x y)"), "<${env(A_B)}><${file(/etc/x y)}>");
}

static void explains_mistakes(void)
{
    CHECK_STR(parsed("a$"), "1 a `$` without a name | a dollar sign itself is written $$");
    CHECK_STR(parsed("cost: 5$ each"),
              "7 a `$` without a name | a dollar sign itself is written $$");
    CHECK_STR(parsed("$hots"), "0 unknown variable `$hots` | did you mean $host?");
    CHECK_STR(parsed("$hostname"),
              "0 unknown variable `$hostname` | braces end a name: ${host}name");
    CHECK_STR(parsed("$1"), "0 unknown variable `$1` | what the path caught is $match(1)");
    CHECK_STR(parsed("$request_uri"),
              "0 unknown variable `$request_uri` | here it is called $path$query");
    CHECK_STR(parsed("$match"), "0 `$match` needs an argument | write $match(1)");
    CHECK_STR(parsed("$match(10)"), "0 `$match(10)`: the number is one digit, 0 to 9 | ");
    CHECK_STR(parsed("$header(x y)"), "0 `x y` is not a field name | ");
    CHECK_STR(parsed("$header(x"), "0 `$header(` without its closing parenthesis | ");
    CHECK_STR(parsed("$env()"), "0 `$env()` needs something in its parentheses | ");
    CHECK_STR(parsed("${host"), "0 `${host` without its closing brace | ");
}

static void bounds_pieces(void)
{
    char many[CONF_PIECES_MAX * 6];
    size_t len = 0;
    for (int i = 0; i < CONF_PIECES_MAX; i++) {
        memcpy(many + len, "$host", 5);
        len += 5;
    }
    struct arena a;
    struct conf_template t;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    CHECK_EQ_INT(conf_template_parse(slice_of(many, len), &a, &t, NULL), 0);
    CHECK_EQ_INT(t.count, CONF_PIECES_MAX);
    many[len++] = ' ';
    CHECK_EQ_INT(conf_template_parse(slice_of(many, len), &a, &t, NULL), E_TOO_LARGE);
    arena_fini(&a);
}

static void escapes(void)
{
    char buffer[64];
    struct text t = text_on(buffer, sizeof buffer);
    conf_template_escape(&t, SLICE("a$b$$"));
    CHECK_TEXT(t.ptr, t.len, "a$$b$$$$");
}

static void knows_plain_text(void)
{
    struct arena a;
    struct conf_template t;
    struct slice text;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    CHECK(conf_template_parse(SLICE("hello"), &a, &t, NULL) == 0);
    CHECK(conf_template_is_text(&t, &text) && slice_eq(text, SLICE("hello")));
    CHECK(conf_template_parse(SLICE(""), &a, &t, NULL) == 0);
    CHECK(conf_template_is_text(&t, &text) && text.len == 0);
    CHECK(conf_template_parse(SLICE("$host"), &a, &t, NULL) == 0);
    CHECK(!conf_template_is_text(&t, &text));
    arena_fini(&a);
}

TAP_MAIN(takes_apart, explains_mistakes, bounds_pieces, escapes, knows_plain_text)
