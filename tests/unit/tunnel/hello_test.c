// SPDX-License-Identifier: Apache-2.0
//
// What an agent says when it calls: requests as they come over the wire, through the codec, and what is
// read from them; a table of what is wrong and what each is told.

#include "tunnel/hello.h"

#include "base/error.h"
#include "h1/codec.h"
#include "tap.h"

#define INSTANCE "0Zk2yT5oQm6sM1cXr0dV3A"
#define SECRET   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define SIGNATURE                                                                                  \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw"
#define FRONT                                                                                      \
    "GET " HELLO_PATH " HTTP/1.1\r\nHost: tunnel.test\r\nConnection: Upgrade\r\n"                  \
    "Upgrade: adit-tunnel/1\r\n"
#define WHO "Adit-Instance: " INSTANCE "\r\nAdit-Connection: slot=0, sequence=1\r\n"

static struct arena arena;
static struct http_head head;
static struct hello hello;

/** What a request is told; NULL: it is fine. */
static const char *read_text(const char *text)
{
    static const struct h1_limits limits = {
        .head_bytes = 16384, .target_bytes = 8192, .fields = 100};
    enum h1_framing framing = H1_FRAMING_NONE;
    if (arena.magic != 0) {
        arena_fini(&arena);
    }
    arena_init(&arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&head, &arena, 32768, 116);
    REQUIRE(h1_parse_request(text, strlen(text), &limits, &head, &framing) == 0);
    return hello_read(&head, &hello);
}

static void reads_a_whole_request(void)
{
    REQUIRE(read_text(FRONT WHO "Authorization: Bearer adit_k3_secret\r\nAdit-Name: MyApp\r\n"
                                "Adit-Secret: " SECRET "\r\nAdit-Ticket: abc\r\nAdit-Join: ?1\r\n"
                                "Adit-Wildcard: ?1\r\nAdit-Agent: adit/0.5\r\nAdit-Later: x\r\n"
                                "Adit-Kind: http\r\n\r\n") == NULL);
    CHECK_EQ_INT(hello.kind, TUNNEL_HTTP);
    CHECK_EQ_INT(hello.proof, HELLO_TOKEN);
    CHECK_TEXT(hello.token.ptr, hello.token.len, "adit_k3_secret");
    CHECK_TEXT(hello.name, hello.name_len, "myapp");
    CHECK_TEXT(hello.ticket.ptr, hello.ticket.len, "abc");
    CHECK_TEXT(hello.agent.ptr, hello.agent.len, "adit/0.5");
    CHECK(hello.has_secret && hello.join && hello.wildcard);
    CHECK_EQ_INT(hello.secret[31], 31);
    CHECK_EQ_INT(hello.instance[0], 0xd1);
    CHECK_EQ_INT(hello.slot, 0);
    CHECK_EQ_INT(hello.sequence, 1);
    CHECK(hello_is_asked_for(&head) && hello_is_spoken(&head));
}

static void reads_the_least(void)
{
    REQUIRE(read_text(FRONT WHO "\r\n") == NULL);
    CHECK_EQ_INT(hello.proof, HELLO_NO_PROOF);
    CHECK_EQ_INT(hello.name_len, 0);
    CHECK(!hello.has_secret && !hello.join && !hello.wildcard);
}

static void reads_ports(void)
{
    REQUIRE(read_text(FRONT "Adit-Instance: " INSTANCE "\r\nAdit-Kind: tcp\r\nAdit-Port: 20001\r\n"
                            "Adit-Connection: sequence=18446744073709, slot=3\r\n\r\n") == NULL);
    CHECK_EQ_INT(hello.kind, TUNNEL_TCP);
    CHECK_EQ_INT(hello.port, 20001);
    CHECK_EQ_INT(hello.slot, 3);
    REQUIRE(read_text(FRONT WHO "Adit-Kind: udp\r\n\r\n") == NULL);
    CHECK_EQ_INT(hello.kind, TUNNEL_UDP);
    CHECK_EQ_INT(hello.port, 0);
}

static void reads_keys(void)
{
    REQUIRE(read_text(FRONT WHO "authorization: adit-key key=\"" SECRET "\", nonce=\"N-_1\",\t"
                                "signature=\"" SIGNATURE "\"\r\n\r\n") == NULL);
    CHECK_EQ_INT(hello.proof, HELLO_KEY);
    CHECK_TEXT(hello.nonce.ptr, hello.nonce.len, "N-_1");
    CHECK_EQ_INT(hello.key[31], 31);
    CHECK_EQ_INT(hello.signature[63], 31);
}

struct bad {
    const char *request;
    const char *told;
};

#define TEN     "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define KEY_WRONG                                                                                  \
    "Authorization is not of the form Adit-Key key=\"...\", nonce=\"...\", signature=\"...\"."
#define CONNECTION_WRONG "Adit-Connection is not of the form slot=0, sequence=1."
#define INSTANCE_WRONG   "Adit-Instance is not 16 bytes in base64url."
#define ELSEWHERE        "A token stands in Authorization and nowhere else."

static const struct bad table[] = {
    {"POST " HELLO_PATH " HTTP/1.1\r\nHost: a\r\n" WHO "\r\n", "The method is not GET."},
    {"POST " HELLO_PATH " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" WHO "\r\n",
     "The method is not GET."},
    {"GET " HELLO_PATH " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" WHO "\r\n",
     "The request has a body."},
    {"GET " HELLO_PATH " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" WHO "\r\n",
     "The request has a body."},
    {"GET " HELLO_PATH "?token=adit_k3_secret HTTP/1.1\r\nHost: a\r\n" WHO "\r\n",
     "The target has a query. " ELSEWHERE},
    {"GET " HELLO_PATH "? HTTP/1.1\r\nHost: a\r\n" WHO "\r\n",
     "The target has a query. " ELSEWHERE},
    {FRONT "\r\n", "Adit-Instance must come once."},
    {FRONT "Adit-Instance: " INSTANCE "\r\n\r\n", "Adit-Connection must come once."},
    {FRONT WHO "Adit-Instance: " INSTANCE "\r\n\r\n", "Adit-Instance must come once."},
    {FRONT WHO "Adit-Connection: slot=0, sequence=1\r\n\r\n", "Adit-Connection must come once."},
    {FRONT "Adit-Instance: \r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Instance: " INSTANCE "=\r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Instance: " INSTANCE "A\r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Instance: 0Zk2yT5oQm6sM1cXr0dV3\r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Instance: 0Zk2yT5oQm6sM1cXr0dV3B\r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Instance: 0Zk2yT5oQm6sM1cX+0dV3A\r\n\r\n", INSTANCE_WRONG},
    {FRONT "Adit-Connection: \r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=0\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: sequence=1\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=4, sequence=1\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=-1, sequence=1\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=0, sequence=0\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=0, sequence=9223372036854775808\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=0, slot=1, sequence=1\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot=0, sequence=1, x=2\r\n\r\n", CONNECTION_WRONG},
    {FRONT "Adit-Connection: slot = 0, sequence=1\r\n\r\n", CONNECTION_WRONG},
    {FRONT WHO "Adit-Secret: x\r\n\r\n", "Adit-Secret is not 32 bytes in base64url."},
    {FRONT WHO "Adit-Secret: " SECRET "\r\nAdit-Secret: " SECRET "\r\n\r\n",
     "Adit-Secret comes twice."},
    {FRONT WHO "Adit-Ticket: \r\n\r\n", "Adit-Ticket is empty or too long."},
    {FRONT WHO "Adit-Ticket: " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "\r\n\r\n",
     "Adit-Ticket is empty or too long."},
    {FRONT WHO "Adit-Name: \r\n\r\n", "Adit-Name is empty or too long."},
    {FRONT WHO "Adit-Name: " HUNDRED HUNDRED HUNDRED "\r\n\r\n", "Adit-Name is empty or too long."},
    {FRONT WHO "Adit-Name: a\r\nADIT-NAME: b\r\n\r\n", "Adit-Name comes twice."},
    {FRONT WHO "Adit-Kind: HTTP\r\n\r\n", "Adit-Kind is none of http, tcp and udp."},
    {FRONT WHO "Adit-Kind: sctp\r\n\r\n", "Adit-Kind is none of http, tcp and udp."},
    {FRONT WHO "Adit-Kind: tcp\r\nAdit-Port: 0\r\n\r\n", "Adit-Port is not a port."},
    {FRONT WHO "Adit-Kind: tcp\r\nAdit-Port: 65536\r\n\r\n", "Adit-Port is not a port."},
    {FRONT WHO "Adit-Kind: tcp\r\nAdit-Port: +1\r\n\r\n", "Adit-Port is not a port."},
    {FRONT WHO "Adit-Port: 80\r\n\r\n", "Adit-Port is for tcp and udp."},
    {FRONT WHO "Adit-Kind: tcp\r\nAdit-Name: a\r\n\r\n",
     "Adit-Name and Adit-Wildcard are for http."},
    {FRONT WHO "Adit-Kind: udp\r\nAdit-Wildcard: ?1\r\n\r\n",
     "Adit-Name and Adit-Wildcard are for http."},
    {FRONT WHO "Adit-Join: 1\r\n\r\n", "Adit-Join is neither ?1 nor ?0."},
    {FRONT WHO "Adit-Join: ?1;x\r\n\r\n", "Adit-Join is neither ?1 nor ?0."},
    {FRONT WHO "Adit-Wildcard: yes\r\n\r\n", "Adit-Wildcard is neither ?1 nor ?0."},
    {FRONT WHO "Adit-Agent: \r\n\r\n", "Adit-Agent is empty, too long, or not printable."},
    {FRONT WHO "Adit-Agent: a\tb\r\n\r\n", "Adit-Agent is empty, too long, or not printable."},
    {FRONT WHO "Adit-Agent: " HUNDRED "\r\n\r\n",
     "Adit-Agent is empty, too long, or not printable."},
    // tokens
    {FRONT WHO "Authorization: \r\n\r\n", "Authorization is neither Bearer nor Adit-Key."},
    {FRONT WHO "Authorization: Basic YTpi\r\n\r\n",
     "Authorization is neither Bearer nor Adit-Key."},
    {FRONT WHO "Authorization: Bearer\r\n\r\n", "Authorization holds no token behind Bearer."},
    {FRONT WHO "Authorization: Bearer a b\r\n\r\n", "Authorization holds no token behind Bearer."},
    {FRONT WHO "Authorization: Bearer " HUNDRED HUNDRED HUNDRED "\r\n\r\n",
     "Authorization holds no token behind Bearer."},
    {FRONT WHO "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
     "Authorization comes twice."},
    {FRONT WHO "Adit-Token: adit_k3_secret\r\n\r\n", ELSEWHERE},
    {FRONT WHO "Cookie: t=adit_k3_secret\r\n\r\n", ELSEWHERE},
    {FRONT WHO "Proxy-Authorization: Bearer adit_k3_secret\r\n\r\n", ELSEWHERE},
    {FRONT WHO "Adit-Name: adit_k3_secret\r\n\r\n", ELSEWHERE},
    // keys
    {FRONT WHO "Authorization: Adit-Key\r\n\r\n", KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"" SECRET "\"\r\n\r\n", KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=" SECRET ", nonce=\"n\", signature=\"" SIGNATURE
               "\"\r\n\r\n",
     KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"x\", nonce=\"n\", signature=\"" SIGNATURE
               "\"\r\n\r\n",
     KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"" SECRET "\", nonce=\"\", signature=\"" SIGNATURE
               "\"\r\n\r\n",
     KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"" SECRET
               "\", nonce=\"a\\\"b\", signature=\"" SIGNATURE "\"\r\n\r\n",
     KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"" SECRET "\", key=\"" SECRET
               "\", nonce=\"n\", signature=\"" SIGNATURE "\"\r\n\r\n",
     KEY_WRONG},
    {FRONT WHO "Authorization: Adit-Key key=\"" SECRET "\", nonce=\"n\", signature=\"" SIGNATURE
               "\", x=\"1\"\r\n\r\n",
     KEY_WRONG},
};

static void tells_what_is_wrong(void)
{
    for (size_t i = 0; i < array_len(table); i++) {
        const char *told = read_text(table[i].request);
        if (told == NULL || strcmp(told, table[i].told) != 0) {
            printf("# %s# got: %s\n# want: %s\n", table[i].request, told == NULL ? "nothing" : told,
                   table[i].told);
            CHECK(false);
        }
    }
    arena_fini(&arena);
}

struct version {
    const char *upgrade;
    bool asked;
    bool spoken;
};

static const struct version versions[] = {
    {"adit-tunnel/1", true, true},
    {"websocket, Adit-Tunnel/1", true, true},
    {"adit-tunnel/2, adit-tunnel/1", true, true},
    {"adit-tunnel/2", true, false},
    {"adit-tunnel", true, false},
    {"adit-tunnels/1", false, false},
    {"websocket", false, false},
};

static void knows_its_versions(void)
{
    for (size_t i = 0; i < array_len(versions); i++) {
        struct http_head h = {.upgrade = slice_str(versions[i].upgrade)};
        CHECK(hello_is_asked_for(&h) == versions[i].asked);
        CHECK(hello_is_spoken(&h) == versions[i].spoken);
    }
    struct http_head none = {0};
    CHECK(!hello_is_asked_for(&none) && !hello_is_spoken(&none));
}

#define SOCKET(upgrade, fields)                                                                    \
    "GET " HELLO_PATH " HTTP/1.1\r\nHost: tunnel.test\r\nConnection: Upgrade\r\n"                  \
    "Upgrade: " upgrade "\r\n" fields WHO "\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define NAMED   "Sec-WebSocket-Protocol: chat, adit-tunnel.1\r\n"

static const struct {
    const char *text;
    bool websocket;
} sockets[] = {
    {SOCKET("websocket", KEY VERSION NAMED), true},
    {SOCKET("WebSocket", KEY VERSION NAMED), true},
    {SOCKET("websocket", VERSION NAMED), false},
    {SOCKET("websocket", KEY NAMED), false},
    {SOCKET("websocket", KEY VERSION), false},
    {SOCKET("websocket", KEY VERSION "Sec-WebSocket-Protocol: adit-tunnel.2\r\n"), false},
    {SOCKET("websocket", "Sec-WebSocket-Key: c2hvcnQ=\r\n" VERSION NAMED), false},
    {SOCKET("chat", KEY VERSION NAMED), false},
};

static void knows_who_asks_for_websocket(void)
{
    for (size_t i = 0; i < array_len(sockets); i++) {
        CHECK(read_text(sockets[i].text) == NULL);
        CHECK_EQ_INT(hello_in_websocket(&head), sockets[i].websocket);
        CHECK_EQ_INT(hello_is_spoken(&head), sockets[i].websocket);
        CHECK_EQ_INT(hello_is_asked_for(&head), sockets[i].websocket);
    }
    CHECK(read_text(SOCKET("adit-tunnel/1, websocket", KEY VERSION NAMED)) == NULL);
    CHECK(!hello_in_websocket(&head) && hello_is_spoken(&head)); // as it is, where that is offered
}

TAP_MAIN(knows_who_asks_for_websocket, reads_a_whole_request, reads_the_least, reads_ports,
         reads_keys, tells_what_is_wrong, knows_its_versions)
