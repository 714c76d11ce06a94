// SPDX-License-Identifier: Apache-2.0
//
// Response heads: the status line (RFC 9112 4) and the framing of the body, which depends on the
// request and the status before any field (RFC 9112 6.3).

#include "base/error.h"
#include "h1/codec_int.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// "HTTP/1.x NNN reason". The space behind the code is missing from many an origin when there is no
// reason; nothing hangs on it, so that is let pass.
static int parse_status_line(struct h1_section *s, struct http_head *out)
{
    const char *p = s->p;
    uint32_t cr = h1_section_line(s);
    if (cr < 12 || memcmp(p, "HTTP/1.", 7) != 0 || !is_digit(p[7]) || p[8] != ' ') {
        return E_BAD_STATUS_LINE;
    }
    out->version_minor = p[7] == '0' ? 0 : 1;
    if (!is_digit(p[9]) || !is_digit(p[10]) || !is_digit(p[11])) {
        return E_BAD_STATUS_LINE;
    }
    unsigned status =
        (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
    if (status < 100 || status > 599 || (cr > 12 && p[12] != ' ')) {
        return E_BAD_STATUS_LINE;
    }
    out->status = (uint16_t)status;
    out->reason = cr > 13 ? slice_of(p + 13, cr - 13) : (struct slice){NULL, 0};
    s->pos = cr + 2;
    return 0;
}

// 101: only to who asked, and only with a protocol that was asked for (RFC 9110 15.2.2).
static int take_switch(const struct h1_section *s, const struct h1_hop *hop,
                       const struct http_head *request, struct http_head *out)
{
    if (request->upgrade.len == 0 || hop->upgrades == 0 || !hop->upgrade_option) {
        return E_BAD_UPGRADE;
    }
    int rc = h1_hop_upgrade(s, hop, out);
    if (rc != 0) {
        return rc;
    }
    return h1_protocol_listed(request->upgrade, out->upgrade) ? 0 : E_BAD_UPGRADE;
}

// Answers that never have a body, whatever their fields say (RFC 9112 6.3, rule 1).
static bool is_bodiless(const struct http_head *request, unsigned status)
{
    return request->method == HTTP_METHOD_HEAD || status < 200 || status == 204 || status == 304;
}

static int decide(const struct h1_section *s, const struct h1_hop *hop,
                  const struct http_head *request, struct http_head *out, enum h1_framing *framing)
{
    bool chunked;
    int rc = h1_hop_length(hop, out, &chunked);
    if (rc != 0) {
        return rc;
    }
    out->keep_alive = !hop->close && (out->version_minor > 0 || hop->keep_alive);
    *framing = H1_FRAMING_NONE;
    if (out->status == 101) {
        *framing = H1_FRAMING_TUNNEL;
        out->body = HTTP_BODY_TUNNEL;
        out->has_length = false;
        return take_switch(s, hop, request, out);
    }
    if (out->status == 426 && hop->upgrades > 0) {
        rc = h1_hop_upgrade(s, hop, out);
        if (rc != 0) {
            return rc;
        }
    }
    if (is_bodiless(request, out->status)) {
        // The length that GET would have had is told on; the others must not have one (RFC 9110 8.6).
        out->has_length = out->has_length && out->status >= 200 && out->status != 204;
        return 0;
    }
    if (chunked) {
        *framing = H1_FRAMING_CHUNKED;
        out->body = HTTP_BODY_STREAM;
    } else if (!out->has_length) {
        *framing = H1_FRAMING_CLOSE;
        out->body = HTTP_BODY_STREAM;
        out->keep_alive = false;
    } else if (out->content_length > 0) {
        *framing = H1_FRAMING_LENGTH;
        out->body = HTTP_BODY_LENGTH;
    }
    return 0;
}

int h1_parse_response(const char *p, size_t head_len, const struct h1_limits *limits,
                      const struct http_head *request, struct http_head *out,
                      enum h1_framing *framing)
{
    struct h1_section s;
    int rc = h1_section_begin(&s, H1_SECTION_RESPONSE, &out->fields, p, head_len, limits);
    if (rc != 0) {
        return rc;
    }
    rc = parse_status_line(&s, out);
    if (rc != 0) {
        return rc;
    }
    struct h1_hop hop;
    h1_hop_init(&hop);
    rc = h1_section_fields(&s, &hop);
    if (rc != 0) {
        return rc;
    }
    return decide(&s, &hop, request, out, framing);
}
