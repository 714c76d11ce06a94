// SPDX-License-Identifier: Apache-2.0
//
// YAML to a tree of items, by libfyaml's events. YAML's traps are closed here: tags, anchors, aliases,
// merge keys, null values, further documents, plain values over several lines and duplicate keys are
// errors that say what to write instead. Scalars stay text; nothing is typed here.
//
// libfyaml stops at the first broken line, so one syntax error is reported per file; traps are
// reported all. What it would let pass or change silently (control bytes, bytes that are not UTF-8)
// is refused before it sees the text. Its texts are translated in parse_syntax.c.

#include <libfyaml.h>
#include <stdlib.h>

#include "conf/parse_int.h"

struct level {
    struct conf_item *item;
    struct slice key; // of a map: the key whose value comes next
    struct conf_spot key_spot;
    bool have_key;
};

struct parser {
    struct conf_build *b;
    struct slice text;
    struct conf_item *root;
    uint16_t file;
    unsigned depth;
    unsigned documents;
    bool failed;
    bool over;             // going on would only report what follows from the last error
    struct conf_spot last; // of the last event that had a place
    struct level levels[CONF_PARSE_DEPTH_MAX];
    struct conf_syntax_error syntax;
};

static struct conf_spot spot_of_mark(const struct parser *p, const struct fy_mark *start,
                                     const struct fy_mark *end)
{
    struct conf_spot spot = {.file = p->file, .line = 1, .column = 1, .width = 1};
    if (start == NULL) {
        return p->last.line > 0 ? p->last : spot;
    }
    spot.line = (uint32_t)start->line + 1;
    spot.column = (uint32_t)start->column + 1;
    if (end != NULL && end->line == start->line && end->column > start->column) {
        spot.width = (uint32_t)(end->column - start->column);
    }
    return spot;
}

static struct conf_spot spot_of_token(const struct parser *p, struct fy_token *token)
{
    return spot_of_mark(p, fy_token_start_mark(token), fy_token_end_mark(token));
}

static void trap(struct parser *p, struct conf_spot spot, const char *what, const char *hint)
{
    conf_report(p->b->diags, CONF_ERROR, spot, "%s", what);
    conf_hint(p->b->diags, "%s", hint);
    p->failed = true;
}

// ---- placing items ------------------------------------------------------------------------------

// Where a value that has no text of its own is shown: at its key.
static struct conf_spot spot_of_missing(const struct parser *p)
{
    const struct level *level = p->depth > 0 ? &p->levels[p->depth - 1] : NULL;
    if (level != NULL && level->have_key) {
        return level->key_spot;
    }
    if (level != NULL) {
        return level->item->last != NULL ? level->item->last->spot : level->item->spot;
    }
    return (struct conf_spot){.file = p->file, .line = 1, .column = 1, .width = 1};
}

static void place(struct parser *p, struct conf_item *item)
{
    if (p->depth == 0) {
        p->root = item;
        return;
    }
    struct level *level = &p->levels[p->depth - 1];
    if (level->item->kind == CONF_MAP) {
        item->key = level->key;
        item->key_spot = level->key_spot;
        level->have_key = false;
    }
    conf_item_append(level->item, item);
}

static bool expects_key(const struct parser *p)
{
    return p->depth > 0 && p->levels[p->depth - 1].item->kind == CONF_MAP &&
           !p->levels[p->depth - 1].have_key;
}

static int compare_keys(const void *a, const void *b)
{
    const struct conf_item *x = *(const struct conf_item *const *)a;
    const struct conf_item *y = *(const struct conf_item *const *)b;
    size_t common = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = common > 0 ? memcmp(x->key.ptr, y->key.ptr, common) : 0;
    if (order == 0 && x->key.len != y->key.len) {
        order = x->key.len < y->key.len ? -1 : 1;
    }
    if (order == 0) { // the order of the file decides which one is the second
        order = x->key_spot.line != y->key_spot.line
                    ? (x->key_spot.line < y->key_spot.line ? -1 : 1)
                    : (x->key_spot.column < y->key_spot.column ? -1 : 1);
    }
    return order;
}

static void refuse_duplicates(struct parser *p, const struct conf_item *map)
{
    if (map->count < 2) {
        return;
    }
    struct conf_item **sorted = arena_alloc(p->b->arena, map->count * sizeof(struct conf_item *));
    if (sorted == NULL) {
        conf_build_no_memory(p->b);
        p->failed = true;
        return;
    }
    size_t n = 0;
    for (struct conf_item *i = map->first; i != NULL; i = i->next) {
        sorted[n++] = i;
    }
    qsort(sorted, n, sizeof(struct conf_item *), compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (slice_eq(sorted[i - 1]->key, sorted[i]->key)) {
            conf_report(p->b->diags, CONF_ERROR, sorted[i]->key_spot, "duplicate key `%.*s`",
                        SLICE_ARG(sorted[i]->key));
            conf_other(p->b->diags, sorted[i - 1]->key_spot, "first given here");
            p->failed = true;
        }
    }
}

static void open_item(struct parser *p, enum conf_kind kind, struct fy_event *e)
{
    struct conf_spot spot = spot_of_mark(p, fy_event_start_mark(e), fy_event_end_mark(e));
    if (expects_key(p)) {
        trap(p, spot, kind == CONF_LIST ? "a list cannot be a key" : "a map cannot be a key",
             kind == CONF_LIST ? "quote a value that begins with `[`, as in \"[::1]:8080\""
                               : "quote a value that begins with `{`");
        return;
    }
    if (p->depth == CONF_PARSE_DEPTH_MAX) {
        conf_report(p->b->diags, CONF_ERROR, spot, "nested deeper than %d levels", p->depth);
        p->failed = true;
        return;
    }
    struct conf_item *item = conf_item_new(p->b, kind, spot);
    if (item == NULL) {
        p->failed = true;
        return;
    }
    const struct fy_mark *mark = fy_event_start_mark(e);
    if (mark != NULL && mark->input_pos < p->text.len) {
        char first = p->text.ptr[mark->input_pos];
        item->flow = first == '[' || first == '{';
    }
    place(p, item);
    p->levels[p->depth++] = (struct level){.item = item};
}

static void close_item(struct parser *p)
{
    ensure(p->depth > 0);
    struct conf_item *item = p->levels[--p->depth].item;
    if (item->kind == CONF_MAP) {
        refuse_duplicates(p, item);
    }
}

// ---- scalars ------------------------------------------------------------------------------------

static bool is_null_word(struct slice s)
{
    return slice_eq(s, SLICE("~")) || slice_eq(s, SLICE("null")) || slice_eq(s, SLICE("Null")) ||
           slice_eq(s, SLICE("NULL"));
}

static void refuse_null(struct parser *p, struct conf_spot spot, struct slice text)
{
    const struct level *level = p->depth > 0 ? &p->levels[p->depth - 1] : NULL;
    if (text.len > 0) {
        conf_report(p->b->diags, CONF_ERROR, spot, "`%.*s` is a null value, which nothing takes",
                    SLICE_ARG(text));
        conf_hint(p->b->diags, "leave the key out, or quote the value if it is meant as text");
    } else if (level != NULL && level->have_key) {
        ptrdiff_t colon = slice_find_char(level->key, ':');
        ptrdiff_t blank = slice_find_char(level->key, ' ');
        conf_report(p->b->diags, CONF_ERROR, spot, "`%.*s` has no value", SLICE_ARG(level->key));
        if (level->item->flow && colon > 0) {
            conf_hint(p->b->diags, "a blank must follow the colon: `%.*s: %.*s`", (int)colon,
                      level->key.ptr, SLICE_ARG(slice_from(level->key, (size_t)colon + 1)));
        } else if (level->item->flow && blank > 0) {
            conf_hint(p->b->diags,
                      "write `%.*s: %.*s`; or quote the text before it, if the comma is part of it",
                      (int)blank, level->key.ptr,
                      SLICE_ARG(slice_from(level->key, (size_t)blank + 1)));
        } else if (level->item->flow) {
            conf_hint(p->b->diags,
                      "inside { } a comma ends a value: quote a text with a comma in it");
        } else {
            conf_hint(p->b->diags, "give it a value, quote an empty text (\"\"), or take it out");
        }
    } else {
        conf_report(p->b->diags, CONF_ERROR, spot, "an empty entry");
        conf_hint(p->b->diags, "give it a value, or quote an empty text (\"\")");
    }
    p->failed = true;
}

static void on_key(struct parser *p, struct slice text, struct conf_spot spot, bool plain)
{
    struct level *level = &p->levels[p->depth - 1];
    if (plain && slice_eq(text, SLICE("<<"))) {
        trap(p, spot, "merge keys (`<<`) are not part of this language",
             "put what is shared under `snippets` and write `use: NAME`");
    } else if (plain && text.len == 0) {
        trap(p, spot_of_missing(p), "an empty key", "write `key: value`");
    }
    level->key = text;
    level->key_spot = spot;
    level->have_key = true;
}

static bool copy_text(struct parser *p, struct fy_token *token, struct slice *out)
{
    size_t len = 0;
    const char *text = token != NULL ? fy_token_get_text(token, &len) : "";
    *out = text != NULL ? arena_dup(p->b->arena, slice_of(text, len)) : (struct slice){NULL, 0};
    if (out->ptr == NULL) {
        conf_build_no_memory(p->b);
        p->failed = true;
        return false;
    }
    return true;
}

static void on_scalar(struct parser *p, struct fy_event *e, bool tagged)
{
    struct fy_token *token = e->scalar.value;
    enum fy_scalar_style style = token != NULL ? fy_token_scalar_style(token) : FYSS_PLAIN;
    const struct fy_mark *start = fy_event_start_mark(e);
    const struct fy_mark *end = fy_event_end_mark(e);
    struct slice text;
    if (!copy_text(p, token, &text)) {
        return;
    }
    bool plain = style == FYSS_PLAIN;
    bool missing = plain && text.len == 0;
    struct conf_spot spot = missing ? spot_of_missing(p) : spot_of_mark(p, start, end);
    if ((style == FYSS_DOUBLE_QUOTED || style == FYSS_SINGLE_QUOTED) && spot.column > 1) {
        spot.column--; // libfyaml's mark is behind the quote
        spot.width += 2;
    }
    if (expects_key(p)) {
        on_key(p, text, spot, plain);
        return;
    }
    if (plain && !tagged && (missing || is_null_word(text))) {
        refuse_null(p, spot, text);
    } else if (plain && !missing && start != NULL && end != NULL && start->line != end->line) {
        trap(p, spot, "a plain value goes on in the next line",
             "check the indentation of the next line, or quote the value");
    }
    struct conf_item *item = conf_item_new(p->b, CONF_SCALAR, spot);
    if (item == NULL) {
        p->failed = true;
        return;
    }
    item->text = text;
    item->plain = plain;
    place(p, item);
}

// ---- traps --------------------------------------------------------------------------------------

static void on_alias(struct parser *p, struct fy_event *e)
{
    struct conf_spot spot = spot_of_token(p, e->alias.anchor);
    size_t len = 0;
    const char *name = fy_token_get_text(e->alias.anchor, &len);
    if (spot.column > 1) {
        spot.column--;
        spot.width++;
    }
    if (name != NULL && len > 0 && name[len - 1] == ':') { // `*.a.b: x` was meant as a key
        len--;
        p->over = true;
    }
    conf_report(p->b->diags, CONF_ERROR, spot,
                "`*%.*s` without quotes is a YAML alias, which this language has not", (int)len,
                name != NULL ? name : "");
    if (name != NULL && len > 0 && name[0] == '.') {
        conf_hint(p->b->diags, "quote it: \"*%.*s\"", (int)len, name);
    } else {
        conf_hint(p->b->diags, "quote it if it is text; to share settings use `snippets`");
    }
    p->failed = true;
    if (expects_key(p)) {
        on_key(p, SLICE("*"), spot, false);
        return;
    }
    struct conf_item *item = conf_item_new(p->b, CONF_SCALAR, spot);
    if (item != NULL) {
        place(p, item);
    }
}

// True when there is a tag.
static bool refuse_properties(struct parser *p, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor != NULL) {
        struct conf_spot spot = spot_of_token(p, anchor);
        spot.column -= spot.column > 1;
        trap(p, spot, "`&` without quotes is a YAML anchor, which this language has not",
             "quote it if it is text; to share settings use `snippets`");
    }
    if (tag != NULL) {
        trap(p, spot_of_token(p, tag),
             "`!` without quotes is a YAML tag, which this language has not",
             "quote it if it is text; the word for negation is `not`");
    }
    return tag != NULL;
}

static void on_document(struct parser *p, struct fy_event *e)
{
    p->documents++;
    if (p->documents > 1) {
        struct conf_spot spot = spot_of_mark(p, fy_event_start_mark(e), fy_event_end_mark(e));
        trap(p, spot, "a second YAML document begins here",
             "a file holds one: take out the `---` or `...`");
        p->over = true;
    } else if (fy_document_state_version_explicit(e->document_start.document_state) ||
               fy_document_state_tags_explicit(e->document_start.document_state)) {
        trap(p, (struct conf_spot){p->file, 1, 1, 1}, "YAML directives (`%`) are not taken",
             "take the line out: files are YAML 1.2");
    }
}

static void on_event(struct parser *p, struct fy_event *e)
{
    bool tagged = false;
    switch (e->type) {
    case FYET_DOCUMENT_START:
        on_document(p, e);
        break;
    case FYET_ALIAS:
        on_alias(p, e);
        break;
    case FYET_SCALAR:
        tagged = refuse_properties(p, e->scalar.anchor, e->scalar.tag);
        on_scalar(p, e, tagged);
        break;
    case FYET_SEQUENCE_START:
        (void)refuse_properties(p, e->sequence_start.anchor, e->sequence_start.tag);
        open_item(p, CONF_LIST, e);
        break;
    case FYET_MAPPING_START:
        (void)refuse_properties(p, e->mapping_start.anchor, e->mapping_start.tag);
        open_item(p, CONF_MAP, e);
        break;
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        close_item(p);
        break;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
}

// ---- running libfyaml ---------------------------------------------------------------------------

// libfyaml prints its errors in pieces; the first line that is one is kept.
static void on_output(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    struct parser *p = user;
    (void)diag;
    conf_syntax_collect(&p->syntax, slice_of(text, len));
}

// True when going on makes sense: a structure that was refused would put later events at the wrong
// place.
static bool may_go_on(const struct parser *p, unsigned depth_before, const struct fy_event *e)
{
    bool opens = e->type == FYET_SEQUENCE_START || e->type == FYET_MAPPING_START;
    return !p->b->out_of_memory && !p->over && !(opens && p->depth == depth_before);
}

static void run(struct parser *p, struct fy_parser *yaml)
{
    bool going = true;
    struct fy_event *e = NULL;
    while (going && (e = fy_parser_parse(yaml)) != NULL) {
        unsigned depth = p->depth;
        on_event(p, e);
        const struct fy_mark *mark = fy_event_start_mark(e);
        if (mark != NULL) {
            p->last = spot_of_mark(p, mark, NULL);
        }
        going = may_go_on(p, depth, e);
        fy_parser_event_free(yaml, e);
    }
    if (going && fy_parser_get_stream_error(yaml)) {
        const struct conf_item *open = p->depth > 0 ? p->levels[p->depth - 1].item : NULL;
        conf_syntax_report(p->b, p->file, p->text, &p->syntax, open);
        p->failed = true;
    }
}

static struct conf_item *finish(struct parser *p)
{
    if (p->failed || p->b->out_of_memory) {
        return NULL;
    }
    if (p->root != NULL && p->b->root_key.len > 0) {
        struct conf_item *outer = conf_item_new(p->b, CONF_MAP, p->root->spot);
        if (outer != NULL) {
            p->root->key = p->b->root_key;
            p->root->key_spot = p->root->spot;
            conf_item_append(outer, p->root);
        }
        return outer;
    }
    if (p->root == NULL) { // nothing but comments
        p->root = conf_item_new(p->b, CONF_MAP,
                                (struct conf_spot){.file = p->file, .line = 1, .column = 1});
    }
    if (p->root != NULL && p->root->kind != CONF_MAP) {
        conf_report(p->b->diags, CONF_ERROR, p->root->spot,
                    "the file must hold keys with values, like `listen: \":8080\"`");
        if (p->root->kind == CONF_SCALAR && slice_find_char(p->root->text, ':') > 0) {
            conf_hint(p->b->diags, "a blank must follow the colon");
        }
        return NULL;
    }
    return p->root;
}

struct conf_item *conf_parse(struct conf_build *b, uint16_t file, struct slice text)
{
    struct parser p = {.b = b, .file = file, .text = text};
    if (slice_starts(text, SLICE("\xef\xbb\xbf"))) {
        text = slice_from(text, 3);
        p.text = text;
    }
    if (!conf_syntax_bytes(b, file, text)) {
        return NULL;
    }
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = on_output;
    diag_cfg.user = &p;
    diag_cfg.level = FYET_ERROR;
    diag_cfg.colorize = false;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = diag,
    };
    struct fy_parser *yaml = diag != NULL ? fy_parser_create(&cfg) : NULL;
    if (yaml == NULL || fy_parser_set_string(yaml, text.len > 0 ? text.ptr : "", text.len) != 0) {
        conf_build_no_memory(b);
    } else {
        run(&p, yaml);
    }
    if (yaml != NULL) {
        fy_parser_destroy(yaml);
    }
    fy_diag_unref(diag);
    return finish(&p);
}
