// SPDX-License-Identifier: Apache-2.0
//
// Accounts at the scripted CA: made once, found again by key, bound to an external one, and keys that
// are spoiled.

#include "acme/account.h"

#include "base/error.h"
#include "base/slab.h"
#include "ca.h"
#include "host.h"
#include "tap.h"

static struct test_ca ca;
static bool has_ca;

static void setup(void)
{
    has_ca = test_ca_start(&ca);
}

// Opens the account at a plan's CA; the error, with the reason in `why`.
static int open_account(struct test_host *t, struct acme_issuer *issuer, bool anew, char why[512])
{
    struct arena a;
    struct acme_client *c = mem_zalloc(sizeof(*c));
    REQUIRE(c != NULL);
    arena_init(&a, NULL, 0, NULL, 8 << 20);
    int rc = acme_client_open(c, issuer, &t->cancel, &a);
    if (rc == 0) {
        rc = acme_account_open(c, &t->host, anew);
    }
    (void)snprintf(why, 512, "%.*s", SLICE_ARG(text_slice(&c->failure.why)));
    acme_client_close(c);
    arena_fini(&a);
    mem_free(c);
    return rc;
}

static void an_account_is_made_once(void)
{
    struct test_host t;
    char why[512];
    char url[2048];
    if (!has_ca) {
        return;
    }
    struct acme_issuer issuer = test_ca_issuer(&ca, "plain");
    issuer.email = SLICE("me@example.com");
    test_host_init(&t, NULL);
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), 0);
    CHECK_EQ_INT(t.saves, 1);
    CHECK(t.url_len > 0 && t.key_len > 0);
    memcpy(url, t.url, t.url_len);
    size_t url_len = t.url_len;
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), 0);
    CHECK_EQ_INT(t.saves, 1);
    // A lost URL is found again by the key.
    t.url_len = 0;
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), 0);
    CHECK_EQ_INT(t.saves, 2);
    CHECK_BYTES(t.url, t.url_len, url, url_len);
    CHECK_EQ_INT(open_account(&t, &issuer, true, why), 0);
    CHECK_EQ_INT(t.saves, 3);
}

static void external_accounts(void)
{
    struct test_host t;
    char why[512];
    if (!has_ca) {
        return;
    }
    struct acme_issuer issuer = test_ca_issuer(&ca, "eab");
    test_host_init(&t, NULL);
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), E_DENIED);
    issuer.eab_kid = SLICE("kid-1");
    issuer.eab_key = SLICE("not base64url!");
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), E_INVALID);
    CHECK(strstr(why, "not base64url") != NULL);
    issuer.eab_key = SLICE("AAAA");
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), E_DENIED);
    issuer.eab_key = SLICE("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), 0);
    CHECK_EQ_INT(t.saves, 1);
}

static void a_spoiled_key_is_reported(void)
{
    struct test_host t;
    char why[512];
    if (!has_ca) {
        return;
    }
    struct acme_issuer issuer = test_ca_issuer(&ca, "plain");
    test_host_init(&t, NULL);
    memcpy(t.key, "spoiled", 7);
    t.key_len = 7;
    CHECK_EQ_INT(open_account(&t, &issuer, false, why), E_TLS_KEY);
    CHECK(strstr(why, "key at plain cannot be read") != NULL);
    CHECK_EQ_INT(t.saves, 0);
}

TAP_MAIN(setup, an_account_is_made_once, external_accounts, a_spoiled_key_is_reported)
