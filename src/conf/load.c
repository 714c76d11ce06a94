// SPDX-License-Identifier: Apache-2.0
//
// From bytes to a document (conf/load.h): the order of the steps and who owns the memory. The tree
// lives in an arena of the call; what outlives it are the document and the diagnostics.

#include "conf/load.h"

#include "base/error.h"
#include "base/slab.h"
#include "conf/tree_int.h"

enum {
    LOAD_BYTES_MAX = 512 << 20, // CONF_NODES_MAX items and the text of CONF_FILES_MAX files
};

// The rows' own checks see the finished document; values that were reported are not shown to them.
static void run_checks(struct conf_build *b, const struct conf_doc *doc,
                       const struct conf_item *item)
{
    if (!item->wrong && item->row != NULL && item->row->check != NULL) {
        item->row->check(b->diags, (struct conf_node){doc, item->index});
    }
    for (const struct conf_item *i = item->first; i != NULL; i = i->next) {
        run_checks(b, doc, i);
    }
}

// Between directives of several tables; on what is complete only.
static void run_whole_checks(struct conf_build *b, const struct conf_doc *doc)
{
    for (conf_check_fn *const *check = conf_checks; *check != NULL; check++) {
        if (b->tables == conf_tables && conf_diags_errors(b->diags) == 0) {
            (*check)(b->diags, conf_root(doc));
        }
    }
}

static void take_out(struct conf_item *map, const char *key)
{
    struct conf_item *item = conf_item_get(map, key);
    if (item != NULL) {
        conf_item_remove(map, item);
    }
}

static struct conf_item *parse_main(struct conf_build *b, const struct conf_load *in)
{
    struct slice path = slice_str(in->path);
    b->root_key = slice_str(in->root != NULL ? in->root : "");
    if (in->text.ptr == NULL) {
        return conf_parse_file(b, path, (struct conf_spot){.file = 0});
    }
    if (in->text.len > CONF_FILE_BYTES_MAX) {
        (void)conf_build_file(b, path, SLICE(""));
        conf_report(b->diags, CONF_ERROR, (struct conf_spot){0}, "larger than 4 MiB");
        return NULL;
    }
    return conf_parse(b, conf_build_file(b, path, in->text), in->text);
}

static struct conf_doc *build(struct conf_build *b, const struct conf_load *in)
{
    b->root = parse_main(b, in);
    if (b->root == NULL) {
        return NULL;
    }
    conf_merge_includes(b);
    conf_merge_snippets(b);
    conf_check(b);
    if (b->out_of_memory) {
        return NULL;
    }
    conf_check_whole(b);
    take_out(b->root, "snippets");
    if (b->out_of_memory) {
        return NULL;
    }
    struct conf_doc *doc = conf_flatten(b);
    if (doc != NULL) {
        run_checks(b, doc, b->root);
        run_whole_checks(b, doc);
    }
    if (conf_diags_errors(b->diags) == 0 && b->root->first == NULL) {
        // Half of a file being written: a running server must not lose its sites by it.
        conf_report(b->diags, CONF_ERROR, (struct conf_spot){.line = 1, .column = 1},
                    "there is nothing in the configuration");
        if (b->tables == conf_tables) {
            conf_hint(b->diags, "sites: {default: {proxy: 3000}}");
        }
    } else if (b->tables == conf_tables && conf_diags_errors(b->diags) == 0 &&
               conf_item_get(b->root, "sites") == NULL &&
               conf_item_get(b->root, "streams") == NULL) {
        conf_report(b->diags, CONF_WARNING, (struct conf_spot){.line = 0},
                    "there are no `sites`: every request gets an error");
        conf_hint(b->diags, "sites: {default: {proxy: 3000}}");
    }
    return doc;
}

int conf_load(const struct conf_load *in, struct conf_diags *d, struct conf_doc **out)
{
    struct arena arena;
    struct conf_build *b = mem_zalloc(sizeof *b);
    if (b == NULL) {
        return E_NO_MEMORY;
    }
    arena_init(&arena, NULL, 0, NULL, LOAD_BYTES_MAX);
    b->arena = &arena;
    b->diags = d;
    b->source = in->source;
    b->tables = in->tables;
    struct conf_doc *doc = build(b, in);
    int rc = b->out_of_memory ? E_NO_MEMORY : 0;
    if (rc == 0 && conf_diags_errors(d) > 0) {
        rc = E_CONFIG;
    }
    conf_diags_sort(d);
    if (rc == 0) {
        const struct conf_doc *verified = NULL;
        ensure(doc != NULL);
        ensure(conf_doc_open(doc, doc->bytes, &verified) == 0);
        *out = doc;
    } else {
        mem_free(doc);
    }
    arena_fini(&arena);
    mem_free(b);
    return rc;
}

void conf_doc_free(struct conf_doc *doc)
{
    mem_free(doc);
}

unsigned conf_load_known(const struct conf_load *in)
{
    struct arena arena;
    struct conf_build *b = mem_zalloc(sizeof *b);
    struct conf_diags *diags = conf_diags_new();
    unsigned count = 0;
    arena_init(&arena, NULL, 0, NULL, LOAD_BYTES_MAX);
    if (b != NULL && diags != NULL) {
        *b = (struct conf_build){
            .arena = &arena, .diags = diags, .source = in->source, .tables = in->tables};
        const struct conf_item *root = parse_main(b, in);
        for (const struct conf_item *i = root == NULL ? NULL : root->first; i != NULL;
             i = i->next) {
            count += conf_row_find(in->tables, CONF_IN_TOP, i->key) != NULL;
        }
    }
    arena_fini(&arena);
    conf_diags_free(diags);
    mem_free(b);
    return count;
}

int conf_load_text(const char *name, const char *text, conf_tables_t tables, struct conf_diags *d,
                   struct conf_doc **out)
{
    struct conf_load in = {.path = name, .text = slice_str(text), .tables = tables};
    return conf_load(&in, d, out);
}
