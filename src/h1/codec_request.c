// SPDX-License-Identifier: Apache-2.0
//
// Request heads: the request line with its four forms of target (RFC 9112 3), Host, and the framing
// of the request's body.

#include "base/error.h"
#include "h1/codec_int.h"
#include "h1/codec_simd_int.h"

// ---- the request line ------------------------------------------------------------------------------

// Length of the run of target bytes at p: printable ASCII without '#', '"', '<', '>' and, in a path,
// '?' and '\'. More than RFC 3986 allows, since browsers send [ ] ^ ` { | } as they are typed; the
// backslash is what some origins take for a slash.
static uint32_t target_span(const char *p, bool query)
{
    uint8_t stop = query ? '#' : '?';
    uint8_t stop2 = query ? '#' : '\\';
    for (uint32_t n = 0;; n += 16) {
        simd16 v = simd_load(p + n);
        simd16 bad = ~simd_within(v, 0x21, 0x7e) | simd_eq(v, '#') | simd_eq(v, '"') |
                     simd_eq(v, '<') | simd_eq(v, '>') | simd_eq(v, stop) | simd_eq(v, stop2);
        uint32_t mask = simd_mask(bad);
        if (mask != 0) {
            return n + (uint32_t)__builtin_ctz(mask);
        }
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// HTTP-version (RFC 9112 2.3). A higher minor version is compatible and counts as 1.1; another major
// one, the preface of HTTP/2 included, is not.
static int parse_version(struct slice s, uint8_t *minor)
{
    if (s.len != 8 || memcmp(s.ptr, "HTTP/", 5) != 0 || !is_digit(s.ptr[5]) || s.ptr[6] != '.' ||
        !is_digit(s.ptr[7])) {
        return E_BAD_VERSION;
    }
    if (s.ptr[5] != '1') {
        return E_VERSION_UNSUPPORTED;
    }
    *minor = s.ptr[7] == '0' ? 0 : 1;
    return 0;
}

static int parse_method(struct h1_section *s, struct http_head *out)
{
    const char *p = s->p;
    uint32_t len = memcmp(p, "GET ", 4) == 0 ? 3 : h1_token_span(p);
    if (len == 0) {
        return E_BAD_METHOD;
    }
    if (p[len] != ' ') {
        return p[len] == '\r' || p[len] == '\t' ? E_MALFORMED_LINE : E_BAD_METHOD;
    }
    if (len > H1_METHOD_BYTES_MAX) {
        return E_METHOD_UNKNOWN;
    }
    out->method_text = slice_of(p, len);
    out->method = (uint8_t)http_method_of(out->method_text);
    s->pos = len + 1;
    return 0;
}

// What the request line says, in place.
struct line {
    struct slice target; // up to the space before the version
    size_t path_len;     // of the target, up to '?'
};

static int parse_line(struct h1_section *s, const struct h1_limits *limits, struct http_head *out,
                      struct line *line)
{
    uint32_t cr = h1_section_line(s);
    int rc = parse_method(s, out);
    if (rc != 0) {
        return rc;
    }
    const char *p = s->p;
    uint32_t begin = s->pos;
    uint32_t path_end = begin + target_span(p + begin, false);
    uint32_t end = path_end;
    if (p[end] == '?') {
        end += 1 + target_span(p + end + 1, true);
    }
    line->target = slice_of(p + begin, end - begin);
    line->path_len = path_end - begin;
    out->target = line->target; // for the log, should the rest be bad
    if (end == begin || p[end] == '\r') {
        return E_MALFORMED_LINE;
    }
    if (p[end] != ' ') {
        return E_BAD_TARGET;
    }
    struct slice version = slice_of(p + end + 1, cr - end - 1);
    rc = parse_version(version, &out->version_minor);
    if (rc != 0) {
        return slice_find_char(version, ' ') >= 0 ? E_MALFORMED_LINE : rc;
    }
    s->pos = cr + 2;
    return line->target.len > limits->target_bytes ? E_TARGET_TOO_LONG : 0;
}

// ---- the target ------------------------------------------------------------------------------------

static void set_origin_form(struct http_head *out, struct slice target, size_t path_len)
{
    out->target = target;
    out->path = slice_sub(target, 0, path_len);
    out->query = path_len < target.len ? slice_from(target, path_len + 1) : (struct slice){NULL, 0};
}

// "http://authority/path?query": the authority counts, not Host (RFC 9112 3.2.2). An empty path is
// "/", or "*" for OPTIONS (RFC 9112 3.2.4); the byte for it is won by moving the authority, which is
// read before, over the second slash in front of it.
static int parse_absolute(const struct h1_section *s, const struct line *line,
                          struct http_head *out)
{
    struct slice target = line->target;
    struct slice scheme = SLICE("http");
    size_t begin = 7;
    if (target.len >= 8 && slice_eq_nocase(slice_sub(target, 0, 8), SLICE("https://"))) {
        scheme = SLICE("https");
        begin = 8;
    } else if (target.len < 7 || !slice_eq_nocase(slice_sub(target, 0, 7), SLICE("http://"))) {
        return E_BAD_TARGET;
    }
    size_t end = begin;
    while (end < line->path_len && target.ptr[end] != '/') {
        end++;
    }
    char *bytes = h1_section_bytes(s, target);
    memmove(bytes + begin - 1, bytes + begin, end - begin);
    int rc = http_authority_parse(slice_of(bytes + begin - 1, end - begin), bytes + begin - 1,
                                  &out->authority, &out->host);
    if (rc != 0) {
        return rc;
    }
    out->scheme = scheme;
    if (end < line->path_len) {
        set_origin_form(out, slice_from(target, end), line->path_len - end);
        return 0;
    }
    bool asterisk = out->method == HTTP_METHOD_OPTIONS && end == target.len;
    bytes[end - 1] = asterisk ? '*' : '/';
    set_origin_form(out, slice_from(target, end - 1), 1);
    return 0;
}

// Only CONNECT, which adit refuses, has this form; what it names is for the log.
static int parse_authority_form(const struct h1_section *s, struct slice target,
                                struct http_head *out)
{
    out->target = target;
    int rc = http_authority_parse(target, h1_section_bytes(s, target), &out->authority, &out->host);
    bool port = rc == 0 && target.ptr[target.len - 1] != ']' && target.len > out->host.len + 1;
    return rc == 0 && !port ? E_BAD_TARGET : rc;
}

static int parse_target(const struct h1_section *s, const struct line *line, struct http_head *out)
{
    struct slice target = line->target;
    if (out->method == HTTP_METHOD_CONNECT) {
        return parse_authority_form(s, target, out);
    }
    if (target.ptr[0] == '/') {
        set_origin_form(out, target, line->path_len);
        return 0;
    }
    if (target.ptr[0] == '*' && target.len == 1) {
        set_origin_form(out, target, 1);
        return out->method == HTTP_METHOD_OPTIONS ? 0 : E_BAD_TARGET;
    }
    return parse_absolute(s, line, out);
}

// ---- Host ------------------------------------------------------------------------------------------

// RFC 9112 3.2: exactly one in HTTP/1.1, valid even where an absolute target overrides it.
static int take_host(const struct h1_section *s, const struct h1_hop *hop, struct http_head *out)
{
    if (hop->hosts == 0) {
        return out->version_minor == 0 ? 0 : E_NO_HOST;
    }
    if (hop->hosts > 1) {
        return E_REPEATED_HOST;
    }
    struct slice authority;
    struct slice host;
    int rc = http_authority_parse(hop->host, h1_section_bytes(s, hop->host), &authority, &host);
    if (rc == 0 && out->authority.len == 0) {
        out->authority = authority;
        out->host = host;
    }
    return rc;
}

// ---- all of it -------------------------------------------------------------------------------------

static int decide(const struct h1_section *s, const struct h1_hop *hop, struct http_head *out,
                  enum h1_framing *framing)
{
    int rc = take_host(s, hop, out);
    if (rc != 0) {
        return rc;
    }
    bool chunked;
    rc = h1_hop_length(hop, out, &chunked);
    if (rc != 0) {
        return rc;
    }
    *framing = H1_FRAMING_NONE;
    if (chunked) {
        *framing = H1_FRAMING_CHUNKED;
        out->body = HTTP_BODY_STREAM;
    } else if (out->content_length > 0) {
        *framing = H1_FRAMING_LENGTH;
        out->body = HTTP_BODY_LENGTH;
    }
    bool modern = out->version_minor > 0;
    bool none = *framing == H1_FRAMING_NONE;
    out->keep_alive = !hop->close && (modern || hop->keep_alive);
    // HTTP/1.0 knows neither (RFC 9110 7.8, 10.1.1), and without a body there is nothing to wait for.
    out->expect_continue = hop->expect_continue && modern && !none;
    out->te_trailers = hop->te_trailers && modern;
    // What follows the head of an upgrade is the new protocol: a body beside it would be ambiguous.
    if (hop->upgrades > 0 && hop->upgrade_option && modern && none) {
        return h1_hop_upgrade(s, hop, out);
    }
    return 0;
}

int h1_parse_request(const char *p, size_t head_len, const struct h1_limits *limits,
                     struct http_head *out, enum h1_framing *framing)
{
    struct h1_section s;
    int rc = h1_section_begin(&s, H1_SECTION_REQUEST, &out->fields, p, head_len, limits);
    if (rc != 0) {
        return rc;
    }
    struct line line;
    rc = parse_line(&s, limits, out, &line);
    if (rc != 0) {
        return rc;
    }
    rc = parse_target(&s, &line, out);
    if (rc != 0) {
        return rc;
    }
    struct h1_hop hop;
    h1_hop_init(&hop);
    rc = h1_section_fields(&s, &hop);
    if (rc != 0) {
        return rc;
    }
    return decide(&s, &hop, out, framing);
}
