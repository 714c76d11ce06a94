// SPDX-License-Identifier: Apache-2.0
//
// Signed conversation: directories, nonces, outages, and what is made of failures.

#include "acme/client.h"

#include "base/error.h"
#include "base/slab.h"
#include "ca.h"
#include "tap.h"
#include "tls/issue.h"
#include "tls/jws.h"

static struct test_ca ca;
static bool has_ca;
static struct acme_client *c;
static struct arena a;

static void setup(void)
{
    has_ca = test_ca_start(&ca);
    c = mem_zalloc(sizeof(*c));
    REQUIRE(c != NULL);
}

static int open_plan(const char *plan)
{
    struct acme_issuer issuer = test_ca_issuer(&ca, plan);
    arena_init(&a, NULL, 0, NULL, 8 << 20);
    return acme_client_open(c, &issuer, NULL, &a);
}

static void close_plan(void)
{
    acme_client_close(c);
    arena_fini(&a);
}

static void sign_with_new_key(void)
{
    struct slice pem;
    REQUIRE(issue_key_new(ISSUE_KEY_P256, &a, &pem) == 0);
    REQUIRE(jws_key_open(pem, &a, &c->key) == 0);
}

static void directories_are_read(void)
{
    if (!has_ca) {
        return;
    }
    CHECK_EQ_INT(open_plan("ari"), 0);
    CHECK(slice_ends(c->directory.renewal_info, SLICE("/ari/ari")));
    close_plan();
    CHECK_EQ_INT(open_plan("junk-dir"), E_INVALID);
    close_plan();
}

// Each refused nonce is replaced by the one that came with the refusal; an outage is waited for.
static void messages_get_through(void)
{
    static const char *const plans[] = {"plain", "nonces", "outage"};
    for (size_t i = 0; has_ca && i < array_len(plans); i++) {
        struct acme_answer answer;
        if (CHECK_EQ_INT(open_plan(plans[i]), 0)) {
            sign_with_new_key();
            struct acme_message m = {.url = c->directory.new_account,
                                     .payload = SLICE("{\"termsOfServiceAgreed\":true}")};
            CHECK_EQ_INT(acme_client_post(c, &m, &a, &answer), 0);
            CHECK_EQ_INT(answer.status, 201);
            CHECK(slice_find(answer.location, SLICE("/account/")) > 0);
        }
        close_plan();
    }
}

static void refusals_are_kept(void)
{
    struct acme_answer answer;
    if (!has_ca) {
        return;
    }
    REQUIRE(open_plan("plain") == 0);
    sign_with_new_key();
    c->account = SLICE("https://localhost/nobody");
    struct acme_message m = {.url = c->directory.new_order, .payload = SLICE("{}")};
    CHECK_EQ_INT(acme_client_post(c, &m, &a, &answer), E_DENIED);
    CHECK(c->failure.by_ca);
    CHECK_EQ_INT(c->failure.kind, ACME_PROBLEM_ACCOUNT_UNKNOWN);
    CHECK(c->failure.why.len > 0);
    close_plan();
}

static void failures_fit_their_room(void)
{
    char detail[5000];
    memset(detail, 'x', sizeof(detail));
    struct acme_problem p = {.kind = ACME_PROBLEM_RATE_LIMITED,
                             .detail = slice_of(detail, sizeof(detail)),
                             .sub_count = 1,
                             .subs = {{.detail = slice_of(detail, sizeof(detail))}}};
    CHECK_EQ_INT(acme_fail_problem(c, &p, SLICE("a.example")), E_DENIED);
    CHECK(c->failure.why.len <= sizeof(c->failure.buffer));
    CHECK_EQ_INT(acme_fail(c, E_IO, "%.*s", (int)sizeof(detail), detail), E_IO);
    CHECK(c->failure.why.len > 0 && c->failure.why.len <= sizeof(c->failure.buffer));
    CHECK(!c->failure.by_ca && !c->failure.permanent);
}

static void fini(void)
{
    mem_free(c);
}

TAP_MAIN(setup, directories_are_read, messages_get_through, refusals_are_kept,
         failures_fit_their_room, fini)
