// SPDX-License-Identifier: Apache-2.0
//
// The message is taken block by block; the last one or two blocks hold the padding (RFC 3174 4).

#include "base/sha1.h"

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void expand(const uint8_t *p, uint32_t w[80])
{
    for (unsigned t = 0; t < 16; t++, p += 4) {
        w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (unsigned t = 16; t < 80; t++) {
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
}

/** f(t; b, c, d) + K(t) (RFC 3174 5). */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20) {
        return ((b & c) | (~b & d)) + 0x5a827999u;
    }
    if (t < 40) {
        return (b ^ c ^ d) + 0x6ed9eba1u;
    }
    if (t < 60) {
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
    }
    return (b ^ c ^ d) + 0xca62c1d6u;
}

static void take_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80];
    expand(p, w);
    uint32_t a = h[0];
    uint32_t b = h[1];
    uint32_t c = h[2];
    uint32_t d = h[3];
    uint32_t e = h[4];
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void sha1(struct slice message, uint8_t out[SHA1_BYTES])
{
    uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    const uint8_t *p = (const uint8_t *)message.ptr;
    size_t left = message.len;
    for (; left >= BLOCK; left -= BLOCK, p += BLOCK) {
        take_block(h, p);
    }
    uint8_t last[2 * BLOCK] = {0};
    if (left > 0) {
        memcpy(last, p, left);
    }
    last[left] = 0x80;
    size_t total = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)message.len * 8;
    for (unsigned i = 0; i < 8; i++) {
        last[total - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t at = 0; at < total; at += BLOCK) {
        take_block(h, last + at);
    }
    for (unsigned i = 0; i < SHA1_BYTES; i++) {
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
}
