// SPDX-License-Identifier: Apache-2.0
//
// origin: schemes, protocols and TLS of an upstream, and which of them make one server of two.

#include "upstream/origin.h"

#include "base/error.h"
#include "conf/load.h"
#include "tap.h"
#include "tls/credentials.h"
#include "tls/store.h"

extern const struct conf_directive *const conf_tables[];

struct made {
    struct conf_diags *diags;
    struct conf_doc *doc;
    struct tls_store *store;
    struct conf_node app;
};

/** An upstream called app with these settings. */
static void load(struct made *m, const char *settings, struct slice credentials)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   "listen: 127.0.0.1:8080\n"
                   "upstreams: {app: {servers: [\"https://10.0.0.1:443\"]%s}}\n"
                   "sites: {default: {tls: off, proxy: app}}\n",
                   settings);
    *m = (struct made){.diags = conf_diags_new()};
    REQUIRE(m->diags != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, m->diags, &m->doc) == 0);
    REQUIRE(tls_store_new(m->doc, credentials, 1, m->diags, &m->store) == 0);
    m->app = conf_get(conf_get(conf_root(m->doc), "upstreams"), "app");
    REQUIRE(conf_exists(m->app));
}

static void unload(struct made *m)
{
    tls_store_unref(m->store);
    conf_doc_free(m->doc);
    conf_diags_free(m->diags);
}

static int compile(const struct made *m, const char *at, struct slice credentials,
                   struct server_kind *settings, struct slice *address)
{
    const struct origin_sources from = {m->store, credentials, 1};
    *settings = (struct server_kind){0};
    return origin_compile(&from, m->app, slice_str(at), settings, address);
}

static struct slice credentials_with(char *room, size_t size, const char *ca)
{
    struct credential_writer w;
    credentials_begin(&w, room, size);
    struct credential c = {
        .kind = CREDENTIAL_AUTHORITY, .id = SLICE("ca:/x.pem"), .chain = slice_str(ca)};
    REQUIRE(credentials_add(&w, &c) == 0);
    return credentials_end(&w);
}

static void takes_the_scheme_off(void)
{
    static const struct {
        const char *at;
        const char *address;
        enum server_protocol protocol;
        bool tls;
    } rows[] = {
        {"10.0.0.1:80", "10.0.0.1:80", SERVER_AUTO, false},
        {"unix:/run/app.sock", "unix:/run/app.sock", SERVER_AUTO, false},
        {"h2c://10.0.0.1:50051", "10.0.0.1:50051", SERVER_H2, false},
        {"https://app.internal:8443", "app.internal:8443", SERVER_AUTO, true},
        {"https://[::1]:443", "[::1]:443", SERVER_AUTO, true},
    };
    struct made m;
    load(&m, "", SLICE(""));
    for (size_t i = 0; i < array_len(rows); i++) {
        struct server_kind s;
        struct slice address;
        if (!CHECK_EQ_INT(compile(&m, rows[i].at, SLICE(""), &s, &address), 0)) {
            continue;
        }
        CHECK_TEXT(address.ptr, address.len, rows[i].address);
        CHECK_EQ_INT(s.protocol, rows[i].protocol);
        CHECK((s.tls != NULL) == rows[i].tls);
        CHECK((s.tls_h1 != NULL) == rows[i].tls); // open to choice: upgrades have their own
        CHECK((s.tls_hash != 0) == rows[i].tls);
        origin_release(&s);
    }
    unload(&m);
}

static void a_protocol_that_is_settled_needs_no_lane_for_upgrades(void)
{
    static const char *const settings[] = {", protocol: h2, streams: 7", ", protocol: http/1.1"};
    static const enum server_protocol protocols[] = {SERVER_H2, SERVER_H1};
    for (size_t i = 0; i < array_len(settings); i++) {
        struct made m;
        struct server_kind s;
        struct slice address;
        load(&m, settings[i], SLICE(""));
        REQUIRE(compile(&m, "https://10.0.0.1:443", SLICE(""), &s, &address) == 0);
        CHECK_EQ_INT(s.protocol, protocols[i]);
        CHECK(s.tls != NULL && s.tls_h1 == NULL);
        origin_release(&s);
        unload(&m);
    }
}

static uint64_t hash_with(const char *settings, const char *at, const char *ca)
{
    char room[256];
    struct slice credentials = ca == NULL ? SLICE("") : credentials_with(room, sizeof(room), ca);
    struct made m;
    struct server_kind s;
    struct slice address;
    load(&m, settings, credentials);
    REQUIRE(compile(&m, at, credentials, &s, &address) == 0);
    uint64_t hash = s.tls_hash;
    origin_release(&s);
    unload(&m);
    return hash;
}

static void what_is_equal_makes_one_server(void)
{
    const char *at = "https://a.example:443";
    uint64_t plain = hash_with("", at, NULL);
    CHECK(plain == hash_with("", at, NULL));
    CHECK(plain != hash_with("", "https://b.example:443", NULL)); // another name is verified
    CHECK(plain != hash_with(", tls: {verify: off}", at, NULL));
    CHECK(plain != hash_with(", tls: {name: other.example}", at, NULL));
    CHECK(plain != hash_with(", tls: {min_version: \"1.3\"}", at, NULL));
    CHECK(plain == hash_with(", tls: {min_version: \"1.2\"}", at, NULL)); // the default, said aloud
}

static void another_authority_in_the_same_file_makes_another_server(void)
{
    const char *at = "https://a.example:443";
    const char *with_ca = ", tls: {ca: /x.pem}";
    uint64_t first = hash_with(with_ca, at, "one");
    CHECK(first == hash_with(with_ca, at, "one"));
    CHECK(first != hash_with(with_ca, at, "two"));
    CHECK(first != hash_with("", at, "one"));
}

static void without_a_store_there_is_no_tls(void)
{
    struct made m;
    load(&m, "", SLICE(""));
    const struct origin_sources none = {NULL, SLICE(""), 1};
    struct server_kind s = {0};
    struct slice address;
    CHECK_EQ_INT(origin_compile(&none, m.app, SLICE("https://10.0.0.1:443"), &s, &address),
                 E_UNSUPPORTED);
    CHECK_EQ_INT(origin_compile(&none, m.app, SLICE("10.0.0.1:80"), &s, &address), 0);
    unload(&m);
}

TAP_MAIN(takes_the_scheme_off, a_protocol_that_is_settled_needs_no_lane_for_upgrades,
         what_is_equal_makes_one_server, another_authority_in_the_same_file_makes_another_server,
         without_a_store_there_is_no_tls)
