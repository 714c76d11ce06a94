// SPDX-License-Identifier: Apache-2.0
//
// Nonces and messages (tunnel/key.h). A nonce is eight bytes of time and half an HMAC over it and the
// connection's number: 128 bits that nobody else can make.

#include "tunnel/key.h"

#include "base/base64.h"
#include "base/error.h"
#include "tls/digest.h"

enum { TIME_BYTES = 8, TAG_BYTES = 16, NONCE_BYTES = TIME_BYTES + TAG_BYTES };

static void put_u64(uint8_t out[TIME_BYTES], uint64_t v)
{
    for (int i = 0; i < TIME_BYTES; i++) {
        out[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

static int make_tag(const struct key_nonces *k, uint64_t connection, const uint8_t time[TIME_BYTES],
                    uint8_t tag[DIGEST_BYTES])
{
    uint8_t bytes[2 * TIME_BYTES];
    memcpy(bytes, time, TIME_BYTES);
    put_u64(bytes + TIME_BYTES, connection);
    return digest_hmac(slice_of((const char *)k->secret, sizeof(k->secret)),
                       slice_of((const char *)bytes, sizeof(bytes)), tag);
}

int key_nonce(const struct key_nonces *k, uint64_t connection, uint64_t now_ms, struct text *out)
{
    uint8_t nonce[TIME_BYTES + DIGEST_BYTES];
    put_u64(nonce, now_ms);
    int e = make_tag(k, connection, nonce, nonce + TIME_BYTES);
    if (e == 0) {
        base64_put(out, slice_of((const char *)nonce, NONCE_BYTES), BASE64_URL);
    }
    return e;
}

bool key_nonce_is(const struct key_nonces *k, uint64_t connection, uint64_t now_ms,
                  struct slice nonce)
{
    uint8_t given[NONCE_BYTES];
    uint8_t tag[DIGEST_BYTES];
    size_t len = 0;
    if (base64_read(nonce, BASE64_URL, given, sizeof(given), &len) != 0 || len != sizeof(given) ||
        make_tag(k, connection, given, tag) != 0 ||
        !digest_equal(given + TIME_BYTES, tag, TAG_BYTES)) {
        return false;
    }
    uint64_t made_ms = 0;
    for (int i = 0; i < TIME_BYTES; i++) {
        made_ms = made_ms << 8 | given[i];
    }
    return made_ms <= now_ms && now_ms - made_ms < KEY_NONCE_LIFE_MS;
}

void key_message(const uint8_t exporter[KEY_EXPORTER_BYTES], struct slice edge, struct slice nonce,
                 struct text *out)
{
    text_put(out, SLICE("adit-tunnel/1"));
    text_char(out, '\0');
    text_put(out, slice_of((const char *)exporter, KEY_EXPORTER_BYTES));
    text_char(out, (char)(edge.len >> 8));
    text_char(out, (char)(edge.len & 255));
    text_put(out, edge);
    text_put(out, nonce);
    ensure(!out->overflow);
}
