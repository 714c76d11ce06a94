// SPDX-License-Identifier: Apache-2.0
//
// Which challenge is taken, and what is shown for it.

#include "acme/proof.h"

#include "base/error.h"
#include "base/slab.h"
#include "tap.h"
#include "tls/issue.h"
#include "tls/jws.h"

static struct acme_client *c;
static struct arena a;

static const struct acme_request request = {
    .order = {ACME_TLS_ALPN_01, ACME_HTTP_01, ACME_DNS_01},
};

static void setup(void)
{
    struct slice pem;
    c = mem_zalloc(sizeof(*c));
    REQUIRE(c != NULL);
    arena_init(&a, NULL, 0, NULL, 4 << 20);
    acme_failure_reset(&c->failure);
    REQUIRE(issue_key_new(ISSUE_KEY_P256, &a, &pem) == 0);
    REQUIRE(jws_key_open(pem, &a, &c->key) == 0);
}

static struct acme_authz offers_of(unsigned kinds)
{
    struct acme_authz z = {.name = SLICE("a.example")};
    for (unsigned kind = ACME_HTTP_01; kind <= ACME_DNS_01; kind *= 2) {
        if ((kinds & kind) != 0) {
            z.offers[z.offer_count++] = (struct acme_offer){.kind = (enum acme_challenge_kind)kind,
                                                            .token = SLICE("tok"),
                                                            .url = SLICE("https://ca/1")};
        }
    }
    return z;
}

// The kind that is chosen; 0: none.
static unsigned choose(unsigned offered, unsigned allowed, bool wildcard)
{
    struct acme_proof p;
    struct acme_authz z = offers_of(offered);
    z.wildcard = wildcard;
    int rc = acme_proof_choose(c, &request, &z, allowed, &p);
    CHECK(rc == 0 || rc == E_UNSUPPORTED);
    return rc == 0 ? p.challenge.kind : 0;
}

static void the_first_that_is_offered_and_allowed(void)
{
    unsigned all = ACME_HTTP_01 | ACME_TLS_ALPN_01 | ACME_DNS_01;
    CHECK_EQ_INT(choose(all, all, false), ACME_TLS_ALPN_01);
    CHECK_EQ_INT(choose(all, ACME_HTTP_01 | ACME_DNS_01, false), ACME_HTTP_01);
    CHECK_EQ_INT(choose(ACME_DNS_01, all, false), ACME_DNS_01);
    CHECK_EQ_INT(choose(all, all, true), ACME_DNS_01);
    CHECK_EQ_INT(choose(all, ACME_HTTP_01, true), 0);
    CHECK(c->failure.permanent);
    CHECK(slice_find(text_slice(&c->failure.why), SLICE("*.a.example")) > 0);
    CHECK_EQ_INT(choose(0, all, false), 0);
}

static void make(enum acme_challenge_kind kind, const char *name, struct acme_proof *p)
{
    struct acme_authz z = offers_of(kind);
    z.name = slice_str(name);
    z.is_ip = issue_is_ip(z.name);
    if (CHECK_EQ_INT(acme_proof_choose(c, &request, &z, kind, p), 0)) {
        CHECK_EQ_INT(acme_proof_make(c, &z, &a, p), 0);
    }
}

static void what_is_shown(void)
{
    struct acme_proof p;
    make(ACME_HTTP_01, "a.example", &p);
    CHECK_TEXT(p.challenge.token.ptr, p.challenge.token.len, "tok");
    CHECK(slice_starts(p.challenge.value, SLICE("tok.")));
    CHECK(slice_ends(p.challenge.value, jws_thumbprint(c->key)));
    make(ACME_DNS_01, "a.example", &p);
    CHECK_EQ_INT(p.challenge.value.len, 43);
    CHECK_EQ_INT(p.challenge.token.len, 0);
    make(ACME_TLS_ALPN_01, "a.example", &p);
    CHECK_TEXT(p.challenge.name.ptr, p.challenge.name.len, "a.example");
    CHECK(slice_starts(p.challenge.chain, SLICE("-----BEGIN CERTIFICATE-----")));
    CHECK(slice_starts(p.challenge.key, SLICE("-----BEGIN PRIVATE KEY-----")));
    make(ACME_TLS_ALPN_01, "10.0.0.1", &p);
    CHECK_TEXT(p.challenge.name.ptr, p.challenge.name.len, "1.0.0.10.in-addr.arpa");
}

static int fail_to_present(struct acme_host *h, const struct acme_challenge *challenge,
                           struct text *why)
{
    (void)h;
    if (challenge->kind == ACME_DNS_01) {
        text_str(why, "the hook says no");
    }
    return E_IO;
}

static void what_cannot_be_shown_is_told(void)
{
    struct acme_host h = {.present = fail_to_present};
    struct acme_proof p = {.challenge = {.kind = ACME_HTTP_01, .name = SLICE("a.example")}};
    CHECK_EQ_INT(acme_proof_show(c, &h, &p), E_IO);
    CHECK(slice_find(text_slice(&c->failure.why), SLICE("http-01 proof for a.example")) > 0);
    p.challenge.kind = ACME_DNS_01;
    CHECK_EQ_INT(acme_proof_show(c, &h, &p), E_IO);
    CHECK_TEXT(c->failure.why.ptr, c->failure.why.len, "the hook says no");
}

static void fini(void)
{
    arena_fini(&a);
    mem_free(c);
}

TAP_MAIN(setup, the_first_that_is_offered_and_allowed, what_is_shown, what_cannot_be_shown_is_told,
         fini)
