// SPDX-License-Identifier: Apache-2.0
//
// Field lines: names and values, the fields of the connection and what they decide. The tables are
// rules of the codec, as in codec_request_test.c.

#include "codec_help.h"

#include "h1/codec_int.h"

static const struct bad bad_names[] = {
    {GET " A: b\r\n", E_OBS_FOLD},
    {START " Host: a.example\r\n", E_OBS_FOLD},
    {GET "A: b\r\n c\r\n", E_OBS_FOLD},
    {GET "A: b\r\n\tc\r\n", E_OBS_FOLD},
    {GET "A: b\r\n \r\n", E_OBS_FOLD},
    {GET "A : b\r\n", E_FIELD_NAME_SPACE},
    {GET "A\t: b\r\n", E_FIELD_NAME_SPACE},
    {GET "Content-Length : 5\r\n", E_FIELD_NAME_SPACE},
    {GET "Transfer-Encoding : chunked\r\n", E_FIELD_NAME_SPACE},
    {GET "A B: c\r\n", E_FIELD_NAME_SPACE},
    {GET ": b\r\n", E_BAD_FIELD_NAME},
    {GET "A\r\n", E_BAD_FIELD_NAME},
    {GET "A;b\r\n", E_BAD_FIELD_NAME},
    {GET "A(b): c\r\n", E_BAD_FIELD_NAME},
    {GET "A\"b\": c\r\n", E_BAD_FIELD_NAME},
    {GET "A/b: c\r\n", E_BAD_FIELD_NAME},
    {GET "A@b: c\r\n", E_BAD_FIELD_NAME},
    {GET "{a}: c\r\n", E_BAD_FIELD_NAME},
    {GET "\xc3\xa9: c\r\n", E_BAD_FIELD_NAME},
    {GET "a-very-long-name-with-a-bad-byte-in-the-third-vector[]: c\r\n", E_BAD_FIELD_NAME},
    {GET "Content_Length: 5\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "content_length: 5\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "Transfer_Encoding: chunked\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "Transfer.Encoding: chunked\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "TRANSFER~ENCODING: chunked\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "Proxy_Connection: close\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "Keep+Alive: 5\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "X_Forwarded_For: 1.2.3.4\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "X-Forwarded_Proto: https\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "X_Real-IP: 1.2.3.4\r\n", E_FIELD_NAME_LOOKALIKE},
    {GET "HTTP2_Settings: a\r\n", E_FIELD_NAME_LOOKALIKE},
};

static const struct bad bad_framing[] = {
    {GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", E_LENGTH_AND_CODING},
    {GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", E_LENGTH_AND_CODING},
    {GET "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", E_LENGTH_AND_CODING},
    {GET "Transfer-Encoding: x\r\nContent-Length: x\r\n", E_LENGTH_AND_CODING},
    {GET "Content-Length: 5\r\nContent-Length: 5\r\n", E_REPEATED_LENGTH},
    {GET "Content-Length: 5\r\ncontent-length: 6\r\n", E_REPEATED_LENGTH},
    {GET "Content-Length: 5, 5\r\n", E_REPEATED_LENGTH},
    {GET "Content-Length: 5,6\r\n", E_REPEATED_LENGTH},
    {GET "Content-Length: ,5\r\n", E_REPEATED_LENGTH},
    {GET "Content-Length:\r\n", E_BAD_LENGTH},
    {GET "Content-Length: +5\r\n", E_BAD_LENGTH},
    {GET "Content-Length: -5\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 5 5\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 5;\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 0x5\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 5_0\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 5.0\r\n", E_BAD_LENGTH},
    {GET "Content-Length: \"5\"\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 5e1\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 9223372036854775808\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 18446744073709551617\r\n", E_BAD_LENGTH},
    {GET "Content-Length: 00000000000000000005\r\n", E_BAD_LENGTH},
    {GET "Content-Length: \xd9\xa5\r\n", E_BAD_LENGTH},
    {GET "Transfer-Encoding:\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: xchunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunkedx\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked;x\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked;q=1\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: \"chunked\"\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked,\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: ,chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked, chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: chunked, identity\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: identity\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: gzip\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: gzip;q=1, chunked\r\n", E_BAD_CODING},
    {GET "Transfer-Encoding: gzip, chunked\r\n", E_CODING_UNKNOWN},
    {GET "Transfer-Encoding: GZip , Chunked\r\n", E_CODING_UNKNOWN},
    {GET "Transfer-Encoding: cow, chunked\r\n", E_CODING_UNKNOWN},
    {GET "Transfer-Encoding: identity, chunked\r\n", E_CODING_UNKNOWN},
    {"POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n", E_CODING_IN_1_0},
};

static const struct bad bad_options[] = {
    {GET "Expect: 200-ok\r\n", E_BAD_EXPECT},
    {GET "Expect: 100-continue, x\r\n", E_BAD_EXPECT},
    {GET "Expect:\r\n", E_BAD_EXPECT},
    {GET "Connection: host\r\n", E_BAD_CONNECTION},
    {GET "Connection: close, Content-Length\r\n", E_BAD_CONNECTION},
    {GET "Connection: Transfer-Encoding\r\n", E_BAD_CONNECTION},
    {GET "Connection: Cookie\r\n", E_BAD_CONNECTION},
    {GET "Connection: x-forwarded-for\r\n", E_BAD_CONNECTION},
    {GET "Connection: Authorization\r\n", E_BAD_CONNECTION},
    {GET "Connection: a b\r\n", E_BAD_CONNECTION},
    {GET "Connection: keep-alive;x\r\n", E_BAD_CONNECTION},
    {GET "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n", E_BAD_CONNECTION},
    {GET "Connection: upgrade\r\nUpgrade: a b\r\n", E_BAD_UPGRADE},
    {GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n",
     E_BAD_UPGRADE},
    {GET "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n", E_BAD_UPGRADE},
    {GET "Upgrade: h2c\r\nUpgrade: websocket\r\n", E_BAD_UPGRADE},
    {GET "Upgrade: h2c/2\r\n", E_BAD_UPGRADE},
    {GET "Connection: upgrade\r\nUpgrade: a/b/c\r\n", E_BAD_UPGRADE},
    {GET "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", E_BAD_UPGRADE},
};

static void refuses_bad_names(void)
{
    check_bad(bad_names, array_len(bad_names));
}
static void refuses_bad_framing(void)
{
    check_bad(bad_framing, array_len(bad_framing));
}
static void refuses_bad_options(void)
{
    check_bad(bad_options, array_len(bad_options));
}

static void removes_what_connection_lists(void)
{
    struct parsed m;
    parse_request(&m, GET "X-A: 1\r\nX-B: 2\r\nConnection: x-b, X-C, te\r\nx-c: 3\r\nX-D: 4\r\n"
                          "X-B: 5\r\nTE: trailers, deflate\r\nProxy-Connection: x\r\n"
                          "HTTP2-Settings: AAM\r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK_STR(fields_text(&m.head.fields), "X-A=1;X-D=4;");
    CHECK(m.head.te_trailers);
    parsed_fini(&m);
}

static void spans_tokens(void)
{
    // Every length around a vector, ended by every byte that is none.
    char text[256];
    for (uint32_t len = 0; len < 40; len++) {
        for (int c = 0; c < 256; c++) {
            memset(text, 'a', sizeof(text));
            if (len > 2) {
                text[len / 2] = '_';
            }
            text[len] = (char)c;
            text[len + 1] = ':';
            bool token = (http_byte_class[c] & HTTP_BYTE_TOKEN) != 0;
            CHECK_EQ_INT(h1_token_span(text), token ? len + 1 : len);
        }
    }
}

static void refuses_heads_that_were_not_scanned(void)
{
    struct parsed m;
    parsed_init(&m);
    const char *bad[] = {GET "A: b", GET "A: \r\r\nb\r\n\r\n", "GET / HTTP/1.1\r\n"};
    for (size_t i = 0; i < array_len(bad); i++) {
        CHECK_ABORTS(h1_parse_request(bad[i], strlen(bad[i]), &test_limits, &m.head, &m.framing) ==
                     0);
    }
    parsed_fini(&m);
}

TAP_MAIN(refuses_bad_names, refuses_bad_framing, refuses_bad_options, removes_what_connection_lists,
         spans_tokens, refuses_heads_that_were_not_scanned)
