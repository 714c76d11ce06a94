// SPDX-License-Identifier: Apache-2.0
//
// What is said of a connection, and for which hosts it is good: a table, before and after reloads.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert both;
static struct pki_cert plain;
static struct pki_cert root;

static void setup(void)
{
    root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    both = pki_make(&(struct pki_order){
        .cn = "x", .names = "DNS:a.test,DNS:b.test,DNS:*.w.test", .key = PKI_P256});
    plain = pki_make(&(struct pki_order){.cn = "x", .key = PKI_P256});
}

#define LISTEN "listen: [{at: 443, tls: on}]\n"
#define FILES  "cert: /b.pem, key: /b.key"

static const char document[] =
    LISTEN "sites:\n"
           "  a.test: {tls: {" FILES "}, respond: hi}\n"
           "  b.test: {tls: {" FILES "}, respond: hi}\n"
           "  other.test: {tls: {" FILES "}, respond: hi}\n"
           "  x.w.test: {tls: {" FILES ", min_version: '1.3'}, respond: hi}\n"
           "  off.w.test: {tls: off, respond: hi}\n"
           "  local.test: {respond: hi}\n";

static void credentials(void)
{
    world_certificate("file:/b.pem|/b.key", &both);
    world_certificate("local:local.test", &plain);
    world_credential(CREDENTIAL_AUTHORITY, "ca:/root.pem", root.cert_pem, SLICE(""));
}

static bool covers(const char *host)
{
    const struct http_security *s = tls_security(world_side()->t);
    return s->covers(s, slice_str(host));
}

static void connect_to(const char *name)
{
    (void)world_client(world.client, name);
    world_run(10);
    REQUIRE(world_side()->is_done && world_side()->error == 0);
}

static void a_connection_is_described(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world_begin(1, NULL);
        credentials();
        (void)world_store(document);
        SSL_CTX_set_max_proto_version(world.client, version);
        connect_to("A.test");
        const struct http_security *s = tls_security(world_side()->t);
        bool old = version == TLS1_2_VERSION;
        CHECK_TEXT(s->version.ptr, s->version.len, old ? "TLSv1.2" : "TLSv1.3");
        CHECK_TEXT(s->cipher.ptr, s->cipher.len,
                   old ? "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" : "TLS_AES_128_GCM_SHA256");
        CHECK_TEXT(s->server_name.ptr, s->server_name.len, "a.test");
        CHECK(!s->resumed && !s->client_verified && s->client_name.len == 0);
        world_end();
    }
}

static void hosts_are_covered_or_not(void)
{
    world_begin(1, NULL);
    credentials();
    (void)world_store(document);
    connect_to("a.test");
    CHECK(covers("a.test"));
    CHECK(covers("b.test"));      // named by the certificate, the same policy
    CHECK(!covers("other.test")); // not named
    CHECK(!covers("x.w.test"));   // named, another policy
    CHECK(!covers("off.w.test")); // named, without TLS
    CHECK(covers("y.w.test"));    // named; that there is no such site is for others to say
    CHECK(!covers("local.test"));
    connect_to("x.w.test");
    CHECK(covers("x.w.test"));
    CHECK(!covers("a.test"));
    connect_to("local.test"); // a certificate without names is good for what was asked for
    CHECK(covers("local.test"));
    CHECK(!covers("a.test"));
    connect_to(NULL);
    CHECK(covers("a.test"));
    CHECK(covers("other.test"));
    CHECK(!covers("x.w.test"));
    world_end();
}

static void reloads_tighten_policies(void)
{
    world_begin(1, NULL);
    credentials();
    (void)world_store(document);
    connect_to("a.test");
    credentials();
    (void)world_store(document); // a renewed certificate changes nothing
    CHECK(covers("a.test") && covers("b.test") && !covers("x.w.test"));
    credentials();
    (void)world_store(LISTEN "sites:\n"
                             "  a.test: {tls: {" FILES ", client: {ca: /root.pem}}, respond: hi}\n"
                             "  b.test: {tls: {" FILES "}, respond: hi}\n");
    CHECK(!covers("a.test"));
    CHECK(covers("b.test"));
    world_end();
}

// A request without a host is the fallback's, whatever name its connection asked for.
static void no_host_is_the_fallback(void)
{
    world_begin(1, NULL);
    credentials();
    (void)world_store(LISTEN "sites:\n"
                             "  a.test: {tls: {" FILES "}, respond: hi}\n"
                             "  default: {tls: {" FILES
                             ", client: {ca: /root.pem}}, respond: hi}\n");
    connect_to("a.test");
    CHECK(covers("a.test") && !covers("") && !covers("c.test"));
    credentials();
    (void)world_store(LISTEN "sites:\n"
                             "  a.test: {tls: {" FILES "}, respond: hi}\n"
                             "  default: {tls: {" FILES "}, respond: hi}\n");
    connect_to("a.test");
    CHECK(covers("a.test") && covers(""));
    world_end();
}

static void resumed_connections_cover_as_well(void)
{
    world_begin(1, NULL);
    credentials();
    (void)world_store(document);
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, "x", 1);
    world_run(10);
    REQUIRE(p->session != NULL);
    struct peer *q = world_client(world.client, "a.test");
    REQUIRE(SSL_set_session(q->ssl, p->session) == 1);
    world_run(10);
    CHECK(tls_security(world_side()->t)->resumed);
    CHECK(covers("a.test") && covers("b.test") && !covers("x.w.test") && !covers("other.test"));
    world_end();
}

static void both_ends_export_the_same(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        uint8_t ours[32];
        uint8_t other[32];
        uint8_t theirs[32];
        world_begin(1, NULL);
        credentials();
        (void)world_store(document);
        SSL_CTX_set_max_proto_version(world.client, version);
        struct peer *p = world_client(world.client, "a.test");
        world_run(10);
        const struct transport *t = world_side()->t;
        REQUIRE(tls_export(t, SLICE("EXPORTER-test"), ours, sizeof(ours)) == 0);
        REQUIRE(tls_export(t, SLICE("EXPORTER-other"), other, sizeof(other)) == 0);
        CHECK(SSL_export_keying_material(p->ssl, theirs, sizeof(theirs), "EXPORTER-test", 13, NULL,
                                         0, 0) == 1);
        CHECK(memcmp(ours, theirs, sizeof(ours)) == 0);
        CHECK(memcmp(ours, other, sizeof(ours)) != 0);
        world_end();
    }
}

static void nothing_is_exported_where_somebody_else_could_know_it(void)
{
    uint8_t bytes[32];
    world_begin(1, NULL);
    credentials();
    (void)world_store(document);
    SSL_CTX_set_max_proto_version(world.client, TLS1_2_VERSION);
    SSL_CTX_set_options(world.client, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    connect_to("a.test");
    CHECK_EQ_INT(tls_export(world_side()->t, SLICE("EXPORTER-test"), bytes, sizeof(bytes)),
                 E_UNSUPPORTED);
    world_end();
}

static void the_agreed_protocol_is_told(void)
{
    static const unsigned char http1[] = "\x08http/1.1";
    world_begin(1, NULL);
    credentials();
    (void)world_store(document);
    connect_to("a.test");
    CHECK_EQ_INT(tls_security(world_side()->t)->alpn.len, 0);
    REQUIRE(SSL_CTX_set_alpn_protos(world.client, http1, sizeof(http1) - 1) == 0);
    connect_to("a.test");
    struct slice alpn = tls_security(world_side()->t)->alpn;
    CHECK_TEXT(alpn.ptr, alpn.len, "http/1.1");
    world_end();
}

TAP_MAIN(setup, a_connection_is_described, hosts_are_covered_or_not, reloads_tighten_policies,
         no_host_is_the_fallback, resumed_connections_cover_as_well, both_ends_export_the_same,
         nothing_is_exported_where_somebody_else_could_know_it, the_agreed_protocol_is_told)
