// SPDX-License-Identifier: Apache-2.0
//
// Renewal information from the scripted CA.

#include <time.h>

#include "acme/acme.h"
#include "base/error.h"
#include "ca.h"
#include "host.h"
#include "tap.h"

static struct test_ca ca;
static bool has_ca;

static void setup(void)
{
    has_ca = test_ca_start(&ca);
}

static int ask(const char *plan, struct slice chain, struct acme_window *w, char why[512])
{
    struct acme_issuer issuer = test_ca_issuer(&ca, plan);
    struct text t = text_on(why, 511);
    int rc = acme_renewal_window(&issuer, chain, w, &t);
    why[t.len] = '\0';
    return rc;
}

static void windows_come_with_a_time_to_ask_again(void)
{
    struct arena a;
    struct acme_result out;
    struct test_host t;
    struct acme_window w;
    char why[512];
    uint64_t now = (uint64_t)time(NULL);
    if (!has_ca) {
        return;
    }
    arena_init(&a, NULL, 0, NULL, 4 << 20);
    struct slice name = SLICE("one.example");
    struct acme_issuer issuer = test_ca_issuer(&ca, "ari");
    struct acme_request r = {.issuer = &issuer,
                             .names = &name,
                             .name_count = 1,
                             .challenges = ACME_HTTP_01,
                             .order = {ACME_HTTP_01}};
    test_host_init(&t, NULL);
    acme_obtain(&r, &t.host, &a, &out);
    REQUIRE(out.error == 0);
    CHECK_EQ_INT(ask("ari", out.chain, &w, why), 0);
    CHECK(w.start >= now - 3700 && w.start <= now - 3500);
    CHECK_EQ_INT(w.end - w.start, 7200);
    CHECK(w.ask_again >= now + 120 && w.ask_again <= now + 180);
    CHECK_EQ_INT(ask("plain", out.chain, &w, why), E_UNSUPPORTED);
    CHECK(strstr(why, "plain has no renewal information") != NULL);
    CHECK_EQ_INT(ask("junk-ari", out.chain, &w, why), E_INVALID);
    CHECK_EQ_INT(ask("missing", out.chain, &w, why), E_DENIED);
    CHECK_EQ_INT(ask("ari", SLICE("no chain"), &w, why), E_UNSUPPORTED);
    arena_fini(&a);
}

TAP_MAIN(setup, windows_come_with_a_time_to_ask_again)
