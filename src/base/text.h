// SPDX-License-Identifier: Apache-2.0
//
// text: a bounded string builder over memory of the caller. Never writes past its end; an overflow
// is remembered and asked for once, at the end, so that building code reads straight down.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct text {
    char *ptr;
    size_t len;
    size_t capacity;
    bool overflow;
};

static inline struct text text_on(char *buffer, size_t capacity)
{
    return (struct text){buffer, 0, capacity, false};
}
static inline struct slice text_slice(const struct text *t)
{
    return slice_of(t->ptr, t->len);
}
static inline void text_put(struct text *t, struct slice s)
{
    if (unlikely(s.len > t->capacity - t->len)) {
        t->overflow = true;
        return;
    }
    if (s.len > 0) {
        memcpy(t->ptr + t->len, s.ptr, s.len);
        t->len += s.len;
    }
}
static inline void text_char(struct text *t, char c)
{
    if (unlikely(t->len == t->capacity)) {
        t->overflow = true;
        return;
    }
    t->ptr[t->len++] = c;
}
void text_str(struct text *t, const char *nul_terminated);
void text_u64(struct text *t, uint64_t value);
void text_hex(struct text *t, uint64_t value);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** s inside a JSON string (no quotes put): escapes control bytes, quote, backslash; bytes that are
 * not UTF-8 become U+FFFD. */
void text_json(struct text *t, struct slice s);
/** A member of a JSON object that is not its first: `,"name":"value"`. The name is put as it is. */
void text_json_string(struct text *t, const char *name, struct slice value);
void text_json_number(struct text *t, const char *name, uint64_t value);
/** s with & < > " ' as entities. */
void text_html(struct text *t, struct slice s);
