// SPDX-License-Identifier: Apache-2.0
//
// acme_obtain() against pebble: each kind of challenge, wildcards, accounts, refusals. pebble refuses
// every third nonce here.

#include "acme/acme.h"

#include <pthread.h>
#include <time.h>

#include "base/error.h"
#include "host.h"
#include "pebble.h"
#include "tap.h"
#include "tls/cert.h"

enum { ARENA_MAX = 4 << 20 };

static struct pebble ca;
static bool has_ca;
static struct acme_issuer issuer;

static void setup(void)
{
    has_ca = pebble_start(&ca, 0);
    if (!has_ca) {
        printf("# no pebble: most cases are skipped\n");
        return;
    }
    issuer = (struct acme_issuer){.name = SLICE("pebble"),
                                  .directory = ca.directory,
                                  .ca = ca.ca,
                                  .email = SLICE("me@example.com")};
}

static void obtain(struct test_host *t, struct acme_request *r, struct arena *a,
                   struct acme_result *out)
{
    r->issuer = r->issuer != NULL ? r->issuer : &issuer;
    acme_obtain(r, &t->host, a, out);
    if (out->error != 0) {
        printf("# %.*s\n", SLICE_ARG(out->why));
    }
    CHECK_EQ_INT(t->presented, t->withdrawn);
}

static void check_certificate(const struct acme_request *r, const struct acme_result *out,
                              struct arena *a, const char *key_type)
{
    struct cert_info info;
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    if (!CHECK_EQ_INT(out->error, 0) || !CHECK_EQ_INT(cert_describe(out->chain, a, &info), 0)) {
        return;
    }
    CHECK_EQ_INT(cert_check(out->chain, out->key, (uint64_t)time(NULL), &why), 0);
    CHECK_TEXT(info.key_type.ptr, info.key_type.len, key_type);
    for (uint32_t i = 0; i < r->name_count; i++) {
        CHECK(cert_covers(&info, r->names[i]));
    }
}

static void http_01_and_the_account_is_kept(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    struct slice names[] = {SLICE("one.example"), SLICE("two.example"), SLICE("127.0.0.1")};
    struct acme_request r = {.names = names,
                             .name_count = 3,
                             .challenges = ACME_HTTP_01 | ACME_TLS_ALPN_01,
                             .order = {ACME_HTTP_01, ACME_TLS_ALPN_01}};
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    CHECK_EQ_INT(t.presented, 3);
    CHECK_EQ_INT(t.kinds, ACME_HTTP_01);
    CHECK_EQ_INT(t.saves, 1);
    // Again, with the account that was saved, and with an RSA key.
    r.key = ACME_KEY_RSA;
    r.replaces = out.chain;
    r.name_count = 1;
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "RSA 2048");
    CHECK_EQ_INT(t.saves, 1);
    test_host_fini(&t);
    arena_fini(&a);
}

static void an_account_that_the_ca_forgot_is_made_again(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    struct slice name = SLICE("one.example");
    struct acme_request r = {
        .names = &name, .name_count = 1, .challenges = ACME_HTTP_01, .order = {ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, 0);
    struct slice where = slice_of(t.url, t.url_len);
    REQUIRE(where.len > 4);
    memcpy(t.url + t.url_len - 3, "zzz", 3);
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    CHECK_EQ_INT(t.saves, 2);
    test_host_fini(&t);
    arena_fini(&a);
}

static void tls_alpn_01(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    struct slice name = SLICE("tls.example");
    struct acme_request r = {.names = &name,
                             .name_count = 1,
                             .challenges = ACME_HTTP_01 | ACME_TLS_ALPN_01,
                             .order = {ACME_TLS_ALPN_01, ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    name = SLICE("127.0.0.1");
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    CHECK_EQ_INT(t.kinds, ACME_TLS_ALPN_01);
    test_host_fini(&t);
    arena_fini(&a);
}

static void dns_01_for_a_wildcard(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    struct slice names[] = {SLICE("wild.example"), SLICE("*.wild.example")};
    struct acme_request r = {.names = names,
                             .name_count = 2,
                             .challenges = ACME_DNS_01 | ACME_HTTP_01,
                             .order = {ACME_DNS_01, ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    CHECK_EQ_INT(t.kinds, ACME_DNS_01);
    test_host_fini(&t);
    arena_fini(&a);
}

static void another_challenge_when_the_first_is_not_seen(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    t.lies = true; // no TLS server, and then a wrong HTTP answer
    struct slice name = SLICE("lies.example");
    struct acme_request r = {.names = &name,
                             .name_count = 1,
                             .challenges = ACME_HTTP_01 | ACME_TLS_ALPN_01,
                             .order = {ACME_TLS_ALPN_01, ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, E_DENIED);
    CHECK(!out.permanent);
    CHECK_EQ_INT(t.kinds, ACME_HTTP_01 | ACME_TLS_ALPN_01);
    CHECK_EQ_INT(t.presented, 2);
    CHECK(slice_find(out.why, SLICE("lies.example")) > 0);
    CHECK(slice_find(out.why, SLICE("does its DNS point")) > 0);
    CHECK(slice_find(out.why, SLICE("the CA says")) > 0);
    test_host_fini(&t);
    arena_fini(&a);
}

static void a_wildcard_without_dns_says_what_is_missing(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, NULL);
    struct slice name = SLICE("*.example.com");
    struct acme_request r = {
        .names = &name, .name_count = 1, .challenges = ACME_HTTP_01, .order = {ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, E_UNSUPPORTED);
    CHECK(out.permanent);
    CHECK(slice_find(out.why, SLICE("DNS hook")) > 0);
    arena_fini(&a);
}

static void an_unreachable_ca_is_no_surprise(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    char url[64];
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, NULL);
    (void)snprintf(url, sizeof(url), "https://localhost:%u/dir", free_port());
    struct acme_issuer nobody = {.name = SLICE("nobody"), .directory = slice_str(url)};
    struct slice name = SLICE("example.com");
    struct acme_request r = {.issuer = &nobody,
                             .names = &name,
                             .name_count = 1,
                             .challenges = ACME_HTTP_01,
                             .order = {ACME_HTTP_01}};
    t.cancel = getenv("TAP_ALLOC_FAIL") != NULL; // no pauses
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, t.cancel ? E_DRAINING : E_REFUSED);
    CHECK(!out.permanent);
    arena_fini(&a);
}

static void *obtain_in_thread(void *arg)
{
    struct test_host *t = arg;
    struct arena a;
    struct acme_result out;
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    struct slice name = SLICE("cancel.example");
    struct acme_request r = {
        .names = &name, .name_count = 1, .challenges = ACME_HTTP_01, .order = {ACME_HTTP_01}};
    obtain(t, &r, &a, &out);
    CHECK_EQ_INT(out.error, E_DRAINING);
    arena_fini(&a);
    return NULL;
}

static void a_cancelled_run_ends_soon(void)
{
    struct test_host t;
    struct timespec from;
    struct timespec to;
    if (!has_ca) {
        return;
    }
    test_host_init(&t, &ca);
    t.cancel_inside = true;
    pthread_t thread;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    REQUIRE(pthread_create(&thread, NULL, obtain_in_thread, &t) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK(to.tv_sec - from.tv_sec < 30); // a run that waits for its order takes minutes
    CHECK_EQ_INT(t.presented, 1);
    test_host_fini(&t);
}

static void a_ca_that_wants_an_external_account(void)
{
    struct arena a;
    struct test_host t;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    pebble_stop();
    REQUIRE(pebble_start(&ca, PEBBLE_EAB));
    issuer.directory = ca.directory;
    issuer.ca = ca.ca;
    arena_init(&a, NULL, 0, NULL, ARENA_MAX);
    test_host_init(&t, &ca);
    struct slice name = SLICE("eab.example");
    struct acme_request r = {
        .names = &name, .name_count = 1, .challenges = ACME_HTTP_01, .order = {ACME_HTTP_01}};
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, E_DENIED);
    CHECK(slice_find(out.why, SLICE("`eab`")) > 0);
    CHECK(out.permanent);
    issuer.eab_kid = SLICE("kid-1");
    issuer.eab_key = SLICE("b10lLJs8l1GPIzsLP0s6pMt8O0XVGnfTaCeROxQM0BIt2XrJMDHJZBM5NuQmQJQH");
    obtain(&t, &r, &a, &out);
    CHECK_EQ_INT(out.error, E_DENIED);
    issuer.eab_key = SLICE("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");
    obtain(&t, &r, &a, &out);
    check_certificate(&r, &out, &a, "ECDSA P-256");
    test_host_fini(&t);
    arena_fini(&a);
}

TAP_MAIN(setup, http_01_and_the_account_is_kept, an_account_that_the_ca_forgot_is_made_again,
         tls_alpn_01, dns_01_for_a_wildcard, another_challenge_when_the_first_is_not_seen,
         a_wildcard_without_dns_says_what_is_missing, an_unreachable_ca_is_no_surprise,
         a_cancelled_run_ends_soon, a_ca_that_wants_an_external_account)
