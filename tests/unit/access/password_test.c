// SPDX-License-Identifier: Apache-2.0
//
// Passwords as the configuration has them: what is read, what is refused and with which words.

#include "access/password.h"
#include "base/error.h"
#include "tap.h"

// PBKDF2-HMAC-SHA-256 of "secret", salt "saltsalt", 1000 iterations.
#define GOOD "pbkdf2-sha256:1000:c2FsdHNhbHQ:hgR9HsqtKupWxpnv8y99TrPDajTT_9PcSTlNafpdLXQ"

static const struct {
    const char *text;
    const char *why;
} bad[] = {
    {"", "begins with"},
    {"secret", "begins with"},
    {"plain", "begins with"},
    {"plain:", "empty"},
    {"$2y$10$abcdefghijklmnopqrstuv", "htpasswd and crypt"},
    {"$6$salt$hash", "htpasswd and crypt"},
    {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "htpasswd and crypt"},
    {"pbkdf2-sha256:", "iterations"},
    {"pbkdf2-sha256:999:c2FsdHNhbHQ:AAAA", "iterations"},
    {"pbkdf2-sha256:1000001:c2FsdHNhbHQ:AAAA", "iterations"},
    {"pbkdf2-sha256:+1000:c2FsdHNhbHQ:AAAA", "iterations"},
    {"pbkdf2-sha256:99999999999999999999999:c2FsdHNhbHQ:AAAA", "iterations"},
    {"pbkdf2-sha256:1000:c2Fs:AAAA", "salt"},
    {"pbkdf2-sha256:1000:c2Fsd HNhbHQ:AAAA", "salt"},
    {"pbkdf2-sha256:1000:c2FsdHNhbHQ", "hash"},
    {"pbkdf2-sha256:1000:c2FsdHNhbHQ:AAAA", "hash"},
    {GOOD "A", "hash"},
    {GOOD ":", "hash"},
    {"pbkdf2-sha512:1000:c2FsdHNhbHQ:AAAA", "begins with"},
};

static void reads_hashes(void)
{
    struct password p;
    const char *why = NULL;
    CHECK_EQ_INT(password_parse(SLICE(GOOD), &p, &why), 0);
    CHECK_EQ_INT(p.iterations, 1000);
    CHECK_TEXT((const char *)p.salt, p.salt_len, "saltsalt");
    struct digest_chain c;
    CHECK_EQ_INT(digest_chain_begin(&c, SLICE("secret"), SLICE("saltsalt"), 1000), 0);
    CHECK_EQ_INT(digest_chain_step(&c, SLICE("secret"), 1000), 0);
    CHECK_BYTES((const char *)p.hash, DIGEST_BYTES, (const char *)c.sum, DIGEST_BYTES);
}

static void refuses_the_rest(void)
{
    for (size_t i = 0; i < array_len(bad); i++) {
        struct password p;
        const char *why = "";
        CHECK_EQ_INT(password_parse(slice_str(bad[i].text), &p, &why), E_INVALID);
        if (!CHECK(strstr(why, bad[i].why) != NULL)) {
            printf("# %s: %s\n", bad[i].text, why);
        }
    }
    char large[PASSWORD_MAX + 8];
    memset(large, 'x', sizeof(large));
    memcpy(large, "plain:", 6);
    struct password p;
    const char *why = "";
    CHECK_EQ_INT(password_parse(slice_of(large, sizeof(large)), &p, &why), E_INVALID);
    CHECK_EQ_INT(password_parse(slice_of(large, PASSWORD_MAX + 6), &p, &why), 0);
    CHECK_EQ_INT(p.iterations, 0);
}

static void what_it_makes_it_reads(void)
{
    char bytes[2][PASSWORD_TEXT_MAX];
    struct slice made[2];
    for (int i = 0; i < 2; i++) {
        struct text t = text_on(bytes[i], sizeof(bytes[i]));
        CHECK_EQ_INT(password_make(SLICE("correct horse"), &t), 0);
        made[i] = text_slice(&t);
        struct password p;
        const char *why = NULL;
        CHECK_EQ_INT(password_parse(made[i], &p, &why), 0);
        CHECK_EQ_INT(p.iterations, PASSWORD_ITERATIONS);
    }
    CHECK(!slice_eq(made[0], made[1])); // the salt
    struct text t = text_on(bytes[0], 20);
    CHECK_EQ_INT(password_make(SLICE("x"), &t), E_TOO_LARGE);
}

TAP_MAIN(reads_hashes, refuses_the_rest, what_it_makes_it_reads)
