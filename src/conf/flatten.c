// SPDX-License-Identifier: Apache-2.0
//
// Writes a checked tree as a document's block (conf/doc_int.h has the layout).

#include "base/num.h"
#include "base/slab.h"
#include "conf/tree_int.h"

struct sizes {
    size_t cells;
    size_t text;
};

static void measure(const struct conf_item *item, struct sizes *s)
{
    s->cells++;
    s->text += item->key.len + item->text.len;
    for (const struct conf_item *i = item->first; i != NULL; i = i->next) {
        measure(i, s);
    }
}

struct writer {
    struct conf_cell *cells;
    char *text;
    uint32_t cell;
    uint32_t used;
};

static uint32_t put_text(struct writer *w, struct slice s)
{
    uint32_t at = w->used;
    if (s.len > 0) {
        memcpy(w->text + at, s.ptr, s.len);
        w->used += (uint32_t)s.len;
    }
    return at;
}

static void put_item(struct writer *w, struct conf_item *item)
{
    uint32_t index = w->cell++;
    struct conf_cell *c = &w->cells[index];
    // A scalar is named by its value's place, what holds others by its key's.
    struct conf_spot spot = item->kind == CONF_SCALAR ? item->spot : conf_item_spot(item);
    item->index = index;
    c->key = put_text(w, item->key);
    c->key_len = (uint32_t)item->key.len;
    c->text = put_text(w, item->text);
    c->text_len = (uint32_t)item->text.len;
    c->count = item->count;
    c->line = spot.line;
    c->column = spot.column;
    c->file = spot.file;
    c->kind = item->kind;
    c->last = item->next == NULL;
    for (struct conf_item *i = item->first; i != NULL; i = i->next) {
        put_item(w, i);
    }
    c->span = w->cell - index;
}

struct conf_doc *conf_flatten(struct conf_build *b)
{
    struct sizes s = {.cells = 1, .text = 0};
    measure(b->root, &s);
    for (uint32_t i = 0; i < b->files; i++) {
        s.text += conf_diags_file_name(b->diags, (uint16_t)i).len;
    }
    size_t bytes = sizeof(struct conf_doc) + s.cells * sizeof(struct conf_cell) +
                   b->files * sizeof(struct conf_file_ref) + s.text;
    struct conf_doc *doc =
        s.text < CONF_DOC_BYTES_MAX && bytes < CONF_DOC_BYTES_MAX ? mem_zalloc(bytes) : NULL;
    if (doc == NULL) {
        conf_build_no_memory(b);
        return NULL;
    }
    *doc = (struct conf_doc){
        .magic = CONF_DOC_MAGIC,
        .version = CONF_DOC_VERSION,
        .bytes = (uint32_t)bytes,
        .cells = (uint32_t)s.cells,
        .files = b->files,
        .text_bytes = (uint32_t)s.text,
    };
    struct writer w = {.cells = (struct conf_cell *)(void *)(doc + 1), .cell = 1};
    struct conf_file_ref *files = (struct conf_file_ref *)(void *)(w.cells + s.cells);
    w.text = (char *)(files + b->files);
    for (uint32_t i = 0; i < b->files; i++) {
        struct slice name = conf_diags_file_name(b->diags, (uint16_t)i);
        files[i] = (struct conf_file_ref){put_text(&w, name), (uint32_t)name.len};
    }
    put_item(&w, b->root);
    ensure(w.cell == s.cells);
    ensure(w.used == s.text);
    return doc;
}
