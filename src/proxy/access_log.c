// SPDX-License-Identifier: Apache-2.0
//
// Log lines of exchanges. What peers sent is escaped so that it can neither end a line nor a string:
// JSON by text_json(), the combined form and the error log with \" \\ and \xHH. A long field is cut at
// a fixed number of bytes and marked; if escapes make the line too long all the same, it is built
// again with shorter cuts, so a line is never dropped for what it says.
//
// The calendar part of the time is kept per thread and made anew once a second.

#include "proxy/access_log.h"

#include "base/error.h"
#include "obs/log.h"
#include "proxy/core.h"
#include "proxy/exchange.h"

enum {
    TARGET_CUT = 3072,
    FIELD_CUT = 768,
    SHORTER = 6, // the second try cuts at a sixth: no byte takes more than six
};

struct line {
    const struct exchange *x;
    struct text *out;
    uint64_t now_ns;
    size_t divisor;
};

// ---- time -----------------------------------------------------------------------------------------

struct civil {
    unsigned year, month, day, hour, minute, second;
};

// Days since 1970 to the proleptic Gregorian calendar, with years that begin in March so that the
// leap day is the last of the year.
static struct civil civil_of(uint64_t seconds)
{
    uint64_t days = seconds / 86400 + 719468;
    unsigned rest = (unsigned)(seconds % 86400);
    uint64_t era = days / 146097;
    unsigned in_era = (unsigned)(days % 146097);
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned shifted = (5 * in_year + 2) / 153;
    struct civil c = {
        .month = shifted < 10 ? shifted + 3 : shifted - 9,
        .day = in_year - (153 * shifted + 2) / 5 + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
    };
    c.year = (unsigned)(era * 400) + year + (c.month <= 2 ? 1 : 0);
    return c;
}

static void put_padded(struct text *t, unsigned value, unsigned digits)
{
    char bytes[4];
    for (unsigned i = digits; i > 0; i--) {
        bytes[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    text_put(t, slice_of(bytes, digits));
}

struct stamp {
    uint64_t second;
    struct civil civil;
};

static const struct civil *calendar(uint64_t second)
{
    static _Thread_local struct stamp last;
    if (last.second != second || second == 0) {
        last.second = second;
        last.civil = civil_of(second);
    }
    return &last.civil;
}

static void put_rfc3339(struct text *t, uint64_t wall_ms)
{
    const struct civil *c = calendar(wall_ms / 1000);
    put_padded(t, c->year, 4);
    text_char(t, '-');
    put_padded(t, c->month, 2);
    text_char(t, '-');
    put_padded(t, c->day, 2);
    text_char(t, 'T');
    put_padded(t, c->hour, 2);
    text_char(t, ':');
    put_padded(t, c->minute, 2);
    text_char(t, ':');
    put_padded(t, c->second, 2);
    text_char(t, '.');
    put_padded(t, (unsigned)(wall_ms % 1000), 3);
    text_char(t, 'Z');
}

static void put_common_time(struct text *t, uint64_t wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct civil *c = calendar(wall_ms / 1000);
    put_padded(t, c->day, 2);
    text_char(t, '/');
    text_put(t, slice_of(months + (size_t)(c->month - 1) * 3, 3));
    text_char(t, '/');
    put_padded(t, c->year, 4);
    text_char(t, ':');
    put_padded(t, c->hour, 2);
    text_char(t, ':');
    put_padded(t, c->minute, 2);
    text_char(t, ':');
    put_padded(t, c->second, 2);
    text_put(t, SLICE(" +0000"));
}

// ---- what there is to say -------------------------------------------------------------------------

static uint64_t between(uint64_t from, uint64_t to)
{
    return from != 0 && to > from ? to - from : 0;
}

static unsigned status_of(const struct exchange *x)
{
    if (x->answered || x->error == 0) {
        return x->response.status;
    }
    int status = error_status(x->error);
    return status > 0 ? (unsigned)status : 0;
}

static uint64_t bytes_in(const struct exchange *x)
{
    return x->request_body.put_total;
}

// What the client's side took, after the last filter.
static uint64_t bytes_out(const struct exchange *x)
{
    // A pipe (WebSocket) has no stages, so there is no last one.
    return x->response_out != NULL ? x->response_out->taken_total : x->response_body.taken_total;
}

static struct slice protocol_of(const struct exchange *x)
{
    // Newer protocols have the minor version 1 (http/head.h) and name themselves.
    const char *p = x->protocol;
    if (p == NULL || strcmp(p, "1.1") == 0) {
        return x->request.version_minor == 0 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1");
    }
    return strcmp(p, "2") == 0 ? SLICE("HTTP/2") : SLICE("HTTP/3");
}

static struct slice method_of(const struct exchange *x)
{
    return x->request.method_text;
}

static struct slice target_of(const struct exchange *x)
{
    return x->original_target.len > 0 ? x->original_target : x->request.target;
}

static struct slice site_of(const struct exchange *x)
{
    return x->site != NULL ? x->site->name : slice_of("", 0);
}

static struct slice route_of(const struct exchange *x)
{
    return x->route != NULL ? x->route->text : slice_of("", 0);
}

static struct slice side_of(const struct exchange *x)
{
    if (x->error == 0) {
        return slice_of("", 0);
    }
    return x->error_side == HTTP_UP ? SLICE("up") : SLICE("down");
}

static struct slice id_of(const struct exchange *x)
{
    return slice_of(x->id, strnlen(x->id, sizeof(x->id)));
}

// ---- JSON -----------------------------------------------------------------------------------------

static void json_text(const struct line *l, struct slice key, struct slice value, size_t cut)
{
    struct text *t = l->out;
    cut /= l->divisor;
    text_put(t, key);
    text_json(t, slice_sub(value, 0, cut));
    if (value.len > cut) {
        text_put(t, SLICE("..."));
    }
    text_char(t, '"');
}

static void json_number(const struct line *l, struct slice key, uint64_t value)
{
    text_put(l->out, key);
    text_u64(l->out, value);
}

// Nanoseconds as milliseconds with three digits after the point.
static void json_time(const struct line *l, struct slice key, uint64_t ns)
{
    uint64_t us = ns / 1000;
    text_put(l->out, key);
    text_u64(l->out, us / 1000);
    text_char(l->out, '.');
    put_padded(l->out, (unsigned)(us % 1000), 3);
}

static void json_client(const struct line *l)
{
    text_put(l->out, SLICE("\",\"client\":\""));
    if (l->x->client.kind != OS_ADDR_NONE) {
        os_addr_ip_text(&l->x->client, l->out);
    }
    text_char(l->out, '"');
}

static void json_times(const struct line *l)
{
    const struct exchange_times *t = &l->x->times;
    uint64_t connect = t->acquired != 0 ? t->connect : 0;
    uint64_t waited = between(t->start, t->acquired);
    json_time(l, SLICE(",\"queue_ms\":"), waited > connect ? waited - connect : 0);
    json_time(l, SLICE(",\"connect_ms\":"), connect);
    json_time(l, SLICE(",\"first_byte_ms\":"), between(t->start, t->response));
    json_time(l, SLICE(",\"total_ms\":"), between(t->start, t->sent != 0 ? t->sent : l->now_ns));
}

static void json_upstream(const struct line *l)
{
    const struct exchange *x = l->x;
    json_text(l, SLICE(",\"upstream\":\""), exchange_server_text(x), FIELD_CUT);
    if (x->upstream != NULL) {
        json_text(l, SLICE(",\"upstream_name\":\""), x->upstream->name, FIELD_CUT);
    }
    if (x->attempts > 0) {
        json_number(l, SLICE(",\"retries\":"), x->attempts);
    }
}

static void json_security(const struct line *l)
{
    const struct exchange_tls *tls = &l->x->tls;
    if (tls->version.len > 0) {
        json_text(l, SLICE(",\"tls\":\""), tls->version, FIELD_CUT);
        json_text(l, SLICE(",\"cipher\":\""), tls->cipher, FIELD_CUT);
    }
    if (tls->client.len > 0) {
        json_text(l, SLICE(",\"client_cert\":\""), tls->client, FIELD_CUT);
    }
}

static void build_json(const struct line *l)
{
    const struct exchange *x = l->x;
    const struct fields *f = &x->request.fields;
    text_put(l->out, SLICE("{\"time\":\""));
    put_rfc3339(l->out, x->loop->wall_ms);
    text_put(l->out, SLICE("\",\"id\":\""));
    text_json(l->out, id_of(x));
    json_client(l);
    json_text(l, SLICE(",\"method\":\""), method_of(x), FIELD_CUT);
    json_text(l, SLICE(",\"host\":\""), x->request.authority, FIELD_CUT);
    json_text(l, SLICE(",\"target\":\""), target_of(x), TARGET_CUT);
    json_text(l, SLICE(",\"protocol\":\""), protocol_of(x), FIELD_CUT);
    json_security(l);
    json_number(l, SLICE(",\"status\":"), status_of(x));
    json_number(l, SLICE(",\"bytes_in\":"), bytes_in(x));
    json_number(l, SLICE(",\"bytes_out\":"), bytes_out(x));
    json_text(l, SLICE(",\"referer\":\""), fields_get_id(f, HTTP_REFERER), FIELD_CUT);
    json_text(l, SLICE(",\"user_agent\":\""), fields_get_id(f, HTTP_USER_AGENT), FIELD_CUT);
    json_text(l, SLICE(",\"site\":\""), site_of(x), FIELD_CUT);
    json_text(l, SLICE(",\"route\":\""), route_of(x), FIELD_CUT);
    json_upstream(l);
    json_times(l);
    if (x->error != 0) {
        json_text(l, SLICE(",\"error\":\""), slice_str(error_name(x->error)), FIELD_CUT);
        json_text(l, SLICE(",\"side\":\""), side_of(x), FIELD_CUT);
    }
    text_put(l->out, SLICE("}\n"));
}

static void with_cuts(const struct exchange *x, uint64_t now_ns, struct text *out,
                      void (*build)(const struct line *l))
{
    size_t before = out->len;
    ensure(!out->overflow);
    build(&(struct line){x, out, now_ns, 1});
    if (out->overflow) {
        out->len = before;
        out->overflow = false;
        build(&(struct line){x, out, now_ns, SHORTER});
    }
}

void access_log_json(const struct exchange *x, uint64_t now_ns, struct text *out)
{
    with_cuts(x, now_ns, out, build_json);
}

// ---- combined and the error log -------------------------------------------------------------------

static void put_escaped(struct text *t, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    while (s.len > 0 && !t->overflow) {
        size_t run = 0;
        while (run < s.len && (unsigned char)s.ptr[run] >= ' ' &&
               (unsigned char)s.ptr[run] < 0x7f && s.ptr[run] != '"' && s.ptr[run] != '\\') {
            run++;
        }
        text_put(t, slice_sub(s, 0, run));
        s = slice_from(s, run);
        if (s.len > 0) {
            unsigned char b = (unsigned char)s.ptr[0];
            char code[4] = {'\\', 'x', hex[b >> 4], hex[b & 15]};
            char mark[2] = {'\\', (char)b};
            text_put(t, b == '"' || b == '\\' ? slice_of(mark, 2) : slice_of(code, 4));
            s = slice_from(s, 1);
        }
    }
}

static void cut_text(const struct line *l, struct slice value, size_t cut, struct slice when_empty)
{
    cut /= l->divisor;
    if (value.len == 0) {
        text_put(l->out, when_empty);
        return;
    }
    put_escaped(l->out, slice_sub(value, 0, cut));
    if (value.len > cut) {
        text_put(l->out, SLICE("..."));
    }
}

static void put_client(const struct line *l)
{
    if (l->x->client.kind == OS_ADDR_NONE) {
        text_char(l->out, '-');
    } else {
        os_addr_ip_text(&l->x->client, l->out);
    }
}

static void build_combined(const struct line *l)
{
    const struct exchange *x = l->x;
    const struct fields *f = &x->request.fields;
    struct slice none = SLICE("-");
    put_client(l);
    text_put(l->out, SLICE(" - - ["));
    put_common_time(l->out, x->loop->wall_ms);
    text_put(l->out, SLICE("] \""));
    cut_text(l, method_of(x), FIELD_CUT, none);
    text_char(l->out, ' ');
    cut_text(l, target_of(x), TARGET_CUT, none);
    text_char(l->out, ' ');
    text_put(l->out, protocol_of(x));
    text_put(l->out, SLICE("\" "));
    put_padded(l->out, status_of(x), 3);
    text_char(l->out, ' ');
    if (bytes_out(x) == 0) {
        text_char(l->out, '-');
    } else {
        text_u64(l->out, bytes_out(x));
    }
    text_put(l->out, SLICE(" \""));
    cut_text(l, fields_get_id(f, HTTP_REFERER), FIELD_CUT, none);
    text_put(l->out, SLICE("\" \""));
    cut_text(l, fields_get_id(f, HTTP_USER_AGENT), FIELD_CUT, none);
    text_put(l->out, SLICE("\"\n"));
}

void access_log_combined(const struct exchange *x, uint64_t now_ns, struct text *out)
{
    with_cuts(x, now_ns, out, build_combined);
}

static void put_pair(const struct line *l, struct slice key, struct slice value)
{
    if (value.len > 0) {
        text_put(l->out, key);
        cut_text(l, value, FIELD_CUT, slice_of("", 0));
        text_char(l->out, '"');
    }
}

static void build_failure(const struct line *l)
{
    const struct exchange *x = l->x;
    text_put(l->out, x->error_side == HTTP_UP ? SLICE("origin side: ") : SLICE("client side: "));
    text_str(l->out, error_text(x->error));
    text_put(l->out, SLICE(" error="));
    text_str(l->out, error_name(x->error));
    text_put(l->out, SLICE(" side="));
    text_put(l->out, side_of(x));
    text_put(l->out, SLICE(" status="));
    text_u64(l->out, status_of(x));
    text_put(l->out, SLICE(" id="));
    text_put(l->out, id_of(x));
    text_put(l->out, SLICE(" client="));
    put_client(l);
    put_pair(l, SLICE(" method=\""), method_of(x));
    put_pair(l, SLICE(" host=\""), x->request.authority);
    put_pair(l, SLICE(" target=\""), target_of(x));
    put_pair(l, SLICE(" route=\""), route_of(x));
    put_pair(l, SLICE(" upstream=\""), exchange_server_text(x));
}

void access_log_failure(const struct exchange *x, struct text *out)
{
    ensure(x->error != 0);
    with_cuts(x, 0, out, build_failure);
}

// ---- write ----------------------------------------------------------------------------------------

// A client's mistake is told, an origin's or our own is for whoever keeps the edge. That a client went
// is in the access log; a line here for each would let whoever resets streams write 100,000 a second.
static enum log_level level_of(const struct exchange *x)
{
    if (x->error == E_CLIENT_GONE) {
        return LOG_DEBUG;
    }
    bool overload = error_class_of(x->error) == ERROR_CLASS_LIMIT && error_status(x->error) >= 500;
    if (x->error_side == HTTP_UP || overload) {
        return LOG_WARN;
    }
    return x->error == E_INTERNAL ? LOG_ERROR : LOG_INFO;
}

static void write_failure(const struct exchange *x)
{
    char bytes[LOG_LINE_MAX - 128]; // room for what log_line() puts before it
    if (!log_enabled(level_of(x))) {
        return;
    }
    struct text t = text_on(bytes, sizeof(bytes));
    access_log_failure(x, &t);
    log_line(level_of(x), "%.*s", (int)t.len, t.ptr);
}

void access_log_write(const struct exchange *x, uint64_t now_ns)
{
    if (x->error != 0) {
        write_failure(x);
    }
    const struct route *r = x->route != NULL ? x->route : &x->snapshot->fallback_route;
    if (!r->access_log || x->core->log == NULL) {
        return;
    }
    char bytes[LOG_LINE_MAX];
    struct text t = text_on(bytes, sizeof(bytes));
    if (x->snapshot->access_format == ACCESS_LOG_COMBINED) {
        access_log_combined(x, now_ns, &t);
    } else {
        access_log_json(x, now_ns, &t);
    }
    // A full ring drops and counts the line.
    (void)log_ring_put(x->core->log, LOG_STREAM_ACCESS, text_slice(&t));
}

void access_log_common_time(uint64_t wall_ms, struct text *out)
{
    put_common_time(out, wall_ms);
}

enum access_log_format access_log_format_of(struct conf_node n)
{
    struct conf_node format = conf_exists(n) && conf_kind_of(n) == CONF_MAP
                                  ? conf_get(n, "format")
                                  : (struct conf_node){n.doc, 0};
    bool combined = conf_exists(format) && slice_eq(conf_text(format), SLICE("combined"));
    return combined ? ACCESS_LOG_COMBINED : ACCESS_LOG_JSON;
}
