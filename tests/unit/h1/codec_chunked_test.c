// SPDX-License-Identifier: Apache-2.0
//
// The chunked coding: whole, and cut at every byte.

#include "codec_help.h"

struct decoded {
    char body[4096];
    size_t body_len;
    size_t used;
    int rc; // 0: complete; E_AGAIN: more is needed
    bool trailers;
};

// Feeds n bytes in pieces of `step`.
static void decode(struct decoded *out, const char *p, size_t n, size_t step)
{
    struct h1_chunked d = {0};
    *out = (struct decoded){.rc = E_AGAIN};
    size_t avail = 0;
    while (out->rc == E_AGAIN && avail < n) {
        avail = avail + step < n ? avail + step : n;
        while (out->used < avail || out->trailers) {
            size_t used = 0;
            struct slice data = {NULL, 0};
            char *copy = exact_copy(p + out->used, avail - out->used);
            int event = h1_chunked_next(&d, copy, avail - out->used, &used, &data);
            if (event == H1_CHUNKED_DATA) {
                REQUIRE(data.len > 0 && out->body_len + data.len <= sizeof(out->body));
                memcpy(out->body + out->body_len, data.ptr, data.len);
                out->body_len += data.len;
            }
            free(copy);
            if (event < 0) {
                out->rc = event;
                return;
            }
            out->used += used;
            if (event == H1_CHUNKED_END || event == H1_CHUNKED_TRAILERS) {
                out->trailers = event == H1_CHUNKED_TRAILERS;
                out->rc = 0;
                return;
            }
        }
    }
}

static void check_decodes(const char *text, int rc, const char *body, bool trailers)
{
    size_t n = strlen(text);
    for (size_t step = 1; step <= n; step++) {
        struct decoded d;
        decode(&d, text, n, step);
        bool ok = CHECK_EQ_INT(d.rc, rc) && CHECK_EQ_INT(d.trailers, trailers) &&
                  (rc < 0 || CHECK_TEXT(d.body, d.body_len, body));
        if (!ok) {
            printf("# step %zu of: %s\n", step, text);
            return;
        }
    }
}

static void decodes_chunks(void)
{
    check_decodes("0\r\n\r\n", 0, "", false);
    check_decodes("5\r\nhello\r\n0\r\n\r\n", 0, "hello", false);
    check_decodes("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET / HT", 0, "hello world", false);
    check_decodes("a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", 0, "01234567890123456789",
                  false);
    check_decodes("0000000000000005\r\nhello\r\n0\r\n\r\n", 0, "hello", false);
    check_decodes("5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", 0, "hello", false);
    check_decodes("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", 0, "\r\n", false);
    check_decodes("5\r\nhello\r\n0\r\nA: b\r\n\r\n", 0, "hello", true);
}

static void refuses_bad_chunks(void)
{
    static const struct {
        const char *text;
        int error;
    } table[] = {
        {"\r\n", E_BAD_CHUNK_SIZE},
        {"x\r\n", E_BAD_CHUNK_SIZE},
        {" 5\r\nhello", E_BAD_CHUNK_SIZE},
        {"5 \r\nhello", E_BAD_CHUNK_SIZE},
        {"5\t;a\r\nhello", E_BAD_CHUNK_SIZE},
        {"+5\r\nhello", E_BAD_CHUNK_SIZE},
        {"-5\r\nhello", E_BAD_CHUNK_SIZE},
        {"0x5\r\nhello", E_BAD_CHUNK_SIZE},
        {"5_0\r\nhello", E_BAD_CHUNK_SIZE},
        {"5h\r\nhello", E_BAD_CHUNK_SIZE},
        {";a\r\n", E_BAD_CHUNK_SIZE},
        {"00000000000000005\r\nhello", E_BAD_CHUNK_SIZE},
        {"8000000000000000\r\n", E_BAD_CHUNK_SIZE},
        {"ffffffffffffffff\r\n", E_BAD_CHUNK_SIZE},
        {"10000000000000005\r\n", E_BAD_CHUNK_SIZE},
        {"5\nhello\r\n", E_BARE_LF},
        {"5;a\nhello\r\n", E_BARE_LF},
        {"5\rhello\r\n", E_BARE_CR},
        {"5\r\rhello\r\n", E_BARE_CR},
        {"5;a\rb\r\nhello\r\n", E_BARE_CR},
        {"5;a\x01\r\nhello\r\n", E_BAD_CHUNK_EXT},
        {"5;a\x7f\r\nhello\r\n", E_BAD_CHUNK_EXT},
        {"5\r\nhello0\r\n\r\n", E_BAD_CHUNK_END},
        {"5\r\nhello\n0\r\n\r\n", E_BAD_CHUNK_END},
        {"5\r\nhello\r0\r\n\r\n", E_BAD_CHUNK_END},
        {"5\r\nhello!\r\n0\r\n\r\n", E_BAD_CHUNK_END},
        {"0\r\n\rx", E_BAD_TRAILER},
        {"0\n\n", E_BARE_LF},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        check_decodes(table[i].text, table[i].error, NULL, false);
    }
}

static void waits_for_the_rest(void)
{
    const char *whole = "5;a\r\nhello\r\n0\r\n\r\n";
    for (size_t n = 0; n < strlen(whole); n++) {
        struct decoded d;
        decode(&d, whole, n, n > 0 ? n : 1);
        CHECK_EQ_INT(d.rc, E_AGAIN);
        CHECK_EQ_INT(d.used, n);
    }
}

static void bounds_extensions(void)
{
    char text[2100];
    int n = snprintf(text, sizeof(text), "5;%01024d\r\nhello\r\n0\r\n\r\n", 0);
    struct decoded d;
    decode(&d, text, (size_t)n, (size_t)n);
    CHECK_EQ_INT(d.rc, 0);
    n = snprintf(text, sizeof(text), "5;%01025d\r\nhello\r\n0\r\n\r\n", 0);
    decode(&d, text, (size_t)n, (size_t)n);
    CHECK_EQ_INT(d.rc, E_BAD_CHUNK_EXT);

    // One byte of content for each thousand of extension, again and again.
    struct h1_chunked c = {0};
    n = snprintf(text, sizeof(text), "1;%01000d\r\nx\r\n", 0);
    int event = 0;
    unsigned rounds = 0;
    for (; rounds < 100 && event >= 0; rounds++) {
        for (size_t at = 0; at < (size_t)n && event >= 0;) {
            size_t used;
            struct slice data;
            event = h1_chunked_next(&c, text + at, (size_t)n - at, &used, &data);
            at += event >= 0 ? used : 0;
        }
    }
    CHECK_EQ_INT(event, E_BAD_CHUNK_EXT);
    CHECK(rounds > 10 && rounds < 20);

    // Many small chunks without extensions are fine.
    c = (struct h1_chunked){0};
    for (unsigned i = 0; i < 100000; i++) {
        size_t used;
        struct slice data;
        CHECK_EQ_INT(h1_chunked_next(&c, "1\r\nx\r\n", 6, &used, &data), H1_CHUNKED_DATA);
        CHECK_EQ_INT(h1_chunked_next(&c, "\r\n", 2, &used, &data), H1_CHUNKED_MORE);
    }
}

// ---- trailers --------------------------------------------------------------------------------------

static int parse_trailers(const char *text, size_t step, const char *want)
{
    struct h1_chunked d = {0};
    size_t used;
    struct slice data;
    CHECK_EQ_INT(h1_chunked_next(&d, "0\r\nx", 4, &used, &data), H1_CHUNKED_TRAILERS);
    CHECK_EQ_INT(used, 3);
    struct parsed m;
    parsed_init(&m);
    const struct h1_limits limits = {.head_bytes = 200, .target_bytes = 10, .fields = 4};
    size_t n = strlen(text);
    int rc = E_AGAIN;
    for (size_t have = step; rc == E_AGAIN; have += step) {
        have = have < n ? have : n;
        char *copy = exact_copy(text, have);
        rc = h1_parse_trailers(&d, &limits, copy, have, &used, &m.head.fields);
        free(copy);
        if (have == n) {
            break;
        }
    }
    if (rc == 0) {
        CHECK_STR(fields_text(&m.head.fields), want);
    }
    parsed_fini(&m);
    return rc;
}

static void parses_trailers(void)
{
    const char *const text =
        "X-Sum: 1\r\nContent-Length: 5\r\nETag: \"a\"\r\nContent_Length: 5\r\n\r\nGET";
    for (size_t step = 1; step <= strlen(text); step++) {
        CHECK_EQ_INT(parse_trailers(text, step, "X-Sum=1;ETag=\"a\";"), 0);
    }
    CHECK_EQ_INT(
        parse_trailers("Host: a\r\nCookie: b\r\nTransfer-Encoding: chunked\r\n\r\n", 1, ""), 0);
}

static void refuses_bad_trailers(void)
{
    CHECK_EQ_INT(parse_trailers("A : b\r\n\r\n", 1, ""), E_BAD_TRAILER);
    CHECK_EQ_INT(parse_trailers("A: b\r\n c\r\n\r\n", 1, ""), E_BAD_TRAILER);
    CHECK_EQ_INT(parse_trailers("A: b\nC: d\r\n\r\n", 1, ""), E_BAD_TRAILER);
    CHECK_EQ_INT(parse_trailers("A: b\rC: d\r\n\r\n", 1, ""), E_BAD_TRAILER);
    CHECK_EQ_INT(parse_trailers("GET / HTTP/1.1\r\n\r\n", 1, ""), E_BAD_TRAILER);
    CHECK_EQ_INT(parse_trailers("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n", 1, ""),
                 E_TOO_MANY_FIELDS);
    char text[400];
    (void)snprintf(text, sizeof(text), "A: %0300d\r\n\r\n", 0);
    CHECK_EQ_INT(parse_trailers(text, 1, ""), E_HEAD_TOO_LARGE);
}

TAP_MAIN(decodes_chunks, refuses_bad_chunks, waits_for_the_rest, bounds_extensions, parses_trailers,
         refuses_bad_trailers)
