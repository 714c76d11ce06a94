// SPDX-License-Identifier: Apache-2.0
//
// The vault: holdings, what they know of their certificate, challenges, versions.

#include "keeper/vault.h"

#include "base/error.h"

#include "tap.h"

#include "made.h"

static struct vault v;

static void holdings_are_found_by_id(void)
{
    vault_init(&v);
    struct holding *a = vault_add(&v, NEED_ACME, SLICE("acme:a.test"), SLICE("a.test"));
    REQUIRE(a != NULL);
    CHECK(vault_add(&v, NEED_ACME, SLICE("acme:a.test"), SLICE("a.test")) == a);
    for (int i = 0; i < 1000; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "acme:n%d", i);
        REQUIRE(vault_add(&v, NEED_ACME, slice_str(id), SLICE("n")) != NULL);
    }
    CHECK_EQ_INT(v.count, 1001);
    CHECK(vault_get(&v, SLICE("acme:n77")) != NULL);
    CHECK(vault_get(&v, SLICE("acme:none")) == NULL);
    a->wanted = true;
    vault_get(&v, SLICE("acme:n5"))->busy = true;
    vault_sweep(&v);
    CHECK_EQ_INT(v.count, 2);
    CHECK(vault_get(&v, SLICE("acme:a.test")) == a);
    CHECK(vault_get(&v, SLICE("acme:n5")) != NULL);
    vault_fini(&v);
}

static void a_holding_describes_its_certificate(void)
{
    struct made m;
    made_new(&m, "a.test", 1000);
    vault_init(&v);
    struct holding *h = vault_add(&v, NEED_LOCAL, SLICE("local:a.test"), SLICE("a.test"));
    REQUIRE(h != NULL);
    CHECK(!holding_valid(h, made_now()));
    CHECK(holding_set(h, SLICE("no certificate"), m.key) != 0);
    REQUIRE(holding_set(h, m.chain, m.key) == 0);
    CHECK(holding_valid(h, made_now()));
    CHECK(!holding_valid(h, made_now() + 1001));
    CHECK(strstr(h->issuer, "adit local CA") != NULL);
    CHECK(!h->responds);
    REQUIRE(holding_staple(h, SLICE("answer"), 77) == 0);
    CHECK(holding_set(h, m.chain, m.key) == 0); // the same one keeps its staple
    CHECK_EQ_INT(h->staple.len, 6);
    struct made other;
    made_new(&other, "a.test", 1000);
    CHECK(holding_set(h, other.chain, other.key) == 0);
    CHECK_EQ_INT(h->staple.len, 0);
    made_free(&other);
    made_free(&m);
    vault_fini(&v);
}

static void challenges_come_and_go(void)
{
    vault_init(&v);
    REQUIRE(vault_challenge(&v, ACME_HTTP_01, SLICE("t"), SLICE(""), SLICE("one")) == 0);
    REQUIRE(vault_challenge(&v, ACME_HTTP_01, SLICE("t"), SLICE(""), SLICE("two")) == 0);
    REQUIRE(vault_challenge(&v, ACME_TLS_ALPN_01, SLICE("t"), SLICE("c"), SLICE("k")) == 0);
    CHECK(v.challenges != NULL && v.challenges->next != NULL && v.challenges->next->next == NULL);
    vault_withdraw(&v, ACME_TLS_ALPN_01, SLICE("t"));
    CHECK_TEXT(v.challenges->key.ptr, v.challenges->key.len, "two");
    vault_withdraw(&v, ACME_HTTP_01, SLICE("none"));
    vault_withdraw(&v, ACME_HTTP_01, SLICE("t"));
    CHECK(v.challenges == NULL);
    uint64_t before = v.version;
    vault_lock(&v);
    vault_touch(&v);
    vault_unlock(&v);
    CHECK_EQ_INT(v.version, before + 1);
    vault_fini(&v);
}

TAP_MAIN(holdings_are_found_by_id, a_holding_describes_its_certificate, challenges_come_and_go)
