// SPDX-License-Identifier: Apache-2.0
//
// Handshakes: which certificate and policy a name gets, what bad clients get, tickets, challenges,
// staples, and that a storm of newcomers is spread over turns.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert root;
static struct pki_cert a_ecdsa;
static struct pki_cert a_rsa;
static struct pki_cert wild;
static struct pki_cert other;
static struct pki_cert me;
static struct pki_cert stranger;

static void setup(void)
{
    root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    a_ecdsa = pki_make(&(struct pki_order){
        .cn = "a-ecdsa", .names = "DNS:a.test", .key = PKI_P256, .issuer = &root});
    a_rsa = pki_make(&(struct pki_order){
        .cn = "a-rsa", .names = "DNS:a.test", .key = PKI_RSA_2048, .issuer = &root});
    wild = pki_make(&(struct pki_order){
        .cn = "wild", .names = "DNS:*.w.test", .key = PKI_P256, .issuer = &root});
    other = pki_make(&(struct pki_order){.cn = "other", .names = "DNS:localhost", .key = PKI_P256});
    me = pki_make(&(struct pki_order){
        .cn = "me", .names = "email:me@a.test", .key = PKI_P256, .issuer = &root, .client = true});
    stranger = pki_make(&(struct pki_order){.cn = "me", .key = PKI_P256, .client = true});
}

static void all_credentials(void)
{
    world_certificate("file:/e.pem|/e.key", &a_ecdsa);
    world_certificate("file:/r.pem|/r.key", &a_rsa);
    world_certificate("local:*.w.test", &wild);
    world_certificate("local:localhost", &other);
    world_credential(CREDENTIAL_AUTHORITY, "ca:/root.pem", root.cert_pem, SLICE(""));
}

#define LISTEN "listen: [{at: 443, tls: on}]\n"
#define BOTH   "certs: [{cert: /e.pem, key: /e.key}, {cert: /r.pem, key: /r.key}]"

// The common name of the certificate that a client of this kind is shown; "" when it gets none.
static const char *shown_to(SSL_CTX *ctx, const char *name)
{
    static char cn[64];
    cn[0] = 0;
    struct peer *p = world_client(ctx, name);
    world_run(10);
    X509 *x = p->connected ? SSL_get0_peer_certificate(p->ssl) : NULL;
    if (x != NULL) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
    }
    return cn;
}

static void names_choose_certificates(void)
{
    world_begin(1, NULL);
    all_credentials();
    (void)world_store(LISTEN "sites:\n"
                             "  a.test: {tls: {" BOTH "}, respond: hi}\n"
                             "  '*.w.test': {respond: hi}\n"
                             "  off.w.test: {tls: off, respond: hi}\n"
                             "  none.test: {respond: hi}\n");
    CHECK_STR(shown_to(world.client, "a.test"), "a-ecdsa");
    CHECK_STR(shown_to(world.client, "A.Test"), "a-ecdsa");
    CHECK_STR(shown_to(world.client, "x.w.test"), "wild");
    CHECK_STR(shown_to(world.client, "x.y.w.test"), "wild");
    CHECK_STR(shown_to(world.client, NULL), "a-ecdsa"); // the first site
    CHECK_STR(shown_to(world.client, "b.test"), "");
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    CHECK_EQ_INT(world.peers[world.peer_count - 1].failed, SSL_R_TLSV1_UNRECOGNIZED_NAME);
    CHECK_STR(shown_to(world.client, "off.w.test"), "");
    CHECK_STR(shown_to(world.client, "none.test"), "");
    CHECK_STR(shown_to(world.client, "w.test"), "");
    CHECK_STR(shown_to(world.client, "a b"), "");
    CHECK_EQ_INT(world_count(COUNTER_tls_failed_name), 5);
    CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 5);
    all_credentials();
    (void)world_store(LISTEN "sites:\n"
                             "  a.test: {tls: {" BOTH "}, respond: hi}\n"
                             "  default: {respond: hi}\n");
    CHECK_STR(shown_to(world.client, NULL), "other");
    CHECK_STR(shown_to(world.client, "b.test"), "other");
    CHECK_STR(shown_to(world.client, "a.test"), "a-ecdsa");
    world_end();
}

static void keys_are_those_that_the_client_takes(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n");
        SSL_CTX_set_max_proto_version(world.client, version);
        CHECK_STR(shown_to(world.client, "a.test"), "a-ecdsa");
        SSL_CTX_set1_sigalgs_list(world.client, (void *)(uintptr_t) "RSA-PSS+SHA256:RSA+SHA256");
        CHECK_STR(shown_to(world.client, "a.test"), "a-rsa");
        SSL_CTX_set1_sigalgs_list(world.client, (void *)(uintptr_t) "RSA-PSS+SHA256:ECDSA+SHA256");
        CHECK_STR(shown_to(world.client, "a.test"), "a-ecdsa"); // our order counts
        SSL_CTX_set1_sigalgs_list(world.client, (void *)(uintptr_t) "ed25519");
        CHECK_STR(shown_to(world.client, "a.test"), "");
        CHECK_EQ_INT(world_side()->error, E_TLS_CIPHER);
        world_end();
    }
}

// ---- what bad clients get --------------------------------------------------------------------------

struct bad {
    const char *what;
    void (*make)(SSL_CTX *ctx);
    int error;
    enum counter counter;
    int alert; // that the client gets
};

static void only_1_1(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
}

static void only_cbc(SSL_CTX *ctx)
{
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-SHA:AES128-SHA");
}

static void only_static_rsa(SSL_CTX *ctx)
{
    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "AES128-GCM-SHA256");
}

static void only_p521(SSL_CTX *ctx)
{
    SSL_CTX_set1_groups_list(ctx, (void *)(uintptr_t) "P-521");
}

static void only_ftp(SSL_CTX *ctx)
{
    SSL_CTX_set_alpn_protos(ctx,
                            (const unsigned char *)"\x03"
                                                   "ftp",
                            4);
}

static const struct bad bad_clients[] = {
    {"TLS 1.1", only_1_1, E_TLS_VERSION, COUNTER_tls_failed_version,
     SSL_R_TLSV1_ALERT_PROTOCOL_VERSION},
    {"CBC only", only_cbc, E_TLS_CIPHER, COUNTER_tls_failed_cipher,
     SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE},
    {"no forward secrecy", only_static_rsa, E_TLS_CIPHER, COUNTER_tls_failed_cipher,
     SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE},
    {"no curve in common", only_p521, E_TLS_CIPHER, COUNTER_tls_failed_cipher,
     SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE},
    {"no protocol in common", only_ftp, E_UNSUPPORTED, COUNTER_tls_failed_protocol,
     SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL},
};

static void bad_clients_are_told(void)
{
    for (size_t i = 0; i < array_len(bad_clients); i++) {
        const struct bad *b = &bad_clients[i];
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n");
        b->make(world.client);
        struct peer *p = world_client(world.client, "a.test");
        world_run(10);
        bool good = CHECK_EQ_INT(world_side()->error, b->error);
        good = CHECK_EQ_INT(p->failed, b->alert) && good;
        CHECK_EQ_INT(world_count(b->counter), 1);
        CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 0);
        if (!good) {
            printf("# with %s\n", b->what);
        }
        world_end();
    }
}

static void what_is_not_tls_is_told_so(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int error;
        const char *answer; // its beginning
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 32, E_TLS_NOT_TLS, "HTTP/1.1 400 Bad Request"},
        {"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 36, E_TLS_NOT_TLS, "HTTP/1.1 400 "},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, E_TLS_NOT_TLS, "HTTP/1.1 400 "},
        {"SSH-2.0-OpenSSH_9.2\r\n", 21, E_TLS_NOT_TLS, "HTTP/1.1 400 "},
        {"\0\0\0\0\0\0\0\0", 8, E_TLS_NOT_TLS, ""},
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10, E_TLS_HANDSHAKE, "\x15"},
        {"\x15\x03\x01\x00\x02\x02\x28", 7, E_TLS_NOT_TLS, ""},
        {"\x16\x03\x01\x48\x01\x01", 6, E_TLS_HANDSHAKE, ""}, // longer than a record
    };
    for (size_t i = 0; i < array_len(rows) * 2; i++) {
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n");
        struct peer *p = world_raw(slice_of(rows[i / 2].bytes, rows[i / 2].len));
        p->drip = i % 2 == 1;
        world_run(10);
        bool good = CHECK(world_side()->is_done) &&
                    CHECK(world_side()->error == rows[i / 2].error) &&
                    CHECK(strncmp(p->raw, rows[i / 2].answer, strlen(rows[i / 2].answer)) == 0) &&
                    CHECK(rows[i / 2].answer[0] != 0 || p->raw[0] != 'H');
        if (!good) {
            printf("# row %zu: %d %s\n", i / 2, world_side()->error, p->raw);
        }
        world_end();
    }
}

static void who_goes_away_is_counted(void)
{
    world_begin(1, NULL);
    all_credentials();
    (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n");
    struct peer *p = world_raw(SLICE("\x16\x03\x01\x02"));
    world_run(1);
    CHECK(!world_side()->is_done);
    peer_fin(p);
    world_run(1);
    CHECK_EQ_INT(world_side()->error, E_EARLY_CLOSE);
    CHECK_EQ_INT(world_count(COUNTER_tls_failed_closed), 1);
    // A silent one has cost nothing; whoever waits for it closes.
    (void)world_raw(SLICE(""));
    world_run(1);
    struct side *s = world_side();
    CHECK(tls_of(s->t)->ssl == NULL);
    transport_close(s->t, true);
    s->t = NULL;
    CHECK_EQ_INT(world_count(COUNTER_tls_failed_given_up), 1);
    world_end();
}

// ---- client certificates ---------------------------------------------------------------------------

static struct peer *client_with(const struct pki_cert *c)
{
    SSL_CTX *ctx = world_client_context();
    if (c != NULL) {
        REQUIRE(SSL_CTX_use_certificate(ctx, c->x) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey(ctx, c->key) == 1);
    }
    struct peer *p = world_client(ctx, "a.test");
    SSL_CTX_free(ctx);
    world_run(10);
    return p;
}

static void clients_show_certificates(void)
{
    static const struct {
        const char *mode;
        const struct pki_cert *c;
        int error;
    } rows[] = {
        {"required", NULL, E_TLS_CLIENT_CERTIFICATE},
        {"required", &stranger, E_TLS_CLIENT_CERTIFICATE},
        {"required", &a_ecdsa, E_TLS_CLIENT_CERTIFICATE}, // a server's
        {"required", &me, 0},
        {"optional", NULL, 0},
        {"optional", &stranger, E_TLS_CLIENT_CERTIFICATE},
        {"optional", &me, 0},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char conf[512];
        (void)snprintf(conf, sizeof(conf),
                       LISTEN "sites: {a.test: {tls: {" BOTH ", client: {mode: %s, ca: /root.pem}},"
                              " respond: hi}}\n",
                       rows[i].mode);
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(conf);
        struct peer *p = client_with(rows[i].c);
        if (rows[i].error == 0) {
            peer_send(p, "x", 1);
            world_run(10);
            CHECK_EQ_INT(p->got_len, 1);
            const struct http_security *s = tls_security(world_side()->t);
            CHECK(s->client_verified == (rows[i].c != NULL));
            CHECK_TEXT(s->client_name.ptr, s->client_name.len,
                       rows[i].c != NULL ? "me@a.test" : "");
            CHECK_TEXT(s->client_subject.ptr, s->client_subject.len,
                       rows[i].c != NULL ? "CN=me" : "");
            CHECK_EQ_INT(s->client_fingerprint.len, rows[i].c != NULL ? 64 : 0);
            CHECK((s->client_certificate.len > 300) == (rows[i].c != NULL));
            CHECK((s->client_serial.len > 0) == (rows[i].c != NULL));
        } else {
            CHECK_EQ_INT(world_side()->error, rows[i].error);
            CHECK_EQ_INT(world_count(COUNTER_tls_failed_client), 1);
        }
        world_end();
    }
}

static void authorities_that_are_missing_let_nobody_in(void)
{
    world_begin(1, NULL);
    world_certificate("file:/e.pem|/e.key", &a_ecdsa);
    (void)world_store(LISTEN "sites: {a.test: {tls: {cert: /e.pem, key: /e.key, client: "
                             "{ca: /root.pem}}, respond: hi}}\n");
    CHECK(strstr(world_report, "no client's certificate is taken: they are not there") != NULL);
    (void)client_with(&me);
    CHECK_EQ_INT(world_side()->error, E_TLS_CLIENT_CERTIFICATE);
    world_end();
}

// ---- agents ----------------------------------------------------------------------------------------

static const unsigned char only_http[] = "\x08http/1.1";
static const unsigned char both_http[] = "\x02h2\x08http/1.1";

// A client of the name where agents call, that offers these protocols and shows that certificate.
static struct peer *agent_with(const struct pki_cert *c, const unsigned char *alpn, unsigned len,
                               int version)
{
    SSL_CTX *ctx = world_client_context();
    REQUIRE(SSL_CTX_set_alpn_protos(ctx, alpn, len) == 0);
    REQUIRE(SSL_CTX_set_max_proto_version(ctx, version) == 1);
    if (c != NULL) {
        SSL_CTX_set_security_level(ctx, 0);
        REQUIRE(SSL_CTX_use_certificate(ctx, c->x) == 1);
        REQUIRE(SSL_CTX_use_PrivateKey(ctx, c->key) == 1);
    }
    struct peer *p = world_client(ctx, "a.test");
    SSL_CTX_free(ctx);
    peer_send(p, "x", 1);
    world_run(10);
    return p;
}

#define AGENTS(client)                                                                             \
    LISTEN "sites: {a.test: {tls: {" BOTH client "}, respond: hi}, "                               \
           "'*.w.test': {tls: local, tunnels: {at: a.test}}}\n"

static void agents_show_any_certificate(void)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct pki_cert over =
        pki_make(&(struct pki_order){.cn = "over", .key = PKI_RSA_2048, .from_s = -90, .to_s = -9});
    const struct pki_cert *const all[] = {&stranger, &me, &a_ecdsa, &over, NULL};
    for (size_t i = 0; i < array_len(all) * array_len(versions); i++) {
        const struct pki_cert *c = all[i / 2];
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(AGENTS(""));
        struct peer *p = agent_with(c, only_http, sizeof(only_http) - 1, versions[i % 2]);
        CHECK_EQ_INT(p->got_len, 1);
        const struct http_security *s = tls_security(world_side()->t);
        CHECK(!s->client_verified);
        CHECK_EQ_INT(s->client_fingerprint.len, c != NULL ? 64 : 0);
        CHECK((s->client_until > s->client_from) == (c != NULL));
        CHECK((SSL_SESSION_has_ticket(SSL_get0_session(p->ssl)) == 1) == (c == NULL));
        world_end();
    }
    pki_free(&over);
}

static void who_may_be_no_agent_is_not_asked(void)
{
    world_begin(1, NULL);
    all_credentials();
    (void)world_store(AGENTS(""));
    struct peer *p = agent_with(&stranger, both_http, sizeof(both_http) - 1, TLS1_3_VERSION);
    CHECK_EQ_INT(p->got_len, 1);
    CHECK_EQ_INT(tls_security(world_side()->t)->client_fingerprint.len, 0);
    world_end();
}

static void agents_need_keys_that_cannot_be_guessed(void)
{
    struct pki_cert weak = pki_make(&(struct pki_order){.cn = "weak", .key = PKI_RSA_1024});
    world_begin(1, NULL);
    all_credentials();
    (void)world_store(AGENTS(""));
    (void)agent_with(&weak, only_http, sizeof(only_http) - 1, TLS1_3_VERSION);
    CHECK_EQ_INT(world_side()->error, E_TLS_CLIENT_CERTIFICATE);
    world_end();
    pki_free(&weak);
}

static void a_site_asks_agents_as_well(void)
{
    static const struct {
        const char *document;
        const struct pki_cert *c;
        bool in;
        bool verified;
    } rows[] = {
        {AGENTS(", client: {mode: optional, ca: /root.pem}"), &stranger, true, false},
        {AGENTS(", client: {mode: optional, ca: /root.pem}"), &me, true, true},
        {AGENTS(", client: {mode: required, ca: /root.pem}"), &stranger, false, false},
        {AGENTS(", client: {mode: required, ca: /root.pem}"), &me, true, true},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(rows[i].document);
        struct peer *p = agent_with(rows[i].c, only_http, sizeof(only_http) - 1, TLS1_3_VERSION);
        CHECK_EQ_INT(p->got_len, rows[i].in);
        if (rows[i].in) {
            CHECK(tls_security(world_side()->t)->client_verified == rows[i].verified);
        }
        world_end();
    }
}

// ---- resumption ------------------------------------------------------------------------------------

// Connects once and once more with the session of the first: whether that resumed.
static bool resumes(const char *first, const char *second, const char *change)
{
    struct peer *p = world_client(world.client, first);
    peer_send(p, "x", 1);
    world_run(10);
    if (!CHECK(p->session != NULL)) {
        return false;
    }
    if (change != NULL) {
        all_credentials();
        (void)world_store(change);
    }
    struct peer *q = world_client(world.client, second);
    REQUIRE(SSL_set_session(q->ssl, p->session) == 1);
    peer_send(q, "x", 1);
    world_run(10);
    CHECK_EQ_INT(q->got_len, 1);
    bool resumed = SSL_session_reused(q->ssl) == 1;
    CHECK(tls_security(world_side()->t)->resumed == resumed);
    CHECK_EQ_INT(world_count(COUNTER_tls_resumed), resumed);
    CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 2);
    return resumed;
}

static void sessions_are_resumed(void)
{
    static const char document[] =
        LISTEN "sites:\n"
               "  a.test: {tls: {" BOTH "}, respond: hi}\n"
               "  x.w.test: {tls: {" BOTH ", curves: [P-256]}, respond: hi}\n";
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (int i = 0; i < 5; i++) {
            world_begin(1, NULL);
            all_credentials();
            world_ticket_key('1');
            (void)world_store(document);
            SSL_CTX_set_max_proto_version(world.client, version);
            if (i == 0) {
                CHECK(resumes("a.test", "a.test", NULL));
            } else if (i == 1) { // a reload, or another worker: the same keys
                world_ticket_key('1');
                CHECK(resumes("a.test", "a.test", document));
            } else if (i == 2) { // rotated: the old key still decrypts
                world_ticket_key('2');
                world_ticket_key('1');
                CHECK(resumes("a.test", "a.test", document));
            } else if (i == 3) { // forgotten
                world_ticket_key('3');
                CHECK(!resumes("a.test", "a.test", document));
            } else { // another policy
                CHECK(!resumes("a.test", "x.w.test", NULL));
            }
            world_end();
        }
    }
}

static void tickets_may_be_off(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH ", tickets: off}, respond: hi}}\n");
        SSL_CTX_set_max_proto_version(world.client, version);
        struct peer *p = world_client(world.client, "a.test");
        peer_send(p, "x", 1);
        world_run(10);
        CHECK_EQ_INT(p->got_len, 1);
        CHECK(p->session == NULL || SSL_SESSION_has_ticket(p->session) == 0);
        world_end();
    }
}

// Who a client is, is known again when its session is resumed; under the other policy it is not resumed.
static void resumption_keeps_identity_and_policy(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites:\n"
                                 "  open.test: {tls: {" BOTH "}, respond: hi}\n"
                                 "  a.test: {tls: {" BOTH
                                 ", client: {ca: /root.pem}}, respond: hi}\n");
        SSL_CTX_set_max_proto_version(world.client, version);
        SSL_CTX_use_certificate(world.client, me.x);
        SSL_CTX_use_PrivateKey(world.client, me.key);
        CHECK(resumes("a.test", "a.test", NULL));
        const struct http_security *s = tls_security(world_side()->t);
        CHECK(s->client_verified);
        CHECK_TEXT(s->client_name.ptr, s->client_name.len, "me@a.test");
        world_end();
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(LISTEN "sites:\n"
                                 "  open.test: {tls: {" BOTH "}, respond: hi}\n"
                                 "  a.test: {tls: {" BOTH
                                 ", client: {ca: /root.pem}}, respond: hi}\n");
        SSL_CTX_set_max_proto_version(world.client, version);
        struct peer *p = world_client(world.client, "open.test");
        peer_send(p, "x", 1);
        world_run(10);
        REQUIRE(p->session != NULL);
        struct peer *q = world_client(world.client, "a.test");
        REQUIRE(SSL_set_session(q->ssl, p->session) == 1);
        world_run(10);
        CHECK_EQ_INT(world_side()->error, E_TLS_CLIENT_CERTIFICATE);
        world_end();
    }
}

// ---- extensions ------------------------------------------------------------------------------------

static void protocols_are_agreed_on(void)
{
    static const struct {
        const char *ours;
        const char *theirs;
        const char *chosen;
    } rows[] = {
        {"[h2, http/1.1]", "\x02h2\x08http/1.1", "h2"},
        {"[h2, http/1.1]", "\x08http/1.1\x02h2", "h2"},
        {"[http/1.1]", "\x02h2\x08http/1.1", "http/1.1"},
        {"[h2, http/1.1]", "\x08http/1.1", "http/1.1"},
        {"[h2, http/1.1]", NULL, ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char conf[512];
        (void)snprintf(conf, sizeof(conf),
                       LISTEN "sites: {a.test: {tls: {" BOTH ", protocols: %s}, respond: hi}}\n",
                       rows[i].ours);
        world_begin(1, NULL);
        all_credentials();
        (void)world_store(conf);
        if (rows[i].theirs != NULL) {
            SSL_CTX_set_alpn_protos(world.client, (const unsigned char *)rows[i].theirs,
                                    (unsigned)strlen(rows[i].theirs));
        }
        (void)world_client(world.client, "a.test");
        world_run(10);
        CHECK_EQ_INT(world_side()->error, 0);
        CHECK_STR(world_side()->alpn, rows[i].chosen);
        world_end();
    }
}

static void staples_go_with_their_certificate(void)
{
    for (int on = 0; on < 2; on++) {
        world_begin(1, NULL);
        world_staple("file:/e.pem|/e.key", &a_ecdsa, SLICE("status of e"));
        world_staple("file:/r.pem|/r.key", &a_rsa, SLICE("status of r"));
        (void)world_store(on ? LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n"
                             : LISTEN "sites: {a.test: {tls: {" BOTH
                                      ", ocsp: off}, respond: hi}}\n");
        for (int i = 0; i < 3; i++) {
            if (i == 2) {
                SSL_CTX_set1_sigalgs_list(world.client,
                                          (void *)(uintptr_t) "RSA-PSS+SHA256:RSA+SHA256");
            }
            struct peer *p = world_client(world.client, "a.test");
            if (i > 0) {
                SSL_set_tlsext_status_type(p->ssl, TLSEXT_STATUSTYPE_ocsp);
            }
            world_run(10);
            CHECK(p->connected);
            const char *staple = NULL;
            long len = SSL_get_tlsext_status_ocsp_resp(p->ssl, &staple);
            CHECK_TEXT(staple, len > 0 ? (size_t)len : 0,
                       i == 0 || !on ? ""
                       : i == 1      ? "status of e"
                                     : "status of r");
        }
        world_end();
    }
}

static const unsigned char acme[] = "\x0a"
                                    "acme-tls/1";

static void challenges_are_answered(void)
{
    world_begin(1, NULL);
    all_credentials();
    world_credential(CREDENTIAL_TLS_ALPN_01, "b.test", other.cert_pem, other.key_pem);
    (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH ", client: {ca: /root.pem}}, respond: "
                             "hi}}\n");
    SSL_CTX_set_alpn_protos(world.client,
                            (const unsigned char *)"\x0a"
                                                   "acme-tls/1",
                            11);
    CHECK_STR(shown_to(world.client, "b.test"), "other");
    CHECK_STR(world_side()->alpn, "acme-tls/1");
    CHECK_EQ_INT(world_side()->error, E_EOF);
    CHECK(world.peers[0].ended);
    CHECK_EQ_INT(world_count(COUNTER_tls_challenges), 1);
    CHECK_STR(shown_to(world.client, "a.test"), "");
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    world_end();
}

// What a CA's validation is given must not open a site that asks for certificates.
static void challenges_give_no_session(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world_begin(1, NULL);
        all_credentials();
        world_credential(CREDENTIAL_TLS_ALPN_01, "b.test", other.cert_pem, other.key_pem);
        (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH ", client: {ca: /root.pem}}, "
                                 "respond: hi}}\n");
        SSL_CTX *ctx = world_client_context();
        SSL_CTX_set_max_proto_version(ctx, version);
        SSL_CTX_set_alpn_protos(ctx, acme, sizeof(acme) - 1);
        struct peer *p = world_client(ctx, "b.test");
        world_run(10);
        CHECK_EQ_INT(world_side()->error, E_EOF);
        CHECK(p->session == NULL || version == TLS1_2_VERSION);
        CHECK(p->session == NULL || SSL_SESSION_has_ticket(p->session) == 0);
        if (p->session != NULL) {
            struct peer *q = world_client(world.client, "a.test");
            REQUIRE(SSL_set_session(q->ssl, p->session) == 1);
            world_run(10);
            CHECK_EQ_INT(world_side()->error, E_TLS_CLIENT_CERTIFICATE);
        }
        SSL_CTX_free(ctx);
        world_end();
    }
}

static char wanted_name[64];

static void on_want(struct tls_wanted *w, struct slice name)
{
    (void)w;
    (void)snprintf(wanted_name, sizeof(wanted_name), "%.*s", SLICE_ARG(name));
}

static void names_on_demand_are_asked_for(void)
{
    struct tls_wanted wanted = {on_want};
    static const char document[] = LISTEN "acme: {ask: 'http://127.0.0.1:1/'}\n"
                                          "sites: {default: {tls: {on_demand: on}, respond: hi}}\n";
    world_begin(1, NULL);
    (void)world_store(document);
    tls_core_set_wanted(world.core, &wanted);
    CHECK_STR(shown_to(world.client, "new.test"), "");
    CHECK_STR(wanted_name, "new.test");
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    wanted_name[0] = 0;
    CHECK_STR(shown_to(world.client, NULL), "");
    CHECK_STR(wanted_name, "");
    world_certificate("acme:new.test", &other);
    (void)world_store(document);
    CHECK_STR(shown_to(world.client, "new.test"), "other");
    CHECK_STR(wanted_name, "");
    world_end();
}

// ---- storms ----------------------------------------------------------------------------------------

// Sixty clients at once: a turn takes so many of them and no more, and all get their turn.
static void storms_are_spread(void)
{
    const struct sim_faults none = {.latency_max_ns = 0};
    world_begin(1, &none);
    all_credentials();
    (void)world_store(LISTEN "sites: {a.test: {tls: {" BOTH "}, respond: hi}}\n");
    for (int i = 0; i < 60; i++) {
        (void)world_client(world.client, "a.test");
    }
    uint64_t before = world.loop.turns;
    uint64_t most = 0;
    for (int i = 0; i < 4000; i++) {
        uint64_t turn = world.loop.turns;
        world_run_ms(1);
        uint64_t turns = world.loop.turns - turn;
        most = turns > most ? turns : most;
    }
    CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 60);
    CHECK(world.loop.turns - before >= 60 / TLS_KEY_WORK_MAX);
    world_end();
}

TAP_MAIN(setup, names_choose_certificates, keys_are_those_that_the_client_takes,
         bad_clients_are_told, what_is_not_tls_is_told_so, who_goes_away_is_counted,
         clients_show_certificates, authorities_that_are_missing_let_nobody_in,
         agents_show_any_certificate, who_may_be_no_agent_is_not_asked,
         agents_need_keys_that_cannot_be_guessed, a_site_asks_agents_as_well, sessions_are_resumed,
         tickets_may_be_off, resumption_keeps_identity_and_policy, protocols_are_agreed_on,
         staples_go_with_their_certificate, challenges_are_answered, challenges_give_no_session,
         names_on_demand_are_asked_for, storms_are_spread)
