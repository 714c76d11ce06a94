// SPDX-License-Identifier: Apache-2.0
//
// Renewal information (RFC 9773): the CA says when it would like a certificate to be renewed, for
// instance early because it will be revoked. Asking needs no account.

#include "base/error.h"
#include "base/slab.h"
#include "os/clock.h"
#include "tls/issue.h"

#include "acme/client.h"

enum {
    RENEWAL_ARENA_MAX = 4 << 20,
    // Six hours unless the CA says otherwise, and not more often than every minute (RFC 9773 4.3.2).
    ASK_AGAIN_S = 6 * 3600,
    ASK_AGAIN_MIN_S = 60,
    ASK_AGAIN_MAX_S = 24 * 3600,
};

static int make_url(struct acme_client *c, struct slice chain_pem, struct slice *out)
{
    struct slice id;
    struct slice base = c->directory.renewal_info;
    if (base.len == 0) {
        return acme_fail(c, E_UNSUPPORTED, "%.*s has no renewal information",
                         SLICE_ARG(c->issuer->name));
    }
    int rc = issue_renewal_id(chain_pem, c->arena, &id);
    if (rc != 0) {
        return acme_fail(c, E_UNSUPPORTED,
                         "the certificate has no identifier to ask by (RFC 9773 4.1)");
    }
    size_t room = base.len + 1 + id.len;
    char *buffer = arena_bytes(c->arena, room);
    if (buffer == NULL) {
        return acme_fail(c, E_NO_MEMORY, "out of memory");
    }
    struct text url = text_on(buffer, room);
    text_put(&url, base);
    text_str(&url, slice_ends(base, SLICE("/")) ? "" : "/");
    text_put(&url, id);
    *out = text_slice(&url);
    return 0;
}

static int ask(struct acme_client *c, struct slice chain_pem, struct acme_window *out)
{
    struct slice url;
    int rc = make_url(c, chain_pem, &url);
    if (rc != 0) {
        return rc;
    }
    struct acme_call http = {.url = url, .accept = "application/json", .redirects_max = 3};
    struct acme_answer answer;
    acme_failure_reset(&c->failure);
    rc = acme_http_call(c->http, &http, c->arena, &answer, &c->failure.why);
    if (rc != 0) {
        return rc;
    }
    if (answer.status != 200) {
        return acme_fail(c, E_DENIED, "asked for renewal information, %.*s answered with status %d",
                         SLICE_ARG(c->issuer->name), answer.status);
    }
    acme_failure_reset(&c->failure);
    rc = acme_parse_window(answer.body, out, &c->failure.why);
    uint64_t pause = answer.retry_after_ms > 0 ? answer.retry_after_ms / 1000 : ASK_AGAIN_S;
    pause = pause < ASK_AGAIN_MIN_S ? ASK_AGAIN_MIN_S : pause;
    pause = pause > ASK_AGAIN_MAX_S ? ASK_AGAIN_MAX_S : pause;
    out->ask_again = os_clock_wall_ms() / 1000 + pause;
    return rc;
}

int acme_renewal_window(const struct acme_issuer *i, struct slice chain_pem,
                        struct acme_window *out, struct text *why)
{
    struct acme_client *c = mem_zalloc(sizeof(*c));
    if (c == NULL) {
        return E_NO_MEMORY;
    }
    struct arena a;
    arena_init(&a, NULL, 0, NULL, RENEWAL_ARENA_MAX);
    *out = (struct acme_window){.start = 0};
    int rc = acme_client_open(c, i, NULL, &a);
    if (rc == 0) {
        rc = ask(c, chain_pem, out);
    }
    if (rc != 0) {
        text_put(why, text_slice(&c->failure.why));
    }
    acme_client_close(c);
    arena_fini(&a);
    mem_free(c);
    return rc;
}
