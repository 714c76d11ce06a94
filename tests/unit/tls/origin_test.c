// SPDX-License-Identifier: Apache-2.0
//
// TLS to origins: whom we trust and whom not, in a table; names and addresses, our own certificate,
// protocols, sessions.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert root;
static struct pki_cert good;
static struct pki_cert address;
static struct pki_cert expired;
static struct pki_cert stranger;
static struct pki_cert for_clients;
static struct pki_cert me;

static void setup(void)
{
    root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    good = pki_make(&(struct pki_order){
        .cn = "o", .names = "DNS:o.test,DNS:*.w.test", .key = PKI_P256, .issuer = &root});
    address = pki_make(&(struct pki_order){
        .cn = "o", .names = "IP:127.0.0.2,IP:::1", .key = PKI_P256, .issuer = &root});
    expired = pki_make(&(struct pki_order){.cn = "o",
                                           .names = "DNS:o.test",
                                           .key = PKI_P256,
                                           .issuer = &root,
                                           .from_s = -1000,
                                           .to_s = -10});
    stranger = pki_make(&(struct pki_order){.cn = "o", .names = "DNS:o.test", .key = PKI_P256});
    for_clients = pki_make(&(struct pki_order){
        .cn = "o", .names = "DNS:o.test", .key = PKI_P256, .issuer = &root, .client = true});
    me =
        pki_make(&(struct pki_order){.cn = "me", .key = PKI_P256, .issuer = &root, .client = true});
}

static struct tls_store *begin(void)
{
    world_begin(1, NULL);
    world_credential(CREDENTIAL_AUTHORITY, "ca:/root.pem", root.cert_pem, SLICE(""));
    world_credential(CREDENTIAL_AUTHORITY, "ca:system", stranger.cert_pem, SLICE(""));
    world_certificate("file:/me.pem|/me.key", &me);
    return world_store("listen: 8080\nsites: {default: {respond: hi}}\n");
}

static struct tls_origin *origin_of(const struct tls_origin_settings *t)
{
    struct tls_origin *o = NULL;
    int rc = tls_origin_new(t, tls_core_store(world.core), 1, &o);
    CHECK_EQ_INT(rc, 0);
    REQUIRE(o != NULL);
    return o;
}

static void origins_are_verified(void)
{
    static const struct {
        const char *name;
        const char *ca;
        const struct pki_cert *shown;
        bool careless;
        int error;
        const char *reason;
    } rows[] = {
        {"o.test", "ca:/root.pem", &good, false, 0, ""},
        {"x.w.test", "ca:/root.pem", &good, false, 0, ""},
        {"x.y.w.test", "ca:/root.pem", &good, false, E_TLS_WRONG_NAME, "hostname mismatch"},
        {"p.test", "ca:/root.pem", &good, false, E_TLS_WRONG_NAME, "hostname mismatch"},
        {"127.0.0.2", "ca:/root.pem", &address, false, 0, ""},
        {"[::1]", "ca:/root.pem", &address, false, 0, ""},
        {"127.0.0.3", "ca:/root.pem", &address, false, E_TLS_WRONG_NAME, "IP address mismatch"},
        {"127.0.0.2", "ca:/root.pem", &good, false, E_TLS_WRONG_NAME, "IP address mismatch"},
        {"o.test", "ca:/root.pem", &expired, false, E_TLS_EXPIRED, "certificate has expired"},
        {"o.test", "ca:/root.pem", &stranger, false, E_TLS_UNTRUSTED, "self-signed certificate"},
        {"o.test", "ca:/root.pem", &for_clients, false, E_TLS_UNTRUSTED,
         "unsuitable certificate purpose"},
        {"o.test", "", &stranger, false, 0, ""}, // the system's
        {"o.test", "", &good, false, E_TLS_UNTRUSTED, "unable to get local issuer certificate"},
        {"o.test", "ca:/none.pem", &good, false, E_TLS_UNTRUSTED,
         "unable to get local issuer certificate"},
        {"p.test", "", &good, true, 0, ""},
        {"", "", &expired, true, 0, ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        (void)begin();
        struct tls_origin *o = origin_of(&(struct tls_origin_settings){
            .verify = !rows[i].careless,
            .server_name = slice_str(rows[i].name),
            .ca = slice_str(rows[i].ca),
            .alpn = SLICE("h2,http/1.1"),
        });
        SSL_CTX *server = world_server_context(rows[i].shown);
        struct peer *p = NULL;
        struct side *s = world_origin(server, o, &p);
        peer_send(p, "hello", 5);
        world_run(10);
        bool well = CHECK(s->is_done) && CHECK_EQ_INT(s->error, rows[i].error);
        well = CHECK(strncmp(s->reason, rows[i].reason, strlen(rows[i].reason)) == 0 &&
                     (rows[i].reason[0] != 0 || rows[i].careless || s->reason[0] == 0)) &&
               well;
        CHECK_EQ_INT(s->got_len, rows[i].error == 0 ? 5 : 0);
        CHECK_EQ_INT(world_count(COUNTER_tls_origin_handshakes), rows[i].error == 0);
        CHECK_EQ_INT(world_count(COUNTER_tls_origin_failed), rows[i].error != 0);
        if (!well) {
            printf("# row %zu: %s\n", i, s->reason);
        }
        tls_origin_unref(o);
        SSL_CTX_free(server);
        world_end();
    }
}

static void an_unnamed_origin_cannot_be_verified(void)
{
    (void)begin();
    struct tls_origin *o = NULL;
    CHECK_EQ_INT(tls_origin_new(&(struct tls_origin_settings){.verify = true},
                                tls_core_store(world.core), 1, &o),
                 E_INVALID);
    CHECK(o == NULL);
    world_end();
}

static char asked_name[64];

static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    (void)arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(asked_name, sizeof(asked_name), "%s", name != NULL ? name : "none");
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    *out = in + 1; // the first one
    *out_len = in[0];
    CHECK_EQ_INT(in_len, 12);
    return SSL_TLSEXT_ERR_OK;
}

static void names_and_protocols_are_sent(void)
{
    static const char *const names[][2] = {{"o.test", "o.test"}, {"127.0.0.2", "none"}};
    for (size_t i = 0; i < array_len(names); i++) {
        (void)begin();
        struct tls_origin *o = origin_of(&(struct tls_origin_settings){
            .server_name = slice_str(names[i][0]), .alpn = SLICE("h2,http/1.1")});
        SSL_CTX *server = world_server_context(&good);
        SSL_CTX_set_tlsext_servername_callback(server, on_name);
        SSL_CTX_set_alpn_select_cb(server, on_alpn, NULL);
        struct peer *p = NULL;
        struct side *s = world_origin(server, o, &p);
        world_run(10);
        CHECK_EQ_INT(s->error, 0);
        CHECK_STR(s->alpn, "h2");
        CHECK_STR(asked_name, names[i][1]);
        tls_origin_unref(o);
        SSL_CTX_free(server);
        world_end();
    }
}

static void old_origins_are_refused(void)
{
    for (int i = 0; i < 2; i++) {
        (void)begin();
        struct tls_origin *o = origin_of(&(struct tls_origin_settings){
            .server_name = SLICE("o.test"), .min_version = i == 0 ? SLICE("1.2") : SLICE("1.3")});
        SSL_CTX *server = world_server_context(&good);
        SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
        struct peer *p = NULL;
        struct side *s = world_origin(server, o, &p);
        world_run(10);
        CHECK_EQ_INT(s->error, i == 0 ? 0 : E_TLS_VERSION);
        tls_origin_unref(o);
        SSL_CTX_free(server);
        world_end();
    }
}

static void we_show_our_certificate(void)
{
    for (int i = 0; i < 3; i++) {
        (void)begin();
        struct tls_origin *o = origin_of(&(struct tls_origin_settings){
            .server_name = SLICE("o.test"),
            .certificate = i == 0   ? SLICE("file:/me.pem|/me.key")
                           : i == 1 ? SLICE("file:/gone.pem|/gone.key")
                                    : SLICE("")});
        SSL_CTX *server = world_server_context(&good);
        SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION);
        SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(server), root.x);
        struct peer *p = NULL;
        struct side *s = world_origin(server, o, &p);
        world_run(10);
        CHECK_EQ_INT(s->error, i == 0 ? 0 : i == 1 ? E_TLS_CERTIFICATE : E_TLS_ALERT);
        tls_origin_unref(o);
        SSL_CTX_free(server);
        world_end();
    }
}

static void sessions_are_used_again(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        (void)begin();
        struct tls_origin *o = origin_of(&(struct tls_origin_settings){
            .verify = true, .server_name = SLICE("o.test"), .ca = SLICE("ca:/root.pem")});
        SSL_CTX *server = world_server_context(&good);
        SSL_CTX_set_max_proto_version(server, version);
        for (int i = 0; i < 12; i++) {
            struct peer *p = NULL;
            struct side *s = world_origin(server, o, &p);
            peer_send(p, "hello", 5);
            world_run(10);
            CHECK_EQ_INT(s->error, 0);
            CHECK_EQ_INT(s->got_len, 5);
            CHECK(SSL_session_reused(p->ssl) == (i > 0));
            CHECK(tls_security(s->t)->resumed == (i > 0));
            transport_close(s->t, false);
            s->t = NULL;
            world_run(1);
        }
        CHECK_EQ_INT(world_count(COUNTER_tls_origin_resumed), 11);
        tls_origin_unref(o);
        SSL_CTX_free(server);
        world_end();
    }
}

static void an_origin_that_goes_away(void)
{
    (void)begin();
    struct tls_origin *o = origin_of(&(struct tls_origin_settings){.server_name = SLICE("o.test")});
    SSL_CTX *server = world_server_context(&good);
    struct peer *p = NULL;
    struct side *s = world_origin(server, o, &p);
    p->deaf = true;
    p->quiet = true;
    world_run(1);
    CHECK(!s->is_done);
    peer_fin(p);
    world_run(1);
    CHECK_EQ_INT(s->error, E_EARLY_CLOSE);
    tls_origin_unref(o);
    SSL_CTX_free(server);
    world_end();
}

TAP_MAIN(setup, origins_are_verified, an_unnamed_origin_cannot_be_verified,
         names_and_protocols_are_sent, old_origins_are_refused, we_show_our_certificate,
         sessions_are_used_again, an_origin_that_goes_away)
