// SPDX-License-Identifier: Apache-2.0
//
// What edges answer, and what bad answers get.

#include "tap.h"

#include "agent/answer.h"
#include "base/error.h"

static struct agent_answer a;

static int parse(const char *head)
{
    return agent_answer_parse(head, strlen(head), &a);
}

#define GRANT                                                                                      \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: adit-tunnel/1\r\nConnection: Upgrade\r\n"

static void reads_a_grant(void)
{
    CHECK_EQ_INT(parse(GRANT "Adit-Name: myapp\r\nAdit-Url: https://myapp.example.com\r\n"
                             "Adit-Url: http://myapp.example.com\r\nAdit-Secret: c2VjcmV0\r\n"
                             "Adit-Ticket: dGlja2V0\r\nAdit-Connection: id=42\r\n"
                             "Adit-Retry: within=5000\r\nAdit-Expires: 3600\r\n\r\n"),
                 0);
    CHECK_EQ_INT(a.status, 101);
    CHECK_STR(a.name, "myapp");
    CHECK_EQ_INT(a.url_count, 2);
    CHECK_STR(a.urls[0], "https://myapp.example.com");
    CHECK_STR(a.urls[1], "http://myapp.example.com");
    CHECK_STR(a.secret, "c2VjcmV0");
    CHECK_STR(a.ticket, "dGlja2V0");
    CHECK_EQ_INT(a.connection_id, 42);
    CHECK(a.has_within && a.within_ms == 5000);
    CHECK(a.has_expiry && a.expires_s == 3600);
}

static void reads_a_refusal(void)
{
    CHECK_EQ_INT(parse("HTTP/1.1 409 Conflict\r\nAdit-Reason: taken\r\nAdit-Suggestion: myapp-2\r\n"
                       "Content-Length: 12\r\n\r\n"),
                 0);
    CHECK_EQ_INT(a.status, 409);
    CHECK_STR(a.reason, "taken");
    CHECK_STR(a.suggestion, "myapp-2");
    CHECK_EQ_INT(a.body_bytes, 12);
    agent_answer_text(&a, SLICE("It is \x1b[31mtaken\nsecond line"));
    CHECK_STR(a.text, "It is ?[31mtaken");

    CHECK_EQ_INT(parse("HTTP/1.1 429 Too Many\r\nRetry-After: 99999\r\n\r\n"), 0);
    CHECK(a.has_retry_after && a.retry_after_s == ANSWER_RETRY_AFTER_MAX_S);
    CHECK_EQ_INT(a.body_bytes, -1);

    CHECK_EQ_INT(parse("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n"
                       "WWW-Authenticate: Adit-Key nonce=\"bm9uY2U\"\r\nContent-Length: 0\r\n\r\n"),
                 0);
    CHECK_STR(a.nonce, "bm9uY2U");
    CHECK(a.keep_alive);
}

static void refuses_what_is_wrong(void)
{
    static const struct {
        const char *head;
        int error;
    } rows[] = {
        {"HTTP/1.1 100 Continue\r\n\r\n", E_BAD_INTERIM},
        {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         "Adit-Url: https://a.b\r\n\r\n",
         E_BAD_UPGRADE},
        {"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n", E_BAD_UPGRADE},
        {GRANT "\r\n", E_BAD_UPGRADE}, // without a URL
        {GRANT "Adit-Url: myapp\r\n\r\n", E_BAD_UPGRADE},
        {GRANT "Adit-Url: https://a b\r\n\r\n", E_BAD_UPGRADE},
        {GRANT "Adit-Url: https://a\xc3\xa4\r\n\r\n", E_BAD_UPGRADE},
        {GRANT "Adit-Name: my\"app\r\nAdit-Url: https://a.b\r\n\r\n", E_BAD_UPGRADE},
        {"HTTP/2 200\r\n\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 20 OK\r\n\r\n", E_BAD_STATUS_LINE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", E_REPEATED_LENGTH},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        if (!CHECK_EQ_INT(parse(rows[i].head), rows[i].error)) {
            printf("# %s\n", rows[i].head);
        }
    }
}

static void leaves_out_what_is_unfit(void)
{
    char head[8192];
    char filler[4097];
    memset(filler, 'x', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    (void)snprintf(head, sizeof(head),
                   GRANT "Adit-Url: https://a.b\r\nAdit-Ticket: %s\r\nAdit-Retry: within=x\r\n"
                         "Adit-Expires: -1\r\nAdit-Connection: id=99999999999999999999\r\n\r\n",
                   filler);
    CHECK_EQ_INT(parse(head), 0);
    CHECK_STR(a.ticket, "");
    CHECK(!a.has_within && !a.has_expiry && a.connection_id == 0);
    CHECK_EQ_INT(parse(GRANT "Adit-Url: https://a.b\r\nAdit-Url: x\r\nAdit-Url: http://a.b\r\n"
                             "Adit-Url: http://c\r\nAdit-Url: http://d\r\nAdit-Url: http://e\r\n"
                             "Adit-Retry: within=99999999\r\n\r\n"),
                 0);
    CHECK_EQ_INT(a.url_count, ANSWER_URLS_MAX);
    CHECK_EQ_INT(a.within_ms, ANSWER_WITHIN_MAX_MS);
}

static void reads_farewells(void)
{
    struct agent_farewell f;
    agent_farewell_parse(SLICE("reconnect within=3000"), &f);
    CHECK(f.reconnect && !f.end && f.within_ms == 3000);
    agent_farewell_parse(SLICE("end the token was revoked"), &f);
    CHECK(f.end && !f.reconnect);
    CHECK_STR(f.text, "the token was revoked");
    agent_farewell_parse(SLICE("end"), &f);
    CHECK(f.end && f.text[0] == '\0');
    agent_farewell_parse(SLICE("endless"), &f);
    CHECK(!f.end && !f.reconnect);
    agent_farewell_parse(SLICE(""), &f);
    CHECK(!f.end && !f.reconnect);
    agent_farewell_parse(SLICE("reconnect within=99999999999"), &f);
    CHECK(f.reconnect && f.within_ms == ANSWER_WITHIN_MAX_MS);
}

#define IN_WEBSOCKET(accept, more)                                                                 \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " accept "\r\nAdit-Name: a\r\nAdit-Url: https://a.test\r\n" more "\r\n"
#define NAMED "Sec-WebSocket-Protocol: adit-tunnel.1\r\n"

static const struct {
    const char *head;
    int error;
} in_websocket[] = {
    {IN_WEBSOCKET("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NAMED), 0},
    {IN_WEBSOCKET("s3pPLMBiTxaQ9kYGzzhZRbK+xOx=", NAMED), E_BAD_UPGRADE},
    {IN_WEBSOCKET("", NAMED), E_BAD_UPGRADE},
    {IN_WEBSOCKET("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ""), E_BAD_UPGRADE},
    {IN_WEBSOCKET("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", NAMED "Sec-WebSocket-Extensions: x\r\n"),
     E_BAD_UPGRADE},
    {GRANT "Adit-Name: a\r\nAdit-Url: https://a.test\r\n\r\n", E_BAD_UPGRADE},
};

static void reads_grants_in_websocket(void)
{
    for (size_t i = 0; i < array_len(in_websocket); i++) {
        const char *head = in_websocket[i].head;
        if (!CHECK_EQ_INT(agent_answer_parse_websocket(head, strlen(head),
                                                       SLICE("dGhlIHNhbXBsZSBub25jZQ=="), &a),
                          in_websocket[i].error)) {
            printf("# row %zu\n", i);
        }
    }
    CHECK_EQ_INT(parse(in_websocket[0].head), E_BAD_UPGRADE); // it was not asked for
}

static const struct {
    const char *head;
    bool foreign;
} strangers[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", true},
    {"HTTP/1.1 400 No\r\n\r\n", true},
    {"HTTP/1.1 400 No\r\nAdit-Reason: malformed\r\n\r\n", false},
    {"HTTP/1.1 426 No\r\nAdit-Reason: version\r\n\r\n", true},
    {"HTTP/1.1 403 No\r\n\r\n", false},
    {"HTTP/1.1 404 No\r\n\r\n", false},
    {"HTTP/1.1 503 No\r\n\r\n", false},
};

static void knows_strangers(void)
{
    for (size_t i = 0; i < array_len(strangers); i++) {
        CHECK_EQ_INT(parse(strangers[i].head), 0);
        CHECK_EQ_INT(agent_answer_is_foreign(&a), strangers[i].foreign);
    }
}

TAP_MAIN(reads_grants_in_websocket, knows_strangers, reads_a_grant, reads_a_refusal,
         refuses_what_is_wrong, leaves_out_what_is_unfit, reads_farewells)
