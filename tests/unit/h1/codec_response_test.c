// SPDX-License-Identifier: Apache-2.0
//
// Responses: what an origin may say, and what makes it a bad one.

#include "codec_help.h"

#define OK "HTTP/1.1 200 OK\r\n"

static struct http_head asked(enum http_method method, const char *upgrade)
{
    return (struct http_head){.method = (uint8_t)method, .upgrade = slice_str(upgrade)};
}

static void refuses_bad_responses(void)
{
    static const struct {
        const char *head;
        int error;
    } table[] = {
        {"", E_MALFORMED_LINE},
        {"<html>\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 \r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 20\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 2000\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 200OK\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1  200 OK\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1\t200 OK\r\n", E_BAD_STATUS_LINE},
        {" HTTP/1.1 200 OK\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 099 x\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 600 x\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 -20 x\r\n", E_BAD_STATUS_LINE},
        {"HTTP/2.0 200 OK\r\n", E_BAD_STATUS_LINE},
        {"HTTP/0.9 200 OK\r\n", E_BAD_STATUS_LINE},
        {"http/1.1 200 OK\r\n", E_BAD_STATUS_LINE},
        {"ICY 200 OK\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 200 O\x01K\r\n", E_CONTROL_BYTE},
        {"HTTP/1.1 200 OK\n", E_BARE_LF},
        {OK "A : b\r\n", E_FIELD_NAME_SPACE},
        {OK " A: b\r\n", E_OBS_FOLD},
        {OK "A: b\r\n c\r\n", E_OBS_FOLD},
        {OK "A\r\n", E_BAD_FIELD_NAME},
        {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", E_LENGTH_AND_CODING},
        {OK "Content-Length: 1\r\nContent-Length: 1\r\n", E_REPEATED_LENGTH},
        {OK "Content-Length: 1, 1\r\n", E_REPEATED_LENGTH},
        {OK "Content-Length: -1\r\n", E_BAD_LENGTH},
        {OK "Transfer-Encoding: identity\r\n", E_BAD_CODING},
        {OK "Transfer-Encoding: gzip, chunked\r\n", E_CODING_UNKNOWN},
        {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", E_CODING_IN_1_0},
        {OK "Connection: content-length\r\n", E_BAD_CONNECTION},
        {"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", E_BAD_UPGRADE},
    };
    struct http_head get = asked(HTTP_METHOD_GET, "");
    for (size_t i = 0; i < array_len(table); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "%s\r\n", table[i].head);
        struct parsed m;
        parse_response(&m, text, &get);
        if (!CHECK_STR(m.rc == 0 ? "good" : error_name(m.rc), error_name(table[i].error))) {
            printf("# in entry %zu:\n%s\n", i, text);
        }
        parsed_fini(&m);
    }
}

static void parses_a_response(void)
{
    struct http_head get = asked(HTTP_METHOD_GET, "");
    struct parsed m;
    parse_response(&m,
                   "HTTP/1.1 404 Not \xe9 Found\r\nServer: x\r\nContent-Length: 12\r\n"
                   "Set-Cookie: a\r\nSet-Cookie: b\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n"
                   "Content_Length: 7\r\nKeep-Alive: timeout=5\r\n\r\nbody",
                   &get);
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.head.status, 404);
    CHECK(slice_is(m.head.reason, "Not \xe9 Found"));
    CHECK_EQ_INT(m.framing, H1_FRAMING_LENGTH);
    CHECK_EQ_INT(m.head.body, HTTP_BODY_LENGTH);
    CHECK_EQ_INT(m.head.content_length, 12);
    CHECK(m.head.keep_alive);
    CHECK_STR(fields_text(&m.head.fields), "Server=x;Set-Cookie=a;Set-Cookie=b;");
    parsed_fini(&m);
    parse_response(&m, "HTTP/1.1 200\r\n\r\n", &get);
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.head.reason.len, 0);
    parsed_fini(&m);
    parse_response(&m, "HTTP/1.3 200 \r\n\r\n", &get);
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.head.version_minor, 1);
    parsed_fini(&m);
}

static void decides_the_framing(void)
{
    static const struct {
        const char *head;
        enum http_method method;
        enum h1_framing framing;
        enum http_body_kind body;
        bool has_length;
        bool keep_alive;
    } table[] = {
        {OK, HTTP_METHOD_GET, H1_FRAMING_CLOSE, HTTP_BODY_STREAM, false, false},
        {OK "Content-Length: 5\r\n", HTTP_METHOD_GET, H1_FRAMING_LENGTH, HTTP_BODY_LENGTH, true,
         true},
        {OK "Content-Length: 0\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE, HTTP_BODY_NONE, true, true},
        {OK "Content-Length: 5\r\nConnection: close\r\n", HTTP_METHOD_GET, H1_FRAMING_LENGTH,
         HTTP_BODY_LENGTH, true, false},
        {OK "Transfer-Encoding: chunked\r\n", HTTP_METHOD_GET, H1_FRAMING_CHUNKED, HTTP_BODY_STREAM,
         false, true},
        {OK "Transfer-Encoding: chunked\r\nConnection: close\r\n", HTTP_METHOD_GET,
         H1_FRAMING_CHUNKED, HTTP_BODY_STREAM, false, false},
        {OK "Content-Length: 5\r\n", HTTP_METHOD_HEAD, H1_FRAMING_NONE, HTTP_BODY_NONE, true, true},
        {OK "Transfer-Encoding: chunked\r\n", HTTP_METHOD_HEAD, H1_FRAMING_NONE, HTTP_BODY_NONE,
         false, true},
        {OK, HTTP_METHOD_HEAD, H1_FRAMING_NONE, HTTP_BODY_NONE, false, true},
        {"HTTP/1.1 204 x\r\nContent-Length: 5\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE,
         HTTP_BODY_NONE, false, true},
        {"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE,
         HTTP_BODY_NONE, false, true},
        {"HTTP/1.1 304 x\r\nContent-Length: 5\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE,
         HTTP_BODY_NONE, true, true},
        {"HTTP/1.1 100 x\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE, HTTP_BODY_NONE, false, true},
        {"HTTP/1.1 103 x\r\nContent-Length: 5\r\n", HTTP_METHOD_GET, H1_FRAMING_NONE,
         HTTP_BODY_NONE, false, true},
        {"HTTP/1.0 200 x\r\nContent-Length: 5\r\n", HTTP_METHOD_GET, H1_FRAMING_LENGTH,
         HTTP_BODY_LENGTH, true, false},
        {"HTTP/1.0 200 x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n", HTTP_METHOD_GET,
         H1_FRAMING_LENGTH, HTTP_BODY_LENGTH, true, true},
        {"HTTP/1.0 200 x\r\nConnection: keep-alive\r\n", HTTP_METHOD_GET, H1_FRAMING_CLOSE,
         HTTP_BODY_STREAM, false, false},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        struct http_head request = asked(table[i].method, "");
        char text[512];
        (void)snprintf(text, sizeof(text), "%s\r\n", table[i].head);
        struct parsed m;
        parse_response(&m, text, &request);
        bool ok = CHECK_EQ_INT(m.rc, 0) && CHECK_EQ_INT(m.framing, table[i].framing) &&
                  CHECK_EQ_INT(m.head.body, table[i].body) &&
                  CHECK_EQ_INT(m.head.has_length, table[i].has_length) &&
                  CHECK_EQ_INT(m.head.keep_alive, table[i].keep_alive);
        if (!ok) {
            printf("# entry %zu: %s\n", i, table[i].head);
        }
        parsed_fini(&m);
    }
}

static void switches_only_to_what_was_asked_for(void)
{
    static const struct {
        const char *upgrade;
        const char *head;
        int rc;
    } table[] = {
        {"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n", 0},
        {"a,websocket", "Connection: upgrade\r\nUpgrade: WebSocket\r\n", 0},
        {"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", 0},
        {"websocket", "Connection: Upgrade\r\nUpgrade: h2c\r\n", E_BAD_UPGRADE},
        {"websocket", "Connection: Upgrade\r\nUpgrade: other\r\n", E_BAD_UPGRADE},
        {"websocket", "Upgrade: websocket\r\n", E_BAD_UPGRADE},
        {"websocket", "Connection: Upgrade\r\n", E_BAD_UPGRADE},
        {"", "Connection: Upgrade\r\nUpgrade: websocket\r\n", E_BAD_UPGRADE},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        struct http_head request = asked(HTTP_METHOD_GET, table[i].upgrade);
        char text[512];
        (void)snprintf(text, sizeof(text), "HTTP/1.1 101 Switching\r\n%s\r\n", table[i].head);
        struct parsed m;
        parse_response(&m, text, &request);
        CHECK_EQ_INT(m.rc, table[i].rc);
        if (m.rc == 0) {
            CHECK_EQ_INT(m.framing, H1_FRAMING_TUNNEL);
            CHECK_EQ_INT(m.head.body, HTTP_BODY_TUNNEL);
            CHECK(m.head.upgrade.len > 0);
        }
        parsed_fini(&m);
    }
}

static void keeps_the_upgrade_that_is_required(void)
{
    struct http_head get = asked(HTTP_METHOD_GET, "");
    struct parsed m;
    parse_response(&m,
                   "HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                   "Content-Length: 0\r\n\r\n",
                   &get);
    CHECK_EQ_INT(m.rc, 0);
    CHECK(slice_is(m.head.upgrade, "websocket"));
    parsed_fini(&m);
    parse_response(&m, OK "Connection: upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 0\r\n\r\n",
                   &get);
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.head.upgrade.len, 0);
    parsed_fini(&m);
}

TAP_MAIN(refuses_bad_responses, parses_a_response, decides_the_framing,
         switches_only_to_what_was_asked_for, keeps_the_upgrade_that_is_required)
