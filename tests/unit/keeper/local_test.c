// SPDX-License-Identifier: Apache-2.0
//
// The local CA at work: one root that stays, certificates that are renewed in time.

#include "keeper/local.h"

#include "conf/load.h"
#include "keeper/shelf.h"

#include "tap.h"

#include "made.h"

static struct vault v;
static struct conf_doc *doc;
static struct needs *needs;
static char path[] = "/tmp/adit-local-XXXXXX";
static int dir = -1;

static void setup(void)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml",
                           "listen: {at: \"127.0.0.1:8443\", tls: on}\n"
                           "sites:\n"
                           "  a.internal: {respond: a}\n"
                           "  127.0.0.1: {respond: a}\n"
                           "  default: {respond: a}\n",
                           conf_tables, d, &doc) == 0);
    needs = needs_new(doc);
    REQUIRE(needs != NULL);
    conf_diags_free(d);
    dir = made_dir(path);
    vault_init(&v);
}

static void certificates_are_made_once(void)
{
    int error = 1;
    uint64_t now = made_now();
    CHECK_EQ_INT(local_due(&v, needs), 0);
    CHECK(local_renew(&v, needs, dir, now, &error));
    CHECK_EQ_INT(error, 0);
    CHECK_EQ_INT(v.count, 3);
    CHECK(holding_valid(vault_get(&v, SLICE("local:localhost")), now));
    CHECK(!local_renew(&v, needs, dir, now, &error));
    CHECK_EQ_INT(local_due(&v, needs), now + LOCAL_LIFE_S - LOCAL_RENEW_S);
    vault_get(&v, SLICE("local:a.internal"))->renew = true;
    CHECK(local_renew(&v, needs, dir, now, &error));
    CHECK(faccessat(dir, LOCAL_ROOT, R_OK, 0) == 0);
}

static void they_are_renewed_in_time(void)
{
    int error = 1;
    uint64_t later = made_now() + LOCAL_LIFE_S - LOCAL_RENEW_S + 10;
    CHECK(local_renew(&v, needs, dir, later, &error));
    CHECK(vault_get(&v, SLICE("local:a.internal"))->not_after == later + LOCAL_LIFE_S);
}

static void the_root_outlives_the_keeper(void)
{
    int error = 1;
    struct slice root = secret_dup(v.root);
    vault_fini(&v);
    vault_init(&v);
    CHECK(local_renew(&v, needs, dir, made_now(), &error));
    CHECK(slice_eq(v.root, root));
    // One that cannot be read any more is replaced.
    REQUIRE(shelf_write(dir, LOCAL_ROOT, SLICE("broken"), SHELF_PUBLIC) == 0);
    vault_fini(&v);
    vault_init(&v);
    CHECK(local_renew(&v, needs, dir, made_now(), &error));
    CHECK(!slice_eq(v.root, root));
    // Without a directory everything works, but does not last.
    vault_fini(&v);
    vault_init(&v);
    CHECK(local_renew(&v, needs, -1, made_now(), &error));
    CHECK_EQ_INT(error, 0);
    secret_free(&root);
    vault_fini(&v);
    needs_unref(needs);
    conf_doc_free(doc);
    made_remove(path, dir);
}

TAP_MAIN(setup, certificates_are_made_once, they_are_renewed_in_time, the_root_outlives_the_keeper)
