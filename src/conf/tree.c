// SPDX-License-Identifier: Apache-2.0
//
// The tree of a configuration while it is loaded (conf/tree_int.h): making, finding and copying items.

#include <stdarg.h>
#include <stdio.h>

#include "conf/tree_int.h"

enum { BUILD_TEXT_MAX = 1024 };

void conf_build_no_memory(struct conf_build *b)
{
    if (!b->out_of_memory) {
        b->out_of_memory = true;
        conf_report(b->diags, CONF_ERROR, (struct conf_spot){0}, "out of memory");
    }
}

struct conf_item *conf_item_new(struct conf_build *b, enum conf_kind kind, struct conf_spot spot)
{
    if (b->items >= CONF_NODES_MAX - 1) {
        conf_report(b->diags, CONF_ERROR, spot, "the configuration has more than %d values",
                    CONF_NODES_MAX - 1);
        b->out_of_memory = true;
        return NULL;
    }
    struct conf_item *item = arena_zalloc(b->arena, sizeof *item);
    if (item == NULL) {
        conf_build_no_memory(b);
        return NULL;
    }
    b->items++;
    item->kind = (uint8_t)kind;
    item->spot = spot;
    item->text = SLICE("");
    item->key = SLICE("");
    return item;
}

void conf_item_append(struct conf_item *parent, struct conf_item *child)
{
    ensure(parent->kind != CONF_SCALAR);
    ensure(child->next == NULL);
    if (parent->last != NULL) {
        parent->last->next = child;
    } else {
        parent->first = child;
    }
    parent->last = child;
    parent->count++;
}

void conf_item_remove(struct conf_item *parent, struct conf_item *child)
{
    struct conf_item *before = NULL;
    struct conf_item *at = parent->first;
    while (at != child) {
        ensure(at != NULL);
        before = at;
        at = at->next;
    }
    if (before != NULL) {
        before->next = child->next;
    } else {
        parent->first = child->next;
    }
    if (parent->last == child) {
        parent->last = before;
    }
    child->next = NULL;
    parent->count--;
}

struct conf_item *conf_item_get_slice(const struct conf_item *map, struct slice key)
{
    if (map->kind == CONF_MAP) {
        for (struct conf_item *i = map->first; i != NULL; i = i->next) {
            if (slice_eq(i->key, key)) {
                return i;
            }
        }
    }
    return NULL;
}

struct conf_item *conf_item_get(const struct conf_item *map, const char *key)
{
    return conf_item_get_slice(map, slice_str(key));
}

// The depth is bounded by CONF_DEPTH_MAX, which parsing and merging keep.
struct conf_item *conf_item_copy(struct conf_build *b, const struct conf_item *from)
{
    struct conf_item *copy = conf_item_new(b, (enum conf_kind)from->kind, from->spot);
    if (copy == NULL) {
        return NULL;
    }
    copy->key = from->key;
    copy->key_spot = from->key_spot;
    copy->text = from->text;
    copy->plain = from->plain;
    copy->flow = from->flow;
    for (const struct conf_item *i = from->first; i != NULL; i = i->next) {
        struct conf_item *child = conf_item_copy(b, i);
        if (child == NULL) {
            return NULL;
        }
        conf_item_append(copy, child);
    }
    return copy;
}

struct conf_spot conf_item_spot(const struct conf_item *item)
{
    return item->key_spot.line > 0 ? item->key_spot : item->spot;
}

struct slice conf_build_text(struct conf_build *b, const char *format, ...)
{
    char buffer[BUILD_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    ensure(len >= 0);
    size_t used = (size_t)len < sizeof buffer ? (size_t)len : sizeof buffer - 1;
    struct slice copy = arena_dup(b->arena, slice_of(buffer, used));
    if (copy.ptr == NULL) {
        conf_build_no_memory(b);
        return SLICE("");
    }
    return copy;
}

struct slice conf_path_join(struct conf_build *b, uint16_t file, struct slice path)
{
    while (slice_starts(path, SLICE("./"))) {
        path = slice_from(path, 2);
    }
    if (slice_starts(path, SLICE("/")) || b->files_dir[file].len == 0) {
        return path;
    }
    return conf_build_text(b, "%.*s%.*s", SLICE_ARG(b->files_dir[file]), SLICE_ARG(path));
}
