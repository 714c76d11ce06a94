// SPDX-License-Identifier: Apache-2.0
//
// Walking and naming rows (conf/schema.h), and the rows of the language itself: what belongs to no
// feature because it says how files are put together.

#include "conf/schema.h"

#include <stdio.h>

#include "base/text.h"

struct conf_rows conf_rows(conf_tables_t tables)
{
    struct conf_rows it = {tables, NULL};
    while (it.table != NULL && *it.table != NULL && (*it.table)->name == NULL) {
        it.table++;
    }
    if (it.table != NULL && *it.table != NULL) {
        it.row = *it.table;
    }
    return it;
}

void conf_rows_next(struct conf_rows *it)
{
    ensure(it->row != NULL);
    it->row++;
    if (it->row->name == NULL) {
        *it = conf_rows(it->table + 1);
    }
}

const struct conf_directive *conf_row_find(conf_tables_t tables, unsigned contexts,
                                           struct slice name)
{
    conf_each_row(it, tables)
    {
        if ((it.row->contexts & contexts) != 0 && slice_eq(slice_str(it.row->name), name)) {
            return it.row;
        }
    }
    return NULL;
}

const struct conf_directive *conf_row_in(const struct conf_directive *rows, struct slice name)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (slice_eq(slice_str(rows->name), name)) {
            return rows;
        }
    }
    return NULL;
}

static const struct {
    const char *one;
    const char *many;
    const char *sample;
} types[CONF_TYPE_COUNT] = {
    [CONF_TYPE_BOOL] = {"on or off", "switches", "on"},
    [CONF_TYPE_INT] = {"number", "numbers", "10"},
    [CONF_TYPE_DURATION] = {"duration", "durations", "10s"},
    [CONF_TYPE_SIZE] = {"size", "sizes", "1MiB"},
    [CONF_TYPE_PERCENT] = {"percentage", "percentages", "20%"},
    [CONF_TYPE_STRING] = {"text", "texts", "text"},
    [CONF_TYPE_TEMPLATE] = {"text with variables", "texts with variables", NULL},
    [CONF_TYPE_ENUM] = {"word", "words", NULL},
    [CONF_TYPE_ADDRESS] = {"address", "addresses", "10.0.0.1:8080"},
    [CONF_TYPE_LISTEN] = {"address to listen on", "addresses to listen on", "\":8080\""},
    [CONF_TYPE_CIDR] = {"network", "networks", "10.0.0.0/8"},
    [CONF_TYPE_HOST] = {"host", "hosts", "example.com"},
    [CONF_TYPE_PATH] = {"path", "paths", "/api/*"},
    [CONF_TYPE_REGEX] = {"regular expression", "regular expressions", "\"^/a\""},
    [CONF_TYPE_PATTERN] = {"text, `~ REGEX`, on or off", "patterns", "text"},
    [CONF_TYPE_METHOD] = {"method", "methods", "GET"},
    [CONF_TYPE_FIELD] = {"field name", "field names", "x-user"},
    [CONF_TYPE_STATUS] = {"status", "statuses", "404"},
    [CONF_TYPE_FILE] = {"file", "files", "./page.html"},
    [CONF_TYPE_FILE_PATH] = {"path of a file", "paths of files", "/etc/adit/cert.pem"},
    [CONF_TYPE_NAME] = {"name", "names", "app"},
    [CONF_TYPE_OBJECT] = {"object", "objects", "{...}"},
    [CONF_TYPE_MAP] = {"map", "maps", "{...}"},
    [CONF_TYPE_UPSTREAM] = {"name of an upstream, address, list of addresses, or object with the "
                            "keys of an upstream",
                            "upstreams", "10.0.0.1:8080"},
};

const char *conf_type_text(const struct conf_directive *row, char *buffer, size_t size)
{
    struct text t = text_on(buffer, size - 1);
    ensure(row->type < CONF_TYPE_COUNT);
    if (row->type == CONF_TYPE_MAP) {
        text_printf(&t, "map from %s to %s", types[row->key_type].one,
                    row->rows != NULL ? types[row->rows->type].one : "anything");
    } else if (row->list) {
        text_printf(&t, "%s, or a list of %s", types[row->type].one, types[row->type].many);
    } else {
        text_str(&t, types[row->type].one);
    }
    if (row->type != CONF_TYPE_ENUM) {
        for (const char *const *w = row->words; w != NULL && *w != NULL; w++) {
            text_printf(&t, ", or `%s`", *w);
        }
    }
    if (row->on_ok) {
        text_str(&t, ", or `on`");
    }
    if (row->off_ok) {
        text_str(&t, ", or `off`");
    }
    t.ptr[t.len] = '\0';
    return buffer;
}

const char *conf_type_sample(enum conf_type type)
{
    ensure(type < CONF_TYPE_COUNT);
    return types[type].sample;
}

const char *conf_contexts_text(unsigned contexts, char *buffer, size_t size)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {CONF_IN_TOP, "the top level"}, {CONF_IN_SITE, "a site"},
        {CONF_IN_ROUTE, "a route"},     {CONF_IN_UPSTREAM, "an upstream"},
        {CONF_IN_TUNNELS, "`tunnels`"}, {CONF_IN_OBJECT, "another directive"},
    };
    struct text t = text_on(buffer, size - 1);
    unsigned left = 0;
    for (size_t i = 0; i < array_len(names); i++) {
        left += (contexts & names[i].bit) != 0;
    }
    for (size_t i = 0; i < array_len(names); i++) {
        if ((contexts & names[i].bit) != 0) {
            text_str(&t, names[i].name);
            left--;
            text_str(&t, left == 0 ? "" : left == 1 ? " or " : ", ");
        }
    }
    t.ptr[t.len] = '\0';
    return buffer;
}

// ---- the language -------------------------------------------------------------------------------

static const struct conf_directive snippet_rows[] = {
    {.name = "NAME",
     .type = CONF_TYPE_OBJECT,
     .inner = CONF_IN_SITE | CONF_IN_ROUTE | CONF_IN_UPSTREAM,
     .text = "Directives to be used together."},
    CONF_END,
};

const struct conf_directive conf_language[] = {
    {.name = "include",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .list = true,
     .merge = CONF_MERGE_ADD,
     .aka = "import",
     .text = "Further files whose sites, upstreams and snippets are added; wildcards as in a "
             "shell, relative to the file it stands in.",
     .example = "include: sites/*.yaml\n"},
    {.name = "snippets",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_NAME,
     .rows = snippet_rows,
     .merge = CONF_MERGE_ADD,
     .text = "Named groups of directives that sites, routes and upstreams take in with `use`.",
     .example = "snippets:\n"
                "  patient: {timeouts: {response: 5m}}\n"
                "sites:\n"
                "  example.com: {use: patient, proxy: 3000}\n"},
    {.name = "use",
     .contexts = CONF_IN_SITE | CONF_IN_ROUTE | CONF_IN_UPSTREAM,
     .type = CONF_TYPE_NAME,
     .list = true,
     .merge = CONF_MERGE_ADD,
     .text = "Takes in the directives of snippets. A key that stands here itself wins over the "
             "snippet's, an earlier snippet over a later one.",
     .example = "snippets:\n"
                "  patient: {timeouts: {response: 5m}}\n"
                "sites:\n"
                "  example.com: {use: patient, proxy: 3000}\n"},
    CONF_END,
};
