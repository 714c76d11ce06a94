// SPDX-License-Identifier: Apache-2.0
//
// Keys and certificates of an agent: files that are no use, and what is said of them. None of these calls
// anybody: what is good is refused for something that comes later.

#include <sys/stat.h>
#include <unistd.h>

#include "../tls/pki.h"

#include "cli_help.h"

static char folder[] = "/tmp/adit-proof-XXXXXX";
static struct pki_cert mine;
static struct pki_cert other;

// Writes a file of the test's folder; its path, until the next call but three.
static const char *file(const char *name, mode_t mode, struct slice text)
{
    static char paths[4][64];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    (void)unlink(path);
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL && fwrite(text.ptr, 1, text.len, f) == text.len && fclose(f) == 0);
    REQUIRE(chmod(path, mode) == 0);
    return path;
}

static void setup(void)
{
    (void)unsetenv("ADIT_SERVER");
    (void)unsetenv("ADIT_TOKEN");
    REQUIRE(setenv("XDG_CONFIG_HOME", "/nonexistent", 1) == 0);
    REQUIRE(mkdtemp(folder) != NULL);
    mine = pki_make(&(struct pki_order){.cn = "mine", .key = PKI_P256, .client = true});
    other = pki_make(&(struct pki_order){.cn = "other", .key = PKI_P256, .client = true});
}

#define SAYS(words, ...)                                                                           \
    do {                                                                                           \
        CHECK_EQ_INT(ADIT("diagnose", __VA_ARGS__), CLI_USAGE);                                    \
        if (!CHECK(contains(captured_err, words))) {                                               \
            printf("# %s", captured_err);                                                          \
        }                                                                                          \
    } while (0)

static void files_that_are_of_no_use(void)
{
    const char *s = "-shttps://localhost:1";
    SAYS("--key /nonexistent: No such file", s, "--key", "/nonexistent");
    SAYS("--cert /nonexistent: No such file", s, "--cert", "/nonexistent");
    SAYS("--key /: ", s, "--key", "/");
    SAYS("not an Ed25519 key", s, "--key", file("text", 0600, SLICE("hello\n")));
    SAYS("goes with --cert", s, "--key", file("k", 0600, mine.key_pem));
    SAYS("others can read it", s, "--key", file("open", 0644, mine.key_pem));
    SAYS("--cert", s, "--cert", file("text", 0600, SLICE("hello\n")));
}

static void certificates_and_keys_that_do_not_fit(void)
{
    const char *s = "-shttps://localhost:1";
    const char *cert = file("c", 0644, mine.cert_pem);
    SAYS("no private key in it; --key FILE", s, "--cert", cert);
    SAYS("there is no private key in it", s, "--cert", cert, "--key", cert);
    SAYS("does not belong", s, "--cert", cert, "--key", file("k", 0600, other.key_pem));
    SAYS("others can read it", s, "--cert", cert, "--key", file("k", 0640, mine.key_pem));
    struct slice both = pki_join(mine.cert_pem, mine.key_pem);
    SAYS("others can read it", s, "--cert", file("both", 0644, both));
}

static void certificates_need_tls(void)
{
    const char *cert = file("c", 0644, mine.cert_pem);
    const char *key = file("k", 0600, mine.key_pem);
    SAYS("call the edge with https://", "-shttp://localhost:1", "--cert", cert, "--key", key);
    SAYS("call the edge with https://", "-slocalhost,http://localhost:1", "--cert", cert, "--key",
         key);
    // What is read behind them shows that they were good.
    SAYS("--ca /nonexistent", "-shttps://localhost:1", "--cert", cert, "--key", key, "--ca",
         "/nonexistent");
    SAYS("--ca /nonexistent", "-shttps://localhost:1", "--cert",
         file("both", 0600, pki_join(mine.cert_pem, mine.key_pem)), "--ca", "/nonexistent");
}

TAP_MAIN(setup, files_that_are_of_no_use, certificates_and_keys_that_do_not_fit,
         certificates_need_tls)
