// SPDX-License-Identifier: Apache-2.0
//
// The judgment of calls: a table of requests, from where they come and what they get, for each row of
// the table in docs/design/tunnel.md that does not need the registry.

#include "tunnel/judge.h"

#include "base/base64.h"
#include "base/error.h"
#include "conf/load.h"
#include "h1/codec.h"
#include "proxy/fake_conf.h"
#include "tls/digest.h"
#include "tunnel/ticket.h"

#define INSTANCE "AAAAAAAAAAAAAAAAAAAAAA"
#define FRONT                                                                                      \
    "GET " HELLO_PATH " HTTP/1.1\r\nHost: t.test\r\nConnection: Upgrade\r\n"                       \
    "Upgrade: adit-tunnel/1\r\nAdit-Instance: " INSTANCE                                           \
    "\r\nAdit-Connection: slot=0, sequence=1\r\n"
// A certificate's fingerprint, that carol has and that nobody has.
#define TEN   "0123456789"
#define PRINT TEN TEN TEN TEN TEN TEN "abcd"
#define OTHER TEN TEN TEN TEN TEN TEN "abce"

#define ALICE   "Authorization: Bearer adit_a_alice\r\n"
#define BOB     "Authorization: Bearer adit_b_bob\r\n"
#define ONE     "Authorization: Bearer adit_o_one\r\n"
#define LATE    "Authorization: Bearer adit_l_late\r\n"
#define UNKNOWN "Authorization: Bearer adit_u_unknown\r\n"

enum { NOW_MS = 1000000 };

struct world {
    struct fake_conf conf;
    struct arena arena;
    struct http_head head;
    struct http_peer peer;
    struct http_security security;
    struct http_proxied proxied;
    struct os_addr client;
    struct zone labels;
    struct zone domains;
    struct access *access;
    struct conf_doc *access_doc;
    struct key_nonces nonces;
    struct hello hello;
    struct judgment j;
    struct judge_scene scene;
};

static struct world w;

static void put_proof(struct text *t, const char *token)
{
    uint8_t hash[DIGEST_BYTES];
    REQUIRE(digest_sha256(slice_str(token), hash) == 0);
    for (size_t i = 0; i < sizeof(hash); i++) {
        text_printf(t, "%02x", hash[i]);
    }
}

static void put_grant(struct text *t, const char *token, const char *rest)
{
    text_str(t, "{\"kind\": \"token\", \"proof\": \"");
    put_proof(t, token);
    text_str(t, "\", ");
    text_str(t, rest);
    text_char(t, '}');
}

static struct access *load_access(bool secrets)
{
    char room[4096];
    struct text t = text_on(room, sizeof(room) - 1);
    struct conf_diags *d = conf_diags_new();
    struct access *a = NULL;
    text_str(&t, "{\"grants\": [");
    put_grant(&t, "adit_a_alice",
              "\"id\": \"a\", \"owner\": \"alice\", \"ports\": [\"20000-20009\"]");
    text_char(&t, ',');
    put_grant(&t, "adit_b_bob",
              "\"id\": \"b\", \"owner\": \"bob\", \"names\": [\"bob-*\", \"api\"]");
    text_char(&t, ',');
    put_grant(&t, "adit_o_one", "\"id\": \"o\", \"owner\": \"one\", \"names\": [\"only\"]");
    text_char(&t, ',');
    put_grant(&t, "adit_l_late", "\"id\": \"l\", \"owner\": \"late\", \"expires\": 999999");
    text_str(&t, ", {\"kind\": \"certificate\", \"id\": \"c\", \"owner\": \"carol\", "
                 "\"proof\": \"" PRINT "\"}");
    text_str(&t, "], \"names\": [{\"name\": \"shop\", \"owner\": \"bob\"},"
                 " {\"name\": \"status\", \"owner\": \"alice\"}],"
                 " \"domains\": [{\"name\": \"app.customer.com\", \"owner\": \"alice\","
                 " \"proved\": 7}], \"secrets\": [");
    for (int i = 0; i < 128 && secrets; i++) {
        text_str(&t, i == 0 ? "{\"made\": 9, \"bytes\": \"1" : "1");
    }
    text_str(&t, secrets ? "\"}]}" : "]}");
    REQUIRE(!t.overflow);
    room[t.len] = '\0';
    struct conf_doc *doc = NULL;
    struct conf_load in = {.path = "access", .text = text_slice(&t), .tables = access_doc_tables};
    REQUIRE(conf_load(&in, d, &doc) == 0);
    REQUIRE(access_load(doc, &a) == 0);
    conf_doc_free(doc);
    conf_diags_free(d);
    return a;
}

static void begin(void)
{
    memset(&w, 0, sizeof(w));
    struct conf_doc *doc = fake_doc(&w.conf, "sites:\n"
                                             "  '*.t.test': {respond: x}\n"
                                             "  www.t.test: {respond: x}\n"
                                             "  own.t.test: {respond: x}\n"
                                             "  default: {respond: x}\n"
                                             "  ours.customer.com: {respond: x}\n");
    REQUIRE(snapshot_compile(doc, &w.conf.factory, w.conf.diags, &w.conf.snapshot) == 0);
    w.access = load_access(true);
    w.labels.settings = (struct zone_settings){.site = SLICE("*.t.test"),
                                               .suffix = SLICE(".t.test"),
                                               .at = SLICE("t.test"),
                                               .port_first = 20000,
                                               .port_last = 20099};
    w.domains.settings = (struct zone_settings){
        .site = SLICE("default"), .suffix = SLICE(""), .at = SLICE("t.test")};
    REQUIRE(os_addr_parse_ip(SLICE("192.0.2.7"), 4711, &w.client) == 0);
    http_peer_set(&w.peer, &w.client);
    w.security.alpn = SLICE("http/1.1");
    w.peer.secure = true;
    w.peer.security = &w.security;
    w.scene = (struct judge_scene){.snapshot = w.conf.snapshot,
                                   .labels = &w.labels,
                                   .domains = &w.domains,
                                   .access = w.access,
                                   .head = &w.head,
                                   .peer = &w.peer,
                                   .client = &w.client,
                                   .nonces = &w.nonces,
                                   .now_ms = NOW_MS,
                                   .wall_ms = NOW_MS};
    arena_init(&w.arena, NULL, 0, NULL, 1 << 20);
}

static void end(void)
{
    arena_fini(&w.arena);
    access_unref(w.access);
    fake_conf_free(&w.conf);
}

static void ask(const char *text)
{
    static const struct h1_limits limits = {
        .head_bytes = 16384, .target_bytes = 8192, .fields = 100};
    enum h1_framing framing = H1_FRAMING_NONE;
    http_head_init(&w.head, &w.arena, 32768, 116);
    REQUIRE(h1_parse_request(text, strlen(text), &limits, &w.head, &framing) == 0);
}

/** Who and what, as the handshake asks. */
static const struct refusal *judge_request(const char *text)
{
    ask(text);
    memset(&w.j, 0, sizeof(w.j));
    const char *wrong = hello_read(&w.head, &w.hello);
    if (wrong != NULL) {
        printf("# %s: %s\n", text, wrong);
        return &refused_malformed;
    }
    const struct refusal *no = judge_who(&w.scene, &w.hello, &w.j);
    return no != NULL ? no : judge_what(&w.scene, &w.hello, &w.j);
}

// ---- the way ----------------------------------------------------------------------------------------

struct way {
    const char *from;   // the connection's other end
    const char *client; // after trusted proxies; NULL: the same
    const char *alpn;   // NULL: in clear
    bool passed_on;     // it says so in a field
    bool proxied;       // there was a PROXY header
    bool insecure_clear;
    const struct refusal *no;
};

static const struct way ways[] = {
    {"192.0.2.7", NULL, "http/1.1", false, false, false, NULL},
    {"192.0.2.7", NULL, "http/1.1", false, true, false, NULL},
    {"192.0.2.7", NULL, "h2", false, false, false, &refused_protocol},
    {"192.0.2.7", NULL, "", false, false, false, &refused_protocol},
    {"192.0.2.7", NULL, NULL, false, false, false, &refused_clear},
    {"192.0.2.7", NULL, NULL, false, false, true, NULL},
    {"127.0.0.1", NULL, NULL, false, false, false, NULL},
    {"127.9.9.9", NULL, NULL, false, false, false, NULL},
    {"::1", NULL, NULL, false, false, false, NULL},
    {"::ffff:127.0.0.1", NULL, NULL, false, false, false, NULL},
    {"::ffff:192.0.2.7", NULL, NULL, false, false, false, &refused_clear},
    {"::2", NULL, NULL, false, false, false, &refused_clear},
    {"127.0.0.1", NULL, NULL, false, true, false, &refused_clear},
    {"127.0.0.1", "192.0.2.7", NULL, false, false, false, &refused_clear},
    {"192.0.2.7", "127.0.0.1", NULL, false, false, false, &refused_clear},
    {"127.0.0.1", NULL, NULL, true, false, false, &refused_clear},
    {"127.0.0.1", NULL, NULL, true, false, false, &refused_clear},
    {"127.0.0.1", NULL, NULL, true, false, false, &refused_clear},
    {"127.0.0.1", NULL, NULL, true, false, true, NULL},
};

static void judges_the_way(void)
{
    for (size_t i = 0; i < array_len(ways); i++) {
        const struct way *way = &ways[i];
        begin();
        ask(FRONT "\r\n");
        w.scene.passed_on = way->passed_on;
        struct os_addr from;
        REQUIRE(os_addr_parse_ip(slice_str(way->from), 1, &from) == 0);
        http_peer_set(&w.peer, &from);
        REQUIRE(os_addr_parse_ip(slice_str(way->client != NULL ? way->client : way->from), 1,
                                 &w.client) == 0);
        w.peer.secure = way->alpn != NULL;
        w.peer.security = way->alpn != NULL ? &w.security : NULL;
        w.security.alpn = slice_str(way->alpn != NULL ? way->alpn : "");
        w.peer.proxied = way->proxied ? &w.proxied : NULL;
        w.labels.settings.insecure_clear = way->insecure_clear;
        const struct refusal *no = judge_way(&w.scene, true);
        if (no != way->no) {
            printf("# way %zu: %s\n", i, no == NULL ? "may" : no->text);
            CHECK(false);
        }
        CHECK(judge_way(&w.scene, false) == &refused_version);
        end();
    }
}

static void other_versions_are_refused(void)
{
    begin();
    ask("GET " HELLO_PATH " HTTP/1.1\r\nHost: t.test\r\nConnection: Upgrade\r\n"
        "Upgrade: adit-tunnel/2\r\n\r\n");
    CHECK(judge_way(&w.scene, true) == &refused_version);
    ask("GET " HELLO_PATH " HTTP/1.1\r\nHost: t.test\r\n\r\n");
    CHECK(judge_way(&w.scene, true) == &refused_version);
    ask("GET " HELLO_PATH " HTTP/1.0\r\nHost: t.test\r\nConnection: Upgrade\r\n"
        "Upgrade: adit-tunnel/1\r\n\r\n");
    CHECK(judge_way(&w.scene, true) == &refused_version);
    end();
}

// ---- who and what -----------------------------------------------------------------------------------

struct row {
    const char *fields;
    const struct refusal *no;
    const char *name; // that is given; NULL: none; "": one of ours
    const char *owner;
};

static const struct row rows[] = {
    // who
    {"", &refused_no_token, NULL, NULL},
    {UNKNOWN, &refused_bad_token, NULL, NULL},
    {LATE, &refused_expired, NULL, NULL},
    {LATE "Adit-Name: admin\r\n", &refused_expired, NULL, NULL},
    {"Authorization: Bearer x\r\n", &refused_bad_token, NULL, NULL},
    {"Authorization: Adit-Key key=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", nonce=\"x\", "
     "signature="
     "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAA\"\r\n",
     &refused_key_clear, NULL, NULL},
    // names
    {ALICE, NULL, "", "alice"},
    {ALICE "Adit-Name: myapp\r\n", NULL, "myapp", "alice"},
    {ALICE "Adit-Name: MyApp.T.Test\r\n", NULL, "myapp", "alice"},
    {ALICE "Adit-Name: my_app\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: -app\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: xn--e1afmkfd\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: a.b.t.test\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: *.t.test\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: ../etc\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: admin\r\n", &refused_name_banned, NULL, NULL},
    {ALICE "Adit-Name: adm1n\r\n", &refused_name_lookalike, NULL, NULL},
    {ALICE "Adit-Name: x-ip-10-0-0-1\r\n", &refused_name_banned, NULL, NULL},
    {ALICE "Adit-Name: status\r\n", NULL, "status", "alice"}, // banned, but reserved for alice
    {BOB "Adit-Name: status\r\n", &refused_name_banned, NULL, NULL},
    {ALICE "Adit-Name: shop\r\n", &refused_taken, NULL, NULL},
    {ALICE "Adit-Name: sh0p\r\n", &refused_name_lookalike, NULL, NULL}, // bob has shop
    {ALICE "Adit-Name: s-h-o-p\r\n", &refused_name_lookalike, NULL, NULL},
    {ALICE "Adit-Name: 5tatus\r\n", &refused_name_lookalike, NULL, NULL}, // like a banned one
    {ALICE "Adit-Name: own\r\n", &refused_name_served, NULL, NULL},
    {BOB, &refused_name_random, NULL, NULL},
    {BOB "Adit-Name: bob-1\r\n", NULL, "bob-1", "bob"},
    {BOB "Adit-Name: myapp\r\n", &refused_name_scope, NULL, NULL},
    {BOB "Adit-Name: api\r\n", NULL, "api", "bob"}, // banned, but the grant names it
    {ONE, NULL, "only", "one"},
    // whole domains
    {ALICE "Adit-Name: app.customer.com\r\n", NULL, "app.customer.com", "alice"},
    {ALICE "Adit-Name: x.app.customer.com\r\n", NULL, "x.app.customer.com", "alice"},
    {ALICE "Adit-Name: other.com\r\n", &refused_name_domain, NULL, NULL},
    {ALICE "Adit-Name: 10.0.0.1\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: a..com\r\n", &refused_name_shape, NULL, NULL},
    {ALICE "Adit-Name: t.test\r\n", &refused_name_served, NULL, NULL},
    {ALICE "Adit-Name: ours.customer.com\r\n", &refused_name_served, NULL, NULL},
    {BOB "Adit-Name: app.customer.com\r\n", &refused_name_scope, NULL, NULL},
    // wildcards and sharing
    {ALICE "Adit-Name: myapp\r\nAdit-Wildcard: ?1\r\n", NULL, "myapp", "alice"},
    {ALICE "Adit-Wildcard: ?1\r\n", &refused_wildcard, NULL, NULL},
    {ALICE "Adit-Name: myapp\r\nAdit-Join: ?1\r\n", NULL, "myapp", "alice"},
    // ports
    {ALICE "Adit-Kind: tcp\r\n", NULL, NULL, "alice"},
    {ALICE "Adit-Kind: tcp\r\nAdit-Port: 20009\r\n", NULL, NULL, "alice"},
    {ALICE "Adit-Kind: udp\r\nAdit-Port: 20010\r\n", &refused_port, NULL, NULL},
    {ALICE "Adit-Kind: tcp\r\nAdit-Port: 22\r\n", &refused_port, NULL, NULL},
    {BOB "Adit-Kind: tcp\r\n", &refused_kind_grant, NULL, NULL},
};

static void check_row(const struct row *r)
{
    char request[2048];
    (void)snprintf(request, sizeof(request), "%s%s\r\n", FRONT, r->fields);
    const struct refusal *no = judge_request(request);
    bool same = no == r->no;
    if (same && no == NULL) {
        struct slice name = slice_of(w.j.name, w.j.name_len);
        same = slice_eq(name, slice_str(r->name != NULL ? r->name : "")) &&
               w.j.random == (r->name != NULL && r->name[0] == '\0') &&
               strcmp(w.j.owner, r->owner) == 0;
    }
    if (!same) {
        printf("# %s# got: %s, name %s, owner %s\n", r->fields, no == NULL ? "nothing" : no->text,
               w.j.name, w.j.owner);
        CHECK(false);
    }
}

struct certificate {
    const char *fields;
    const char *print; // "": none was shown
    uint64_t from_s;
    uint64_t until_s;
    bool verified;
    bool anonymous;
    const struct refusal *no;
    const char *owner;
};

// It is 1000 seconds after 1970.
static const struct certificate certificates[] = {
    {"", PRINT, 0, 1000, false, false, NULL, "carol"},
    {"", PRINT, 1000, 2000, true, true, NULL, "carol"},
    {ALICE, PRINT, 0, 2000, false, false, NULL, "alice"},
    {UNKNOWN, PRINT, 0, 2000, false, false, &refused_bad_token, NULL},
    {"", PRINT, 0, 999, false, false, &refused_certificate_over, NULL},
    {"", PRINT, 0, 0, false, false, &refused_certificate_over, NULL},
    {"", PRINT, 1001, 2000, false, false, &refused_certificate_early, NULL},
    {"", OTHER, 0, 2000, false, false, &refused_bad_certificate, NULL},
    {"", OTHER, 0, 2000, true, false, &refused_bad_certificate, NULL},
    {"", OTHER, 0, 2000, false, true, &refused_bad_certificate, NULL},
    {"", OTHER, 0, 999, false, true, &refused_certificate_over, NULL},
    {"", OTHER, 0, 999, true, true, NULL, NULL}, // the site asked for it
    {"", "", 0, 0, false, true, NULL, NULL},
    {"", "", 0, 0, false, false, &refused_no_token, NULL},
    {"", "xyz", 0, 2000, false, false, &refused_bad_certificate, NULL},
};

static void judges_certificates(void)
{
    for (size_t i = 0; i < array_len(certificates); i++) {
        const struct certificate *c = &certificates[i];
        char request[2048];
        (void)snprintf(request, sizeof(request), "%s%s\r\n", FRONT, c->fields);
        begin();
        w.security.client_fingerprint = slice_str(c->print);
        w.security.client_from = c->from_s;
        w.security.client_until = c->until_s;
        w.security.client_verified = c->verified;
        w.labels.settings.anonymous = c->anonymous;
        const struct refusal *no = judge_request(request);
        bool same = no == c->no && (c->owner == NULL || strcmp(w.j.owner, c->owner) == 0);
        bool ends = no == NULL && w.j.grant != NULL && c->fields[0] == '\0';
        if (!same || (ends && w.j.proof_until_ms != (c->until_s + 1) * 1000)) {
            printf("# certificate %zu: %s\n", i, no == NULL ? "may" : no->text);
            CHECK(false);
        }
        w.peer.secure = false; // what is not this connection's counts for nothing
        no = judge_request(request);
        CHECK(c->fields[0] != '\0' || no == (c->anonymous ? NULL : &refused_no_token));
        end();
    }
}

static void judges_who_and_what(void)
{
    begin();
    for (size_t i = 0; i < array_len(rows); i++) {
        check_row(&rows[i]);
    }
    end();
}

static const struct row anonymous[] = {
    {"", NULL, "", "*00000000000000000000000000000000"},
    {"Adit-Name: myapp\r\n", &refused_anonymous_name, NULL, NULL},
    {"Adit-Name: app.customer.com\r\n", &refused_anonymous_name, NULL, NULL},
    {"Adit-Join: ?1\r\n", &refused_join, NULL, NULL},
    {"Adit-Wildcard: ?1\r\n", &refused_wildcard, NULL, NULL},
    {"Adit-Kind: tcp\r\n", &refused_kind_grant, NULL, NULL},
    {UNKNOWN, &refused_bad_token, NULL, NULL}, // a token that is wrong is not no token
    {ALICE "Adit-Name: myapp\r\n", NULL, "myapp", "alice"},
};

static void anonymous_agents_get_random_names(void)
{
    begin();
    w.labels.settings.anonymous = true;
    for (size_t i = 0; i < array_len(anonymous); i++) {
        check_row(&anonymous[i]);
    }
    end();
}

static void without_ports_there_is_no_tcp(void)
{
    begin();
    w.labels.settings.port_first = 0;
    CHECK(judge_request(FRONT ALICE "Adit-Kind: tcp\r\n\r\n") == &refused_kind);
    end();
}

static void without_a_zone_for_them_there_are_no_domains(void)
{
    begin();
    w.scene.domains = NULL;
    CHECK(judge_request(FRONT ALICE "Adit-Name: app.customer.com\r\n\r\n") == &refused_name_domain);
    w.scene.domains = &w.domains;
    w.scene.labels = NULL;
    CHECK(judge_request(FRONT ALICE "Adit-Name: myapp\r\n\r\n") == &refused_name_domain);
    CHECK(judge_request(FRONT ALICE "\r\n") == &refused_name_random);
    end();
}

static void nobody_is_refused_for_good_before_the_table_is_there(void)
{
    begin();
    w.scene.access = NULL;
    CHECK(judge_request(FRONT UNKNOWN "\r\n") == &refused_no_table);
    CHECK_EQ_INT(refused_no_table.status, 503);
    access_unref(w.access);
    w.access = load_access(false); // without secrets nothing can be sealed
    w.scene.access = w.access;
    CHECK(judge_request(FRONT ALICE "\r\n") == &refused_no_table);
    end();
}

// ---- tickets and secrets ----------------------------------------------------------------------------

/** A request with a ticket for `name` of `owner`, and a secret. */
static const struct refusal *come_back(const char *fields, const char *owner, const char *name)
{
    const struct access_secret *keys = NULL;
    static const uint8_t nonce[SEAL_NONCE_BYTES] = {1};
    char request[4096];
    char sealed[HELLO_TICKET_MAX];
    char proof[64];
    uint8_t secret[HELLO_SECRET_BYTES];
    struct ticket t = {.expires_ms = NOW_MS + 1};
    struct text ticket = text_on(sealed, sizeof(sealed));
    struct text text = text_on(proof, sizeof(proof));
    REQUIRE(access_secrets(w.access, &keys) > 0);
    (void)snprintf(t.owner, sizeof(t.owner), "%s", owner);
    (void)snprintf(t.name, sizeof(t.name), "%s", name);
    t.owner_len = (uint32_t)strlen(owner);
    t.name_len = (uint32_t)strlen(name);
    REQUIRE(ticket_seal(&t, keys, SLICE("*.t.test"), nonce, &ticket) == 0);
    REQUIRE(ticket_secret(keys, SLICE("*.t.test"), slice_str(owner), t.instance, secret) == 0);
    base64_put(&text, slice_of((const char *)secret, sizeof(secret)), BASE64_URL);
    (void)snprintf(request, sizeof(request), "%s%sAdit-Ticket: %.*s\r\nAdit-Secret: %.*s\r\n\r\n",
                   FRONT, fields, SLICE_ARG(text_slice(&ticket)), SLICE_ARG(text_slice(&text)));
    return judge_request(request);
}

static void check_kept(const char *name)
{
    CHECK(w.j.by_ticket && !w.j.random && w.j.proven);
    CHECK_TEXT(w.j.name, w.j.name_len, name);
}

static void a_ticket_gives_the_name_again(void)
{
    begin();
    CHECK(come_back(ALICE, "alice", "k4xq") == NULL);
    check_kept("k4xq");
    CHECK(come_back(ALICE "Adit-Name: k4xq\r\n", "alice", "k4xq") == NULL);
    check_kept("k4xq");
    // A name that says an address is the edge's to give, and so to give again.
    CHECK(come_back(ALICE, "alice", "cqcu2t-ip-49-185-26-79") == NULL);
    check_kept("cqcu2t-ip-49-185-26-79");
    w.labels.settings.anonymous = true;
    CHECK(come_back("", "*00000000000000000000000000000000", "k4xq") == NULL);
    check_kept("k4xq");
    end();
}

static void a_ticket_is_its_owners(void)
{
    begin();
    CHECK(come_back(ALICE, "bob", "k4xq") == NULL);
    CHECK(w.j.random && !w.j.by_ticket && !w.j.proven);
    // It gives one name, and what was taken away since then is seen.
    CHECK(come_back(ALICE "Adit-Name: other\r\n", "alice", "k4xq") == NULL);
    CHECK(!w.j.by_ticket && w.j.proven);
    CHECK_TEXT(w.j.name, w.j.name_len, "other");
    CHECK(come_back(BOB, "bob", "k4xq") == &refused_name_scope);
    CHECK(come_back(ALICE, "alice", "shop") == &refused_name_scope);
    CHECK(come_back(ALICE, "alice", "own") == &refused_name_served);
    end();
}

TAP_MAIN(judges_the_way, other_versions_are_refused, judges_who_and_what, judges_certificates,
         anonymous_agents_get_random_names, without_ports_there_is_no_tcp,
         without_a_zone_for_them_there_are_no_domains,
         nobody_is_refused_for_good_before_the_table_is_there, a_ticket_gives_the_name_again,
         a_ticket_is_its_owners)
