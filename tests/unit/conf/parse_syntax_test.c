// SPDX-License-Identifier: Apache-2.0
//
// libfyaml's errors in our words (traps_test.c has most of them), and the bytes no file may hold.

#include "conf/parse_int.h"
#include "tree_help.h"

static bool bytes_ok(const char *text, size_t len)
{
    struct conf_build *b = build_begin();
    bool ok = conf_syntax_bytes(b, 0, slice_of(text, len));
    CHECK(ok == (conf_diags_errors(b->diags) == 0));
    build_end();
    return ok;
}

static void bytes_are_checked(void)
{
    CHECK(bytes_ok("a\tb\r\nc\n", 7));
    CHECK(bytes_ok("\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80", 11));
    CHECK(!bytes_ok("\0", 1));
    CHECK(!bytes_ok("\x1b", 1));
    CHECK(!bytes_ok("\x7f", 1));
    CHECK(!bytes_ok("a\rb", 3));
    CHECK(!bytes_ok("\r", 1));
    CHECK(!bytes_ok("\xc0\x80", 2));         // overlong
    CHECK(!bytes_ok("\xed\xa0\x80", 3));     // a surrogate
    CHECK(!bytes_ok("\xf4\x90\x80\x80", 4)); // above U+10FFFF
    CHECK(!bytes_ok("\xe2\x82", 2));         // cut off
    CHECK(!bytes_ok("\xc2\x85", 2));         // a C1 control
    CHECK(!bytes_ok("\xe2\x80\xae", 3));     // right-to-left override
    CHECK(!bytes_ok("\xe2\x80\xa8", 3));     // line separator
    CHECK(!bytes_ok("a\xef\xbb\xbf", 4));    // a byte order mark inside
}

static const char *told(const char *printed, const char *source)
{
    struct conf_build *b = build_begin();
    struct conf_syntax_error e = {.len = 0};
    uint16_t file = conf_build_file(b, SLICE("adit.yaml"), slice_str(source));
    conf_syntax_collect(&e, slice_str(printed));
    conf_syntax_collect(&e, SLICE("\nfurther lines do not count\n"));
    conf_syntax_report(b, file, slice_str(source), &e, NULL);
    struct text t = text_on(report_text, sizeof report_text - 1);
    put_short(&t, b->diags);
    report_text[t.len] = '\0';
    build_end();
    return report_text;
}

static void texts_are_taken_apart(void)
{
    CHECK_STR(told("<memory>:1:3: error: something new", "a: b\n"),
              "1:3 not valid YAML: something new | check the indentation and the quotes of this "
              "line and the one before\n");
    CHECK_STR(told("<memory>:9:3: error: tab character may not", "a: b\n"),
              "9:3 a tab in the indentation | indent with blanks: YAML does not take tabs\n");
    CHECK_STR(told("nothing of the kind", "a: b\n"),
              "1:1 not valid YAML: nothing of the kind | check the indentation and the quotes of "
              "this line and the one before\n");
    CHECK_STR(told("", ""), "1:1 not valid YAML:  | check the indentation and the quotes of this "
                            "line and the one before\n");
}

TAP_MAIN(bytes_are_checked, texts_are_taken_apart)
