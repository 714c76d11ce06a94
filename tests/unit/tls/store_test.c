// SPDX-License-Identifier: Apache-2.0
//
// The store: what it finds for a name, what it says of credentials that cannot be used, whom it serves
// meanwhile, and that it goes with the last of its connections.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert cert;
static struct pki_cert other;
static struct pki_cert expired;

static void setup(void)
{
    cert = pki_make(&(struct pki_order){.cn = "a", .names = "DNS:a.test", .key = PKI_P256});
    other = pki_make(&(struct pki_order){.cn = "b", .names = "DNS:b.test", .key = PKI_P256});
    expired =
        pki_make(&(struct pki_order){.cn = "old", .key = PKI_P256, .from_s = -9000, .to_s = -60});
}

#define LISTEN "listen: [{at: 443, tls: on}]\n"

static const char *found(const struct tls_store *s, const char *name)
{
    static char text[64];
    const struct store_host *h = store_find(s, slice_str(name));
    (void)snprintf(text, sizeof(text), "%.*s", h != NULL ? (int)h->name.len : 4,
                   h != NULL ? h->name.ptr : "none");
    return text;
}

static void names_are_found(void)
{
    world_begin(1, NULL);
    struct tls_store *s =
        world_store(LISTEN "sites:\n"
                           "  b.test: {names: www.b.test, aliases: [c.test], respond: hi}\n"
                           "  '*.a.test': {respond: hi}\n"
                           "  '*.x.a.test': {respond: hi}\n"
                           "  y.a.test: {respond: hi}\n");
    CHECK_STR(found(s, "b.test"), "b.test");
    CHECK_STR(found(s, "www.b.test"), "www.b.test");
    CHECK_STR(found(s, "c.test"), "c.test");
    CHECK_STR(found(s, "y.a.test"), "y.a.test");
    CHECK_STR(found(s, "z.a.test"), "*.a.test");
    CHECK_STR(found(s, "z.x.a.test"), "*.x.a.test");
    CHECK_STR(found(s, "z.y.x.a.test"), "*.x.a.test");
    CHECK_STR(found(s, "a.test"), "none");
    CHECK_STR(found(s, ".a.test"), "none");
    CHECK_STR(found(s, "d.test"), "none");
    CHECK_STR(found(s, ""), "b.test");
    CHECK(tls_store_in_use(s));
    s = world_store(LISTEN "sites: {default: {respond: hi}, a.test: {respond: hi}}\n");
    CHECK_STR(found(s, ""), "default");
    CHECK_STR(found(s, "d.test"), "default");
    s = world_store("sites: {a.test: {tls: off, respond: hi}}\n");
    CHECK(!tls_store_in_use(s));
    CHECK_STR(found(s, "a.test"), "a.test");
    CHECK_STR(found(s, ""), "none");
    world_end();
}

static void challenges_have_answers(void)
{
    world_begin(1, NULL);
    world_credential(CREDENTIAL_HTTP_01, "token", SLICE(""), SLICE("token.thumb"));
    struct tls_store *s = world_store("sites: {a.test: {respond: hi}}\n");
    struct slice answer = tls_store_http_01(s, SLICE("token"));
    CHECK_TEXT(answer.ptr, answer.len, "token.thumb");
    CHECK_EQ_INT(tls_store_http_01(s, SLICE("toke")).len, 0);
    CHECK_EQ_INT(tls_store_http_01(s, SLICE("")).len, 0);
    world_end();
}

// A file that is of no use leaves its site without TLS, not the others.
static void bad_files_are_reported(void)
{
    static const char document[] =
        LISTEN "sites:\n"
               "  a.test: {tls: {cert: /a.pem, key: /a.key}, respond: hi}\n"
               "  b.test: {tls: {cert: /b.pem, key: /b.key}, respond: hi}\n";
    static const struct {
        const char *what;
        const struct pki_cert *chain;
        const struct pki_cert *key;
        const char *report;
        bool served;
    } rows[] = {
        {"missing", NULL, NULL, "this certificate is not there", false},
        {"mismatch", &cert, &other, "the key does not belong to the certificate", false},
        {"expired", &expired, &expired, "", true}, // as long as there is no better one
        {"good", &cert, &cert, "", true},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        world_begin(1, NULL);
        world_certificate("file:/b.pem|/b.key", &other);
        if (rows[i].chain != NULL) {
            world_credential(CREDENTIAL_CERTIFICATE, "file:/a.pem|/a.key", rows[i].chain->cert_pem,
                             rows[i].key->key_pem);
        }
        (void)world_store(document);
        CHECK(rows[i].report[0] != 0 ? strstr(world_report, rows[i].report) != NULL
                                     : world_report[0] == 0);
        struct peer *p = world_client(world.client, "a.test");
        struct peer *q = world_client(world.client, "b.test");
        world_run(10);
        CHECK(p->connected == rows[i].served);
        CHECK(q->connected);
        world_end();
    }
}

static void broken_blocks_are_refused(void)
{
    world_begin(1, NULL);
    struct tls_store *s = world_store("sites: {a.test: {respond: hi}}\n");
    struct tls_store *t = NULL;
    (void)s;
    world_credential(CREDENTIAL_CERTIFICATE, "local:a.test", SLICE("junk"), SLICE("junk"));
    (void)world_store(LISTEN "sites: {a.test: {respond: hi}}\n");
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    CHECK(!p->connected);
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    CHECK(t == NULL);
    world_end();
}

// Connections keep the store they began with, and it goes with the last of them.
static void stores_live_as_long_as_their_connections(void)
{
    static const char document[] = LISTEN "sites: {a.test: {respond: hi}}\n";
    world_begin(1, NULL);
    world_certificate("local:a.test", &cert);
    struct tls_store *first = world_store(document);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    struct side *one = world_side();
    world_certificate("local:a.test", &other);
    struct tls_store *second = world_store(document);
    CHECK_EQ_INT(atomic_load(&first->refs), 1);
    struct peer *q = world_client(world.client, "a.test");
    world_run(10);
    CHECK(tls_of(one->t)->store == first);
    CHECK(tls_of(world_side()->t)->store == second);
    CHECK_EQ_INT(atomic_load(&second->refs), 2);
    CHECK(X509_cmp(SSL_get0_peer_certificate(p->ssl), cert.x) == 0);
    CHECK(X509_cmp(SSL_get0_peer_certificate(q->ssl), other.x) == 0);
    peer_send(p, "still here", 10);
    world_run(10);
    CHECK_EQ_INT(p->got_len, 10);
    world_end();
}

TAP_MAIN(setup, names_are_found, challenges_have_answers, bad_files_are_reported,
         broken_blocks_are_refused, stores_live_as_long_as_their_connections)
