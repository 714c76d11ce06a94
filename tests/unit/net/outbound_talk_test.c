// SPDX-License-Identifier: Apache-2.0
//
// What is said to proxies and what their answers mean, in one piece and byte by byte.

#include "base/error.h"
#include "net/outbound_talk.h"
#include "tap.h"

static struct outbound_talk talk;

static void begin(const char *proxy, const char *host, uint16_t port)
{
    struct outbound o;
    const char *why = NULL;
    REQUIRE(outbound_parse(slice_str(proxy), &o, &why) == 0);
    REQUIRE(outbound_talk_begin(&talk, &o, slice_str(host), port) == 0);
}

static void expect(const char *bytes, size_t len)
{
    struct slice out = outbound_talk_out(&talk);
    CHECK_BYTES(out.ptr, out.len, bytes, len);
    outbound_talk_sent(&talk, out.len);
}

#define EXPECT(lit) expect(lit, sizeof(lit) - 1)

static int take(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int e = outbound_talk_take(&talk, slice_of(bytes + i, 1));
        if (e != 0) {
            return e;
        }
    }
    return 0;
}

#define TAKE(lit) take(lit, sizeof(lit) - 1)

static void connects(void)
{
    begin("http://proxy", "edge.example.com", 443);
    EXPECT("CONNECT edge.example.com:443 HTTP/1.1\r\nHost: edge.example.com:443\r\n\r\n");
    CHECK_EQ_INT(outbound_talk_take(&talk, SLICE("HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"
                                                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")),
                 0);
    CHECK(outbound_talk_is_open(&talk));
    begin("http://Aladdin:open%20sesame@proxy", "2001:db8::1", 8443);
    EXPECT("CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n"
           "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    CHECK_EQ_INT(TAKE("HTTP/1.0 299\r\n\r\n"), 0);
    CHECK(outbound_talk_is_open(&talk));
}

static const struct {
    const char *answer;
    int error;
} http[] = {
    {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", E_OUTBOUND_LOGIN},
    {"HTTP/1.1 403 Forbidden\r\n\r\n", E_OUTBOUND_REFUSED},
    {"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", E_OUTBOUND_REFUSED},
    {"HTTP/1.1 500 Oops\r\n\r\n", E_OUTBOUND_REFUSED},
    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", E_OUTBOUND_UNREACHABLE},
    {"HTTP/1.1 503 Service Unavailable\r\n\r\n", E_OUTBOUND_UNREACHABLE},
    {"HTTP/1.1 504 Gateway Timeout\r\n\r\n", E_OUTBOUND_UNREACHABLE},
    {"HTTP/1.1 101 Switching\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 200 OK\r\n\r\nx", E_OUTBOUND_MALFORMED},
    {"HTTP/2.0 200 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 2000 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 20 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1  200 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 099 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 600 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"http/1.1 200 OK\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"SSH-2.0-OpenSSH_9.2\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 200 OK\n\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n", E_OUTBOUND_MALFORMED},
    {"HTTP/1.1 200 OK\r\n\rx", E_OUTBOUND_MALFORMED},
    {"\x15\x03\x03\x01", 0}, // a TLS alert, cut: nothing can be said yet
};

static void judges_http(void)
{
    for (size_t i = 0; i < array_len(http); i++) {
        for (int whole = 0; whole < 2; whole++) {
            begin("http://proxy", "a", 1);
            outbound_talk_sent(&talk, outbound_talk_out(&talk).len);
            struct slice in = slice_str(http[i].answer);
            int e = whole ? outbound_talk_take(&talk, in) : take(in.ptr, in.len);
            if (!CHECK_EQ_INT(e, http[i].error)) {
                printf("# %s\n", http[i].answer);
            }
        }
    }
    char bytes[64];
    struct text t = text_on(bytes, sizeof(bytes));
    begin("http://proxy", "a", 1);
    outbound_talk_sent(&talk, outbound_talk_out(&talk).len);
    CHECK_EQ_INT(TAKE("HTTP/1.1 407 X\r\n\r\n"), E_OUTBOUND_LOGIN);
    outbound_talk_reason(&talk, &t);
    CHECK_TEXT(t.ptr, t.len, "the proxy answered 407");
}

static void bounds_http(void)
{
    begin("http://proxy", "a", 1);
    outbound_talk_sent(&talk, outbound_talk_out(&talk).len);
    CHECK_EQ_INT(TAKE("HTTP/1.1 200 OK\r\nX: "), 0);
    int e = 0;
    int n = 20;
    for (; e == 0 && n < 2 * OUTBOUND_HEAD_MAX; n++) {
        e = TAKE("x");
    }
    CHECK_EQ_INT(e, E_OUTBOUND_MALFORMED);
    CHECK_EQ_INT(n, OUTBOUND_HEAD_MAX + 1);
    begin("http://proxy", "a", 1);
    outbound_talk_sent(&talk, outbound_talk_out(&talk).len);
    e = 0;
    for (n = 0; e == 0 && n < 100; n++) {
        e = TAKE("HTTP/1.1 100 Continue\r\n\r\n");
    }
    CHECK_EQ_INT(e, E_OUTBOUND_MALFORMED);
    CHECK_EQ_INT(n, OUTBOUND_INTERIM_MAX + 1);
    begin("http://proxy", "a", 1); // an answer before the question was sent
    CHECK_EQ_INT(TAKE("H"), E_OUTBOUND_MALFORMED);
}

static void socks(void)
{
    begin("socks5://proxy", "edge.example.com", 443);
    EXPECT("\x05\x01\x00");
    CHECK_EQ_INT(TAKE("\x05\x00"), 0);
    EXPECT("\x05\x01\x00\x03\x10"
           "edge.example.com\x01\xbb");
    CHECK_EQ_INT(TAKE("\x05\x00\x00\x01\x00\x00\x00\x00\x00"), 0);
    CHECK(!outbound_talk_is_open(&talk));
    CHECK_EQ_INT(TAKE("\x00"), 0);
    CHECK(outbound_talk_is_open(&talk));
    CHECK_EQ_INT(TAKE("x"), E_OUTBOUND_MALFORMED);

    begin("socks5://ann:secret@proxy", "10.1.2.3", 80);
    EXPECT("\x05\x02\x00\x02");
    CHECK_EQ_INT(TAKE("\x05\x02"), 0);
    EXPECT("\x01\x03"
           "ann\x06secret");
    CHECK_EQ_INT(TAKE("\x01\x00"), 0);
    EXPECT("\x05\x01\x00\x01\x0a\x01\x02\x03\x00\x50");
    CHECK_EQ_INT(TAKE("\x05\x00\x00\x03\x04name\x00\x00"), 0);
    CHECK(outbound_talk_is_open(&talk));

    begin("socks5://ann:secret@proxy", "2001:db8::1", 80);
    EXPECT("\x05\x02\x00\x02");
    CHECK_EQ_INT(TAKE("\x05\x00"), 0); // it needs none
    EXPECT("\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50");
    CHECK_EQ_INT(TAKE("\x05\x00\x00\x04"
                      "0123456789abcdef"
                      "pp"),
                 0);
    CHECK(outbound_talk_is_open(&talk));
}

static const struct {
    const char *answers[3]; // one for each thing that is said
    size_t len[3];
    int error;
    const char *reason;
} bad_socks[] = {
    {{"\x04\x00"}, {2}, E_OUTBOUND_MALFORMED, ""},
    {{"HTTP/1.1 400"}, {12}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\xff"}, {2}, E_OUTBOUND_LOGIN, ""},
    {{"\x05\x01"}, {2}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x00\x05"}, {3}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x02", "\x01\x01"}, {2, 2}, E_OUTBOUND_LOGIN, ""},
    {{"\x05\x02", "\x07\x00"}, {2, 2}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x00", "\x05\x01"},
     {2, 2},
     E_OUTBOUND_UNREACHABLE,
     "the proxy answered: general failure"},
    {{"\x05\x00", "\x05\x02"}, {2, 2}, E_OUTBOUND_REFUSED, "the proxy answered: not allowed"},
    {{"\x05\x00", "\x05\x05"},
     {2, 2},
     E_OUTBOUND_UNREACHABLE,
     "the proxy answered: connection refused"},
    {{"\x05\x00", "\x05\x08"},
     {2, 2},
     E_OUTBOUND_REFUSED,
     "the proxy answered: address type not supported"},
    {{"\x05\x00", "\x05\x09"}, {2, 2}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x00", "\x04\x00\x00\x01\x00"}, {2, 5}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x00", "\x05\x00\x00\x02\x00"}, {2, 5}, E_OUTBOUND_MALFORMED, ""},
    {{"\x05\x00", "\x05\x00\x00\x03\xff"}, {2, 5}, E_OUTBOUND_MALFORMED, ""},
};

static void judges_socks(void)
{
    for (size_t i = 0; i < array_len(bad_socks); i++) {
        int e = 0;
        begin("socks5://a:b@proxy", "x", 1);
        for (size_t j = 0; e == 0 && j < 3 && bad_socks[i].len[j] > 0; j++) {
            outbound_talk_sent(&talk, outbound_talk_out(&talk).len);
            e = take(bad_socks[i].answers[j], bad_socks[i].len[j]);
        }
        if (!CHECK_EQ_INT(e, bad_socks[i].error)) {
            printf("# row %zu\n", i);
        }
        char bytes[64];
        struct text t = text_on(bytes, sizeof(bytes));
        outbound_talk_reason(&talk, &t);
        CHECK_TEXT(t.ptr, t.len, bad_socks[i].reason);
    }
}

static void names_no_other_target(void)
{
    static const char *const hosts[] = {"",      "a b", "a\r\nb", "a/b",
                                        "[::1]", "::x", "a@b",    "\xc3\xa4"};
    struct outbound o;
    const char *why = NULL;
    REQUIRE(outbound_parse(SLICE("proxy"), &o, &why) == 0);
    for (size_t i = 0; i < array_len(hosts); i++) {
        CHECK_EQ_INT(outbound_talk_begin(&talk, &o, slice_str(hosts[i]), 1), E_INVALID);
    }
}

static void longest_words_fit(void)
{
    struct outbound o = {.kind = OUTBOUND_CONNECT,
                         .login = true,
                         .host_len = 1,
                         .host = "p",
                         .user_len = OUTBOUND_LOGIN_MAX,
                         .password_len = OUTBOUND_LOGIN_MAX};
    char host[OUTBOUND_HOST_MAX];
    memset(o.user, 'u', sizeof(o.user));
    memset(o.password, 'p', sizeof(o.password));
    memset(host, 'h', sizeof(host));
    CHECK_EQ_INT(outbound_talk_begin(&talk, &o, slice_of(host, sizeof(host)), 65535), 0);
    o.kind = OUTBOUND_SOCKS5;
    CHECK_EQ_INT(outbound_talk_begin(&talk, &o, slice_of(host, sizeof(host)), 65535), 0);
    EXPECT("\x05\x02\x00\x02");
    CHECK_EQ_INT(TAKE("\x05\x02"), 0);
    CHECK_EQ_INT(outbound_talk_out(&talk).len, 3 + 2 * OUTBOUND_LOGIN_MAX);
}

TAP_MAIN(connects, judges_http, bounds_http, socks, judges_socks, names_no_other_target,
         longest_words_fit)
