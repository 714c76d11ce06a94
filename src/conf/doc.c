// SPDX-License-Identifier: Apache-2.0
//
// Reading a document (conf/doc.h). Everything that could be wrong with a block from elsewhere is
// found by conf_doc_open(); the accessors after it only assert what their caller promised. No
// state, any thread.

#include "conf/doc.h"

#include "base/error.h"
#include "base/hash.h"
#include "conf/doc_int.h"
#include "conf/value.h"

// The parts of a block, from its header.
static const struct conf_cell *cells_of(const struct conf_doc *doc)
{
    return (const struct conf_cell *)(const void *)(doc + 1);
}

static const struct conf_file_ref *files_of(const struct conf_doc *doc)
{
    return (const struct conf_file_ref *)(const void *)(cells_of(doc) + doc->cells);
}

static const char *text_of(const struct conf_doc *doc)
{
    return (const char *)(files_of(doc) + doc->files);
}

static const struct conf_cell *cell_of(struct conf_node n)
{
    ensure(n.doc != NULL);
    ensure(n.index > 0 && n.index < n.doc->cells);
    return cells_of(n.doc) + n.index;
}

// ---- verifying ----------------------------------------------------------------------------------

static bool text_holds(const struct conf_doc *doc, uint32_t offset, uint32_t len)
{
    return offset <= doc->text_bytes && len <= doc->text_bytes - offset;
}

static bool cell_is_sound(const struct conf_doc *doc, const struct conf_cell *c)
{
    bool leaf = c->span == 1;
    return c->kind <= CONF_MAP && c->last <= 1 && c->span >= 1 && c->file < doc->files &&
           text_holds(doc, c->key, c->key_len) && text_holds(doc, c->text, c->text_len) &&
           leaf == (c->count == 0) && (c->kind != CONF_SCALAR || leaf);
}

struct frame {
    uint32_t end;     // first cell after the subtree
    uint32_t missing; // children still to come
};

// One pass in pre-order with the subtrees that are open on a stack.
static int verify_cells(const struct conf_doc *doc)
{
    const struct conf_cell *cells = cells_of(doc);
    struct frame open[CONF_DEPTH_MAX];
    unsigned depth = 0;

    open[0] = (struct frame){doc->cells, 1};
    for (uint32_t i = 1; i < doc->cells; i++) {
        const struct conf_cell *c = &cells[i];
        struct frame *parent = &open[depth];
        if (!cell_is_sound(doc, c) || parent->missing == 0 || c->span > parent->end - i) {
            return E_INVALID;
        }
        parent->missing--;
        if (c->last != (parent->missing == 0) || (c->last && i + c->span != parent->end)) {
            return E_INVALID;
        }
        if (c->count > 0) {
            if (++depth == CONF_DEPTH_MAX) {
                return E_INVALID;
            }
            open[depth] = (struct frame){i + c->span, c->count};
        }
        while (depth > 0 && open[depth].end == i + 1) {
            if (open[depth].missing != 0) {
                return E_INVALID;
            }
            depth--;
        }
    }
    return depth == 0 && open[0].missing == 0 ? 0 : E_INVALID;
}

int conf_doc_open(const void *bytes, size_t len, const struct conf_doc **out)
{
    const struct conf_doc *doc = bytes;
    if (bytes == NULL || (uintptr_t)bytes % _Alignof(struct conf_doc) != 0 || len < sizeof *doc ||
        len > CONF_DOC_BYTES_MAX) {
        return E_INVALID;
    }
    if (doc->magic != CONF_DOC_MAGIC || doc->version != CONF_DOC_VERSION || doc->bytes != len ||
        doc->cells < 2 || doc->cells > CONF_NODES_MAX || doc->files > CONF_FILES_MAX) {
        return E_INVALID;
    }
    uint64_t need = sizeof *doc + (uint64_t)doc->cells * sizeof(struct conf_cell) +
                    (uint64_t)doc->files * sizeof(struct conf_file_ref) + doc->text_bytes;
    if (need != len) {
        return E_INVALID;
    }
    for (uint32_t i = 0; i < doc->files; i++) {
        if (!text_holds(doc, files_of(doc)[i].name, files_of(doc)[i].name_len)) {
            return E_INVALID;
        }
    }
    int rc = verify_cells(doc);
    if (rc == 0) {
        *out = doc;
    }
    return rc;
}

// ---- the tree -----------------------------------------------------------------------------------

struct conf_node conf_root(const struct conf_doc *doc)
{
    ensure_magic(doc, CONF_DOC_MAGIC);
    return (struct conf_node){doc, 1};
}

struct slice conf_doc_bytes(const struct conf_doc *doc)
{
    ensure_magic(doc, CONF_DOC_MAGIC);
    return slice_of((const char *)doc, doc->bytes);
}

enum conf_kind conf_kind_of(struct conf_node n)
{
    return (enum conf_kind)cell_of(n)->kind;
}

struct slice conf_key(struct conf_node n)
{
    const struct conf_cell *c = cell_of(n);
    return slice_of(text_of(n.doc) + c->key, c->key_len);
}

struct slice conf_text(struct conf_node n)
{
    const struct conf_cell *c = cell_of(n);
    ensure(c->kind == CONF_SCALAR);
    return slice_of(text_of(n.doc) + c->text, c->text_len);
}

struct conf_node conf_first(struct conf_node n)
{
    uint32_t index = conf_exists(n) && cell_of(n)->count > 0 ? n.index + 1 : 0;
    return (struct conf_node){n.doc, index};
}

struct conf_node conf_next(struct conf_node n)
{
    const struct conf_cell *c = cell_of(n);
    return (struct conf_node){n.doc, c->last ? 0 : n.index + c->span};
}

uint32_t conf_count(struct conf_node n)
{
    return conf_exists(n) ? cell_of(n)->count : 0;
}

struct conf_node conf_get_slice(struct conf_node n, struct slice key)
{
    if (conf_exists(n) && cell_of(n)->kind == CONF_MAP) {
        conf_each(child, n)
        {
            if (slice_eq(conf_key(child), key)) {
                return child;
            }
        }
    }
    return (struct conf_node){n.doc, 0};
}

struct conf_node conf_get(struct conf_node n, const char *key)
{
    return conf_get_slice(n, slice_str(key));
}

struct conf_place conf_place_of(struct conf_node n)
{
    const struct conf_cell *c = cell_of(n);
    const struct conf_file_ref *file = &files_of(n.doc)[c->file];
    return (struct conf_place){
        .file = slice_of(text_of(n.doc) + file->name, file->name_len),
        .line = c->line,
        .column = c->column,
    };
}

static uint64_t mix(uint64_t seed, uint64_t tag, struct slice s)
{
    struct hash_key key = {{seed, tag}};
    return hash_bytes(&key, s);
}

uint64_t conf_hash(struct conf_node n)
{
    if (!conf_exists(n)) {
        return 0;
    }
    // Pre-order with the number of children determines the tree.
    uint64_t h = 0;
    uint32_t end = n.index + cell_of(n)->span;
    for (uint32_t i = n.index; i < end; i++) {
        const struct conf_cell *c = &cells_of(n.doc)[i];
        uint64_t tag = (uint64_t)c->count << 8 | c->kind;
        if (i != n.index) { // its own name says where it stands, not what it is
            h = mix(h, tag, slice_of(text_of(n.doc) + c->key, c->key_len));
        }
        h = mix(h, ~tag, slice_of(text_of(n.doc) + c->text, c->text_len));
    }
    return h;
}

// ---- typed values -------------------------------------------------------------------------------

bool conf_bool(struct conf_node n, bool fallback)
{
    bool value = fallback;
    if (conf_exists(n)) {
        ensure(conf_value_bool(conf_text(n), &value) == 0);
    }
    return value;
}

int64_t conf_int(struct conf_node n, int64_t fallback)
{
    int64_t value = fallback;
    if (conf_exists(n)) {
        ensure(conf_value_int(conf_text(n), &value) == 0);
    }
    return value;
}

bool conf_is_off(struct conf_node n)
{
    bool on = true;
    return conf_exists(n) && conf_kind_of(n) == CONF_SCALAR &&
           conf_value_bool(conf_text(n), &on) == 0 && !on;
}

uint64_t conf_duration_ms(struct conf_node n, uint64_t fallback_ms)
{
    uint64_t value = fallback_ms;
    if (conf_is_off(n)) {
        return 0;
    }
    if (conf_exists(n)) {
        ensure(conf_value_duration(conf_text(n), &value) == 0);
    }
    return value;
}

uint32_t conf_percent(struct conf_node n, uint32_t fallback)
{
    uint64_t value = fallback;
    if (conf_is_off(n)) {
        return 0;
    }
    if (conf_exists(n)) {
        ensure(conf_value_percent(conf_text(n), &value) == 0);
    }
    ensure(value <= UINT32_MAX);
    return (uint32_t)value;
}

uint64_t conf_size(struct conf_node n, uint64_t fallback)
{
    uint64_t value = fallback;
    if (conf_is_off(n)) {
        return UINT64_MAX;
    }
    if (conf_exists(n)) {
        ensure(conf_value_size(conf_text(n), &value) == 0);
    }
    return value;
}

struct slice conf_string(struct conf_node n, const char *fallback)
{
    return conf_exists(n) ? conf_text(n) : slice_str(fallback);
}

// ---- scopes -------------------------------------------------------------------------------------

static struct conf_node get_path(struct conf_node n, struct slice path)
{
    while (path.len > 0 && conf_exists(n)) {
        ptrdiff_t dot = slice_find_char(path, '.');
        size_t len = dot < 0 ? path.len : (size_t)dot;
        n = conf_get_slice(n, slice_sub(path, 0, len));
        path = slice_from(path, dot < 0 ? len : len + 1);
    }
    return n;
}

struct conf_node conf_scope_get(const struct conf_scope *s, const char *path)
{
    for (size_t i = 0; i < array_len(s->level); i++) {
        struct conf_node found = {NULL, 0};
        if (conf_exists(s->level[i])) {
            found = get_path(s->level[i], slice_str(path));
        }
        if (conf_exists(found)) {
            return found;
        }
    }
    return (struct conf_node){NULL, 0};
}
