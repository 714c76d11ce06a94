// SPDX-License-Identifier: Apache-2.0
//
// What goes out, and that it is understood as it was meant.

#include "codec_help.h"

static struct http_head get;

static void writes_a_request_anew(void)
{
    struct parsed m;
    parse_request(&m, "GET http://b.example/x?y HTTP/1.1\r\nHost: a.example\r\nX-A:   1  \r\n"
                      "Connection: close, X-Hop\r\nX-Hop: 2\r\nTE: trailers\r\n"
                      "accept: */*\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    REQUIRE(m.rc == 0);
    char buffer[1024];
    struct text out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, H1_FRAMING_LENGTH);
    CHECK_TEXT(
        out.ptr, out.len,
        "GET /x?y HTTP/1.1\r\nHost: b.example\r\nX-A: 1\r\naccept: */*\r\n"
        "Content-Length: 5\r\nTE: trailers\r\nConnection: TE\r\nExpect: 100-continue\r\n\r\n");
    // Any smaller buffer overflows, and nothing is written behind it.
    size_t whole = out.len;
    for (size_t room = 0; room < whole; room++) {
        char *exact = malloc(room + 1);
        REQUIRE(exact != NULL);
        exact[room] = '!';
        out = text_on(exact, room);
        h1_write_request(&out, &m.head, H1_FRAMING_LENGTH);
        CHECK(out.overflow && out.len <= room && exact[room] == '!');
        free(exact);
    }
    char *exact = malloc(whole);
    REQUIRE(exact != NULL);
    out = text_on(exact, whole);
    h1_write_request(&out, &m.head, H1_FRAMING_LENGTH);
    CHECK(!out.overflow);
    free(exact);
    parsed_fini(&m);
}

static void writes_the_framing_and_options(void)
{
    struct parsed m;
    parse_request(&m, "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket, h2\r\nTE: trailers\r\n"
                      "Connection: upgrade\r\n\r\n");
    REQUIRE(m.rc == 0);
    char buffer[1024];
    struct text out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, H1_FRAMING_NONE);
    CHECK_TEXT(out.ptr, out.len,
               "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nTE: trailers\r\n"
               "Connection: Upgrade, TE\r\n\r\n");
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    REQUIRE(m.rc == 0);
    out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, m.framing);
    CHECK_TEXT(out.ptr, out.len,
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    REQUIRE(m.rc == 0);
    out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, m.framing);
    CHECK_TEXT(out.ptr, out.len, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    parsed_fini(&m);
}

// Runs of fields are copied as they lie; whatever lies otherwise is written anew.
static void writes_fields_as_they_lie(void)
{
    struct parsed m;
    parse_request(&m, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:2\r\nC:\t3\r\nD: 4 \r\nE: \r\nF:\r\n"
                      "G: 7\r\nH: 8\r\nI: 9\r\nCookie: x\r\nJ: \xff\r\nK:  11\r\nL: 12\r\n\r\n");
    REQUIRE(m.rc == 0);
    struct fields *f = &m.head.fields;
    REQUIRE(fields_add(f, SLICE("M"), SLICE("13")) == 0);
    REQUIRE(fields_add_id(f, HTTP_VIA, SLICE("1.1 adit")) == 0);
    REQUIRE(fields_add(f, SLICE("N"), SLICE("")) == 0);
    CHECK_EQ_INT(fields_remove(f, SLICE("H")), 1);
    REQUIRE(fields_set(f, SLICE("G"), SLICE("seven")) == 0);
    REQUIRE(fields_set(f, SLICE("M"), SLICE("thirteen")) == 0);
    REQUIRE(fields_set(f, SLICE("O"), SLICE("15")) == 0);
    static const char want[] =
        "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\n"
        "F: \r\nG: seven\r\nI: 9\r\nCookie: x\r\nJ: \xff\r\nK: 11\r\nL: 12\r\n"
        "M: thirteen\r\nVia: 1.1 adit\r\nN: \r\nO: 15\r\n\r\n";
    char buffer[1024];
    struct text out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, H1_FRAMING_NONE);
    CHECK_TEXT(out.ptr, out.len, want);

    // Packed and unpacked they all lie as they are written.
    struct parsed other;
    parsed_init(&other);
    char *packed = malloc(fields_packed_size(f));
    REQUIRE(packed != NULL);
    fields_pack(f, packed);
    REQUIRE(fields_unpack(&other.head.fields, packed) == 0);
    free(packed);
    m.head.fields = other.head.fields;
    out = text_on(buffer, sizeof(buffer));
    h1_write_request(&out, &m.head, H1_FRAMING_NONE);
    CHECK_TEXT(out.ptr, out.len, want);
    parsed_fini(&other);
    parsed_fini(&m);
}

static void check_response(const char *in, const struct http_head *request, bool close,
                           uint8_t client_minor, const char *want)
{
    struct parsed m;
    parse_response(&m, in, request);
    REQUIRE(m.rc == 0);
    char buffer[1024];
    struct text out = text_on(buffer, sizeof(buffer));
    h1_write_response(&out, &m.head, m.framing, close, client_minor, SLICE("today"));
    CHECK(!out.overflow);
    CHECK_TEXT(out.ptr, out.len, want);
    parsed_fini(&m);
}

static void writes_responses(void)
{
    struct http_head head = {.method = HTTP_METHOD_HEAD};
    struct http_head ws = {.method = HTTP_METHOD_GET, .upgrade = SLICE("websocket")};
    check_response("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nA: b\r\n\r\n", &get, false, 1,
                   "HTTP/1.1 200 Fine\r\nA: b\r\nDate: today\r\nContent-Length: 5\r\n\r\n");
    check_response("HTTP/1.0 200\r\nDate: now\r\nTransfer-Size: 5\r\n\r\n", &get, true, 0,
                   "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Size: 5\r\nConnection: close\r\n\r\n");
    check_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", &get, false, 0,
                   "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 0\r\n"
                   "Connection: keep-alive\r\n\r\n");
    check_response("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", &get, false, 1,
                   "HTTP/1.1 200 OK\r\nDate: today\r\nTransfer-Encoding: chunked\r\n\r\n");
    check_response("HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n", &head, false, 1,
                   "HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 7\r\n\r\n");
    check_response("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", &head, false, 1,
                   "HTTP/1.1 200 OK\r\nDate: today\r\n\r\n");
    check_response("HTTP/1.1 304\r\nContent-Length: 7\r\n\r\n", &get, false, 1,
                   "HTTP/1.1 304 Not Modified\r\nDate: today\r\nContent-Length: 7\r\n\r\n");
    check_response("HTTP/1.1 204\r\nContent-Length: 7\r\n\r\n", &get, false, 1,
                   "HTTP/1.1 204 No Content\r\nDate: today\r\n\r\n");
    check_response("HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n", &get, true, 1,
                   "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
    check_response("HTTP/1.1 101\r\nConnection: upgrade\r\nUpgrade: websocket\r\nA: b\r\n\r\n", &ws,
                   false, 1,
                   "HTTP/1.1 101 Switching Protocols\r\nA: b\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\n\r\n");
    check_response("HTTP/1.1 426\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n", &get, true, 1,
                   "HTTP/1.1 426 Upgrade Required\r\nDate: today\r\nContent-Length: 0\r\n"
                   "Upgrade: x\r\nConnection: Upgrade, close\r\n\r\n");
}

static void writes_chunks(void)
{
    static const struct {
        uint64_t size;
        const char *want;
    } table[] = {{1, "1\r\n"},
                 {0xf, "f\r\n"},
                 {0x10, "10\r\n"},
                 {16384, "4000\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};
    for (size_t i = 0; i < array_len(table); i++) {
        char line[18];
        size_t n = h1_write_chunk_size(line, table[i].size);
        CHECK_TEXT(line, n, table[i].want);
    }
    char buffer[128];
    struct text out = text_on(buffer, sizeof(buffer));
    h1_write_last_chunk(&out, NULL);
    CHECK_TEXT(out.ptr, out.len, "0\r\n\r\n");
    struct parsed m;
    parsed_init(&m);
    REQUIRE(fields_add(&m.head.fields, SLICE("X-Sum"), SLICE("1")) == 0);
    out = text_on(buffer, sizeof(buffer));
    h1_write_last_chunk(&out, &m.head.fields);
    CHECK_TEXT(out.ptr, out.len, "0\r\nX-Sum: 1\r\n\r\n");
    parsed_fini(&m);
}

TAP_MAIN(writes_a_request_anew, writes_the_framing_and_options, writes_fields_as_they_lie,
         writes_responses, writes_chunks)
