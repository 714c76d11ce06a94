// SPDX-License-Identifier: Apache-2.0
//
// Keys and certificates of an agent (cli/agent_proof.h). --key alone is an Ed25519 key, which signs what
// the edge asks for. With --cert it is that certificate's key, and TLS does the rest; the key may also
// stand in the certificate's own file. What the edge would refuse only later, and in the words of TLS, is
// said here: a key of another certificate, an edge that is called in clear. Whether a certificate is still
// good is for the edge to say, whose clock counts.

#include "cli/agent_proof.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "os/file.h"
#include "tls/cert.h"
#include "tls/ed25519.h"

enum { PEM_BYTES_MAX = 64 << 10, WHY_MAX = 512 };

static const struct slice PRIVATE = SLICE_INIT("PRIVATE KEY-----");

int agent_file_read(struct agent_words *w, const struct cli_parsed *p, struct agent_file *f)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        bool read = os_file_read(fd, f->bytes_max, &w->arena, &f->bytes) == 0 && f->bytes.len > 0 &&
                    fstat(fd, &st) == 0;
        error = read ? 0 : EINVAL;
        (void)close(fd);
    }
    f->mode = st.st_mode;
    return error == 0
               ? CLI_OK
               : cli_usage_error(p->command, "--%s %s: %s", f->option, f->path, strerror(error));
}

/** A PEM file, on the arena. CLI_OK, or the reason was printed. */
static int read_pem(struct agent_words *w, const struct cli_parsed *p, const char *option,
                    const char *path, struct slice *out)
{
    struct agent_file f = {.option = option, .path = path, .bytes_max = PEM_BYTES_MAX};
    int rc = agent_file_read(w, p, &f);
    if (rc != CLI_OK) {
        return rc;
    }
    *out = f.bytes;
    if (slice_find(*out, PRIVATE) >= 0 && (f.mode & 077) != 0) {
        explicit_bzero((void *)(uintptr_t)f.bytes.ptr, f.bytes.len);
        return cli_usage_error(p->command, "--%s %s: others can read it; chmod 600", option, path);
    }
    return CLI_OK;
}

static int read_key(struct agent_words *w, const struct cli_parsed *p, const char *path)
{
    struct slice pem = {NULL, 0};
    int rc = read_pem(w, p, "key", path, &pem);
    if (rc != CLI_OK) {
        return rc;
    }
    w->plan.has_key = ed25519_read_pem(pem, w->plan.key) == 0;
    explicit_bzero((void *)(uintptr_t)pem.ptr, pem.len);
    return w->plan.has_key
               ? CLI_OK
               : cli_usage_error(p->command,
                                 "--key %s: not an Ed25519 key (PEM, not encrypted); the key of a "
                                 "certificate goes with --cert",
                                 path);
}

static bool calls_in_clear(const struct agent_plan *plan)
{
    bool clear = false;
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        clear = clear || !plan->edges[i].secure;
    }
    return clear;
}

static int read_certificate(struct agent_words *w, const struct cli_parsed *p, const char *cert,
                            const char *key)
{
    char buffer[WHY_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    struct agent_plan *plan = &w->plan;
    int rc = read_pem(w, p, "cert", cert, &plan->certificate);
    plan->certificate_key = plan->certificate;
    if (rc == CLI_OK && key != NULL) {
        rc = read_pem(w, p, "key", key, &plan->certificate_key);
    }
    if (rc != CLI_OK) {
        return rc;
    }
    if (calls_in_clear(plan)) {
        return cli_usage_error(p->command, "--cert: a certificate is shown in TLS; call the edge "
                                           "with https://");
    }
    if (slice_find(plan->certificate_key, PRIVATE) < 0) {
        return cli_usage_error(p->command, "--%s %s: there is no private key in it%s",
                               key != NULL ? "key" : "cert", key != NULL ? key : cert,
                               key != NULL ? "" : "; --key FILE says where it is");
    }
    int e = cert_check(plan->certificate, plan->certificate_key, (uint64_t)time(NULL), &why);
    return e == 0 || e == E_TLS_EXPIRED
               ? CLI_OK
               : cli_usage_error(p->command, "--cert %s: %.*s", cert, (int)why.len, why.ptr);
}

int agent_proof_read(struct agent_words *w, const struct cli_parsed *p)
{
    const char *cert = cli_value(p, "cert");
    const char *key = cli_value(p, "key");
    if (cert == NULL && key == NULL) { // those of the file belong together, as do these
        cert = w->cert;
        key = w->key;
    }
    if (cert != NULL) {
        return read_certificate(w, p, cert, key);
    }
    return key != NULL ? read_key(w, p, key) : CLI_OK;
}
