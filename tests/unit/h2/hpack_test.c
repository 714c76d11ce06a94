// SPDX-License-Identifier: Apache-2.0
//
// HPACK behind its interface: the RFC's examples in pieces of any size, bad blocks, the encoder against
// the decoder, and the bounds of both.

#include "h2/hpack.h"

#include "base/error.h"
#include "base/text.h"

#include "tap.h"

static char got[65536];
static struct text got_text;

static void on_field(void *user, struct slice name, struct slice value, bool secret)
{
    (void)user;
    text_put(&got_text, name);
    text_put(&got_text, secret ? SLICE("!") : SLICE("="));
    text_put(&got_text, value);
    text_put(&got_text, SLICE("\n"));
}

static int decode(struct h2_hpack *h, const void *bytes, size_t n, bool last)
{
    return h2_decode(h, slice_of(bytes, n), last, on_field, NULL);
}

// RFC 7541 C.4: three requests on one connection, with Huffman codes.
static void decodes_the_examples(void)
{
    static const unsigned char first[] = {0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5,
                                          0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff};
    static const unsigned char second[] = {0x82, 0x86, 0x84, 0xbe, 0x58, 0x86,
                                           0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf};
    struct h2_hpack *h = h2_hpack_new();
    REQUIRE(h != NULL);
    got_text = text_on(got, sizeof(got));
    CHECK_EQ_INT(decode(h, first, sizeof(first), true), 0);
    CHECK_TEXT(got_text.ptr, got_text.len,
               ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n");
    got_text = text_on(got, sizeof(got));
    for (size_t i = 0; i < sizeof(second); i++) { // byte by byte
        CHECK_EQ_INT(decode(h, second + i, 1, i + 1 == sizeof(second)), 0);
    }
    CHECK_TEXT(got_text.ptr, got_text.len,
               ":method=GET\n:scheme=http\n:path=/\n:authority=www.example.com\n"
               "cache-control=no-cache\n");
    h2_hpack_free(h);
}

static void refuses_bad_blocks(void)
{
    static const char *const bad[] = {
        "\x80", // index 0
        "\xbe", // beyond the tables
        "\x00\x01"
        "a\x05"
        "b",                                // cut
        "\x3f\xff\xff\xff\xff\xff\xff\x0f", // a number without end
        "\x82\x3f\xe1\x1f"};                // an update of the table's size behind a field
    for (size_t i = 0; i < array_len(bad); i++) {
        struct h2_hpack *h = h2_hpack_new();
        REQUIRE(h != NULL);
        size_t n = i == 2 ? 5 : strlen(bad[i]);
        got_text = text_on(got, sizeof(got));
        CHECK_EQ_INT(decode(h, bad[i], n, true), E_BAD_COMPRESSION);
        h2_hpack_free(h);
    }
}

static void encodes_against_the_table(void)
{
    struct h2_hpack *writer = h2_hpack_new();
    struct h2_hpack *reader = h2_hpack_new();
    REQUIRE(writer != NULL && reader != NULL);
    size_t sizes[3];
    for (int round = 0; round < 3; round++) {
        char bytes[4096];
        struct h2_block b;
        if (round == 2) {
            CHECK_EQ_INT(h2_encoder_table_max(writer, 0), 0);
        }
        h2_block_begin(&b, writer);
        h2_block_add(&b, SLICE(":status"), SLICE("200"), false);
        h2_block_add(&b, SLICE("server"), SLICE("a name that is rather long"), false);
        h2_block_add(&b, SLICE("x-secret"), SLICE("value"), true);
        CHECK(h2_block_bound(&b) > 0);
        ptrdiff_t n = h2_block_end(&b, bytes, sizeof(bytes));
        REQUIRE(n > 0);
        sizes[round] = (size_t)n;
        got_text = text_on(got, sizeof(got));
        CHECK_EQ_INT(decode(reader, bytes, (size_t)n, true), 0);
        CHECK_TEXT(got_text.ptr, got_text.len,
                   ":status=200\nserver=a name that is rather long\nx-secret!value\n");
    }
    CHECK(sizes[1] + 10 < sizes[0]); // the second time it is in the table
    CHECK(sizes[2] > sizes[1]);      // and then there is none
    h2_hpack_free(writer);
    h2_hpack_free(reader);
}

// What a peer said of its table before anything was written to it counts with the first block, which
// tells of the least size and of the last (RFC 7541 4.2).
static void remembers_table_sizes(void)
{
    struct h2_hpack *h = h2_hpack_new();
    REQUIRE(h != NULL);
    CHECK_EQ_INT(h2_encoder_table_max(h, 200), 0);
    CHECK_EQ_INT(h2_encoder_table_max(h, 64), 0);
    CHECK_EQ_INT(h2_encoder_table_max(h, 65536), 0);
    char bytes[64];
    struct h2_block b;
    h2_block_begin(&b, h);
    h2_block_add(&b, SLICE(":status"), SLICE("200"), false);
    REQUIRE(h2_block_bound(&b) <= sizeof(bytes));
    ptrdiff_t n = h2_block_end(&b, bytes, sizeof(bytes));
    REQUIRE(n > 0);
    CHECK_BYTES(bytes, (size_t)n, "\x3f\x21\x3f\xe1\x1f\x88", 6);
    h2_hpack_free(h);
}

static void bounds_fields(void)
{
    struct h2_hpack *h = h2_hpack_new();
    REQUIRE(h != NULL);
    struct h2_block b;
    h2_block_begin(&b, h);
    for (unsigned i = 0; i <= H2_HPACK_FIELDS_MAX; i++) {
        h2_block_add(&b, SLICE("a"), SLICE("b"), false);
    }
    CHECK_EQ_INT(h2_block_bound(&b), 0);
    CHECK_EQ_INT(b.error, E_TOO_MANY_FIELDS);
    h2_hpack_free(h);
}

// A literal that says it is very long: memory stays within the connection's share.
static void bounds_memory(void)
{
    struct h2_hpack *h = h2_hpack_new();
    REQUIRE(h != NULL);
    static char filler[16384];
    memset(filler, 'x', sizeof(filler));
    int e = decode(h,
                   "\x00\x01"
                   "a\x7f\x80\x80\x80\x04",
                   8, false); // some 8 MiB
    for (int i = 0; e == 0 && i < 1000; i++) {
        e = decode(h, filler, sizeof(filler), false);
    }
    CHECK(e == E_BAD_COMPRESSION || e == E_NO_MEMORY);
    h2_hpack_free(h);
}

TAP_MAIN(decodes_the_examples, refuses_bad_blocks, encodes_against_the_table, remembers_table_sizes,
         bounds_fields, bounds_memory)
