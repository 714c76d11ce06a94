// SPDX-License-Identifier: Apache-2.0
//
// Heads and trailers on their way out: a struct http_head becomes fields of a block. Names are written
// in lower case (RFC 9113 8.2); what belongs to a connection never is.

#include "base/error.h"
#include "base/num.h"
#include "http/hop.h"
#include "http/websocket.h"

#include "h2/fields.h"

enum { LOWERED_BYTES = 16 * 1024 }; // of names with upper case in one block

static const struct slice name_texts[HTTP_NAME_COUNT] = {
    [HTTP_ACCEPT] = SLICE_INIT("accept"),
    [HTTP_ACCEPT_ENCODING] = SLICE_INIT("accept-encoding"),
    [HTTP_ACCEPT_RANGES] = SLICE_INIT("accept-ranges"),
    [HTTP_AGE] = SLICE_INIT("age"),
    [HTTP_ALLOW] = SLICE_INIT("allow"),
    [HTTP_AUTHORIZATION] = SLICE_INIT("authorization"),
    [HTTP_CACHE_CONTROL] = SLICE_INIT("cache-control"),
    [HTTP_CONNECTION] = SLICE_INIT("connection"),
    [HTTP_CONTENT_ENCODING] = SLICE_INIT("content-encoding"),
    [HTTP_CONTENT_LENGTH] = SLICE_INIT("content-length"),
    [HTTP_CONTENT_RANGE] = SLICE_INIT("content-range"),
    [HTTP_CONTENT_TYPE] = SLICE_INIT("content-type"),
    [HTTP_COOKIE] = SLICE_INIT("cookie"),
    [HTTP_DATE] = SLICE_INIT("date"),
    [HTTP_ETAG] = SLICE_INIT("etag"),
    [HTTP_EXPECT] = SLICE_INIT("expect"),
    [HTTP_EXPIRES] = SLICE_INIT("expires"),
    [HTTP_FORWARDED] = SLICE_INIT("forwarded"),
    [HTTP_HOST] = SLICE_INIT("host"),
    [HTTP_HTTP2_SETTINGS] = SLICE_INIT("http2-settings"),
    [HTTP_IF_MATCH] = SLICE_INIT("if-match"),
    [HTTP_IF_MODIFIED_SINCE] = SLICE_INIT("if-modified-since"),
    [HTTP_IF_NONE_MATCH] = SLICE_INIT("if-none-match"),
    [HTTP_IF_RANGE] = SLICE_INIT("if-range"),
    [HTTP_KEEP_ALIVE] = SLICE_INIT("keep-alive"),
    [HTTP_LAST_MODIFIED] = SLICE_INIT("last-modified"),
    [HTTP_LINK] = SLICE_INIT("link"),
    [HTTP_LOCATION] = SLICE_INIT("location"),
    [HTTP_MAX_FORWARDS] = SLICE_INIT("max-forwards"),
    [HTTP_ORIGIN] = SLICE_INIT("origin"),
    [HTTP_PROXY_AUTHENTICATE] = SLICE_INIT("proxy-authenticate"),
    [HTTP_PROXY_AUTHORIZATION] = SLICE_INIT("proxy-authorization"),
    [HTTP_PROXY_CONNECTION] = SLICE_INIT("proxy-connection"),
    [HTTP_RANGE] = SLICE_INIT("range"),
    [HTTP_REFERER] = SLICE_INIT("referer"),
    [HTTP_RETRY_AFTER] = SLICE_INIT("retry-after"),
    [HTTP_SERVER] = SLICE_INIT("server"),
    [HTTP_SET_COOKIE] = SLICE_INIT("set-cookie"),
    [HTTP_TE] = SLICE_INIT("te"),
    [HTTP_TRAILER] = SLICE_INIT("trailer"),
    [HTTP_TRANSFER_ENCODING] = SLICE_INIT("transfer-encoding"),
    [HTTP_UPGRADE] = SLICE_INIT("upgrade"),
    [HTTP_USER_AGENT] = SLICE_INIT("user-agent"),
    [HTTP_VARY] = SLICE_INIT("vary"),
    [HTTP_VIA] = SLICE_INIT("via"),
    [HTTP_WWW_AUTHENTICATE] = SLICE_INIT("www-authenticate"),
    [HTTP_X_FORWARDED_FOR] = SLICE_INIT("x-forwarded-for"),
    [HTTP_X_FORWARDED_HOST] = SLICE_INIT("x-forwarded-host"),
    [HTTP_X_FORWARDED_PROTO] = SLICE_INIT("x-forwarded-proto"),
    [HTTP_X_REAL_IP] = SLICE_INIT("x-real-ip"),
    [HTTP_X_REQUEST_ID] = SLICE_INIT("x-request-id"),
};

// Names that came in upper case, lowered, for the block that is being written.
static _Thread_local char lowered[LOWERED_BYTES];

struct slice h2_name_text(enum http_name id)
{
    ensure(id > HTTP_OTHER && id < HTTP_NAME_COUNT);
    return name_texts[id];
}

static bool has_upper(struct slice s)
{
    bool upper = false;
    for (size_t i = 0; i < s.len; i++) {
        upper |= s.ptr[i] >= 'A' && s.ptr[i] <= 'Z';
    }
    return upper;
}

/** The name in lower case; *used counts bytes of `lowered`. Empty: no room. */
static struct slice lower(struct slice name, size_t *used)
{
    if (!has_upper(name)) {
        return name;
    }
    if (name.len > LOWERED_BYTES - *used) {
        return slice_of("", 0);
    }
    char *p = lowered + *used;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        p[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    *used += name.len;
    return slice_of(p, name.len);
}

static bool is_secret(const struct field *e)
{
    return e->secret || e->id == HTTP_AUTHORIZATION || e->id == HTTP_PROXY_AUTHORIZATION;
}

// RFC 6455 4.1: the handshake's proof is of HTTP/1.1 only.
static bool is_handshake(struct slice name)
{
    return slice_eq_nocase(name, WEBSOCKET_KEY) || slice_eq_nocase(name, WEBSOCKET_ACCEPT);
}

static void put_fields(struct h2_block *b, const struct fields *f, bool switching)
{
    size_t used = 0;
    for (uint16_t i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        if (http_id_in(HTTP_HOP_IDS, (enum http_name)e->id)) {
            continue;
        }
        struct slice name = field_name(f, e);
        if (switching && is_handshake(name)) {
            continue;
        }
        name = e->id != HTTP_OTHER ? name_texts[e->id] : lower(name, &used);
        if (name.len == 0) {
            b->error = E_HEAD_TOO_LARGE;
            return;
        }
        h2_block_add(b, name, field_value(f, e), is_secret(e));
    }
}

static void put_length(struct h2_block *b, const struct http_head *head)
{
    ensure(head->content_length >= 0);
    size_t n = num_format_u64(b->length, (uint64_t)head->content_length);
    h2_block_add(b, SLICE("content-length"), slice_of(b->length, n), false);
}

void h2_out_request(struct h2_block *b, const struct http_head *head, bool secure)
{
    bool websocket = websocket_is_asked(head);
    bool connects = websocket || head->method == HTTP_METHOD_CONNECT;
    bool plain = connects && !websocket && head->upgrade.len == 0;
    ensure(head->method_text.len > 0 && head->target.len > 0);
    h2_block_add(b, SLICE(":method"), connects ? SLICE("CONNECT") : head->method_text, false);
    if (connects && !plain) {
        h2_block_add(b, SLICE(":protocol"), websocket ? SLICE("websocket") : head->upgrade, false);
    }
    if (!plain) { // RFC 9113 8.5
        h2_block_add(b, SLICE(":scheme"), secure ? SLICE("https") : SLICE("http"), false);
    }
    h2_block_add(b, SLICE(":authority"), head->authority, false);
    if (!plain) {
        h2_block_add(b, SLICE(":path"), head->target, false);
    }
    put_fields(b, &head->fields, websocket);
    if (head->has_length && !connects) {
        put_length(b, head);
    }
    if (head->te_trailers) {
        h2_block_add(b, SLICE("te"), SLICE("trailers"), false);
    }
    if (head->expect_continue) {
        h2_block_add(b, SLICE("expect"), SLICE("100-continue"), false);
    }
}

void h2_out_response(struct h2_block *b, const struct http_head *head, struct slice date)
{
    bool switching = head->status == 101;
    unsigned status = switching ? 200 : head->status;
    ensure(status >= 100 && status <= 599);
    b->status[0] = (char)('0' + status / 100);
    b->status[1] = (char)('0' + status / 10 % 10);
    b->status[2] = (char)('0' + status % 10);
    h2_block_add(b, SLICE(":status"), slice_of(b->status, 3), false);
    put_fields(b, &head->fields, switching);
    if (status < 200) {
        return;
    }
    if (date.len > 0 && !fields_has(&head->fields, HTTP_DATE)) {
        h2_block_add(b, SLICE("date"), date, false);
    }
    if (head->has_length && !switching && status != 204) {
        put_length(b, head);
    }
}

void h2_out_trailers(struct h2_block *b, const struct fields *trailers)
{
    put_fields(b, trailers, false);
}
