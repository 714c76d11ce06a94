// SPDX-License-Identifier: Apache-2.0
//
// Passwords as the configuration has them (access/password.h).

#include "access/password.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/num.h"

static const struct slice CHAIN = SLICE_INIT("pbkdf2-sha256:");
static const struct slice PLAIN = SLICE_INIT("plain:");

/** The part up to the next colon, or the rest. */
static struct slice take_part(struct slice *rest)
{
    ptrdiff_t colon = slice_find_char(*rest, ':');
    struct slice part = colon < 0 ? *rest : slice_sub(*rest, 0, (size_t)colon);
    *rest = slice_from(*rest, colon < 0 ? rest->len : (size_t)colon + 1);
    return part;
}

static int parse_chain(struct slice rest, struct password *out, const char **why)
{
    uint64_t iterations = 0;
    size_t salt = 0;
    size_t hash = 0;
    *why = "a hash is pbkdf2-sha256:ITERATIONS:SALT:HASH";
    if (num_parse_u64(take_part(&rest), PASSWORD_ITERATIONS_MAX, &iterations) != 0 ||
        iterations < PASSWORD_ITERATIONS_MIN) {
        *why = "its iterations are not from 1000 to 1000000";
        return E_INVALID;
    }
    if (base64_read(take_part(&rest), BASE64_URL, out->salt, PASSWORD_SALT_MAX, &salt) != 0 ||
        salt < PASSWORD_SALT_MIN) {
        *why = "its salt is not 8 to 64 bytes of base64url";
        return E_INVALID;
    }
    if (base64_read(rest, BASE64_URL, out->hash, DIGEST_BYTES, &hash) != 0 ||
        hash != DIGEST_BYTES) {
        *why = "its hash is not 32 bytes of base64url";
        return E_INVALID;
    }
    out->iterations = (uint32_t)iterations;
    out->salt_len = (uint8_t)salt;
    return 0;
}

/** What is wrong with a value that begins with neither word. */
static const char *foreign_kind(struct slice text)
{
    if (slice_starts(text, SLICE("$2")) || slice_starts(text, SLICE("$1$")) ||
        slice_starts(text, SLICE("$5$")) || slice_starts(text, SLICE("$6$")) ||
        slice_starts(text, SLICE("$apr1$")) || slice_starts(text, SLICE("$y$")) ||
        slice_starts(text, SLICE("{SHA}"))) {
        return "hashes of htpasswd and crypt are not read here";
    }
    return "a password begins with `pbkdf2-sha256:` or `plain:`";
}

int password_parse(struct slice text, struct password *out, const char **why)
{
    *out = (struct password){0};
    if (slice_starts(text, CHAIN)) {
        return parse_chain(slice_from(text, CHAIN.len), out, why);
    }
    if (!slice_starts(text, PLAIN)) {
        *why = foreign_kind(text);
        return E_INVALID;
    }
    text = slice_from(text, PLAIN.len);
    if (text.len == 0 || text.len > PASSWORD_MAX) {
        *why = text.len == 0 ? "an empty password" : "a password of more than 1000 bytes";
        return E_INVALID;
    }
    *why = "out of memory";
    return digest_sha256(text, out->hash) == 0 ? 0 : E_INVALID;
}

int password_make(struct slice password, struct text *out)
{
    uint8_t salt[16] = {0};
    struct slice salt_text = slice_of((const char *)salt, sizeof(salt));
    struct digest_chain chain;
    int rc = digest_random(salt, sizeof(salt));
    rc = rc != 0 ? rc : digest_chain_begin(&chain, password, salt_text, PASSWORD_ITERATIONS);
    rc = rc != 0 ? rc : digest_chain_step(&chain, password, PASSWORD_ITERATIONS);
    if (rc != 0) {
        return rc;
    }
    ensure(chain.left == 0);
    text_put(out, CHAIN);
    text_u64(out, PASSWORD_ITERATIONS);
    text_char(out, ':');
    base64_put(out, salt_text, BASE64_URL);
    text_char(out, ':');
    base64_put(out, slice_of((const char *)chain.sum, DIGEST_BYTES), BASE64_URL);
    return out->overflow ? E_TOO_LARGE : 0;
}
