// SPDX-License-Identifier: Apache-2.0
//
// Writing down what the inspector has kept (inspect/show.h). The memory for a text is taken at once, for the
// worst that can become of it; pages that are not written to cost nothing.

#include "inspect/show.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"
#include "http/fields.h"
#include "http/head.h"
#include "obs/log.h"

#include "inspect/redact.h"

enum {
    JSON_FACTOR = 6, // a control byte becomes \u0000
    REST_MAX = 8192, // all that is not a visitor's
    FIELD_MORE = 16, // quotes and commas of a field
    LIST_MAX = 512 * 1024,
    ROW_MAX = 4096,
    METHOD_CUT = 32,
    TARGET_CUT = 300,
};

/** One text being made: where a head is read, where secrets are left out, where it is written. */
struct making {
    char *memory;
    struct text head;
    struct text clean;
    struct text out;
};

static int begin(struct making *m, size_t head, size_t out)
{
    size_t clean = head * REDACT_FACTOR + REDACT_MORE;
    m->memory = mem_alloc(out + head + clean + 1);
    if (m->memory == NULL) {
        return E_NO_MEMORY;
    }
    m->out = text_on(m->memory, out); // first: it is what the caller gets
    m->head = text_on(m->memory + out, head);
    m->clean = text_on(m->memory + out + head, clean);
    return 0;
}

static int end(struct making *m, struct slice *out)
{
    if (m->out.overflow) {
        mem_free(m->memory);
        return E_TOO_LARGE;
    }
    *out = text_slice(&m->out);
    return 0;
}

// ---- heads -----------------------------------------------------------------------------------------

bool show_put(struct ring *r, uint64_t id, enum ring_piece head, struct slice piece)
{
    uint32_t len = (uint32_t)piece.len;
    char bytes[sizeof(len)];
    memcpy(bytes, &len, sizeof(len));
    return ring_write(r, id, head, slice_of(bytes, sizeof(bytes))) &&
           ring_write(r, id, head, piece);
}

bool show_put_fields(struct ring *r, uint64_t id, enum ring_piece head, const struct fields *f)
{
    bool ok = true;
    for (uint16_t i = 0; ok && i < f->count; i++) {
        ok = show_put(r, id, head, field_name(f, &f->entries[i])) &&
             show_put(r, id, head, field_value(f, &f->entries[i]));
    }
    return ok;
}

bool show_next(struct slice *rest, struct slice *piece)
{
    uint32_t len = 0;
    *piece = slice_of("", 0);
    if (rest->len < sizeof(len)) {
        return false;
    }
    memcpy(&len, rest->ptr, sizeof(len));
    *rest = slice_from(*rest, sizeof(len));
    if (rest->len < len) { // memory ran out while it was written, or this is its front alone
        *piece = *rest;
        *rest = slice_of("", 0);
        return false;
    }
    *piece = slice_sub(*rest, 0, len);
    *rest = slice_from(*rest, len);
    return true;
}

static struct slice read_head(struct making *m, const struct ring_text *t)
{
    ensure(t->len <= m->head.capacity);
    ring_copy(t, m->head.ptr);
    return slice_of(m->head.ptr, t->len);
}

/** The first bytes of a head: enough for a row. */
static struct slice read_front(struct making *m, const struct ring_text *t)
{
    const struct ring_block *at = NULL;
    struct slice part = ring_next(t, &at);
    m->head.len = 0;
    text_put(&m->head, slice_sub(part, 0, m->head.capacity));
    return text_slice(&m->head);
}

static struct slice clean_url(struct making *m, struct slice url)
{
    m->clean.len = 0;
    redact_url(&m->clean, url);
    ensure(!m->clean.overflow);
    return text_slice(&m->clean);
}

static struct slice clean_field(struct making *m, struct slice name, struct slice value)
{
    m->clean.len = 0;
    redact_field(&m->clean, name, value);
    ensure(!m->clean.overflow);
    return text_slice(&m->clean);
}

// ---- JSON ------------------------------------------------------------------------------------------

static void truth(struct text *t, const char *name, bool value)
{
    text_printf(t, ",\"%s\":%s", name, value ? "true" : "false");
}

const char *show_why_not(const struct ring_entry *e)
{
    if (!e->reached) {
        return "it did not come as far as the service";
    }
    if (e->upgrade) {
        return "it asked for another protocol, such as WebSocket";
    }
    if (!e->request.ended && !e->over) {
        return "its body is still coming in";
    }
    return e->request.whole ? NULL : "its body was not kept whole: of each 64 KiB are";
}

static void put_figures(struct text *t, const struct ring_entry *e)
{
    char time[LOG_TIME_BYTES];
    log_time(e->wall_ms, time);
    text_printf(t, "{\"id\":%llu", (unsigned long long)e->id);
    text_json_string(t, "time", slice_of(time, LOG_TIME_BYTES));
    if (e->repeats != 0) {
        text_json_number(t, "repeats", e->repeats);
    }
    char client[OS_ADDR_TEXT_MAX];
    struct text address = text_on(client, sizeof(client));
    os_addr_ip_text(&e->client, &address);
    text_json_string(t, "client", text_slice(&address));
    text_json_number(t, "status", e->status);
    truth(t, "over", e->over);
    if (e->error != 0) {
        text_json_string(t, "error", slice_str(error_name(e->error)));
    }
    if (e->over) {
        text_printf(t, ",\"duration_ms\":%.3f", (double)e->took_us / 1000);
    }
    text_json_number(t, "bytes_in", e->request.bytes);
    text_json_number(t, "bytes_out", e->answer.bytes);
}

static void put_row(struct making *m, const struct ring_entry *e)
{
    struct slice rest = read_front(m, &e->text[RING_REQUEST_HEAD]);
    struct slice method;
    struct slice skipped;
    struct slice target;
    put_figures(&m->out, e);
    (void)show_next(&rest, &method);
    (void)(show_next(&rest, &skipped) && show_next(&rest, &skipped));
    (void)show_next(&rest, &target); // of a long one the front
    text_json_string(&m->out, "method", slice_sub(method, 0, METHOD_CUT));
    text_json_string(&m->out, "target", slice_sub(clean_url(m, target), 0, TARGET_CUT));
    text_char(&m->out, '}');
}

int show_list(const struct ring *r, uint64_t after, struct slice *out)
{
    struct making m;
    int e = begin(&m, RING_BLOCK_BYTES, LIST_MAX);
    if (e != 0) {
        return e;
    }
    text_printf(&m.out, "{\"last\":%llu,\"oldest\":%llu,\"requests\":[",
                (unsigned long long)r->changes, (unsigned long long)r->oldest);
    unsigned count = 0;
    for (uint64_t id = r->next; id-- > r->oldest && m.out.capacity - m.out.len > ROW_MAX;) {
        const struct ring_entry *one = ring_find(r, id);
        if (one->change > after) {
            text_str(&m.out, count++ > 0 ? ",\n" : "\n");
            put_row(&m, one);
        }
    }
    text_str(&m.out, "]}\n");
    return end(&m, out);
}

static void put_fields(struct making *m, struct slice rest)
{
    struct slice name;
    struct slice value;
    unsigned count = 0;
    text_str(&m->out, ",\"fields\":[");
    while (show_next(&rest, &name) && show_next(&rest, &value)) {
        text_str(&m->out, count++ > 0 ? ",[\"" : "[\"");
        text_json(&m->out, name);
        text_str(&m->out, "\",\"");
        text_json(&m->out, clean_field(m, name, value));
        text_str(&m->out, "\"]");
    }
    text_char(&m->out, ']');
}

static void put_body(struct text *t, const struct ring_body *body, const struct ring_text *text)
{
    text_printf(t, ",\"body\":{\"bytes\":%llu", (unsigned long long)body->bytes);
    truth(t, "ended", body->ended);
    truth(t, "truncated", body->bytes > text->len);
    text_str(t, ",\"base64\":\"");
    char part[3];
    size_t have = 0;
    const struct ring_block *at = NULL;
    for (struct slice s = ring_next(text, &at); s.len > 0; s = ring_next(text, &at)) {
        while (have > 0 && have < sizeof(part) && s.len > 0) {
            part[have++] = s.ptr[0];
            s = slice_from(s, 1);
        }
        if (have == sizeof(part)) {
            base64_put(t, slice_of(part, have), BASE64_PADDED);
            have = 0;
        }
        size_t whole = s.len - s.len % sizeof(part);
        base64_put(t, slice_sub(s, 0, whole), BASE64_PADDED);
        for (s = slice_from(s, whole); s.len > 0; s = slice_from(s, 1)) {
            part[have++] = s.ptr[0];
        }
    }
    base64_put(t, slice_of(part, have), BASE64_PADDED);
    text_str(t, "\"}");
}

static size_t longest_head(const struct ring_entry *e)
{
    size_t request = e->text[RING_REQUEST_HEAD].len;
    size_t answer = e->text[RING_ANSWER_HEAD].len;
    return request > answer ? request : answer;
}

int show_entry(const struct ring_entry *e, struct slice *out)
{
    size_t heads = e->text[RING_REQUEST_HEAD].len + e->text[RING_ANSWER_HEAD].len;
    size_t bodies = e->text[RING_REQUEST_BODY].len + e->text[RING_ANSWER_BODY].len;
    struct making m;
    int error = begin(&m, longest_head(e),
                      REST_MAX + heads * (REDACT_FACTOR * JSON_FACTOR + FIELD_MORE) +
                          BASE64_MAX(bodies) + 8);
    if (error != 0) {
        return error;
    }
    static const char *const names[] = {"method", "scheme", "authority", "target", "protocol"};
    struct text *t = &m.out;
    struct slice rest = read_head(&m, &e->text[RING_REQUEST_HEAD]);
    put_figures(t, e);
    for (size_t i = 0; i < array_len(names); i++) {
        struct slice piece;
        (void)show_next(&rest, &piece);
        text_json_string(t, names[i], clean_url(&m, piece));
    }
    const char *why_not = show_why_not(e);
    truth(t, "replayable", why_not == NULL);
    if (why_not != NULL) {
        text_json_string(t, "why_not", slice_str(why_not));
    }
    text_str(t, ",\"request\":{\"from\":\"visitor\"");
    put_fields(&m, rest);
    put_body(t, &e->request, &e->text[RING_REQUEST_BODY]);
    text_char(t, '}');
    if (e->status != 0) {
        struct slice reason;
        rest = read_head(&m, &e->text[RING_ANSWER_HEAD]);
        (void)show_next(&rest, &reason);
        text_str(t, ",\"answer\":{\"reason\":\"");
        text_json(t, reason);
        text_char(t, '"');
        put_fields(&m, rest);
        put_body(t, &e->answer, &e->text[RING_ANSWER_BODY]);
        text_char(t, '}');
    }
    text_str(t, "}\n");
    return end(&m, out);
}

// ---- curl ------------------------------------------------------------------------------------------

/** What stands inside of single quotes of a shell. */
static void put_inside(struct text *t, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\'') {
            text_str(t, "'\\''");
        } else {
            text_char(t, s.ptr[i]);
        }
    }
}

static void put_quoted(struct text *t, struct slice s)
{
    text_char(t, '\'');
    put_inside(t, s);
    text_char(t, '\'');
}

/** Text that does nothing to a terminal that it is pasted into. */
static bool is_plain(const struct ring_text *text)
{
    const struct ring_block *at = NULL;
    for (struct slice s = ring_next(text, &at); s.len > 0; s = ring_next(text, &at)) {
        for (size_t i = 0; i < s.len; i++) {
            unsigned char c = (unsigned char)s.ptr[i];
            if (c == 0x7f || (c < 0x20 && c != '\t' && c != '\n')) {
                return false;
            }
        }
    }
    return true;
}

/** What the edge adds by itself. */
static bool is_added(struct slice name)
{
    return slice_eq_nocase(slice_sub(name, 0, 12), SLICE("x-forwarded-")) ||
           slice_eq_nocase(name, SLICE("x-real-ip")) || slice_eq_nocase(name, SLICE("via")) ||
           slice_eq_nocase(name, SLICE("forwarded")) ||
           slice_eq_nocase(name, SLICE("x-request-id"));
}

static void put_curl_body(struct text *t, const struct ring_entry *e, bool has_type)
{
    const struct ring_text *text = &e->text[RING_REQUEST_BODY];
    if (e->request.bytes == 0) {
        return;
    }
    text_str(t, has_type ? "" : " \\\n  -H 'Content-Type:'");
    if (!e->request.whole || !is_plain(text)) {
        text_str(t, " \\\n  --data-binary @body");
        return;
    }
    text_str(t, " \\\n  --data-raw '");
    const struct ring_block *at = NULL;
    for (struct slice s = ring_next(text, &at); s.len > 0; s = ring_next(text, &at)) {
        put_inside(t, s);
    }
    text_char(t, '\'');
}

int show_curl(const struct ring_entry *e, struct slice *out)
{
    size_t head = e->text[RING_REQUEST_HEAD].len;
    struct making m;
    int error = begin(&m, longest_head(e),
                      REST_MAX + head * (REDACT_FACTOR * 4 + FIELD_MORE) +
                          (size_t)e->text[RING_REQUEST_BODY].len * 4);
    if (error != 0) {
        return error;
    }
    struct slice rest = read_head(&m, &e->text[RING_REQUEST_HEAD]);
    struct slice part[5];
    for (size_t i = 0; i < array_len(part); i++) {
        (void)show_next(&rest, &part[i]);
    }
    struct text *t = &m.out;
    text_str(t, "curl ");
    if (slice_eq(part[0], SLICE("HEAD"))) {
        text_str(t, "--head ");
    } else {
        text_str(t, "-X ");
        put_quoted(t, part[0]);
        text_char(t, ' ');
    }
    m.clean.len = 0;
    text_put(&m.clean, part[1]);
    text_str(&m.clean, "://");
    text_put(&m.clean, part[2]);
    redact_url(&m.clean, part[3]);
    put_quoted(t, text_slice(&m.clean));
    struct slice name;
    struct slice value;
    bool has_type = false;
    while (show_next(&rest, &name) && show_next(&rest, &value)) {
        if (is_added(name)) {
            continue;
        }
        has_type = has_type || slice_eq_nocase(name, SLICE("content-type"));
        m.clean.len = 0;
        text_put(&m.clean, name);
        text_str(&m.clean, ": ");
        redact_field(&m.clean, name, value);
        text_str(t, " \\\n  -H ");
        put_quoted(t, text_slice(&m.clean));
    }
    put_curl_body(t, e, has_type);
    text_char(t, '\n');
    return m.clean.overflow ? (mem_free(m.memory), E_TOO_LARGE) : end(&m, out);
}
