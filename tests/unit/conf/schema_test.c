// SPDX-License-Identifier: Apache-2.0
//
// The rows of adit: each says what it does, and its example loads without an error.

#include "conf_help.h"
#include "files/files.h"
#include "inspect/inspect.h"

static void put_indented(struct text *t, const char *text, const char *indent)
{
    while (*text != '\0') {
        size_t line = strcspn(text, "\n");
        text_str(t, indent);
        text_put(t, slice_of(text, line));
        text_char(t, '\n');
        text += line + (text[line] == '\n');
    }
}

// An example is a whole file, or one directive that is put where it may stand.
static const char *as_file(const struct conf_directive *row)
{
    static char buffer[8192];
    struct text t = text_on(buffer, sizeof buffer - 1);
    size_t name = strlen(row->name);
    bool fragment = strncmp(row->example, row->name, name) == 0 && row->example[name] == ':' &&
                    (row->contexts & CONF_IN_TOP) == 0;
    if (!fragment) {
        text_str(&t, row->example);
    } else if ((row->contexts & CONF_IN_UPSTREAM) != 0) {
        text_str(&t, "upstreams:\n  app:\n");
        put_indented(&t, row->example, "    ");
        text_str(&t, strcmp(row->name, "servers") == 0 ? "" : "    servers: 3000\n");
    } else if ((row->contexts & CONF_IN_SITE) != 0) {
        text_str(&t, "sites:\n  example.com:\n");
        put_indented(&t, row->example, "    ");
        text_str(&t, row->action ? "" : "    proxy: 3000\n");
    } else {
        text_str(&t, "sites:\n  example.com:\n    routes:\n      - proxy: 3000\n");
        put_indented(&t, row->example, "        ");
    }
    CHECK(!t.overflow);
    buffer[t.len] = '\0';
    return buffer;
}

static void check_row(const struct conf_directive *row, unsigned depth)
{
    if (!CHECK(row->text != NULL && row->text[0] != '\0')) {
        printf("#   no text: %s\n", row->name);
    }
    CHECK(row->type < CONF_TYPE_COUNT);
    CHECK(row->type != CONF_TYPE_ENUM || row->words != NULL);
    CHECK(row->min <= row->max || row->max == 0);
    CHECK(row->shorthand == NULL || row->inner != 0 ||
          conf_row_in(row->rows, slice_str(row->shorthand)) != NULL);
    if (row->type == CONF_TYPE_OBJECT) {
        CHECK((row->rows != NULL) != (row->inner != 0));
    }
    if (row->type == CONF_TYPE_MAP) {
        REQUIRE(row->rows != NULL);
    }
    for (const struct conf_directive *inner = row->rows;
         depth < 6 && inner != NULL && inner->name != NULL; inner++) {
        check_row(inner, depth + 1);
    }
}

static void rows_are_complete(void)
{
    conf_each_row(it, conf_tables)
    {
        check_row(it.row, 0);
        if ((it.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0 &&
            !CHECK(it.row->example != NULL)) {
            printf("#   no example: %s\n", it.row->name);
        }
    }
}

static void examples_load(void)
{
    static const struct memory_file files[] = {
        {"sites/a.yaml", "sites: {included.example.com: {proxy: 80}}\n"},
        {"502.html", "<p>Sorry\n"},
        {NULL, NULL},
    };
    memory_files = files;
    files_allow(); // directives of an agent are examples as well
    REQUIRE(inspect_open() == 0);
    conf_each_row(it, conf_tables)
    {
        if (it.row->example == NULL) {
            continue;
        }
        struct conf_doc *doc = load(as_file(it.row));
        if (!CHECK(doc != NULL)) {
            printf("#   example of %s:\n#   %s", it.row->name, report_text);
        }
        conf_doc_free(doc);
    }
    memory_files = NULL;
}

// A name has one row for each context, so that what is written means one thing.
static void names_are_single(void)
{
    conf_each_row(a, conf_tables)
    {
        conf_each_row(b, conf_tables)
        {
            bool same = (a.row != b.row || a.table != b.table) &&
                        strcmp(a.row->name, b.row->name) == 0 &&
                        (a.row->contexts & b.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0;
            if (!CHECK(!same)) {
                printf("#   twice: %s\n", a.row->name);
            }
        }
    }
}

static void rows_are_found(void)
{
    CHECK(conf_row_find(conf_tables, CONF_IN_TOP, SLICE("listen")) != NULL);
    CHECK(conf_row_find(conf_tables, CONF_IN_SITE, SLICE("listen")) == NULL);
    const struct conf_directive *top =
        conf_row_find(conf_tables, CONF_IN_TOP, SLICE("connections"));
    const struct conf_directive *up =
        conf_row_find(conf_tables, CONF_IN_UPSTREAM, SLICE("connections"));
    CHECK(top != NULL && up != NULL && top != up);
    CHECK(conf_row_in(NULL, SLICE("x")) == NULL);
}

static void types_have_words(void)
{
    char buffer[256];
    const struct conf_directive *row = conf_row_find(conf_tables, CONF_IN_TOP, SLICE("listen"));
    REQUIRE(row != NULL);
    CHECK_STR(conf_type_text(row, buffer, sizeof buffer), "object, or a list of objects");
    row = conf_row_find(conf_tables, CONF_IN_TOP, SLICE("trusted_proxies"));
    REQUIRE(row != NULL);
    CHECK_STR(conf_type_text(row, buffer, sizeof buffer),
              "network, or a list of networks, or `unix`, or `off`");
    CHECK_STR(conf_contexts_text(CONF_IN_ALL, buffer, sizeof buffer),
              "the top level, a site or a route");
    CHECK_STR(conf_contexts_text(CONF_IN_UPSTREAM, buffer, sizeof buffer), "an upstream");
}

TAP_MAIN(rows_are_complete, examples_load, names_are_single, rows_are_found, types_have_words)
