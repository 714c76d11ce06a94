// SPDX-License-Identifier: Apache-2.0
//
// Certificates and accounts on disk: what was written is found again, and a crash between two files
// costs nothing.

#include "keeper/records.h"

#include "base/error.h"
#include "keeper/shelf.h"

#include "tap.h"

#include "made.h"

static char path[] = "/tmp/adit-records-XXXXXX";
static int dir = -1;
static struct vault v;
static struct made m;

static void setup(void)
{
    dir = made_dir(path);
    made_new(&m, "a.test", 1000);
    vault_init(&v);
}

static struct holding *fresh(const char *id)
{
    struct holding *h = vault_get(&v, slice_str(id));
    if (h != NULL) {
        vault_drop(&v, h);
    }
    h = vault_add(&v, NEED_ACME, slice_str(id), SLICE("a.test"));
    REQUIRE(h != NULL);
    return h;
}

static void a_certificate_comes_back(void)
{
    struct holding *h = fresh("acme:a.test");
    REQUIRE(record_save(h, dir, m.chain, m.key) == 0);
    REQUIRE(holding_set(h, m.chain, m.key) == 0);
    h->failures = 3;
    h->renew_at = 12345;
    h->next_attempt = 23456;
    h->window = (struct acme_window){1, 2, 3};
    h->on_demand = true;
    (void)snprintf(h->error, sizeof h->error, "it \"failed\"");
    (void)snprintf(h->via, sizeof h->via, "ca.test");
    record_status(h, dir);
    h = fresh("acme:a.test");
    record_load(h, dir, made_now());
    CHECK(h->looked);
    CHECK(holding_valid(h, made_now()));
    CHECK(slice_eq(h->chain, m.chain) && slice_eq(h->key, m.key));
    CHECK_EQ_INT(h->failures, 3);
    CHECK_EQ_INT(h->renew_at, 12345);
    CHECK_EQ_INT(h->next_attempt, 23456);
    CHECK_EQ_INT(h->window.ask_again, 3);
    CHECK(h->allowed);
    CHECK_STR(h->error, "it \"failed\"");
    CHECK_STR(h->via, "ca.test");
}

// A hook may speak Latin-1, and a CA's words may be cut within a letter.
static void words_that_are_no_text(void)
{
    struct holding *h = fresh("acme:a.test");
    h->failures = 7;
    h->next_attempt = 34567;
    (void)snprintf(h->error, sizeof h->error, "caf\xe9 and \xe2\x82");
    (void)snprintf(h->issuer, sizeof h->issuer, "CA\xc3");
    record_status(h, dir);
    h = fresh("acme:a.test");
    record_load(h, dir, made_now());
    CHECK_EQ_INT(h->failures, 7);
    CHECK_EQ_INT(h->next_attempt, 34567);
    CHECK_STR(h->error, "caf? and ??");
}

static void a_second_key_type_has_its_own_folder(void)
{
    struct holding *h = fresh("acme:a.test#rsa");
    record_load(h, dir, made_now());
    CHECK_EQ_INT(h->chain.len, 0);
    REQUIRE(record_save(h, dir, m.chain, m.key) == 0);
    CHECK(faccessat(dir, "certificates/a.test_rsa/key.pem", F_OK, 0) == 0);
}

static void a_crash_between_certificate_and_key(void)
{
    struct made next;
    made_new(&next, "a.test", 1000);
    REQUIRE(shelf_write(dir, "certificates/a.test/key.new.pem", next.key, SHELF_KEY) == 0);
    struct holding *h = fresh("acme:a.test");
    record_load(h, dir, made_now());
    CHECK(slice_eq(h->chain, m.chain)); // the old pair still is one
    REQUIRE(shelf_write(dir, "certificates/a.test/certificate.pem", next.chain, SHELF_PUBLIC) == 0);
    h = fresh("acme:a.test");
    record_load(h, dir, made_now());
    CHECK(slice_eq(h->chain, next.chain));
    CHECK(slice_eq(h->key, next.key));
    CHECK(faccessat(dir, "certificates/a.test/key.new.pem", F_OK, 0) != 0);
    h = fresh("acme:a.test");
    record_load(h, dir, made_now()); // and it was put right
    CHECK(slice_eq(h->key, next.key));
    made_free(&next);
}

static void what_cannot_be_served_is_not_loaded(void)
{
    REQUIRE(shelf_write(dir, "certificates/a.test/key.pem", m.key, SHELF_KEY) == 0);
    struct holding *h = fresh("acme:a.test");
    record_load(h, dir, made_now());
    CHECK_EQ_INT(h->chain.len, 0);
    REQUIRE(shelf_write(dir, "certificates/a.test/status.json", SLICE("[1"), SHELF_PUBLIC) == 0);
    record_load(h, dir, made_now());
    REQUIRE(shelf_write(dir, "certificates/a.test/status.json", SLICE("[1]"), SHELF_PUBLIC) == 0);
    record_load(h, dir, made_now());
    record_load(h, -1, made_now());
    record_status(h, -1);
    CHECK(record_save(h, -1, m.chain, m.key) != 0);
}

static void add_name(void *arg, struct slice name)
{
    struct text *t = arg;
    text_put(t, name);
}

static void names_on_demand_are_listed(void)
{
    struct holding *h = fresh("acme:a.test");
    h->on_demand = true;
    record_status(h, dir);
    char buffer[64];
    struct text t = text_on(buffer, sizeof buffer);
    records_on_demand(dir, add_name, &t);
    CHECK_TEXT(t.ptr, t.len, "a.test");
    records_on_demand(-1, add_name, &t);
    CHECK_EQ_INT(t.len, 6);
}

static void accounts_belong_to_their_issuer(void)
{
    struct acme_issuer i = {.name = SLICE("ca.test:14000"),
                            .directory = SLICE("https://ca.test:14000/dir")};
    struct slice key;
    struct slice url;
    CHECK(!account_load(dir, &i, &m.arena, &key, &url));
    REQUIRE(account_save(dir, &i, SLICE("KEY"), SLICE("https://ca.test/acc/1")) == 0);
    REQUIRE(account_load(dir, &i, &m.arena, &key, &url));
    CHECK_TEXT(key.ptr, key.len, "KEY");
    CHECK_TEXT(url.ptr, url.len, "https://ca.test/acc/1");
    i.directory = SLICE("https://ca.test:14000/other");
    CHECK(!account_load(dir, &i, &m.arena, &key, &url));
    CHECK(account_save(-1, &i, SLICE("KEY"), SLICE("u")) != 0);
    vault_fini(&v);
    made_free(&m);
    made_remove(path, dir);
}

TAP_MAIN(setup, a_certificate_comes_back, words_that_are_no_text,
         a_second_key_type_has_its_own_folder, a_crash_between_certificate_and_key,
         what_cannot_be_served_is_not_loaded, names_on_demand_are_listed,
         accounts_belong_to_their_issuer)
