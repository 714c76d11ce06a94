// SPDX-License-Identifier: Apache-2.0
//
// The header block. The store is one run of bytes on the exchange's arena; behind its capacity there
// always are FIELDS_PAD more that may be read, so that parsers and writers can move whole words.
// When the store grows, the old one stays on the arena until the exchange ends: slices that point
// there stay good, and growth by doubling bounds what is lost to less than the store itself.

#include "http/fields.h"

#include "base/error.h"

enum {
    // A browser's request with what adit adds fits the first store and table without growing.
    FIELDS_STORE_SLACK = 512,
    FIELDS_ENTRIES_FIRST = 32,
};

void fields_init(struct fields *f, struct arena *arena, uint32_t bytes_max, uint16_t count_max)
{
    *f = (struct fields){.arena = arena, .bytes_max = bytes_max, .count_max = count_max};
}

// ---- memory ----------------------------------------------------------------------------------------

// Room for `len` more bytes in the store. 0, E_HEAD_TOO_LARGE, E_NO_MEMORY.
static int grow_store(struct fields *f, uint32_t len)
{
    if (len > f->bytes_max || f->used > f->bytes_max - len) {
        return E_HEAD_TOO_LARGE;
    }
    uint64_t want = (uint64_t)f->used + len + FIELDS_STORE_SLACK;
    if (want < 2 * (uint64_t)f->capacity) {
        want = 2 * (uint64_t)f->capacity;
    }
    uint32_t capacity = want > f->bytes_max ? f->bytes_max : (uint32_t)want;
    char *store = arena_bytes(f->arena, (size_t)capacity + FIELDS_PAD);
    if (store == NULL) {
        return E_NO_MEMORY;
    }
    if (f->used > 0) {
        memcpy(store, f->store, f->used);
    }
    f->store = store;
    f->capacity = capacity;
    return 0;
}

static inline int need_store(struct fields *f, uint32_t len)
{
    return likely(len <= f->capacity - f->used) ? 0 : grow_store(f, len);
}

static int grow_entries(struct fields *f)
{
    if (f->count >= f->count_max) {
        return E_TOO_MANY_FIELDS;
    }
    uint32_t capacity = f->entry_capacity == 0 ? FIELDS_ENTRIES_FIRST : 2u * f->entry_capacity;
    if (capacity > f->count_max) {
        capacity = f->count_max;
    }
    struct field *entries = arena_alloc(f->arena, capacity * sizeof(*entries));
    if (entries == NULL) {
        return E_NO_MEMORY;
    }
    if (f->count > 0) {
        memcpy(entries, f->entries, f->count * sizeof(*entries));
    }
    f->entries = entries;
    f->entry_capacity = (uint16_t)capacity;
    return 0;
}

static inline int need_entry(struct fields *f)
{
    return likely(f->count < f->entry_capacity) ? 0 : grow_entries(f);
}

char *fields_reserve(struct fields *f, uint32_t len)
{
    if (need_store(f, len) != 0) {
        return NULL;
    }
    char *at = f->store + f->used;
    f->used += len;
    return at;
}

int fields_more_entries(struct fields *f)
{
    return need_entry(f);
}

// ---- adding ----------------------------------------------------------------------------------------

int fields_add_at(struct fields *f, enum http_name id, uint32_t name_off, uint16_t name_len,
                  uint32_t value_off, uint32_t value_len)
{
    ensure(name_off + name_len <= f->used && value_off + value_len <= f->used);
    int rc = need_entry(f);
    if (rc != 0) {
        return rc;
    }
    f->entries[f->count++] = (struct field){
        .name_off = name_off,
        .value_off = value_off,
        .value_len = value_len,
        .name_len = name_len,
        .id = (uint8_t)id,
    };
    f->present[0] |= UINT64_C(1) << id;
    return 0;
}

// To where room has been made. The store may just have moved, which does not hurt an s that points
// into it: the old one is still there.
static inline void copy_bytes(char *to, struct slice s)
{
    if (s.len > 0) {
        memcpy(to, s.ptr, s.len);
    }
}

// The form of which struct field says `written`.
static inline void write_field(char *to, struct slice name, struct slice value)
{
    copy_bytes(to, name);
    memcpy(to + name.len, ": ", 2);
    copy_bytes(to + name.len + 2, value);
    memcpy(to + name.len + 2 + value.len, "\r\n", 2);
}

static int add_copy(struct fields *f, enum http_name id, struct slice name, struct slice value)
{
    if (unlikely(name.len > UINT16_MAX || value.len > f->bytes_max)) {
        return E_HEAD_TOO_LARGE;
    }
    uint32_t bytes = (uint32_t)(name.len + value.len) + FIELD_EXTRA_BYTES;
    int rc = need_entry(f);
    if (rc == 0) {
        rc = need_store(f, bytes);
    }
    if (unlikely(rc != 0)) {
        return rc;
    }
    uint32_t off = f->used;
    write_field(f->store + off, name, value);
    f->used = off + bytes;
    f->entries[f->count++] = (struct field){
        .name_off = off,
        .value_off = off + (uint32_t)name.len + 2,
        .value_len = (uint32_t)value.len,
        .name_len = (uint16_t)name.len,
        .id = (uint8_t)id,
        .written = true,
    };
    f->present[0] |= UINT64_C(1) << id;
    return 0;
}

int fields_add(struct fields *f, struct slice name, struct slice value)
{
    return add_copy(f, http_name_of(name), name, value);
}

int fields_add_id(struct fields *f, enum http_name id, struct slice value)
{
    return add_copy(f, id, http_name_text(id), value);
}

int fields_copy(struct fields *to, const struct fields *from)
{
    for (uint16_t i = 0; i < from->count; i++) {
        const struct field *e = &from->entries[i];
        int rc = add_copy(to, (enum http_name)e->id, field_name(from, e), field_value(from, e));
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

// ---- packing ---------------------------------------------------------------------------------------

/** Before the entries; their text, without what was removed, comes behind them. */
struct packed_fields {
    uint32_t text;
    uint32_t count;
    uint64_t present;
};

static uint32_t text_bytes(const struct fields *f)
{
    uint32_t n = 0;
    for (uint16_t i = 0; i < f->count; i++) {
        n += f->entries[i].name_len + f->entries[i].value_len + FIELD_EXTRA_BYTES;
    }
    return n;
}

size_t fields_packed_size(const struct fields *f)
{
    return sizeof(struct packed_fields) + f->count * sizeof(struct field) + text_bytes(f);
}

void fields_pack(const struct fields *f, void *out)
{
    struct packed_fields head = {.count = f->count, .present = f->present[0]};
    char *entries = (char *)out + sizeof(head);
    char *text = entries + f->count * sizeof(struct field);
    for (uint16_t i = 0; i < f->count; i++) {
        struct field e = f->entries[i];
        char *to = text + head.text;
        uint32_t bytes = e.name_len + e.value_len + FIELD_EXTRA_BYTES;
        if (e.written) {
            memcpy(to, f->store + e.name_off, bytes);
        } else {
            write_field(to, field_name(f, &e), field_value(f, &e));
        }
        e.name_off = head.text;
        e.value_off = head.text + e.name_len + 2;
        e.written = true;
        head.text += bytes;
        memcpy(entries + i * sizeof(e), &e, sizeof(e));
    }
    memcpy(out, &head, sizeof(head));
}

int fields_unpack(struct fields *f, const void *packed)
{
    ensure(f->count == 0 && f->used == 0);
    struct packed_fields head;
    memcpy(&head, packed, sizeof(head));
    const char *entries = (const char *)packed + sizeof(head);
    if (head.count > f->count_max) {
        return E_TOO_MANY_FIELDS;
    }
    while (f->entry_capacity < head.count) {
        int rc = grow_entries(f);
        if (rc != 0) {
            return rc;
        }
    }
    int rc = need_store(f, head.text);
    if (rc != 0) {
        return rc;
    }
    if (head.count > 0) {
        memcpy(f->entries, entries, head.count * sizeof(struct field));
        memcpy(f->store, entries + head.count * sizeof(struct field), head.text);
    }
    f->used = head.text;
    f->count = (uint16_t)head.count;
    f->present[0] = head.present;
    return 0;
}

// ---- finding ---------------------------------------------------------------------------------------

static bool is_named(const struct fields *f, const struct field *e, enum http_name id,
                     struct slice name)
{
    return e->id == id && (id != HTTP_OTHER || slice_eq_nocase(field_name(f, e), name));
}

// Index of the first one at or after `from`, or count.
static uint16_t find_from(const struct fields *f, uint16_t from, enum http_name id,
                          struct slice name)
{
    if (!fields_has(f, id)) {
        return f->count;
    }
    uint16_t i = from;
    while (i < f->count && !is_named(f, &f->entries[i], id, name)) {
        i++;
    }
    return i;
}

const struct field *fields_find_id(const struct fields *f, enum http_name id)
{
    ensure(id != HTTP_OTHER);
    uint16_t i = find_from(f, 0, id, SLICE(""));
    return i < f->count ? &f->entries[i] : NULL;
}

const struct field *fields_find(const struct fields *f, struct slice name)
{
    uint16_t i = find_from(f, 0, http_name_of(name), name);
    return i < f->count ? &f->entries[i] : NULL;
}

static struct slice value_or_null(const struct fields *f, const struct field *e)
{
    return e == NULL ? (struct slice){NULL, 0} : field_value(f, e);
}

struct slice fields_get_id(const struct fields *f, enum http_name id)
{
    return value_or_null(f, fields_find_id(f, id));
}

struct slice fields_get(const struct fields *f, struct slice name)
{
    return value_or_null(f, fields_find(f, name));
}

bool fields_list_has(const struct fields *f, enum http_name id, struct slice token)
{
    ensure(id != HTTP_OTHER);
    if (!fields_has(f, id)) {
        return false;
    }
    for (uint16_t i = 0; i < f->count; i++) {
        if (f->entries[i].id != id) {
            continue;
        }
        struct slice rest = field_value(f, &f->entries[i]);
        struct slice element;
        while (slice_next_element(&rest, &element)) {
            if (slice_eq_nocase(element, token)) {
                return true;
            }
        }
    }
    return false;
}

// ---- removing and replacing ------------------------------------------------------------------------

// Recounts whether a name is still there after entries went.
static void update_present(struct fields *f, enum http_name id)
{
    uint64_t bit = UINT64_C(1) << id;
    f->present[0] &= ~bit;
    for (uint16_t i = 0; i < f->count; i++) {
        if (f->entries[i].id == id) {
            f->present[0] |= bit;
            return;
        }
    }
}

// Removes those at or after `from` in one pass.
static unsigned remove_from(struct fields *f, uint16_t from, enum http_name id, struct slice name)
{
    uint16_t kept = find_from(f, from, id, name);
    if (kept >= f->count) {
        return 0;
    }
    for (uint16_t i = kept; i < f->count; i++) {
        if (!is_named(f, &f->entries[i], id, name)) {
            f->entries[kept++] = f->entries[i];
        }
    }
    unsigned removed = (unsigned)(f->count - kept);
    f->count = kept;
    update_present(f, id);
    return removed;
}

unsigned fields_remove(struct fields *f, struct slice name)
{
    return remove_from(f, 0, http_name_of(name), name);
}

unsigned fields_remove_id(struct fields *f, enum http_name id)
{
    ensure(id != HTTP_OTHER);
    return remove_from(f, 0, id, SLICE(""));
}

void fields_remove_at(struct fields *f, uint16_t i)
{
    ensure(i < f->count);
    enum http_name id = (enum http_name)f->entries[i].id;
    f->count--;
    memmove(&f->entries[i], &f->entries[i + 1], (size_t)(f->count - i) * sizeof(f->entries[0]));
    update_present(f, id);
}

static int set_one(struct fields *f, enum http_name id, struct slice name, struct slice value)
{
    uint16_t i = find_from(f, 0, id, name);
    if (i >= f->count) {
        return add_copy(f, id, name, value);
    }
    if (value.len > f->bytes_max) {
        return E_HEAD_TOO_LARGE;
    }
    int rc = need_store(f, (uint32_t)value.len);
    if (rc != 0) {
        return rc;
    }
    copy_bytes(f->store + f->used, value);
    f->entries[i].value_off = f->used;
    f->used += (uint32_t)value.len;
    f->entries[i].value_len = (uint32_t)value.len;
    f->entries[i].written = false;
    (void)remove_from(f, (uint16_t)(i + 1), id, name);
    return 0;
}

int fields_set(struct fields *f, struct slice name, struct slice value)
{
    return set_one(f, http_name_of(name), name, value);
}

int fields_set_id(struct fields *f, enum http_name id, struct slice value)
{
    return set_one(f, id, http_name_text(id), value);
}

// ---- bytes -----------------------------------------------------------------------------------------

const uint8_t http_byte_class[256] = {
#define TOKEN_BYTE(c) [c] = HTTP_BYTE_TOKEN
    TOKEN_BYTE('!'),
    TOKEN_BYTE('#'),
    TOKEN_BYTE('$'),
    TOKEN_BYTE('%'),
    TOKEN_BYTE('&'),
    TOKEN_BYTE('\''),
    TOKEN_BYTE('*'),
    TOKEN_BYTE('+'),
    TOKEN_BYTE('.'),
    TOKEN_BYTE('^'),
    TOKEN_BYTE('_'),
    TOKEN_BYTE('`'),
    TOKEN_BYTE('|'),
    TOKEN_BYTE('~'),
#undef TOKEN_BYTE
    ['-'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST,
    ['0' ... '9'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST | HTTP_BYTE_DIGIT | HTTP_BYTE_HEX,
    ['A' ... 'F'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST | HTTP_BYTE_HEX,
    ['G' ... 'Z'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST,
    ['a' ... 'f'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST | HTTP_BYTE_HEX,
    ['g' ... 'z'] = HTTP_BYTE_TOKEN | HTTP_BYTE_HOST,
};

bool http_is_token(struct slice s)
{
    uint8_t all = HTTP_BYTE_TOKEN;
    for (size_t i = 0; i < s.len; i++) {
        all &= http_byte_class[(unsigned char)s.ptr[i]];
    }
    return s.len > 0 && all != 0;
}

bool http_value_ok(struct slice s)
{
    bool bad = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bad |= (c < 0x20 && c != '\t') || c == 0x7f;
    }
    if (s.len == 0) {
        return true;
    }
    char first = s.ptr[0];
    char last = s.ptr[s.len - 1];
    return !bad && first != ' ' && first != '\t' && last != ' ' && last != '\t';
}
