// SPDX-License-Identifier: Apache-2.0
//
// Tickets and secrets (tunnel/ticket.h). A ticket's plain bytes are a version, the time of its end, the
// instance, and owner and name with a byte of length each. What was opened was made by us, but perhaps
// by an older edge, so it is read as strictly as anybody's.

#include "tunnel/ticket.h"

#include "base/base64.h"
#include "base/error.h"
#include "tls/digest.h"

enum {
    TICKET_VERSION = 1,
    SEALED_MAX = TICKET_PLAIN_MAX + SEAL_EXTRA,
    SECRET_BYTES_MAX = 32 + 256 + TUNNEL_OWNER_MAX + TUNNEL_INSTANCE_BYTES,
};

static_assert(BASE64_MAX(SEALED_MAX) <= HELLO_TICKET_MAX, "what is given is taken back");
static_assert(TUNNEL_NAME_MAX <= 256 && TUNNEL_OWNER_MAX <= 256, "lengths are bytes");
static_assert((int)DIGEST_BYTES == (int)HELLO_SECRET_BYTES, "a secret is an HMAC");
static_assert(ACCESS_SECRET_BYTES / 2 == SEAL_KEY_BYTES, "a key of the one is one of the other");

// ---- tickets ----------------------------------------------------------------------------------------

static void put_time(struct text *t, uint64_t ms)
{
    for (int shift = 56; shift >= 0; shift -= 8) {
        text_char(t, (char)(ms >> shift & 255));
    }
}

int ticket_seal(const struct ticket *t, const struct access_secret *key, struct slice site,
                const uint8_t nonce[SEAL_NONCE_BYTES], struct text *out)
{
    char plain[TICKET_PLAIN_MAX];
    uint8_t sealed[SEALED_MAX];
    ensure(t->owner_len < TUNNEL_OWNER_MAX);
    ensure(t->name_len < TUNNEL_NAME_MAX);
    struct text p = text_on(plain, sizeof(plain));
    text_char(&p, TICKET_VERSION);
    put_time(&p, t->expires_ms);
    text_put(&p, slice_of((const char *)t->instance, sizeof(t->instance)));
    text_char(&p, (char)t->owner_len);
    text_put(&p, slice_of(t->owner, t->owner_len));
    text_char(&p, (char)t->name_len);
    text_put(&p, slice_of(t->name, t->name_len));
    ensure(!p.overflow);
    int e = seal_close(key->seal, nonce, site, text_slice(&p), sealed);
    if (e == 0) {
        base64_put(out, slice_of((const char *)sealed, p.len + SEAL_EXTRA), BASE64_URL);
    }
    return e;
}

/** Takes n bytes from the front; false: there are not so many. */
static bool cut(struct slice *rest, size_t n, struct slice *out)
{
    *out = slice_sub(*rest, 0, n);
    bool good = rest->len >= n;
    *rest = slice_from(*rest, n);
    return good;
}

static bool cut_text(struct slice *rest, char *out, size_t room, uint32_t *len)
{
    struct slice s;
    if (!cut(rest, 1, &s)) {
        return false;
    }
    *len = (uint8_t)s.ptr[0];
    if (*len >= room || !cut(rest, *len, &s)) {
        return false;
    }
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static bool read_plain(struct slice plain, struct ticket *out)
{
    struct slice s;
    if (!cut(&plain, 1, &s) || s.ptr[0] != TICKET_VERSION || !cut(&plain, 8, &s)) {
        return false;
    }
    out->expires_ms = 0;
    for (size_t i = 0; i < s.len; i++) {
        out->expires_ms = out->expires_ms << 8 | (uint8_t)s.ptr[i];
    }
    if (!cut(&plain, sizeof(out->instance), &s)) {
        return false;
    }
    memcpy(out->instance, s.ptr, s.len);
    return cut_text(&plain, out->owner, sizeof(out->owner), &out->owner_len) &&
           cut_text(&plain, out->name, sizeof(out->name), &out->name_len) && plain.len == 0 &&
           out->name_len > 0;
}

bool ticket_open(struct slice text, const struct access_secret *keys, uint32_t key_count,
                 struct slice site, uint64_t wall_ms, struct ticket *out)
{
    uint8_t sealed[SEALED_MAX];
    uint8_t plain[SEALED_MAX];
    size_t len = 0;
    if (text.len > HELLO_TICKET_MAX ||
        base64_read(text, BASE64_URL, sealed, sizeof(sealed), &len) != 0 || len <= SEAL_EXTRA) {
        return false;
    }
    struct slice all = slice_of((const char *)sealed, len);
    for (uint32_t i = 0; i < key_count; i++) {
        if (seal_open(keys[i].seal, site, all, plain) == 0) {
            return read_plain(slice_of((const char *)plain, len - SEAL_EXTRA), out) &&
                   out->expires_ms > wall_ms;
        }
    }
    return false;
}

// ---- secrets ----------------------------------------------------------------------------------------

int ticket_secret(const struct access_secret *key, struct slice site, struct slice owner,
                  const uint8_t instance[TUNNEL_INSTANCE_BYTES], uint8_t out[HELLO_SECRET_BYTES])
{
    char bytes[SECRET_BYTES_MAX];
    struct text t = text_on(bytes, sizeof(bytes));
    text_put(&t, SLICE("adit-instance-1"));
    text_char(&t, (char)site.len);
    text_put(&t, site);
    text_char(&t, (char)owner.len);
    text_put(&t, owner);
    text_put(&t, slice_of((const char *)instance, TUNNEL_INSTANCE_BYTES));
    ensure(!t.overflow && site.len < 256 && owner.len < 256);
    return digest_hmac(slice_of((const char *)key->instance, sizeof(key->instance)), text_slice(&t),
                       out);
}

bool ticket_secret_is(const uint8_t given[HELLO_SECRET_BYTES], const struct access_secret *keys,
                      uint32_t key_count, struct slice site, struct slice owner,
                      const uint8_t instance[TUNNEL_INSTANCE_BYTES])
{
    bool right = false;
    for (uint32_t i = 0; i < key_count; i++) {
        uint8_t made[HELLO_SECRET_BYTES];
        right = (ticket_secret(&keys[i], site, owner, instance, made) == 0 &&
                 digest_equal(made, given, sizeof(made))) ||
                right;
    }
    return right;
}
