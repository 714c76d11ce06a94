// SPDX-License-Identifier: Apache-2.0
//
// ClientHellos: what is read of good ones however they are cut, and what each kind of bad one gets.

#include "l4/client_hello.h"

#include "base/error.h"
#include "hello.h"
#include "tap.h"

static struct hello extensions;
static struct hello message;
static struct hello wire;

static void build(const char *name, struct slice alpn, size_t record)
{
    extensions.len = 0;
    hello_extension(&extensions, 43, SLICE("\2\3\4"));
    if (name != NULL) {
        hello_name(&extensions, slice_str(name));
    }
    if (alpn.len > 0) {
        hello_alpn(&extensions, alpn);
    }
    hello_message(&message, &extensions);
    hello_records(&wire, &message, record);
}

static int parse(struct client_hello *out)
{
    return client_hello_parse(hello_slice(&wire), out);
}

static void reads_name_and_protocols(void)
{
    struct client_hello h;
    build("DB.Example.com", SLICE("\2h2\10http/1.1"), 16384);
    CHECK_EQ_INT(parse(&h), 0);
    CHECK_TEXT(h.name, h.name_len, "db.example.com");
    CHECK(client_hello_offers(&h, SLICE("h2")));
    CHECK(client_hello_offers(&h, SLICE("http/1.1")));
    CHECK(!client_hello_offers(&h, SLICE("http/1.0")));
    CHECK(!client_hello_offers(&h, SLICE("h")));
    build(NULL, SLICE(""), 16384);
    CHECK_EQ_INT(parse(&h), 0);
    CHECK_EQ_INT(h.name_len, 0);
    CHECK(!client_hello_offers(&h, SLICE("h2")));
    hello_message(&message, NULL); // TLS 1.2 without extensions
    hello_records(&wire, &message, 16384);
    CHECK_EQ_INT(parse(&h), 0);
}

static void any_cut_gives_the_same(void)
{
    for (size_t record = 1; record < 120; record += 3) {
        bool too_many = false;
        build("a.example.com", SLICE("\2h2"), record);
        for (size_t n = 0; n < wire.len; n++) {
            struct client_hello h;
            int e = client_hello_parse(slice_of((const char *)wire.bytes, n), &h);
            too_many = too_many || e == E_TOO_LARGE;
            if (!CHECK(e == (too_many ? E_TOO_LARGE : E_AGAIN))) {
                return;
            }
        }
        struct client_hello h;
        CHECK_EQ_INT(parse(&h), too_many ? E_TOO_LARGE : 0);
        CHECK(too_many == (message.len > record * CLIENT_HELLO_RECORDS_MAX));
        if (!too_many) {
            CHECK_TEXT(h.name, h.name_len, "a.example.com");
            CHECK(client_hello_offers(&h, SLICE("h2")));
        }
    }
}

static void what_follows_is_not_looked_at(void)
{
    struct client_hello h;
    build("a.example.com", SLICE(""), 16384);
    hello_put(&wire, "\x14\3\3\0\1\1 and more", 15);
    CHECK_EQ_INT(parse(&h), 0);
    CHECK_TEXT(h.name, h.name_len, "a.example.com");
}

static void other_protocols_are_seen_by_their_first_bytes(void)
{
    static const struct {
        struct slice bytes;
        int want;
    } rows[] = {
        {SLICE_INIT("GET / HTTP/1.1\r\n"), E_TLS_NOT_TLS},
        {SLICE_INIT("SSH-2.0-x\r\n"), E_TLS_NOT_TLS},
        {SLICE_INIT("\x80\x2e\1\0\2"), E_TLS_NOT_TLS}, // SSL 2
        {SLICE_INIT("\x16\2"), E_TLS_NOT_TLS},         // major version 2
        {SLICE_INIT("\x16\3\5"), E_TLS_NOT_TLS},       // no such minor version
        {SLICE_INIT("\x16\3\1\0\0"), E_TLS_NOT_TLS},   // a record of nothing
        {SLICE_INIT("\x16\3\1\x40\1"), E_TLS_NOT_TLS}, // a record of more than 2^14 bytes
        {SLICE_INIT("\x16\3\1\x40\0"), E_AGAIN},
        {SLICE_INIT("\x17\3\3\0\1x"), E_TLS_NOT_TLS},          // data first
        {SLICE_INIT("\x16\3\1\0\4\2\0\0\0"), E_TLS_HANDSHAKE}, // a ServerHello
        {SLICE_INIT("\x16\3\1\0\4\1\1\0\0"), E_TOO_LARGE},     // of 64 KiB
        {SLICE_INIT("\x16\3\1\0\4\1\0\0\0"), E_TLS_HANDSHAKE}, // of nothing
        {SLICE_INIT("\x16\3\1\0\1\1GET"), E_TLS_HANDSHAKE},    // another protocol in the middle
        {SLICE_INIT(""), E_AGAIN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client_hello h;
        if (!CHECK_EQ_INT(client_hello_parse(rows[i].bytes, &h), rows[i].want)) {
            printf("# row %zu\n", i);
        }
    }
}

static int with_extension(uint32_t type, struct slice value)
{
    struct client_hello h;
    extensions.len = 0;
    hello_extension(&extensions, type, value);
    hello_message(&message, &extensions);
    hello_records(&wire, &message, 16384);
    return parse(&h);
}

static void lengths_that_do_not_add_up(void)
{
    static const struct {
        uint32_t type;
        struct slice value;
    } rows[] = {
        {0, SLICE_INIT("")},                    // no list
        {0, SLICE_INIT("\0\0")},                // an empty list
        {0, SLICE_INIT("\0\4\0\0\1ab")},        // a byte behind the list
        {0, SLICE_INIT("\0\5\0\0\1a")},         // a list longer than its extension
        {0, SLICE_INIT("\0\3\0\0\0")},          // an empty name
        {0, SLICE_INIT("\0\4\1\0\1a")},         // not a host name
        {0, SLICE_INIT("\0\4\0\0\1 ")},         // a byte that no name has
        {0, SLICE_INIT("\0\4\0\0\1\0")},        // NUL
        {0, SLICE_INIT("\0\10\0\0\1a\0\0\1b")}, // two names
        {16, SLICE_INIT("")},                   // no list
        {16, SLICE_INIT("\0\0")},               // an empty list
        {16, SLICE_INIT("\0\2\0\0")},           // an empty protocol
        {16, SLICE_INIT("\0\3\3h2")},           // a protocol longer than the list
        {16, SLICE_INIT("\0\3\2h2x")},          // a byte behind the list
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!CHECK_EQ_INT(with_extension(rows[i].type, rows[i].value), E_TLS_HANDSHAKE)) {
            printf("# row %zu\n", i);
        }
    }
    CHECK_EQ_INT(with_extension(99, SLICE("")), 0);
}

static void what_comes_twice_is_refused(void)
{
    struct client_hello h;
    extensions.len = 0;
    hello_name(&extensions, SLICE("a.example.com"));
    hello_name(&extensions, SLICE("b.example.com"));
    hello_message(&message, &extensions);
    hello_records(&wire, &message, 16384);
    CHECK_EQ_INT(parse(&h), E_TLS_HANDSHAKE);
    extensions.len = 0;
    hello_alpn(&extensions, SLICE("\2h2"));
    hello_alpn(&extensions, SLICE("\2h2"));
    hello_message(&message, &extensions);
    hello_records(&wire, &message, 16384);
    CHECK_EQ_INT(parse(&h), E_TLS_HANDSHAKE);
}

static void every_wrong_length_is_found(void)
{
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {
        {5 + 4, 2},                       // the version: SSL 2
        {5 + 4 + 2 + 32, 33},             // the session id
        {5 + 4 + 2 + 32 + 1 + 32 + 1, 3}, // an odd number of bytes of cipher suites
        {5 + 4 + 2 + 32 + 1 + 32 + 1, 0}, // no cipher suite
    };
    struct client_hello h;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        build("a.example.com", SLICE("\2h2"), 16384);
        wire.bytes[rows[i].at] = rows[i].value;
        if (!CHECK_EQ_INT(parse(&h), E_TLS_HANDSHAKE)) {
            printf("# row %zu\n", i);
        }
    }
    build("a.example.com", SLICE("\2h2"), 16384);
    wire.bytes[4]++; // one more byte in the record, behind the message
    hello_number(&wire, 1, 0);
    CHECK_EQ_INT(parse(&h), E_TLS_HANDSHAKE);
}

static void a_name_has_at_most_255_bytes(void)
{
    struct client_hello h;
    static char name[300];
    memset(name, 'a', 256);
    name[255] = '\0';
    build(name, SLICE(""), 16384);
    CHECK_EQ_INT(parse(&h), 0);
    CHECK_EQ_INT(h.name_len, 255);
    name[255] = 'a';
    build(name, SLICE(""), 16384);
    CHECK_EQ_INT(parse(&h), E_TLS_HANDSHAKE);
}

TAP_MAIN(reads_name_and_protocols, any_cut_gives_the_same, what_follows_is_not_looked_at,
         other_protocols_are_seen_by_their_first_bytes, lengths_that_do_not_add_up,
         what_comes_twice_is_refused, every_wrong_length_is_found, a_name_has_at_most_255_bytes)
