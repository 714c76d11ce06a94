// SPDX-License-Identifier: Apache-2.0
//
// The list of certificates, and renewals by hand.

#include "keeper/inventory.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf/load.h"
#include "keeper/keeper_int.h"

#include "tap.h"

#include "made.h"

static struct keeper keeper;
static struct conf_doc *doc;
static struct made made;
static char path[] = "/tmp/adit-inventory-XXXXXX";

// A certificate from files, one of the local CA and one of ACME that has failed so far.
static void begin(void)
{
    static char yaml[512];
    char file[128];
    int dir = made_dir(path);
    made_new(&made, "files.example.com", 30 * 86400);
    (void)snprintf(file, sizeof file, "%s/c.pem", path);
    made_file(file, made.chain);
    (void)snprintf(file, sizeof file, "%s/c.key", path);
    made_file(file, made.key);
    (void)snprintf(yaml, sizeof yaml,
                   "listen: {at: \"127.0.0.1:8443\", tls: on}\nsites:\n"
                   "  files.example.com: {tls: {cert: %s/c.pem, key: %s/c.key}, respond: a}\n"
                   "  a.internal: {respond: a}\n",
                   path, path);
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    struct needs *n = needs_new(doc);
    REQUIRE(n != NULL);
    REQUIRE(needs_read(n, conf_source_files(), made_now(), d) == 0);
    conf_diags_free(d);
    keeper_init(&keeper);
    keeper.state = dir;
    ipc_set_text(keeper.state_path, sizeof keeper.state_path, slice_str(path));
    int fd = -1;
    uint64_t number = 0;
    REQUIRE(certificates_stage(&keeper, n, &fd, &number) == 0);
    certificates_commit(&keeper, n);
    (void)close(fd);
    struct holding *h = vault_add(&keeper.certificates.vault, NEED_ACME,
                                  SLICE("acme:b.example.com"), SLICE("b.example.com"));
    REQUIRE(h != NULL);
    h->wanted = true;
    h->failures = 3;
    (void)snprintf(h->error, sizeof h->error, "the CA could not reach it");
}

static void end(void)
{
    keeper_fini(&keeper);
    conf_doc_free(doc);
    made_free(&made);
    made_remove(path, keeper.state);
}

static const json_t *row(const json_t *answer, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(answer, "certificates"), i, one)
    {
        const char *its = json_string_value(json_object_get(one, "name"));
        if (its != NULL && strcmp(its, name) == 0) {
            return one;
        }
    }
    return NULL;
}

static const char *cell(const json_t *of, const char *key)
{
    const char *text = json_string_value(json_object_get(of, key));
    return text != NULL ? text : "(null)";
}

static void each_kind_has_its_row(void)
{
    begin();
    json_t *answer = inventory_list(&keeper);
    REQUIRE(answer != NULL);
    CHECK(json_is_true(json_object_get(answer, "ok")));
    const json_t *files = row(answer, "files.example.com");
    CHECK_STR(cell(files, "source"), "files");
    CHECK(json_is_null(json_object_get(files, "renews")));
    CHECK(strstr(cell(files, "file"), "/c.pem") != NULL);
    CHECK(json_integer_value(json_object_get(files, "expires_s")) > (json_int_t)made_now());
    const json_t *local = row(answer, "a.internal");
    CHECK_STR(cell(local, "source"), "local");
    CHECK_STR(cell(local, "key"), "ecdsa");
    CHECK(strlen(cell(local, "expires")) == strlen("2026-11-23T09:30:00Z"));
    const json_t *acme = row(answer, "b.example.com");
    CHECK_STR(cell(acme, "source"), "acme");
    CHECK_STR(cell(acme, "error"), "the CA could not reach it");
    CHECK(json_is_null(json_object_get(acme, "expires")));
    CHECK_EQ_INT(json_integer_value(json_object_get(acme, "failures")), 3);
    CHECK(strstr(cell(answer, "local_root"), "/local/root.pem") != NULL);
    CHECK_STR(cell(answer, "state"), path);
    char *text = json_dumps(answer, JSON_COMPACT);
    CHECK(text != NULL && strstr(text, "PRIVATE") == NULL);
    free(text);
    json_decref(answer);
    end();
}

static void renewals_are_of_what_is_ours(void)
{
    (void)snprintf(path, sizeof path, "/tmp/adit-inventory-XXXXXX");
    begin();
    const struct holding *h = vault_get(&keeper.certificates.vault, SLICE("acme:b.example.com"));
    json_t *answer = inventory_renew(&keeper, SLICE("b.example.com"));
    CHECK(json_is_true(json_object_get(answer, "ok")));
    CHECK(h->renew);
    json_decref(answer);
    answer = inventory_renew(&keeper, SLICE("files.example.com"));
    CHECK(json_is_false(json_object_get(answer, "ok")));
    CHECK(strstr(cell(answer, "error"), "comes from files") != NULL);
    json_decref(answer);
    answer = inventory_renew(&keeper, SLICE("c.example.com"));
    CHECK(json_is_false(json_object_get(answer, "ok")));
    CHECK(strstr(cell(answer, "error"), "no certificate of that name") != NULL);
    json_decref(answer);
    end();
}

TAP_MAIN(each_kind_has_its_row, renewals_are_of_what_is_ours)
