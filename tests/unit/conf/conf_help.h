// SPDX-License-Identifier: Apache-2.0
//
// For tests of configurations: loads texts with files and variables that exist only in memory, and
// gives back what was reported, short ("3:5 message | hint") or as people see it.

#pragma once

#include "tap.h"

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"

struct memory_file {
    const char *path;
    const char *text;
};

// What the source knows; a test sets it before it loads.
static const struct memory_file *memory_files;
static char report_text[16384];

__attribute__((unused)) static int memory_read(struct conf_source *s, const char *path, size_t max,
                                               struct arena *a, struct slice *out)
{
    (void)s;
    for (const struct memory_file *f = memory_files; f != NULL && f->path != NULL; f++) {
        if (strcmp(f->path, path) == 0) {
            *out = arena_dup(a, slice_str(f->text));
            return out->len > max ? E_TOO_LARGE : out->ptr == NULL ? E_NO_MEMORY : 0;
        }
    }
    return E_NOT_FOUND;
}

// Patterns match by what stands before their first `*`.
__attribute__((unused)) static int memory_glob(struct conf_source *s, const char *pattern,
                                               struct arena *a, struct slice *paths,
                                               uint32_t paths_max, uint32_t *count)
{
    (void)s;
    (void)a;
    size_t len = strcspn(pattern, "*?[");
    *count = 0;
    for (const struct memory_file *f = memory_files; f != NULL && f->path != NULL; f++) {
        if (strncmp(f->path, pattern, len) == 0 && *count < paths_max) {
            paths[(*count)++] = slice_str(f->path);
        }
    }
    return 0;
}

__attribute__((unused)) static const char *memory_env(struct conf_source *s, const char *name)
{
    (void)s;
    return strcmp(name, "TOKEN") == 0 ? "a$b" : strcmp(name, "PORT") == 0 ? "8081" : NULL;
}

static struct conf_source memory_source = {memory_read, memory_glob, memory_env};

__attribute__((unused)) static void put_short(struct text *t, const struct conf_diags *d)
{
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        if (one->spot.file != 0) {
            text_put(t, conf_diags_file_name(d, one->spot.file));
            text_char(t, ':');
        }
        text_printf(t, "%u:%u %s%.*s", one->spot.line, one->spot.column,
                    one->severity == CONF_WARNING ? "warning: " : "", SLICE_ARG(one->message));
        if (one->hint.len > 0) {
            text_printf(t, " | %.*s", SLICE_ARG(one->hint));
        }
        text_char(t, '\n');
    }
}

// Loads a text as "adit.yaml"; the report is in report_text, the document (or NULL) is returned.
__attribute__((unused)) static struct conf_doc *load(const char *text)
{
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    struct conf_load in = {
        .path = "adit.yaml",
        .text = slice_str(text),
        .source = &memory_source,
        .tables = conf_tables,
    };
    int rc = conf_load(&in, d, &doc);
    struct text t = text_on(report_text, sizeof report_text - 1);
    put_short(&t, d);
    report_text[t.len] = '\0';
    CHECK((rc == 0) == (doc != NULL));
    CHECK((rc == 0) == (conf_diags_errors(d) == 0));
    conf_diags_free(d);
    return doc;
}

// The report of a text, "" when there is nothing to say.
__attribute__((unused)) static const char *report_of(const char *text)
{
    conf_doc_free(load(text));
    return report_text;
}

// The subtree as one line of flow YAML, for comparing canonical forms.
__attribute__((unused)) static void put_node(struct text *t, struct conf_node n)
{
    enum conf_kind kind = conf_kind_of(n);
    if (kind == CONF_SCALAR) {
        text_put(t, conf_text(n));
        return;
    }
    text_char(t, kind == CONF_LIST ? '[' : '{');
    conf_each(child, n)
    {
        if (child.index != conf_first(n).index) {
            text_str(t, ", ");
        }
        if (kind == CONF_MAP) {
            text_put(t, conf_key(child));
            text_str(t, ": ");
        }
        put_node(t, child);
    }
    text_char(t, kind == CONF_LIST ? ']' : '}');
}

// The canonical form of a text that must load; the report when it does not.
__attribute__((unused)) static const char *canonical(const char *text)
{
    static char buffer[16384];
    struct conf_doc *doc = load(text);
    if (doc == NULL) {
        return report_text;
    }
    struct text t = text_on(buffer, sizeof buffer - 1);
    put_node(&t, conf_root(doc));
    buffer[t.len] = '\0';
    conf_doc_free(doc);
    return buffer;
}
