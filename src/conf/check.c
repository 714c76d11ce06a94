// SPDX-License-Identifier: Apache-2.0
//
// The check of a tree against the rows: keys are known, values are of their type, objects are
// complete, a route does one thing. On the way each value is brought into canonical form
// (conf/schema.h says how it looks), so that a checked tree has one shape whatever was written.
// Scalars are in check_text.c, what holds between directives in check_whole.c.

#include "base/error.h"
#include "base/text.h"
#include "conf/address.h"
#include "conf/nearest.h"
#include "conf/tree_int.h"

enum { CHECK_TEXT_MAX = 512 };

// The rows that may stand in one map: those of an object, or those of contexts.
struct place {
    const struct conf_directive *rows; // NULL: by contexts
    unsigned contexts;
    struct slice name; // of the object, for messages
};

static void check_value(struct conf_build *b, struct conf_item *item,
                        const struct conf_directive *row);

static const struct conf_directive *find_row(struct conf_build *b, const struct place *at,
                                             struct slice key)
{
    return at->rows != NULL ? conf_row_in(at->rows, key)
                            : conf_row_find(b->tables, at->contexts, key);
}

// ---- unknown keys -------------------------------------------------------------------------------

static bool is_aka(const struct conf_directive *row, struct slice key)
{
    struct slice rest = row->aka != NULL ? slice_str(row->aka) : SLICE("");
    while (rest.len > 0) {
        ptrdiff_t blank = slice_find_char(rest, ' ');
        size_t len = blank < 0 ? rest.len : (size_t)blank;
        if (slice_eq_nocase(slice_sub(rest, 0, len), key)) {
            return true;
        }
        rest = slice_from(rest, blank < 0 ? len : len + 1);
    }
    return false;
}

static void offer_row(const struct conf_directive *row, struct conf_nearest *nearest)
{
    if (is_aka(row, nearest->wanted)) {
        nearest->best = slice_str(row->name);
        nearest->distance = 0;
    }
    conf_nearest_offer(nearest, slice_str(row->name));
}

static struct slice nearest_row(struct conf_build *b, const struct place *at, struct slice key)
{
    struct conf_nearest nearest = conf_nearest_to(key);
    if (at->rows != NULL) {
        for (const struct conf_directive *row = at->rows; row->name != NULL; row++) {
            offer_row(row, &nearest);
        }
    } else {
        conf_each_row(it, b->tables)
        {
            if ((it.row->contexts & at->contexts) != 0) {
                offer_row(it.row, &nearest);
            }
        }
    }
    return nearest.best;
}

static void put_known_keys(struct text *t, const struct conf_directive *rows)
{
    for (; rows->name != NULL; rows++) {
        text_printf(t, "%s%s", rows->name, rows[1].name != NULL ? ", " : "");
    }
}

// Where a key that is wrong here would be right: contexts, and objects that have it.
static unsigned known_elsewhere(struct conf_build *b, const struct place *at, struct slice key,
                                struct slice *object, unsigned *object_contexts)
{
    unsigned contexts = 0;
    *object = SLICE("");
    conf_each_row(it, b->tables)
    {
        if (slice_eq(slice_str(it.row->name), key)) {
            contexts |= it.row->contexts;
        }
        bool object_row = it.row->type == CONF_TYPE_OBJECT || it.row->type == CONF_TYPE_UPSTREAM;
        bool same_name = object->len > 0 && slice_eq(*object, at->name);
        if (object_row && conf_row_in(it.row->rows, key) != NULL && !same_name) {
            *object = slice_str(it.row->name);
            *object_contexts = it.row->contexts;
        }
    }
    return contexts & ~(unsigned)CONF_IN_OBJECT;
}

static const char *place_name(const struct place *at, char *buffer, size_t size)
{
    struct text t = text_on(buffer, size - 1);
    if (at->rows != NULL) {
        text_printf(&t, "`%.*s`", SLICE_ARG(at->name));
    } else if (at->contexts == CONF_IN_TOP) {
        text_str(&t, "the top level");
    } else {
        return conf_contexts_text(at->contexts, buffer, size);
    }
    t.ptr[t.len] = '\0';
    return buffer;
}

static void report_unknown(struct conf_build *b, const struct place *at,
                           const struct conf_item *item)
{
    char where[CHECK_TEXT_MAX];
    char more[CHECK_TEXT_MAX];
    struct slice object;
    bool top = at->rows == NULL && at->contexts == CONF_IN_TOP;
    conf_report(b->diags, CONF_ERROR, item->key_spot, "unknown key `%.*s` %s %s",
                SLICE_ARG(item->key), top ? "at" : "in", place_name(at, where, sizeof where));
    struct slice nearest = nearest_row(b, at, item->key);
    unsigned object_contexts = 0;
    unsigned contexts = known_elsewhere(b, at, item->key, &object, &object_contexts);
    if (slice_starts(item->key, SLICE("/")) && at->rows == NULL) {
        conf_hint(b->diags, "a path is a match of a route: - {path: %.*s, ...}",
                  SLICE_ARG(item->key));
    } else if (contexts != 0) {
        conf_hint(b->diags, "`%.*s` is known in: %s", SLICE_ARG(item->key),
                  conf_contexts_text(contexts, more, sizeof more));
    } else if (nearest.len > 0) {
        conf_hint(b->diags, "did you mean `%.*s`?", SLICE_ARG(nearest));
    } else if (object.len > 0 && slice_eq(object, at->name)) { // of the same name elsewhere
        conf_hint(b->diags, "`%.*s` is known in: `%.*s` of %s", SLICE_ARG(item->key),
                  SLICE_ARG(object), conf_contexts_text(object_contexts, more, sizeof more));
    } else if (object.len > 0) {
        conf_hint(b->diags, "`%.*s` is known in: `%.*s`", SLICE_ARG(item->key), SLICE_ARG(object));
    } else if (at->rows != NULL) {
        struct text t = text_on(more, sizeof more);
        put_known_keys(&t, at->rows);
        conf_hint(b->diags, "known here: %.*s", SLICE_ARG(text_slice(&t)));
    } else {
        conf_hint(b->diags, "`adit help` lists what there is");
    }
}

// ---- shapes -------------------------------------------------------------------------------------

// The line of the example that gives the directive a value, or "": it says more than a description.
static struct slice example_line(const struct conf_directive *row)
{
    struct slice rest = row->example != NULL ? slice_str(row->example) : SLICE("");
    struct slice name = slice_str(row->name);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice line = slice_trim(end < 0 ? rest : slice_sub(rest, 0, (size_t)end));
        if (slice_starts(line, name) && slice_starts(slice_from(line, name.len), SLICE(": "))) {
            return line;
        }
        rest = end < 0 ? SLICE("") : slice_from(rest, (size_t)end + 1);
    }
    return SLICE("");
}

static const char *article(const char *noun)
{
    return strncmp(noun, "on ", 3) == 0 ? "" : strchr("aeou", noun[0]) != NULL ? "an " : "a ";
}

static void wrong_shape(struct conf_build *b, struct conf_item *item,
                        const struct conf_directive *row)
{
    char what[CHECK_TEXT_MAX];
    static const char *const kinds[] = {"a single value", "a list", "a map"};
    const char *sample = row->example == NULL ? conf_type_sample((enum conf_type)row->type) : NULL;
    item->wrong = true;
    conf_report(b->diags, CONF_ERROR, item->kind == CONF_SCALAR ? item->spot : conf_item_spot(item),
                "`%s` takes %s%s, not %s", row->name,
                article(conf_type_text(row, what, sizeof what)), what, kinds[item->kind]);
    if (row->type == CONF_TYPE_OBJECT && row->rows != NULL) {
        struct text t = text_on(what, sizeof what);
        put_known_keys(&t, row->rows);
        conf_hint(b->diags, "its keys: %.*s", SLICE_ARG(text_slice(&t)));
    } else if (example_line(row).len > 0) {
        conf_hint(b->diags, "as in: %.*s", SLICE_ARG(example_line(row)));
    } else if (row->inner != 0) {
        conf_hint(b->diags, "its directives stand on lines of their own below it, or in { }");
    } else if (row->example != NULL) {
        conf_hint(b->diags, "`adit help %s` shows how it is written", row->name);
    } else if (sample != NULL) {
        conf_hint(b->diags, "as in: %s: %s", row->name, sample);
    }
}

// Turns the item into a list or map that holds what it was, under `key`.
static bool wrap(struct conf_build *b, struct conf_item *item, enum conf_kind kind, const char *key)
{
    struct conf_item *inner = conf_item_new(b, (enum conf_kind)item->kind, item->spot);
    if (inner == NULL) {
        return false;
    }
    inner->first = item->first;
    inner->last = item->last;
    inner->count = item->count;
    inner->text = item->text;
    inner->plain = item->plain;
    inner->flow = item->flow;
    if (key != NULL) {
        inner->key = slice_str(key);
        inner->key_spot = item->key_spot;
    }
    item->kind = (uint8_t)kind;
    item->first = NULL;
    item->last = NULL;
    item->count = 0;
    item->text = SLICE("");
    conf_item_append(item, inner);
    return true;
}

static bool is_word(const struct conf_item *item, const char *a, const char *b)
{
    return item->kind == CONF_SCALAR &&
           (slice_eq(item->text, slice_str(a)) || slice_eq(item->text, slice_str(b)));
}

// ---- maps ---------------------------------------------------------------------------------------

static void need(struct conf_build *b, const struct place *at, struct conf_item *map,
                 const struct conf_directive *row)
{
    if (row->required && conf_item_get(map, row->name) == NULL) {
        map->wrong = true;
        conf_report(b->diags, CONF_ERROR, conf_item_spot(map), "`%.*s` needs `%s`",
                    SLICE_ARG(at->name), row->name);
        conf_hint(b->diags, "%s: %s", row->name, row->text);
    }
}

// Not asked of a map with a mistake in it: that may be the missing key.
static void check_required(struct conf_build *b, const struct place *at, struct conf_item *map)
{
    if (map->wrong) {
        return;
    }
    for (const struct conf_directive *row = at->rows; row != NULL && row->name != NULL; row++) {
        need(b, at, map, row);
    }
    // A snippet is complete only where it is used.
    bool single = (at->contexts & (at->contexts - 1)) == 0;
    conf_each_row(it, at->rows == NULL && single ? b->tables : NULL)
    {
        if ((it.row->contexts & at->contexts) != 0) {
            need(b, at, map, it.row);
        }
    }
}

static void put_actions(struct conf_build *b, struct text *t)
{
    bool first = true;
    conf_each_row(it, b->tables)
    {
        if (it.row->action && (it.row->contexts & CONF_IN_ROUTE) != 0) {
            text_printf(t, "%s%s", first ? "" : ", ", it.row->name);
            first = false;
        }
    }
}

// A route does one thing; a site may, for what no route takes.
static void check_actions(struct conf_build *b, const struct place *at, struct conf_item *map)
{
    struct conf_item *action = NULL;
    char list[CHECK_TEXT_MAX];
    struct text t = text_on(list, sizeof list);
    for (struct conf_item *i = map->first; i != NULL; i = i->next) {
        if (i->row == NULL || !i->row->action) {
            continue;
        }
        if (action != NULL) {
            conf_report(b->diags, CONF_ERROR, conf_item_spot(i),
                        "`%.*s` and `%.*s` in one %s: it can do only one of them",
                        SLICE_ARG(action->key), SLICE_ARG(i->key),
                        at->contexts == CONF_IN_ROUTE ? "route" : "site");
            conf_other(b->diags, conf_item_spot(action), "the other one is here");
            return;
        }
        action = i;
    }
    if (action == NULL && at->contexts == CONF_IN_ROUTE && !map->wrong) {
        put_actions(b, &t);
        conf_report(b->diags, CONF_ERROR, conf_item_spot(map), "this route does nothing");
        conf_hint(b->diags, "give it one of: %.*s", SLICE_ARG(text_slice(&t)));
    }
}

// A snippet may hold a key that means one thing in a site and another in an upstream: which of them
// is seen where it is used.
static bool is_ambiguous(struct conf_build *b, const struct place *at,
                         const struct conf_directive *row)
{
    conf_each_row(it, at->rows == NULL ? b->tables : NULL)
    {
        if (it.row != row && (it.row->contexts & at->contexts) != 0 &&
            strcmp(it.row->name, row->name) == 0) {
            return true;
        }
    }
    return false;
}

// What an object has for the top level only has no effect elsewhere: said rather than ignored.
static void check_top_only(struct conf_build *b, struct conf_item *item,
                           const struct conf_directive *row)
{
    if (row->top_only && b->contexts != CONF_IN_TOP) {
        conf_report(b->diags, CONF_ERROR, item->key_spot, "`%s` counts at the top level only",
                    row->name);
        conf_hint(b->diags, "it is needed before a site or route is known");
        item->wrong = true;
    }
}

static void check_map(struct conf_build *b, struct conf_item *map, const struct place *at)
{
    uint16_t outer = b->contexts;
    b->contexts = at->rows == NULL ? (uint16_t)at->contexts : outer;
    for (struct conf_item *i = map->first; i != NULL; i = i->next) {
        const struct conf_directive *row = find_row(b, at, i->key);
        if (row == NULL) {
            report_unknown(b, at, i);
            i->wrong = true;
        } else if (!is_ambiguous(b, at, row)) {
            check_top_only(b, i, row);
            check_value(b, i, row);
        }
        map->wrong = map->wrong || i->wrong;
    }
    b->contexts = outer;
    check_required(b, at, map);
    if (at->contexts == CONF_IN_ROUTE || at->contexts == CONF_IN_SITE) {
        check_actions(b, at, map);
    }
}

// ---- types that hold others ---------------------------------------------------------------------

static void check_object(struct conf_build *b, struct conf_item *item,
                         const struct conf_directive *row)
{
    struct place at = {row->inner != 0 ? NULL : row->rows, row->inner, slice_str(row->name)};
    if (row->off_ok && is_word(item, "off", "false")) {
        item->text = SLICE("off");
        return;
    }
    if (row->on_ok && is_word(item, "on", "true")) {
        item->kind = CONF_MAP;
        item->text = SLICE("");
    }
    if (item->kind != CONF_MAP && row->shorthand != NULL) {
        if (!wrap(b, item, CONF_MAP, row->shorthand)) {
            return;
        }
        const struct conf_directive *inner = find_row(b, &at, slice_str(row->shorthand));
        ensure(inner != NULL);
        // Messages call it by the name that was written.
        struct conf_directive named = *inner;
        struct conf_item *value = item->first;
        if (inner->type != CONF_TYPE_OBJECT) {
            named.name = row->name;
            named.example = row->example;
            named.off_ok = inner->off_ok || row->off_ok;
        }
        check_value(b, value, &named);
        value->row = inner;
        item->wrong = value->wrong;
        check_required(b, &at, item);
        return;
    }
    if (item->kind != CONF_MAP) {
        wrong_shape(b, item, row);
        return;
    }
    if (item->key.len > 0) {
        at.name = item->key;
    }
    check_map(b, item, &at);
}

static void check_free_map(struct conf_build *b, struct conf_item *item,
                           const struct conf_directive *row)
{
    if (item->kind != CONF_MAP) {
        wrong_shape(b, item, row);
        return;
    }
    ensure(row->rows != NULL);
    for (struct conf_item *i = item->first; i != NULL; i = i->next) {
        struct conf_directive named = row->rows[0];
        if (!conf_check_key(b, i, (enum conf_type)row->key_type)) {
            i->wrong = true;
        }
        char name[CHECK_TEXT_MAX];
        struct text t = text_on(name, sizeof name - 1);
        text_put(&t, i->key);
        name[t.len] = '\0';
        named.name = name;
        check_value(b, i, &named);
        i->row = &row->rows[0];
        item->wrong = item->wrong || i->wrong;
    }
}

static void rename_key(struct conf_build *b, struct conf_item *map, const char *from,
                       const char *to)
{
    struct conf_item *old = conf_item_get(map, from);
    if (old == NULL) {
        return;
    }
    if (conf_item_get(map, to) != NULL) {
        conf_report(b->diags, CONF_ERROR, old->key_spot, "`%s` and `%s` mean the same: write one",
                    from, to);
        conf_item_remove(map, old);
        map->wrong = true;
        return;
    }
    old->key = slice_str(to);
}

// `proxy: app`, an address, a list of them, or an upstream of its own.
static void check_upstream(struct conf_build *b, struct conf_item *item,
                           const struct conf_directive *row)
{
    struct place at = {NULL, CONF_IN_UPSTREAM, slice_str(row->name)};
    if (item->kind == CONF_SCALAR) {
        struct conf_directive text = *row;
        text.type = CONF_TYPE_STRING;
        if (!conf_check_scalar(b, item, &text)) { // puts in $env and $file
            item->wrong = true;
            return;
        }
        if (conf_address_is_name(item->text)) {
            return; // check_whole.c looks whether it is there
        }
    }
    if (item->kind != CONF_MAP && !wrap(b, item, CONF_MAP, "servers")) {
        return;
    }
    if (row->rows != NULL && conf_item_get(item, row->rows[0].name) != NULL) {
        at.rows = row->rows;
        check_map(b, item, &at);
        return;
    }
    rename_key(b, item, "to", "servers");
    check_map(b, item, &at);
}

// ---- values -------------------------------------------------------------------------------------

static void check_one(struct conf_build *b, struct conf_item *item,
                      const struct conf_directive *row)
{
    item->row = row;
    if (row->type == CONF_TYPE_OBJECT) {
        check_object(b, item, row);
    } else if (row->type == CONF_TYPE_MAP) {
        check_free_map(b, item, row);
    } else if (row->type == CONF_TYPE_UPSTREAM) {
        check_upstream(b, item, row);
    } else if (item->kind != CONF_SCALAR) {
        wrong_shape(b, item, row);
    } else if (!conf_check_scalar(b, item, row)) {
        item->wrong = true;
    }
}

static void check_value(struct conf_build *b, struct conf_item *item,
                        const struct conf_directive *row)
{
    item->row = row;
    if (b->out_of_memory) {
        return;
    }
    if (!row->list) {
        check_one(b, item, row);
        return;
    }
    if (row->off_ok && is_word(item, "off", "false")) {
        item->text = SLICE("off");
        return;
    }
    if (item->kind != CONF_LIST && !wrap(b, item, CONF_LIST, NULL)) {
        return;
    }
    if (item->count == 0 && (row->condition || row->required)) {
        conf_report(b->diags, CONF_ERROR, conf_item_spot(item), "`%s` has an empty list",
                    row->name);
        item->wrong = true;
    }
    for (struct conf_item *i = item->first; i != NULL; i = i->next) {
        check_one(b, i, row);
        i->row = NULL; // the row's own check is run once, on the list
        item->wrong = item->wrong || i->wrong;
    }
}

void conf_check(struct conf_build *b)
{
    struct place top = {NULL, CONF_IN_TOP, SLICE("")};
    check_map(b, b->root, &top);
}
