// SPDX-License-Identifier: Apache-2.0
//
// The issuer's threads: when they run at all, an order that fails, names on demand that are refused.
// Nobody listens at port 1 of this machine, so whom they ask does not answer.

#include "keeper/issuer.h"

#include <time.h>

#include "conf/load.h"
#include "keeper/issuer_int.h"
#include "keeper/keeper_int.h"
#include "os/clock.h"

#include "tap.h"

static struct keeper keeper;
static struct conf_doc *doc;

#define LISTEN "listen: {at: \"127.0.0.1:8443\", tls: on}\n"
#define NOBODY                                                                                     \
    "acme: {issuers: \"https://127.0.0.1:1/directory\", ask: \"http://127.0.0.1:1/ask\"}\n"

static void begin(const char *yaml)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    conf_diags_free(d);
    struct needs *n = needs_new(doc);
    REQUIRE(n != NULL);
    keeper_init(&keeper);
    certificates_commit(&keeper, n); // starts the issuer
}

static bool stopped(void)
{
    return issuer_stop(&keeper);
}

// Waits for something that threads do under the vault's lock.
static bool until(bool (*holds)(void))
{
    struct vault *v = &keeper.certificates.vault;
    uint64_t end = os_clock_ms() + 10000;
    bool yes = false;
    while (!yes && os_clock_ms() < end) {
        vault_lock(v);
        yes = holds();
        vault_unlock(v);
        if (!yes) {
            (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        }
    }
    return yes;
}

static bool idle(void)
{
    return keeper.issuer->working == 0;
}

static void end(void)
{
    if (keeper.issuer != NULL) {
        CHECK(until(idle));
    }
    CHECK(stopped());
    keeper_fini(&keeper);
    conf_doc_free(doc);
}

static const struct holding *get(const char *id)
{
    return vault_get(&keeper.certificates.vault, slice_str(id));
}

static void without_work_there_are_no_threads(void)
{
    begin(LISTEN "sites: {a.internal: {respond: a}}\n");
    CHECK(keeper.issuer == NULL);
    issuer_want(&keeper, "a.example.com");
    CHECK(get("acme:a.example.com") == NULL);
    end();
}

static bool has_failed(void)
{
    const struct holding *h = get("acme:a.example.com");
    return h != NULL && h->failures > 0 && !h->busy;
}

static void an_order_that_fails_is_tried_again_later(void)
{
    begin(LISTEN NOBODY "sites: {a.example.com: {respond: a}}\n");
    REQUIRE(keeper.issuer != NULL);
    CHECK_EQ_INT(keeper.issuer->threads, ISSUER_THREADS);
    REQUIRE(until(has_failed));
    const struct holding *h = get("acme:a.example.com");
    CHECK_EQ_INT(h->failures, 1);
    CHECK(strstr(h->error, "127.0.0.1:1") != NULL);
    CHECK(h->next_attempt > os_clock_wall_ms() / 1000 + 10);
    CHECK_EQ_INT(h->chain.len, 0);
    end();
}

static bool demand_is_over(void)
{
    return get("acme:b.example.com") == NULL && keeper.issuer->denied_next > 0;
}

#define ON_DEMAND LISTEN NOBODY "sites: {default: {tls: {on_demand: on}, respond: a}}\n"

static void a_name_that_may_not_is_forgotten_and_not_asked_again(void)
{
    begin(ON_DEMAND);
    REQUIRE(keeper.issuer != NULL);
    issuer_want(&keeper, "b.example.com");
    REQUIRE(until(demand_is_over));
    CHECK_EQ_INT(keeper.issuer->denied_next, 1);
    issuer_want(&keeper, "b.example.com");
    CHECK(get("acme:b.example.com") == NULL);
    CHECK_EQ_INT(keeper.issuer->denied_next, 1);
    end();
}

static void what_is_no_host_name_is_not_asked_for(void)
{
    begin(ON_DEMAND);
    static const char *const names[] = {"",
                                        "localhost",
                                        "A.example.com",
                                        ".example.com",
                                        "a.example.com.",
                                        "a b.example.com",
                                        "a/../b.c"};
    for (size_t i = 0; i < array_len(names); i++) {
        issuer_want(&keeper, names[i]);
        char id[64];
        (void)snprintf(id, sizeof id, "acme:%s", names[i]);
        CHECK(get(id) == NULL);
    }
    end();
}

TAP_MAIN(without_work_there_are_no_threads, an_order_that_fails_is_tried_again_later,
         a_name_that_may_not_is_forgotten_and_not_asked_again,
         what_is_no_host_name_is_not_asked_for)
