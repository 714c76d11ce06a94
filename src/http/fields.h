// SPDX-License-Identifier: Apache-2.0
//
// A header block: one contiguous, bounded store of bytes and a table of (name id, offsets, lengths)
// into it. Bounded in bytes and in fields, so that no peer can make it large; memory comes from the
// exchange's arena and grows by doubling up to the limits. No malloc per field. Order and duplicates
// are kept. Removing a field leaves its bytes in the store until the block ends.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "http/names.h"

// Bytes behind the store's capacity that may be read (never written with meaning), so that parsers and
// writers can move whole words.
enum { FIELDS_PAD = 64 };

struct field {
    uint32_t name_off;
    uint32_t value_off;
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;      // enum http_name
    bool secret : 1; // never to be indexed (RFC 7541 7.1.3)
    // The store has it as HTTP/1.1 writes it, "name: value" CRLF: such fields that follow each other
    // there are written as one.
    bool written : 1;
};

// What a field has in the store beside its name and value, when it is written.
enum { FIELD_EXTRA_BYTES = 4 };

struct fields {
    struct arena *arena;
    char *store;
    struct field *entries;
    uint32_t used;
    uint32_t capacity;
    uint32_t bytes_max;
    uint16_t count;
    uint16_t entry_capacity;
    uint16_t count_max;
    uint16_t pad;
    uint64_t present[1]; // bit per enum http_name that occurs
};

_Static_assert(HTTP_NAME_COUNT <= 64, "fields.present holds one bit per known name");

/** `arena` outlives the block. Nothing is allocated yet. */
void fields_init(struct fields *f, struct arena *arena, uint32_t bytes_max, uint16_t count_max);

static inline bool fields_has(const struct fields *f, enum http_name id)
{
    return (f->present[0] >> id & 1) != 0;
}
static inline struct slice field_name(const struct fields *f, const struct field *e)
{
    return slice_of(f->store + e->name_off, e->name_len);
}
static inline struct slice field_value(const struct fields *f, const struct field *e)
{
    return slice_of(f->store + e->value_off, e->value_len);
}

/** Reserves `len` bytes at the end of the store for a parser that writes entries itself; NULL over
 * the limit (E_HEAD_TOO_LARGE to the peer). The pointer is good until the next call that adds. */
char *fields_reserve(struct fields *f, uint32_t len) must_check;
/** Adds an entry whose name and value already are in the store. E_TOO_MANY_FIELDS, E_NO_MEMORY. */
int fields_add_at(struct fields *f, enum http_name id, uint32_t name_off, uint16_t name_len,
                  uint32_t value_off, uint32_t value_len) must_check;
/** Makes room for one more entry: for a parser that fills f->entries[f->count] by itself, `present`
 * included. E_TOO_MANY_FIELDS, E_NO_MEMORY. */
int fields_more_entries(struct fields *f) must_check;
/** Copies name and value in, at the end. id may be HTTP_OTHER with any name: it is looked up.
 * E_HEAD_TOO_LARGE, E_TOO_MANY_FIELDS, E_NO_MEMORY. Bytes are not checked: see http_value_ok(). */
int fields_add(struct fields *f, struct slice name, struct slice value) must_check;
int fields_add_id(struct fields *f, enum http_name id, struct slice value) must_check;
/** Replaces all fields of that name by one. */
int fields_set(struct fields *f, struct slice name, struct slice value) must_check;
int fields_set_id(struct fields *f, enum http_name id, struct slice value) must_check;
/** Removes all fields of that name; returns how many there were. */
unsigned fields_remove(struct fields *f, struct slice name);
unsigned fields_remove_id(struct fields *f, enum http_name id);
/** Removes entry i; the order of the others stays. */
void fields_remove_at(struct fields *f, uint16_t i);
/** First field of that id/name, or NULL. */
const struct field *fields_find_id(const struct fields *f, enum http_name id);
const struct field *fields_find(const struct fields *f, struct slice name);
/** Value of the first one; empty slice with NULL ptr when there is none. */
struct slice fields_get_id(const struct fields *f, enum http_name id);
struct slice fields_get(const struct fields *f, struct slice name);
/** Copies all entries of `from` (another arena). */
int fields_copy(struct fields *to, const struct fields *from) must_check;
/** How many bytes fields_pack() writes. */
size_t fields_packed_size(const struct fields *f);
/** Writes all entries and their text to `out`, which is aligned to 4: a form without pointers, for
 * fields_unpack(). */
void fields_pack(const struct fields *f, void *out);
/** Fills an empty block from what fields_pack() has written. E_HEAD_TOO_LARGE, E_TOO_MANY_FIELDS,
 * E_NO_MEMORY. */
int fields_unpack(struct fields *f, const void *packed) must_check;
/** True when some field of that id has this token in its comma list, in any case. */
bool fields_list_has(const struct fields *f, enum http_name id, struct slice token);

// Classes of bytes, for scalar loops over tokens and authorities.
enum http_byte {
    HTTP_BYTE_TOKEN = 1, // RFC 9110 5.6.2
    HTTP_BYTE_HOST = 2,  // letter, digit, '-'
    HTTP_BYTE_DIGIT = 4,
    HTTP_BYTE_HEX = 8,
};
extern const uint8_t http_byte_class[256];

/** RFC 9110 5.6.2 token; 5.5 field value (VCHAR, obs-text, SP, HTAB; no leading/trailing blank). */
bool http_is_token(struct slice s);
bool http_value_ok(struct slice s);
