// SPDX-License-Identifier: Apache-2.0
//
// Field lines: name, colon, value (RFC 9112 5). The section is a copy in the store, so whole vectors
// may be read behind its end, and line ends come from bit masks of 64 bytes that do not wait for each
// other. Fields of the connection are set aside by a bit test on their id; everything else becomes an
// entry without a further look.

#include "base/error.h"
#include "http/hop.h"

#include "h1/codec_int.h"
#include "h1/codec_simd_int.h"

static const uint64_t hop_ids = HTTP_HOP_IDS;
static const uint64_t protected_ids = HTTP_PROTECTED_IDS;
static const uint64_t not_in_trailers = HTTP_NOT_IN_TRAILERS;

static bool in_set(uint64_t set, enum http_name id)
{
    return (set >> id & 1) != 0;
}

// ---- lines -----------------------------------------------------------------------------------------

int h1_section_begin(struct h1_section *s, enum h1_section_kind kind, struct fields *f,
                     const char *p, size_t len, const struct h1_limits *limits)
{
    ensure(len >= 2 && p[len - 2] == '\r' && p[len - 1] == '\n');
    if (len > f->bytes_max) {
        return E_HEAD_TOO_LARGE;
    }
    char *copy = fields_reserve(f, (uint32_t)len);
    if (copy == NULL) {
        return f->used > f->bytes_max - len ? E_HEAD_TOO_LARGE : E_NO_MEMORY;
    }
    memcpy(copy, p, len);
    *s = (struct h1_section){
        .fields = f,
        .p = copy,
        .len = (uint32_t)len,
        .off = (uint32_t)(copy - f->store),
        .kind = (uint8_t)kind,
        .fields_max = limits->fields < f->count_max ? limits->fields : f->count_max,
    };
    return 0;
}

uint64_t h1_section_crs(const char *p)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i += 16) {
        mask |= (uint64_t)simd_mask(simd_eq(simd_load(p + i), '\r')) << i;
    }
    return mask;
}

// ---- names -----------------------------------------------------------------------------------------

// The span of a token, and whether it holds anything beside letters, digits and '-'.
static inline uint32_t token_span(const char *p, bool *odd)
{
    uint32_t n = 0;
    for (;;) {
        // Letters, digits and '-' are nearly all that names are made of.
        simd16 v = simd_load(p + n);
        simd16 plain = simd_within(v | simd_splat(0x20), 'a', 'z') | simd_within(v, '0', '9') |
                       simd_eq(v, '-');
        uint32_t mask = simd_mask(plain);
        if (mask == 0xffff) {
            n += 16;
            continue;
        }
        n += (uint32_t)__builtin_ctz(~mask);
        if ((http_byte_class[(unsigned char)p[n]] & HTTP_BYTE_TOKEN) == 0) {
            return n;
        }
        *odd = true;
        n++;
    }
}

uint32_t h1_token_span(const char *p)
{
    bool odd = false;
    return token_span(p, &odd);
}

// Why the name at s->pos, `len` bytes of token long, is not followed by a colon.
static int bad_name(const struct h1_section *s, uint32_t len)
{
    char c = s->p[s->pos + len];
    bool blank = c == ' ' || c == '\t';
    if (!blank) {
        return E_BAD_FIELD_NAME;
    }
    return len == 0 ? E_OBS_FOLD : E_FIELD_NAME_SPACE;
}

// ---- values of the connection ------------------------------------------------------------------------

static int take_option(struct h1_hop *hop, struct slice option)
{
    if (slice_eq_nocase(option, SLICE("close"))) {
        hop->close = true;
        return 0;
    }
    enum http_name id = http_name_of(option);
    if (id == HTTP_KEEP_ALIVE) {
        hop->keep_alive = true;
        return 0;
    }
    if (id == HTTP_UPGRADE) {
        hop->upgrade_option = true;
        return 0;
    }
    if (in_set(hop_ids & ~protected_ids, id)) {
        return 0;
    }
    bool full = hop->remove_count == H1_OPTIONS_MAX;
    if (full || in_set(protected_ids, id) || !http_is_token(option)) {
        return E_BAD_CONNECTION;
    }
    hop->remove[hop->remove_count++] = option;
    return 0;
}

static int take_connection(struct h1_hop *hop, struct slice value)
{
    struct slice element;
    if (http_name_of(value) == HTTP_KEEP_ALIVE) { // nearly always, and not a list
        hop->keep_alive = true;
        return 0;
    }
    while (slice_next_element(&value, &element)) {
        int rc = take_option(hop, element);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int take_expect(const struct h1_section *s, struct h1_hop *hop, struct slice value)
{
    if (s->kind != H1_SECTION_REQUEST) {
        return 0;
    }
    if (!slice_eq_nocase(value, SLICE("100-continue"))) {
        return E_BAD_EXPECT;
    }
    hop->expect_continue = true;
    return 0;
}

static void take_te(struct h1_hop *hop, struct slice value)
{
    struct slice element;
    while (slice_next_element(&value, &element)) {
        hop->te_trailers |= slice_eq_nocase(element, SLICE("trailers"));
    }
}

// A request that asks for HTTP/2 in the clear is refused wherever it stands in whichever list: some
// server behind may grant it without being asked by adit, and no client needs it.
static int take_upgrade(const struct h1_section *s, struct h1_hop *hop, struct slice value)
{
    hop->upgrade = value;
    hop->upgrades++;
    struct slice protocol;
    while (s->kind == H1_SECTION_REQUEST && slice_next_element(&value, &protocol)) {
        ptrdiff_t slash = slice_find_char(protocol, '/');
        if (slice_eq_nocase(slice_sub(protocol, 0, slash < 0 ? protocol.len : (size_t)slash),
                            SLICE("h2c"))) {
            return E_BAD_UPGRADE;
        }
    }
    return 0;
}

static void keep_last(struct slice *value, uint16_t *count, struct slice found)
{
    *value = found;
    (*count)++;
}

static int take_hop(const struct h1_section *s, struct h1_hop *hop, enum http_name id,
                    struct slice value)
{
    // Nothing but these can be in hop_ids; what has no case is dropped.
    if (id == HTTP_HOST) {
        keep_last(&hop->host, &hop->hosts, value);
    } else if (id == HTTP_CONNECTION) {
        return take_connection(hop, value);
    } else if (id == HTTP_CONTENT_LENGTH) {
        keep_last(&hop->length, &hop->lengths, value);
    } else if (id == HTTP_TRANSFER_ENCODING) {
        keep_last(&hop->coding, &hop->codings, value);
    } else if (id == HTTP_UPGRADE) {
        return take_upgrade(s, hop, value);
    } else if (id == HTTP_EXPECT) {
        return take_expect(s, hop, value);
    } else if (id == HTTP_TE) {
        take_te(hop, value);
    }
    return 0;
}

// ---- the loop --------------------------------------------------------------------------------------

// A field that does not become an entry. Imitations from an origin are dropped: no client reads them
// so, and some applications use such names without a thought.
static int take_special(const struct h1_section *s, struct h1_hop *hop, enum http_name id,
                        struct slice value)
{
    if (id == HTTP_OTHER) {
        return s->kind == H1_SECTION_REQUEST ? E_FIELD_NAME_LOOKALIKE : 0;
    }
    return s->kind == H1_SECTION_TRAILERS ? 0 : take_hop(s, hop, id, value);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// Neither blank nor, after a scan, the CR of the line.
static inline bool is_text(char c)
{
    return (unsigned char)c > ' ';
}

// The line s->pos..cr: cuts it and adds it.
static inline int take_line(struct h1_section *s, struct h1_hop *hop, uint64_t special, uint32_t cr)
{
    struct fields *f = s->fields;
    const char *p = s->p;
    bool odd = false;
    uint32_t name_len = token_span(p + s->pos, &odd);
    uint32_t from = s->pos + name_len + 1;
    if (unlikely(name_len == 0 || p[from - 1] != ':')) {
        return bad_name(s, name_len);
    }
    uint32_t to = cr;
    bool written = false;
    if (likely(p[from] == ' ' && is_text(p[from + 1]) && is_text(p[cr - 1]))) {
        written = true;
        from++;
    } else {
        while (is_blank(p[from])) {
            from++;
        }
        while (to > from && is_blank(p[to - 1])) {
            to--;
        }
    }
    if (unlikely(name_len > UINT16_MAX)) {
        return E_HEAD_TOO_LARGE;
    }
    struct slice name = slice_of(p + s->pos, name_len);
    enum http_name id = http_name_of(name);
    if (in_set(special, id) || (unlikely(odd) && http_name_imitates(name))) {
        return take_special(s, hop, id, slice_of(p + from, to - from));
    }
    if (unlikely(f->count == f->entry_capacity)) {
        int rc = fields_more_entries(f);
        if (rc != 0) {
            return rc;
        }
    }
    f->entries[f->count++] = (struct field){
        .name_off = s->off + s->pos,
        .value_off = s->off + from,
        .value_len = to - from,
        .name_len = (uint16_t)name_len,
        .id = (uint8_t)id,
        .written = written,
    };
    f->present[0] |= UINT64_C(1) << id;
    return 0;
}

int h1_section_fields(struct h1_section *s, struct h1_hop *hop)
{
    uint64_t special = s->kind == H1_SECTION_TRAILERS ? not_in_trailers : hop_ids;
    unsigned lines = 0;
    for (;;) {
        uint32_t cr = h1_section_line(s);
        if (cr == s->pos) {
            break;
        }
        if (++lines > s->fields_max) {
            return E_TOO_MANY_FIELDS;
        }
        int rc = take_line(s, hop, special, cr);
        if (rc != 0) {
            return rc;
        }
        s->pos = cr + 2;
    }
    for (unsigned i = 0; i < hop->remove_count; i++) {
        (void)fields_remove(s->fields, hop->remove[i]);
    }
    return 0;
}

// ---- framing ---------------------------------------------------------------------------------------

// Transfer-Encoding must be `chunked` and nothing else. Other codings before it are known to exist,
// so they are "not implemented"; anything that does not end in `chunked` has no length at all.
static int check_coding(struct slice value)
{
    if (slice_eq_nocase(value, SLICE("chunked"))) {
        return 0;
    }
    bool others = false;
    size_t at = 0;
    for (;;) {
        struct slice rest = slice_from(value, at);
        ptrdiff_t comma = slice_find_char(rest, ',');
        struct slice coding = slice_trim(slice_sub(rest, 0, comma < 0 ? rest.len : (size_t)comma));
        bool chunked = slice_eq_nocase(coding, SLICE("chunked"));
        if (comma < 0) {
            return chunked && others ? E_CODING_UNKNOWN : E_BAD_CODING;
        }
        if (chunked || !http_is_token(coding)) {
            return E_BAD_CODING;
        }
        others = true;
        at += (size_t)comma + 1;
    }
}

static int parse_length(struct slice value, int64_t *out)
{
    uint64_t length = 0;
    if (value.len == 0 || value.len > 19) {
        return slice_find_char(value, ',') >= 0 ? E_REPEATED_LENGTH : E_BAD_LENGTH;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.ptr[i] - (unsigned)'0';
        if (digit > 9) {
            return slice_find_char(value, ',') >= 0 ? E_REPEATED_LENGTH : E_BAD_LENGTH;
        }
        length = length * 10 + digit;
    }
    if (length > INT64_MAX) {
        return E_BAD_LENGTH;
    }
    *out = (int64_t)length;
    return 0;
}

int h1_hop_length(const struct h1_hop *hop, struct http_head *head, bool *chunked)
{
    *chunked = false;
    if (hop->lengths > 0 && hop->codings > 0) {
        return E_LENGTH_AND_CODING;
    }
    if (hop->lengths > 1) {
        return E_REPEATED_LENGTH;
    }
    if (hop->lengths == 1) {
        head->has_length = true;
        return parse_length(hop->length, &head->content_length);
    }
    if (hop->codings == 0) {
        return 0;
    }
    if (hop->codings > 1) {
        return E_BAD_CODING;
    }
    *chunked = true;
    int rc = check_coding(hop->coding);
    return rc == 0 && head->version_minor == 0 ? E_CODING_IN_1_0 : rc;
}

// ---- upgrade ---------------------------------------------------------------------------------------

// protocol-name ["/" protocol-version] (RFC 9110 7.8); *name is its name.
static bool cut_protocol(struct slice protocol, struct slice *name)
{
    ptrdiff_t slash = slice_find_char(protocol, '/');
    *name = slice_sub(protocol, 0, slash < 0 ? protocol.len : (size_t)slash);
    return http_is_token(*name) &&
           (slash < 0 || http_is_token(slice_from(protocol, (size_t)slash + 1)));
}

// Protocols in which further requests would pass adit unseen: HTTP under any name, and TLS, which can
// hold anything.
static bool is_smuggler(struct slice name)
{
    static const struct slice names[] = {SLICE_INIT("h2c"), SLICE_INIT("h2"), SLICE_INIT("h3"),
                                         SLICE_INIT("http"), SLICE_INIT("tls")};
    for (size_t i = 0; i < array_len(names); i++) {
        if (slice_eq_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

int h1_hop_upgrade(const struct h1_section *s, const struct h1_hop *hop, struct http_head *head)
{
    if (hop->upgrades > 1) {
        return E_BAD_UPGRADE;
    }
    // The list is written back over itself, without what is dropped and without blanks, so it never
    // gets longer.
    char *out = h1_section_bytes(s, hop->upgrade);
    size_t len = 0;
    struct slice rest = hop->upgrade;
    struct slice protocol;
    while (slice_next_element(&rest, &protocol)) {
        struct slice name;
        if (!cut_protocol(protocol, &name)) {
            return E_BAD_UPGRADE;
        }
        if (is_smuggler(name)) {
            continue;
        }
        if (len > 0) {
            out[len++] = ',';
        }
        memmove(out + len, protocol.ptr, protocol.len);
        len += protocol.len;
    }
    head->upgrade = slice_of(out, len);
    return 0;
}

bool h1_protocol_listed(struct slice offered, struct slice protocol)
{
    struct slice element;
    while (slice_next_element(&offered, &element)) {
        if (slice_eq_nocase(element, protocol)) {
            return true;
        }
    }
    return false;
}
