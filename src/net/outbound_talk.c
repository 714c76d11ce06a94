// SPDX-License-Identifier: Apache-2.0
//
// Talking to proxies (net/outbound_talk.h), byte by byte: the answers are short and come once for each
// connection.

#include "net/outbound_talk.h"

#include "base/base64.h"
#include "base/error.h"
#include "os/addr.h"

enum {
    SOCKS = 5,
    SOCKS_LOGIN_VERSION = 1,
    SOCKS_NO_LOGIN = 0,
    SOCKS_LOGIN = 2,
    SOCKS_NONE_OF_THESE = 255,
    SOCKS_CONNECT = 1,
    SOCKS_V4 = 1,
    SOCKS_NAME = 3,
    SOCKS_V6 = 4,
    STATUS_LINE_MIN = 12, // "HTTP/1.1 200"
};

static_assert(STATUS_LINE_MIN < sizeof(((struct outbound_talk *)0)->line), "it is kept");

// ---- what is said -------------------------------------------------------------------------------

static struct text begin_out(struct outbound_talk *t)
{
    ensure(t->out_sent == t->out_len);
    t->out_sent = 0;
    t->out_len = 0;
    return text_on(t->out, sizeof(t->out));
}

static void end_out(struct outbound_talk *t, const struct text *out)
{
    ensure(!out->overflow);
    t->out_len = (uint32_t)out->len;
}

static void put_target(const struct outbound_talk *t, struct text *out)
{
    struct slice host = slice_of(t->host, t->host_len);
    bool v6 = slice_find_char(host, ':') >= 0;
    text_str(out, v6 ? "[" : "");
    text_put(out, host);
    text_str(out, v6 ? "]:" : ":");
    text_u64(out, t->port);
}

static void say_connect(struct outbound_talk *t)
{
    const struct outbound *p = &t->proxy;
    struct text out = begin_out(t);
    text_str(&out, "CONNECT ");
    put_target(t, &out);
    text_str(&out, " HTTP/1.1\r\nHost: ");
    put_target(t, &out);
    if (p->login) {
        char bytes[2 * OUTBOUND_LOGIN_MAX + 1];
        struct text login = text_on(bytes, sizeof(bytes));
        text_put(&login, slice_of(p->user, p->user_len));
        text_char(&login, ':');
        text_put(&login, slice_of(p->password, p->password_len));
        text_str(&out, "\r\nProxy-Authorization: Basic ");
        base64_put(&out, text_slice(&login), BASE64_PADDED);
    }
    text_str(&out, "\r\n\r\n");
    end_out(t, &out);
}

static void say_hello(struct outbound_talk *t)
{
    struct text out = begin_out(t);
    text_char(&out, SOCKS);
    text_char(&out, t->proxy.login ? 2 : 1);
    text_char(&out, SOCKS_NO_LOGIN);
    if (t->proxy.login) {
        text_char(&out, SOCKS_LOGIN);
    }
    end_out(t, &out);
    t->state = OUTBOUND_METHOD;
    t->need = 2;
}

static void say_login(struct outbound_talk *t)
{
    const struct outbound *p = &t->proxy;
    struct text out = begin_out(t);
    text_char(&out, SOCKS_LOGIN_VERSION);
    text_char(&out, (char)p->user_len);
    text_put(&out, slice_of(p->user, p->user_len));
    text_char(&out, (char)p->password_len);
    text_put(&out, slice_of(p->password, p->password_len));
    end_out(t, &out);
    t->state = OUTBOUND_AUTH;
    t->need = 2;
}

static void say_target(struct outbound_talk *t)
{
    struct text out = begin_out(t);
    struct slice host = slice_of(t->host, t->host_len);
    struct os_addr a;
    text_char(&out, SOCKS);
    text_char(&out, SOCKS_CONNECT);
    text_char(&out, 0);
    if (os_addr_parse_ip(host, t->port, &a) == 0) {
        text_char(&out, a.kind == OS_ADDR_V4 ? SOCKS_V4 : SOCKS_V6);
        text_put(&out, slice_of((const char *)a.u.ip, a.kind == OS_ADDR_V4 ? 4 : 16));
    } else {
        text_char(&out, SOCKS_NAME);
        text_char(&out, (char)t->host_len);
        text_put(&out, host);
    }
    text_char(&out, (char)(t->port >> 8));
    text_char(&out, (char)(t->port & 255));
    end_out(t, &out);
    t->state = OUTBOUND_REPLY;
    t->need = 5; // up to the first byte of the address, which says how long it is
}

static bool is_target(struct slice host)
{
    struct os_addr ignored;
    if (host.len == 0 || host.len > OUTBOUND_HOST_MAX) {
        return false;
    }
    if (slice_find_char(host, ':') >= 0) {
        return host.ptr[0] != '[' && os_addr_parse_ip(host, 1, &ignored) == 0;
    }
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool ok = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
                  c == '.' || c == '_';
        if (!ok) {
            return false;
        }
    }
    return true;
}

int outbound_talk_begin(struct outbound_talk *t, const struct outbound *proxy, struct slice host,
                        uint16_t port)
{
    ensure(proxy->kind != OUTBOUND_DIRECT);
    *t = (struct outbound_talk){.proxy = *proxy, .port = port};
    if (!is_target(host)) {
        return E_INVALID;
    }
    memcpy(t->host, host.ptr, host.len);
    t->host_len = (uint8_t)host.len;
    if (proxy->kind == OUTBOUND_SOCKS5) {
        say_hello(t);
    } else {
        say_connect(t);
    }
    return 0;
}

// ---- HTTP ---------------------------------------------------------------------------------------

/** "HTTP/1.x DDD", and a blank or the line's end behind it (RFC 9112 4). */
static bool read_status(struct outbound_talk *t, char next)
{
    const uint8_t *l = t->line;
    bool line = memcmp(l, "HTTP/1.", 7) == 0 && (l[7] == '0' || l[7] == '1') && l[8] == ' ' &&
                (next == ' ' || next == '\r');
    unsigned status = 0;
    for (size_t i = 9; i < STATUS_LINE_MIN; i++) {
        line = line && l[i] >= '0' && l[i] <= '9';
        status = status * 10 + (unsigned)(l[i] - '0') % 10;
    }
    t->status = line ? (uint16_t)status : 0;
    return line && status >= 100 && status < 600;
}

/** The head is over. */
static int judge_status(struct outbound_talk *t)
{
    if (t->status < 200) {
        t->line_len = 0;
        t->ends = 0;
        t->state = OUTBOUND_HTTP_LINE;
        return ++t->interim > OUTBOUND_INTERIM_MAX || t->status == 101 ? E_OUTBOUND_MALFORMED : 0;
    }
    if (t->status < 300) {
        t->state = OUTBOUND_OPEN; // whatever the head says of a body, there is none
        return 0;
    }
    return t->status == 407                       ? E_OUTBOUND_LOGIN
           : t->status >= 502 && t->status <= 504 ? E_OUTBOUND_UNREACHABLE
                                                  : E_OUTBOUND_REFUSED;
}

static int take_http(struct outbound_talk *t, char c)
{
    static const char end[4] = {'\r', '\n', '\r', '\n'};
    if (++t->head_len > OUTBOUND_HEAD_MAX) {
        return E_OUTBOUND_MALFORMED;
    }
    if (t->state == OUTBOUND_HTTP_LINE) {
        if (t->line_len < STATUS_LINE_MIN) {
            t->line[t->line_len++] = (uint8_t)c;
            return 0;
        }
        if (!read_status(t, c)) {
            return E_OUTBOUND_MALFORMED;
        }
        t->state = OUTBOUND_HTTP_FIELDS;
    }
    // A CR only before an LF and an LF only after a CR; no other control bytes but tabs (RFC 9112 2.2).
    if (c == end[t->ends]) {
        t->ends++;
        return t->ends == sizeof(end) ? judge_status(t) : 0;
    }
    bool within = t->ends == 0 || t->ends == 2;
    if (!within || c == '\n' || ((unsigned char)c < ' ' && c != '\t') || c == 0x7f) {
        return E_OUTBOUND_MALFORMED;
    }
    t->ends = 0;
    return 0;
}

// ---- SOCKS5 -------------------------------------------------------------------------------------

static int judge_method(struct outbound_talk *t)
{
    if (t->line[0] != SOCKS) {
        return E_OUTBOUND_MALFORMED;
    }
    if (t->line[1] == SOCKS_NO_LOGIN) {
        say_target(t);
        return 0;
    }
    if (t->line[1] == SOCKS_LOGIN && t->proxy.login) {
        say_login(t);
        return 0;
    }
    return t->line[1] == SOCKS_NONE_OF_THESE ? E_OUTBOUND_LOGIN : E_OUTBOUND_MALFORMED;
}

static int judge_login(struct outbound_talk *t)
{
    if (t->line[0] != SOCKS_LOGIN_VERSION && t->line[0] != SOCKS) { // some answer with theirs
        return E_OUTBOUND_MALFORMED;
    }
    if (t->line[1] != 0) {
        return E_OUTBOUND_LOGIN;
    }
    say_target(t);
    return 0;
}

/** The first bytes of a reply are there: what it says, and how long it is. */
static int judge_reply(struct outbound_talk *t)
{
    if (t->line[0] != SOCKS || t->line[1] > 8) {
        return E_OUTBOUND_MALFORMED;
    }
    t->reply = t->line[1];
    if (t->reply != 0) { // 3 to 6: network, host, refused, too many hops
        return t->reply == 1 || (t->reply >= 3 && t->reply <= 6) ? E_OUTBOUND_UNREACHABLE
                                                                 : E_OUTBOUND_REFUSED;
    }
    switch (t->line[3]) {
    case SOCKS_V4:
        t->need = 4 + 4 + 2;
        return 0;
    case SOCKS_V6:
        t->need = 4 + 16 + 2;
        return 0;
    case SOCKS_NAME:
        if (t->line[4] > 240) { // no bound address has such a name
            return E_OUTBOUND_MALFORMED;
        }
        t->need = (uint8_t)(4 + 1 + t->line[4] + 2);
        return 0;
    default:
        return E_OUTBOUND_MALFORMED;
    }
}

static int take_socks(struct outbound_talk *t, char c)
{
    ensure(t->line_len < t->need);
    if (t->line_len < sizeof(t->line)) {
        t->line[t->line_len] = (uint8_t)c;
    }
    t->line_len++;
    if (t->state == OUTBOUND_REPLY && t->line_len == 2 && t->line[1] != 0) {
        return judge_reply(t); // some say no more than that
    }
    int e = 0;
    if (t->state == OUTBOUND_REPLY && t->line_len == 5) {
        e = judge_reply(t);
    }
    if (e != 0 || t->line_len < t->need) {
        return e;
    }
    t->line_len = 0;
    switch (t->state) {
    case OUTBOUND_METHOD:
        return judge_method(t);
    case OUTBOUND_AUTH:
        return judge_login(t);
    default:
        ensure(t->state == OUTBOUND_REPLY);
        t->state = OUTBOUND_OPEN;
        return 0;
    }
}

int outbound_talk_take(struct outbound_talk *t, struct slice in)
{
    for (size_t i = 0; i < in.len; i++) {
        if (t->state == OUTBOUND_OPEN || t->out_sent < t->out_len) {
            return E_OUTBOUND_MALFORMED; // it speaks before it is asked, or after it has answered
        }
        bool http = t->state == OUTBOUND_HTTP_LINE || t->state == OUTBOUND_HTTP_FIELDS;
        int e = http ? take_http(t, in.ptr[i]) : take_socks(t, in.ptr[i]);
        if (e != 0) {
            return e;
        }
    }
    return 0;
}

void outbound_talk_reason(const struct outbound_talk *t, struct text *out)
{
    static const char *const replies[] = {
        "",
        "general failure",
        "not allowed",
        "network unreachable",
        "host unreachable",
        "connection refused",
        "too many hops",
        "command not supported",
        "address type not supported",
    };
    if (t->status != 0) {
        text_str(out, "the proxy answered ");
        text_u64(out, t->status);
    } else if (t->reply != 0) {
        ensure(t->reply < array_len(replies));
        text_str(out, "the proxy answered: ");
        text_str(out, replies[t->reply]);
    }
}
