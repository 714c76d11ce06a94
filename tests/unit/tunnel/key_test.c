// SPDX-License-Identifier: Apache-2.0
//
// Nonces of keys: good on one connection for a minute; and what is signed.

#include "tunnel/key.h"

#include "tap.h"

static const struct key_nonces ours = {{1, 2, 3}};
static const struct key_nonces others = {{1, 2, 4}};

static void good_on_its_connection_for_a_minute(void)
{
    char room[64];
    struct text t = text_on(room, sizeof(room));
    REQUIRE(key_nonce(&ours, 7, 100000, &t) == 0);
    struct slice nonce = text_slice(&t);
    CHECK_EQ_INT(nonce.len, 32);
    CHECK(key_nonce_is(&ours, 7, 100000, nonce));
    CHECK(key_nonce_is(&ours, 7, 159999, nonce));
    CHECK(!key_nonce_is(&ours, 7, 160000, nonce));
    CHECK(!key_nonce_is(&ours, 7, 99999, nonce)); // from times to come
    CHECK(!key_nonce_is(&ours, 8, 100000, nonce));
    CHECK(!key_nonce_is(&others, 7, 100000, nonce));
}

static void nobody_else_makes_one(void)
{
    char room[64];
    struct text t = text_on(room, sizeof(room));
    REQUIRE(key_nonce(&ours, 7, 100000, &t) == 0);
    struct slice nonce = text_slice(&t);
    for (size_t i = 0; i < nonce.len; i++) {
        char was = room[i];
        room[i] = was == 'A' ? 'B' : 'A';
        CHECK(!key_nonce_is(&ours, 7, 100000, nonce));
        room[i] = was;
        CHECK(!key_nonce_is(&ours, 7, 100000, slice_sub(nonce, 0, i)));
    }
    CHECK(!key_nonce_is(&ours, 7, 100000, SLICE("")));
    CHECK(!key_nonce_is(&ours, 7, 100000, SLICE("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")));
}

static void the_message_is_as_written_down(void)
{
    uint8_t exporter[KEY_EXPORTER_BYTES];
    char room[KEY_MESSAGE_MAX];
    struct text t = text_on(room, sizeof(room));
    memset(exporter, 'e', sizeof(exporter));
    key_message(exporter, SLICE("tunnel.test"), SLICE("N"), &t);
    static const char want[] = "adit-tunnel/1\0eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\0\vtunnel.testN";
    CHECK_BYTES(t.ptr, t.len, want, sizeof(want) - 1);
}

TAP_MAIN(good_on_its_connection_for_a_minute, nobody_else_makes_one, the_message_is_as_written_down)
