// SPDX-License-Identifier: Apache-2.0
//
// Orders against the scripted CA: what CAs do that pebble does not, and what is said about it.

#include "acme/order.h"

#include <pthread.h>
#include <time.h>

#include "base/error.h"
#include "ca.h"
#include "host.h"
#include "tap.h"

static struct test_ca ca;
static bool has_ca;

static void setup(void)
{
    has_ca = test_ca_start(&ca);
    if (!has_ca) {
        printf("# no scripted CA: the cases are skipped\n");
    }
}

struct row {
    const char *plan;
    int error;
    bool permanent;
    uint64_t retry_after_s;
    const char *why;
    struct slice profile;
    struct slice replaces;
};

static const struct row refusals[] = {
    {.plan = "rate",
     .error = E_DENIED,
     .retry_after_s = 3600,
     .why = "rate limit is reached (the CA says: too many already)"},
    {.plan = "rate-date", .error = E_DENIED, .retry_after_s = 30 * 86400, .why = "rate limit"},
    {.plan = "caa",
     .error = E_DENIED,
     .permanent = true,
     .why = "a CAA record of one.example forbids"},
    {.plan = "rejected",
     .error = E_DENIED,
     .permanent = true,
     .why = "does not issue for two.example (the CA says: on a list)"},
    {.plan = "blind", .error = E_DENIED, .why = "got a 404"},
    {.plan = "no-nonce", .error = E_DENIED, .why = "refusing fresh nonces"},
    {.plan = "other-name", .error = E_PROTOCOL, .why = "evil.example, which was not ordered"},
    {.plan = "other-key", .error = E_TLS_CERTIFICATE, .why = "for another key"},
    {.plan = "dns-only",
     .error = E_UNSUPPORTED,
     .permanent = true,
     .why = "no way to prove one.example: the CA offers dns-01"},
    {.plan = "unknown-only", .error = E_UNSUPPORTED, .permanent = true, .why = "nothing we know"},
    {.plan = "bad-csr",
     .error = E_DENIED,
     .permanent = true,
     .why = "does not accept the signing request"},
    {.plan = "junk-dir", .error = E_INVALID, .why = "not a JSON object"},
    {.plan = "huge-dir", .error = E_TOO_LARGE, .why = "larger than its limit"},
    {.plan = "junk-order", .error = E_PROTOCOL, .why = "no URL of the order"},
    {.plan = "junk-authz", .error = E_INVALID, .why = "not a JSON object"},
    {.plan = "junk-cert", .error = E_TLS_CERTIFICATE, .why = "not a chain of certificates"},
    {.plan = "eab",
     .error = E_DENIED,
     .permanent = true,
     .why = "wants an account made with it before"},
    {.plan = "no such plan", .error = E_INVALID, .why = "not an https URL"},
    {.plan = "missing", .error = E_DENIED, .why = "no such plan"},
    {.plan = "profiles",
     .error = E_DENIED,
     .permanent = true,
     .why = "no profile \"odd\", only: classic shortlived",
     .profile = SLICE_INIT("odd")},
    {.plan = "plain",
     .error = E_DENIED,
     .permanent = true,
     .why = "no profile \"shortlived\"",
     .profile = SLICE_INIT("shortlived")},
};

static const struct row successes[] = {
    {.plan = "plain", .why = ""},
    {.plan = "fussy", .why = ""}, // tls-alpn-01 fails, http-01 does not
    {.plan = "reused", .why = ""},
    {.plan = "slow", .why = ""},
    {.plan = "nonces", .why = ""},
    {.plan = "profiles", .why = "", .profile = SLICE_INIT("shortlived")},
};

static void run(const struct row *row, struct arena *a, struct acme_result *out)
{
    struct test_host t;
    struct slice names[] = {SLICE("one.example"), SLICE("two.example")};
    struct acme_issuer issuer = test_ca_issuer(&ca, row->plan);
    issuer.profile = row->profile;
    struct acme_request r = {.issuer = &issuer,
                             .names = names,
                             .name_count = 2,
                             .challenges = ACME_TLS_ALPN_01 | ACME_HTTP_01,
                             .order = {ACME_TLS_ALPN_01, ACME_HTTP_01},
                             .replaces = row->replaces};
    test_host_init(&t, NULL);
    acme_obtain(&r, &t.host, a, out);
    if (!CHECK_EQ_INT(out->error, row->error)) {
        printf("# %s: %.*s\n", row->plan, SLICE_ARG(out->why));
    }
    CHECK_EQ_INT(t.presented, t.withdrawn);
    CHECK(out->error == 0 || (out->chain.len == 0 && out->key.len == 0));
}

static void refusals_are_told_in_plain_words(void)
{
    for (size_t i = 0; has_ca && i < array_len(refusals); i++) {
        struct arena a;
        struct acme_result out;
        arena_init(&a, NULL, 0, NULL, 4 << 20);
        run(&refusals[i], &a, &out);
        if (!CHECK(slice_find(out.why, slice_str(refusals[i].why)) >= 0) ||
            !CHECK_EQ_INT(out.permanent, refusals[i].permanent) ||
            !CHECK_EQ_INT(out.retry_after_ms, refusals[i].retry_after_s * 1000)) {
            printf("# %s: %.*s\n", refusals[i].plan, SLICE_ARG(out.why));
        }
        arena_fini(&a);
    }
}

static void certificates_come_all_the_same(void)
{
    for (size_t i = 0; has_ca && i < array_len(successes); i++) {
        struct arena a;
        struct acme_result out;
        arena_init(&a, NULL, 0, NULL, 4 << 20);
        run(&successes[i], &a, &out);
        CHECK(slice_starts(out.chain, SLICE("-----BEGIN CERTIFICATE-----")));
        CHECK_EQ_INT(out.why.len, 0);
        arena_fini(&a);
    }
}

// A CA is told which certificate a new one replaces, and a CA that minds is not told.
static void replacing_is_a_courtesy(void)
{
    struct arena a;
    struct acme_result out;
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, 8 << 20);
    run(&(struct row){.plan = "replaced"}, &a, &out);
    struct acme_result second;
    run(&(struct row){.plan = "replaced", .replaces = out.chain}, &a, &second);
    CHECK(second.chain.len > 0);
    arena_fini(&a);
}

static void *cancel_soon(void *arg)
{
    struct test_host *t = arg;
    (void)nanosleep(&(struct timespec){0, 300000000}, NULL);
    atomic_store(&t->cancel, true);
    return NULL;
}

// While the CA lets us wait for an answer, or asks to wait.
static void cancelling_ends_all_waiting(void)
{
    static const char *const plans[] = {"hang", "hang-order", "never"};
    for (size_t i = 0; has_ca && i < array_len(plans); i++) {
        struct test_host t;
        struct arena a;
        struct acme_result out;
        struct timespec from;
        struct timespec to;
        pthread_t thread;
        struct slice name = SLICE("one.example");
        struct acme_issuer issuer = test_ca_issuer(&ca, plans[i]);
        struct acme_request r = {.issuer = &issuer,
                                 .names = &name,
                                 .name_count = 1,
                                 .challenges = ACME_HTTP_01,
                                 .order = {ACME_HTTP_01}};
        test_host_init(&t, NULL);
        arena_init(&a, NULL, 0, NULL, 4 << 20);
        (void)clock_gettime(CLOCK_MONOTONIC, &from);
        REQUIRE(pthread_create(&thread, NULL, cancel_soon, &t) == 0);
        acme_obtain(&r, &t.host, &a, &out);
        (void)clock_gettime(CLOCK_MONOTONIC, &to);
        REQUIRE(pthread_join(thread, NULL) == 0);
        CHECK_EQ_INT(out.error, E_DRAINING);
        CHECK(to.tv_sec - from.tv_sec <= 4); // a second, and a busy machine
        CHECK_EQ_INT(t.presented, t.withdrawn);
        arena_fini(&a);
    }
}

TAP_MAIN(setup, refusals_are_told_in_plain_words, certificates_come_all_the_same,
         replacing_is_a_courtesy, cancelling_ends_all_waiting)
