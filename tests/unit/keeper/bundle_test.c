// SPDX-License-Identifier: Apache-2.0
//
// Credentials as a bundle, and what a keeper that takes over reads back from them.

#include "keeper/bundle.h"

#include "base/error.h"
#include "conf/load.h"
#include "keeper/local.h"
#include "os/memfd.h"
#include "tls/credentials.h"

#include "tap.h"

#include "made.h"

static struct conf_doc *doc;
static char path[] = "/tmp/adit-bundle-XXXXXX";
static char yaml[1024];

static struct needs *read_needs(void)
{
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    struct needs *n = needs_new(doc);
    REQUIRE(n != NULL);
    REQUIRE(needs_read(n, conf_source_files(), made_now(), d) == 0);
    conf_diags_free(d);
    return n;
}

static uint32_t count_kind(struct slice bytes, uint32_t kind, const char *id)
{
    struct credential_reader r;
    struct credential c;
    uint32_t count = 0;
    REQUIRE(credentials_open(bytes, &r) == 0);
    while (credentials_next(&r, &c)) {
        count += c.kind == kind && (id == NULL || slice_eq(c.id, slice_str(id)));
    }
    return count;
}

static void add_holding(struct vault *v, const char *id, const struct made *m, bool on_demand)
{
    struct holding *h = vault_add(v, NEED_ACME, slice_str(id), SLICE("x.example.com"));
    REQUIRE(h != NULL);
    REQUIRE(holding_set(h, m->chain, m->key) == 0);
    REQUIRE(holding_staple(h, SLICE("staple"), 1) == 0);
    h->wanted = true;
    h->on_demand = on_demand;
}

static void what_is_written_comes_back(void)
{
    struct made m;
    struct vault v;
    struct vault next;
    int dir = made_dir(path);
    char file[128];
    made_new(&m, "a.example.com", 90 * 86400);
    (void)snprintf(file, sizeof file, "%s/c.pem", path);
    made_file(file, m.chain);
    (void)snprintf(file, sizeof file, "%s/c.key", path);
    made_file(file, m.key);
    (void)snprintf(yaml, sizeof yaml,
                   "listen: {at: \"127.0.0.1:8443\", tls: on}\n"
                   "acme: {key: both, ask: \"http://127.0.0.1:1/\"}\n"
                   "sites:\n"
                   "  a.test: {tls: {cert: %s/c.pem, key: %s/c.key, client: {ca: %s/c.pem}}, "
                   "respond: a}\n"
                   "  b.internal: {respond: a}\n"
                   "  c.example.com: {respond: a}\n"
                   "  default: {tls: {on_demand: on}, respond: a}\n",
                   path, path, path);
    struct needs *n = read_needs();
    vault_init(&v);
    int error = 0;
    CHECK(local_renew(&v, n, -1, made_now(), &error));
    CHECK(tickets_rotate(&v.tickets, 1000));
    add_holding(&v, "acme:c.example.com", &m, false);
    add_holding(&v, "acme:c.example.com#rsa", &m, false);
    add_holding(&v, "acme:d.example.com", &m, true);
    add_holding(&v, "acme:gone.example.com", &m, false); // nobody needs it
    REQUIRE(vault_challenge(&v, ACME_HTTP_01, SLICE("token"), SLICE(""), SLICE("auth")) == 0);
    REQUIRE(vault_challenge(&v, ACME_TLS_ALPN_01, SLICE("n"), m.chain, m.key) == 0);
    int fd = bundle_make(&v, n);
    REQUIRE(fd >= 0);
    struct slice bytes;
    REQUIRE(os_memfd_map(fd, CREDENTIALS_BYTES_MAX, &bytes) == 0);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_CERTIFICATE, "acme:c.example.com"), 2);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_CERTIFICATE, NULL), 5);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_AUTHORITY, NULL), 1);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_TICKET_KEY, "1000"), 1);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_HTTP_01, "token"), 1);
    CHECK_EQ_INT(count_kind(bytes, CREDENTIAL_TLS_ALPN_01, "n"), 1);

    vault_init(&next);
    struct needs *after = needs_new(doc);
    REQUIRE(after != NULL);
    bundle_recover(&next, after, bytes);
    CHECK_EQ_INT(next.tickets.count, 1);
    CHECK(memcmp(&next.tickets.at[0], &v.tickets.at[0], sizeof v.tickets.at[0]) == 0);
    const struct holding *h = vault_get(&next, SLICE("acme:d.example.com"));
    REQUIRE(h != NULL);
    CHECK(h->on_demand && h->allowed);
    CHECK_EQ_INT(h->staple.len, 0); // it says nothing about this certificate
    h = vault_get(&next, SLICE("acme:c.example.com#rsa"));
    CHECK(h != NULL && h->chain.len > 0);
    h = vault_get(&next, SLICE("local:b.internal"));
    CHECK(h != NULL && slice_eq(h->chain, vault_get(&v, SLICE("local:b.internal"))->chain));
    for (const struct need *one = after->first; one != NULL; one = one->next) {
        CHECK(one->kind != NEED_FILES || (one->chain.len > 0 && one->secret.len > 0));
        CHECK(one->kind != NEED_AUTHORITY || one->chain.len > 0);
    }
    bundle_recover(&next, after, SLICE("junk"));
    needs_unref(after);
    needs_unref(n);
    conf_doc_free(doc);
    os_memfd_unmap(bytes);
    (void)close(fd);
    vault_fini(&next);
    vault_fini(&v);
    made_free(&m);
    made_remove(path, dir);
}

TAP_MAIN(what_is_written_comes_back)
