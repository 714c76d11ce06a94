// SPDX-License-Identifier: Apache-2.0
//
// Reading the answer to a handshake (agent/answer.h). The codec has judged the bytes; here each field
// is copied when it is fit, and left out, or the answer refused, when it is not. A field that comes
// twice counts once: the first.

#include "agent/answer.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "h1/codec.h"
#include "http/websocket.h"

enum { ARENA_BYTES = 64 * 1024 };

static bool is_shown(char c)
{
    return c > 0x20 && c < 0x7f;
}

/** Copies a text of printable bytes without blanks; empty when it is not that or does not fit. */
static void keep(char *out, size_t room, struct slice s)
{
    out[0] = '\0';
    for (size_t i = 0; i < s.len; i++) {
        if (!is_shown(s.ptr[i])) {
            return;
        }
    }
    if (s.len > 0 && s.len < room) {
        memcpy(out, s.ptr, s.len);
        out[s.len] = '\0';
    }
}

/** Copies one line of words: what cannot be shown becomes a question mark. */
static void keep_words(char *out, size_t room, struct slice s)
{
    size_t n = 0;
    s = slice_trim(s);
    for (size_t i = 0; i < s.len && n + 1 < room; i++) {
        if (s.ptr[i] == '\n' || s.ptr[i] == '\r') {
            break;
        }
        out[n++] = is_shown(s.ptr[i]) || s.ptr[i] == ' ' ? s.ptr[i] : '?';
    }
    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = '\0';
}

/** The value of `key` in "key=value, key=value". */
static bool parameter(struct slice list, struct slice key, uint64_t max, uint64_t *out)
{
    struct slice element;
    while (slice_next_element(&list, &element)) {
        ptrdiff_t equals = slice_find_char(element, '=');
        if (equals >= 0 && slice_eq(slice_sub(element, 0, (size_t)equals), key)) {
            struct slice value = slice_from(element, (size_t)equals + 1);
            int e = num_parse_u64(value, UINT64_MAX, out);
            *out = e == 0 ? num_min_u64(*out, max) : *out;
            return e == 0;
        }
    }
    return false;
}

/** A name that could stand in a URL: letters, digits, '-', '_', dots. */
static bool is_name(const char *s)
{
    for (; *s != '\0'; s++) {
        bool ok = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                  (*s >= '0' && *s <= '9') || *s == '-' || *s == '_' || *s == '.';
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void take_urls(struct agent_answer *out, const struct fields *f)
{
    for (uint16_t i = 0; i < f->count && out->url_count < ANSWER_URLS_MAX; i++) {
        const struct field *e = &f->entries[i];
        if (slice_eq_nocase(field_name(f, e), SLICE("adit-url"))) {
            char *url = out->urls[out->url_count];
            keep(url, ANSWER_URL_MAX, field_value(f, e));
            out->url_count += strstr(url, "://") != NULL;
        }
    }
}

/** The 101 is for what was asked. `key` empty: as it is. */
static bool is_agreed(const struct http_head *h, struct slice key)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    if (key.len == 0) {
        return slice_eq_nocase(h->upgrade, SLICE(AGENT_PROTOCOL));
    }
    websocket_accept(key, accept);
    return slice_eq_nocase(h->upgrade, SLICE("websocket")) &&
           slice_eq(fields_get(&h->fields, WEBSOCKET_ACCEPT), slice_of(accept, sizeof(accept))) &&
           slice_eq(fields_get(&h->fields, SLICE("Sec-WebSocket-Protocol")),
                    SLICE(AGENT_SUBPROTOCOL)) &&
           fields_find(&h->fields, SLICE("Sec-WebSocket-Extensions")) == NULL;
}

static int take_grant(struct agent_answer *out, const struct http_head *h, struct slice key)
{
    const struct fields *f = &h->fields;
    if (!is_agreed(h, key)) {
        return E_BAD_UPGRADE;
    }
    keep(out->name, sizeof(out->name), fields_get(f, SLICE("adit-name")));
    keep(out->secret, sizeof(out->secret), fields_get(f, SLICE("adit-secret")));
    keep(out->ticket, sizeof(out->ticket), fields_get(f, SLICE("adit-ticket")));
    take_urls(out, f);
    uint64_t value = 0;
    struct slice connection = fields_get(f, SLICE("adit-connection"));
    if (parameter(connection, SLICE("id"), UINT64_MAX, &value)) {
        out->connection_id = value;
    }
    struct slice retry = fields_get(f, SLICE("adit-retry"));
    out->has_within = parameter(retry, SLICE("within"), ANSWER_WITHIN_MAX_MS, &value);
    out->within_ms = out->has_within ? (uint32_t)value : 0;
    struct slice expires = fields_get(f, SLICE("adit-expires"));
    out->has_expiry = num_parse_u64(expires, UINT64_MAX / 2000, &out->expires_s) == 0;
    return out->url_count > 0 && is_name(out->name) ? 0 : E_BAD_UPGRADE;
}

/** The nonce of a challenge `Adit-Key nonce="..."` among those of all fields. */
static void take_nonce(struct agent_answer *out, const struct fields *f)
{
    static const struct slice scheme = SLICE_INIT("Adit-Key nonce=\"");
    for (uint16_t i = 0; i < f->count && out->nonce[0] == '\0'; i++) {
        const struct field *e = &f->entries[i];
        if (!slice_eq_nocase(field_name(f, e), SLICE("www-authenticate"))) {
            continue;
        }
        struct slice v = field_value(f, e);
        ptrdiff_t at = slice_find(v, scheme);
        struct slice rest = at < 0 ? SLICE("") : slice_from(v, (size_t)at + scheme.len);
        ptrdiff_t quote = slice_find_char(rest, '"');
        if (quote > 0) {
            keep(out->nonce, sizeof(out->nonce), slice_sub(rest, 0, (size_t)quote));
        }
    }
}

static void take_refusal(struct agent_answer *out, const struct http_head *h)
{
    const struct fields *f = &h->fields;
    keep(out->reason, sizeof(out->reason), fields_get(f, SLICE("adit-reason")));
    keep(out->suggestion, sizeof(out->suggestion), fields_get(f, SLICE("adit-suggestion")));
    if (!is_name(out->suggestion)) {
        out->suggestion[0] = '\0';
    }
    take_nonce(out, f);
    uint64_t value = 0;
    struct slice after = fields_get(f, SLICE("retry-after"));
    out->has_retry_after = num_parse_u64(after, UINT64_MAX, &value) == 0;
    if (out->has_retry_after) {
        out->retry_after_s = (uint32_t)num_min_u64(value, ANSWER_RETRY_AFTER_MAX_S);
    }
}

static int parse(const char *p, size_t head_len, struct slice key, struct agent_answer *out)
{
    static const struct h1_limits limits = {
        .head_bytes = ANSWER_HEAD_MAX, .target_bytes = 1024, .fields = ANSWER_FIELDS_MAX};
    const struct http_head asked = {.method = HTTP_METHOD_GET,
                                    .upgrade =
                                        key.len > 0 ? SLICE("websocket") : SLICE(AGENT_PROTOCOL)};
    *out = (struct agent_answer){0};
    struct arena arena;
    struct http_head head;
    enum h1_framing framing = H1_FRAMING_NONE;
    arena_init(&arena, NULL, 0, NULL, ARENA_BYTES);
    http_head_init(&head, &arena, 2 * ANSWER_HEAD_MAX, ANSWER_FIELDS_MAX);
    int e = h1_parse_response(p, head_len, &limits, &asked, &head, &framing);
    if (e == 0 && http_status_is_interim(head.status)) {
        e = E_BAD_INTERIM; // nothing that an edge says comes in pieces
    }
    if (e == 0) {
        out->status = head.status;
        out->keep_alive = head.keep_alive;
        out->body_bytes = framing == H1_FRAMING_LENGTH ? head.content_length
                          : framing == H1_FRAMING_NONE ? 0
                                                       : -1;
        if (head.status == 101) {
            e = take_grant(out, &head, key);
        } else {
            take_refusal(out, &head);
        }
    }
    arena_fini(&arena);
    return e;
}

int agent_answer_parse(const char *p, size_t head_len, struct agent_answer *out)
{
    return parse(p, head_len, SLICE(""), out);
}

int agent_answer_parse_websocket(const char *p, size_t head_len, struct slice key,
                                 struct agent_answer *out)
{
    return parse(p, head_len, key, out);
}

bool agent_answer_is_foreign(const struct agent_answer *a)
{
    switch (a->status) {
    case 426: // an edge that was asked for nothing at all, for the field was lost on the way
        return true;
    case 200:
    case 204:
    case 400:
    case 405:
    case 501:
        return a->reason[0] == '\0';
    default:
        return false;
    }
}

void agent_answer_text(struct agent_answer *a, struct slice body)
{
    keep_words(a->text, sizeof(a->text), body);
}

void agent_farewell_parse(struct slice debug, struct agent_farewell *out)
{
    *out = (struct agent_farewell){0};
    static const struct slice again = SLICE_INIT("reconnect ");
    static const struct slice end = SLICE_INIT("end");
    if (slice_starts(debug, again)) {
        uint64_t within = 0;
        out->reconnect = true;
        if (parameter(slice_from(debug, again.len), SLICE("within"), ANSWER_WITHIN_MAX_MS,
                      &within)) {
            out->within_ms = (uint32_t)within;
        }
    } else if (slice_eq(debug, end) || slice_starts(debug, SLICE("end "))) {
        out->end = true;
        keep_words(out->text, sizeof(out->text), slice_from(debug, end.len));
    }
}
