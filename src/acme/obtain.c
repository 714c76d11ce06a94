// SPDX-License-Identifier: Apache-2.0
//
// acme_obtain(): a client, an account, an order, and a second order with another kind of challenge
// when the CA could not see the first kind's proof.

#include "base/error.h"
#include "base/slab.h"
#include "obs/log.h"
#include "tls/issue.h"

#include "acme/account.h"
#include "acme/curl.h"
#include "acme/order.h"
#include "acme/proof.h"

enum {
    RUN_ARENA_MAX = 32 << 20,
    // CAs limit failed validations to a few per hour: one change of mind.
    ORDERS_MAX = 2,
};

int acme_global_init(void)
{
    char buffer[256];
    struct text ignored = text_on(buffer, sizeof(buffer));
    return acme_curl_load(&ignored);
}

void acme_stop(void)
{
    acme_http_stop();
}

static int check_request(struct acme_run *run)
{
    const struct acme_request *r = run->request;
    struct acme_client *c = &run->client;
    acme_failure_reset(&c->failure);
    if (r->name_count == 0 || r->name_count > ACME_NAMES_MAX) {
        (void)acme_fail(c, E_INVALID, "a certificate has 1 to %d names", ACME_NAMES_MAX);
        c->failure.permanent = true;
        return E_INVALID;
    }
    for (uint32_t i = 0; i < r->name_count; i++) {
        bool wildcard = slice_starts(r->names[i], SLICE("*."));
        if (wildcard && (r->challenges & ACME_DNS_01) == 0) {
            (void)acme_fail(c, E_UNSUPPORTED,
                            "%.*s needs a DNS hook (`dns`): CAs issue for "
                            "wildcards by dns-01 only",
                            SLICE_ARG(r->names[i]));
            c->failure.permanent = true;
            return E_UNSUPPORTED;
        }
    }
    return 0;
}

// True when an order failed for what was shown, and there is another way to show it.
static bool may_change_mind(const struct acme_run *run)
{
    unsigned left = run->request->challenges & ~run->failed_kinds;
    return (run->used_kinds & run->failed_kinds) != 0 && left != 0 &&
           !acme_http_cancelled(run->client.cancel);
}

// A second order that fails for lack of a fitting challenge says less than the first one's failure.
static int order_otherwise(struct acme_run *run, struct arena *a, struct acme_result *out, int rc)
{
    char buffer[sizeof(run->client.failure.buffer)];
    struct text first = text_on(buffer, sizeof(buffer));
    text_put(&first, text_slice(&run->client.failure.why));
    log_line(LOG_INFO, "acme: %.*s: %.*s; trying another kind of challenge",
             SLICE_ARG(run->request->names[0]), SLICE_ARG(text_slice(&first)));
    int second = acme_order_run(run, a, &out->chain, &out->key);
    if (second == E_UNSUPPORTED) {
        struct slice text = text_slice(&first);
        (void)acme_fail(&run->client, rc, "%.*s", SLICE_ARG(text));
        return rc;
    }
    return second;
}

static int obtain(struct acme_run *run, struct arena *scratch, struct arena *a,
                  struct acme_result *out)
{
    int rc = check_request(run);
    if (rc != 0) {
        return rc;
    }
    rc = acme_client_open(&run->client, run->request->issuer, run->host->cancel, scratch);
    if (rc == 0) {
        rc = acme_account_open(&run->client, run->host, false);
    }
    if (rc == 0) {
        rc = acme_order_run(run, a, &out->chain, &out->key);
    }
    for (int n = 1; rc == E_DENIED && n < ORDERS_MAX && may_change_mind(run); n++) {
        rc = order_otherwise(run, a, out, rc);
    }
    return rc;
}

static void report(const struct acme_run *run, int rc, struct arena *a, struct acme_result *out)
{
    const struct acme_failure *f = &run->client.failure;
    struct slice why = text_slice(&f->why);
    out->error = rc;
    out->chain = (struct slice){NULL, 0};
    out->key = (struct slice){NULL, 0};
    out->why = why.len > 0 ? arena_dup(a, why) : slice_str(error_text(rc));
    out->why = out->why.ptr != NULL ? out->why : SLICE("out of memory");
    out->retry_after_ms = f->retry_after_ms;
    out->permanent = f->permanent;
}

void acme_obtain(const struct acme_request *r, struct acme_host *h, struct arena *a,
                 struct acme_result *out)
{
    *out = (struct acme_result){.error = 0};
    struct acme_run *run = mem_zalloc(sizeof(*run));
    if (run == NULL) {
        out->error = E_NO_MEMORY;
        out->why = SLICE("out of memory");
        return;
    }
    struct arena scratch;
    arena_init(&scratch, NULL, 0, NULL, RUN_ARENA_MAX);
    run->request = r;
    run->host = h;
    int rc = obtain(run, &scratch, a, out);
    if (rc != 0) {
        report(run, rc, a, out);
    }
    acme_client_close(&run->client);
    arena_fini(&scratch);
    mem_free(run);
}
