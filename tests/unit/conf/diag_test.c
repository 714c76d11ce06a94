// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics: how they look, their order, that repeats are dropped and bounds are kept.

#include "conf_help.h"

static const char *shown(const struct conf_diags *d, bool colour)
{
    static char buffer[8192];
    struct text t = text_on(buffer, sizeof buffer - 1);
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        conf_diag_text(d, one, colour, &t);
    }
    buffer[t.len] = '\0';
    return buffer;
}

static void looks_like_a_compiler(void)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    uint16_t f = conf_diags_file(d, SLICE("a.yaml"), SLICE("one: 1\r\n\ttwo: \xc3\xbc x\nlast"));
    conf_report(d, CONF_ERROR, (struct conf_spot){f, 2, 9, 1}, "wrong `%s`", "x");
    conf_hint(d, "write y");
    conf_other(d, (struct conf_spot){f, 1, 1, 3}, "first given here");
    conf_report(d, CONF_WARNING, (struct conf_spot){f, 3, 1, 99}, "odd");
    conf_report(d, CONF_ERROR, (struct conf_spot){f, 0, 0, 0}, "all of it");
    conf_report(d, CONF_ERROR, (struct conf_spot){f, 9, 1, 1}, "behind the end");
    CHECK_STR(shown(d, false), "a.yaml:2:9: error: wrong `x`\n"
                               "     2 | \ttwo: \xc3\xbc x\n"
                               "       | \t       ^\n"
                               "  a.yaml:1:1: first given here\n"
                               "  hint: write y\n"
                               "a.yaml:3:1: warning: odd\n"
                               "     3 | last\n"
                               "       | ^^^^\n"
                               "a.yaml: error: all of it\n"
                               "a.yaml:9:1: error: behind the end\n");
    CHECK(strstr(shown(d, true), "\033[1;31merror: \033[0m") != NULL);
    CHECK_EQ_INT(conf_diags_errors(d), 3);
    CHECK_EQ_INT(conf_diags_warnings(d), 1);
    conf_diags_sort(d);
    CHECK(strncmp(shown(d, false), "a.yaml: error: all of it\na.yaml:2:9", 34) == 0);
    conf_diags_free(d);
}

static void long_lines_are_cut(void)
{
    static char line[4000];
    memset(line, 'a', sizeof line);
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    uint16_t f = conf_diags_file(d, SLICE("a"), slice_of(line, sizeof line));
    conf_report(d, CONF_ERROR, (struct conf_spot){f, 1, 3000, 5}, "here");
    CHECK(strlen(shown(d, false)) < 300);
    conf_diags_free(d);
}

static void repeats_are_dropped(void)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    for (int i = 0; i < 5; i++) {
        conf_report(d, CONF_ERROR, (struct conf_spot){0, 1, 1, 1}, "same");
        conf_hint(d, "%d", i);
    }
    CHECK_EQ_INT(conf_diags_errors(d), 1);
    CHECK(slice_eq(conf_diags_first(d)->hint, SLICE("0")));
    for (uint32_t i = 0; i < CONF_DIAGS_MAX * 2; i++) {
        conf_report(d, CONF_ERROR, (struct conf_spot){0, 2, i, 1}, "many");
    }
    CHECK_EQ_INT(conf_diags_errors(d), CONF_DIAGS_MAX * 2 + 1);
    conf_diags_free(d);
    conf_diags_free(NULL);
}

static void nodes_have_places(void)
{
    struct conf_doc *doc = load("log: info\nsites: {a.b: {proxy: 80}}\n");
    struct conf_diags *d = conf_diags_new();
    REQUIRE(doc != NULL && d != NULL);
    conf_error(d, conf_get(conf_root(doc), "log"), "not this");
    conf_warning(d, conf_get(conf_root(doc), "sites"), "nor this");
    conf_error(NULL, conf_root(doc), "nobody listens");
    CHECK_STR(shown(d, false),
              "adit.yaml:1:6: error: not this\nadit.yaml:2:1: warning: nor this\n");
    conf_diags_free(d);
    conf_doc_free(doc);
}

static void json_is_escaped(void)
{
    char buffer[1024];
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    uint16_t f = conf_diags_file(d, SLICE("a\"b"), SLICE("x: \"\\\"\n"));
    conf_report(d, CONF_WARNING, (struct conf_spot){f, 1, 4, 2}, "a \"b\"");
    struct text t = text_on(buffer, sizeof buffer);
    REQUIRE(conf_diags_first(d) != NULL);
    conf_diag_json(d, conf_diags_first(d), &t);
    CHECK_TEXT(t.ptr, t.len,
               "{\"severity\":\"warning\",\"file\":\"a\\\"b\",\"line\":1,\"column\":4,\"width\":2,"
               "\"message\":\"a \\\"b\\\"\",\"source\":\"x: \\\"\\\\\\\"\"}");
    conf_diags_free(d);
}

TAP_MAIN(looks_like_a_compiler, long_lines_are_cut, repeats_are_dropped, nodes_have_places,
         json_is_escaped)
