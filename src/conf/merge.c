// SPDX-License-Identifier: Apache-2.0
//
// Putting files together: `include` adds what other files define, `use` takes in snippets. Both work
// on the tree before it is checked, so what they bring is checked where it ends up and errors point
// into the file that it was written in.

#include "base/error.h"
#include "conf/nearest.h"
#include "conf/tree_int.h"

enum {
    INCLUDE_DEPTH_MAX = 8, // files that include files
    USE_DEPTH_MAX = 8,     // snippets that use snippets
};

// ---- include ------------------------------------------------------------------------------------

static void report_read(struct conf_build *b, struct conf_spot from, struct slice path, int error)
{
    conf_report(b->diags, CONF_ERROR, from, "cannot read `%.*s`: %s", SLICE_ARG(path),
                error == E_TOO_LARGE ? "larger than 4 MiB"
                : error == E_INVALID ? "not a regular file"
                                     : error_text(error));
}

struct conf_item *conf_parse_file(struct conf_build *b, struct slice path, struct conf_spot from)
{
    char *name = arena_strdup(b->arena, path);
    struct slice text;
    if (name == NULL) {
        conf_build_no_memory(b);
        return NULL;
    }
    int rc = E_NOT_FOUND;
    if (b->source != NULL) {
        rc = b->source->read(b->source, name, CONF_FILE_BYTES_MAX, b->arena, &text);
    }
    if (rc != 0) {
        if (b->files == 0) { // the main file: what is said is about it as a whole
            (void)conf_build_file(b, path, SLICE(""));
        }
        report_read(b, from, path, rc);
        return NULL;
    }
    return conf_parse(b, conf_build_file(b, path, text), text);
}

uint16_t conf_build_file(struct conf_build *b, struct slice path, struct slice text)
{
    uint16_t file = conf_diags_file(b->diags, path, text);
    size_t dir = path.len;
    while (dir > 0 && path.ptr[dir - 1] != '/') {
        dir--;
    }
    b->files_dir[file] = slice_sub(path, 0, dir);
    b->files = file + 1u;
    return file;
}

static void add_entries(struct conf_build *b, struct conf_item *to, struct conf_item *from)
{
    while (from->first != NULL) {
        struct conf_item *entry = from->first;
        struct conf_item *known = conf_item_get_slice(to, entry->key);
        conf_item_remove(from, entry);
        if (known != NULL) {
            conf_report(b->diags, CONF_ERROR, entry->key_spot, "`%.*s` is there already in `%.*s`",
                        SLICE_ARG(entry->key), SLICE_ARG(to->key));
            conf_other(b->diags, known->key_spot, "first given here");
            continue;
        }
        conf_item_append(to, entry);
    }
}

// Moves what an included file defines into the main one.
static void add_file(struct conf_build *b, struct conf_item *file)
{
    while (file->first != NULL) {
        struct conf_item *item = file->first;
        conf_item_remove(file, item);
        const struct conf_directive *row = conf_row_find(b->tables, CONF_IN_TOP, item->key);
        bool defines = row != NULL && row->type == CONF_TYPE_MAP && item->kind == CONF_MAP;
        struct conf_item *there = conf_item_get_slice(b->root, item->key);
        if (row != NULL && row->type != CONF_TYPE_MAP) {
            conf_report(b->diags, CONF_ERROR, item->key_spot,
                        "`%.*s` belongs into the main file, not into an included one",
                        SLICE_ARG(item->key));
            conf_hint(b->diags, "an included file holds `sites`, `upstreams` and `snippets`");
        } else if (defines && there != NULL && there->kind == CONF_MAP) {
            add_entries(b, there, item);
        } else {
            conf_item_append(b->root, item);
        }
    }
}

static void include_value(struct conf_build *b, const struct conf_item *value, unsigned depth);

static void include_file(struct conf_build *b, const struct conf_item *at, struct slice path,
                         unsigned depth)
{
    for (uint32_t i = 0; i < b->files; i++) {
        if (slice_eq(conf_diags_file_name(b->diags, (uint16_t)i), path)) {
            conf_report(b->diags, CONF_ERROR, at->spot,
                        "`%.*s` is included twice, or includes itself", SLICE_ARG(path));
            return;
        }
    }
    if (b->files == CONF_FILES_MAX - 1 || depth == INCLUDE_DEPTH_MAX) {
        conf_report(b->diags, CONF_ERROR, at->spot, "too many included files");
        return;
    }
    struct conf_item *file = conf_parse_file(b, path, at->spot);
    if (file == NULL) {
        return;
    }
    struct conf_item *inner = conf_item_get(file, "include");
    if (inner != NULL) {
        conf_item_remove(file, inner);
        include_value(b, inner, depth + 1);
    }
    add_file(b, file);
}

static void include_pattern(struct conf_build *b, const struct conf_item *at, unsigned depth)
{
    struct slice path = conf_path_join(b, at->spot.file, at->text);
    bool wild = false;
    for (size_t i = 0; i < path.len; i++) {
        wild = wild || strchr("*?[", path.ptr[i]) != NULL;
    }
    if (!wild) {
        include_file(b, at, path, depth);
        return;
    }
    struct slice *found = arena_alloc(b->arena, CONF_FILES_MAX * sizeof *found);
    char *pattern = arena_strdup(b->arena, path);
    uint32_t count = 0;
    if (found == NULL || pattern == NULL) {
        conf_build_no_memory(b);
        return;
    }
    int rc = E_NOT_FOUND;
    if (b->source != NULL) {
        rc = b->source->glob(b->source, pattern, b->arena, found, CONF_FILES_MAX, &count);
    }
    if (rc != 0) {
        conf_report(b->diags, CONF_ERROR, at->spot, "cannot list `%.*s`: %s", SLICE_ARG(path),
                    error_text(rc));
    } else if (count == 0) {
        conf_report(b->diags, CONF_WARNING, at->spot, "no file matches `%.*s`", SLICE_ARG(path));
    }
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        include_file(b, at, found[i], depth);
    }
}

static void include_value(struct conf_build *b, const struct conf_item *value, unsigned depth)
{
    if (value->kind == CONF_MAP) {
        conf_report(b->diags, CONF_ERROR, conf_item_spot(value),
                    "`include` takes a path or a list");
    } else if (value->kind == CONF_SCALAR) {
        include_pattern(b, value, depth);
    }
    for (const struct conf_item *i = value->first; value->kind == CONF_LIST && i != NULL;
         i = i->next) {
        if (i->kind == CONF_SCALAR) {
            include_pattern(b, i, depth);
        } else {
            conf_report(b->diags, CONF_ERROR, i->spot, "a path is expected here");
        }
    }
}

void conf_merge_includes(struct conf_build *b)
{
    struct conf_item *value = conf_item_get(b->root, "include");
    if (value != NULL) {
        conf_item_remove(b->root, value);
        include_value(b, value, 0);
    }
}

// ---- snippets -----------------------------------------------------------------------------------

struct use {
    struct conf_build *b;
    const struct conf_item *snippets; // NULL: there are none
    unsigned depth;
};

static void apply_use(struct use *u, struct conf_item *target);

static void add_snippet(struct use *u, struct conf_item *target, const struct conf_item *name)
{
    struct conf_build *b = u->b;
    const struct conf_item *snippet = NULL;
    if (name->kind == CONF_SCALAR && u->snippets != NULL) {
        snippet = conf_item_get_slice(u->snippets, name->text);
    }
    if (snippet == NULL) {
        struct conf_nearest nearest = conf_nearest_to(name->text);
        for (const struct conf_item *i = u->snippets != NULL ? u->snippets->first : NULL; i != NULL;
             i = i->next) {
            conf_nearest_offer(&nearest, i->key);
        }
        conf_report(b->diags, CONF_ERROR, name->spot, "no snippet `%.*s`", SLICE_ARG(name->text));
        if (nearest.best.len > 0) {
            conf_hint(b->diags, "did you mean `%.*s`?", SLICE_ARG(nearest.best));
        }
        return;
    }
    if (snippet->kind != CONF_MAP) {
        return; // the check of `snippets` reports it
    }
    if (u->depth == USE_DEPTH_MAX) {
        conf_report(b->diags, CONF_ERROR, name->spot, "snippets use each other too deeply");
        return;
    }
    struct conf_item *copy = conf_item_copy(b, snippet);
    if (copy == NULL) {
        return;
    }
    struct use inner = {b, u->snippets, u->depth + 1};
    apply_use(&inner, copy);
    while (copy->first != NULL) {
        struct conf_item *entry = copy->first;
        conf_item_remove(copy, entry);
        if (conf_item_get_slice(target, entry->key) == NULL) {
            conf_item_append(target, entry);
        }
    }
}

static void apply_use(struct use *u, struct conf_item *target)
{
    struct conf_item *names = conf_item_get(target, "use");
    if (names == NULL || u->b->out_of_memory) {
        return;
    }
    conf_item_remove(target, names);
    if (names->kind == CONF_SCALAR) {
        add_snippet(u, target, names);
    } else if (names->kind == CONF_MAP) {
        conf_report(u->b->diags, CONF_ERROR, conf_item_spot(names),
                    "`use` takes the name of a snippet or a list of names");
    } else {
        for (const struct conf_item *i = names->first; i != NULL; i = i->next) {
            add_snippet(u, target, i);
        }
    }
}

static void apply_to_routes(struct use *u, struct conf_item *site)
{
    struct conf_item *routes = conf_item_get(site, "routes");
    if (routes == NULL) {
        return;
    }
    if (routes->kind == CONF_MAP) {
        apply_use(u, routes);
    } else {
        for (struct conf_item *i = routes->first; i != NULL; i = i->next) {
            apply_use(u, i);
        }
    }
}

static void apply_to_entries(struct use *u, const char *key, bool routes)
{
    struct conf_item *map = conf_item_get(u->b->root, key);
    if (map == NULL || map->kind != CONF_MAP) {
        return;
    }
    for (struct conf_item *i = map->first; i != NULL; i = i->next) {
        apply_use(u, i);
        if (routes) {
            apply_to_routes(u, i);
        }
    }
}

void conf_merge_snippets(struct conf_build *b)
{
    struct conf_item *snippets = conf_item_get(b->root, "snippets");
    struct use u = {.b = b};
    if (snippets != NULL && snippets->kind == CONF_MAP) {
        u.snippets = snippets;
    }
    apply_to_entries(&u, "sites", true);
    apply_to_entries(&u, "upstreams", false);
}
