// SPDX-License-Identifier: Apache-2.0
//
// The table of who may have tunnels: found by proof, judged by scope, by owner, by time.

#include "tunnel/access.h"

#include "base/error.h"
#include "base/text.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tap.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define LATE "1111111111111111111111111111111111111111111111111111111111111112"
#define FROM "20000-20010"

static struct access *table;

static int load(const char *json)
{
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    struct conf_load in = {.path = "access", .text = slice_str(json), .tables = access_doc_tables};
    int error = d != NULL ? conf_load(&in, d, &doc) : E_NO_MEMORY;
    if (error == 0) {
        access_unref(table);
        table = NULL;
        error = access_load(doc, &table);
    }
    conf_doc_free(doc);
    conf_diags_free(d);
    return error;
}

static const char full[] =
    "{\"grants\": [{\"id\": \"k3\", \"kind\": \"token\", \"proof\": \"" ONES "\","
    " \"owner\": \"alice\", \"names\": [\"myapp\", \"*-dev\"], \"ports\": [\"" FROM "\"],"
    " \"tunnels\": 3, \"rate\": 100, \"expires\": 5000},"
    " {\"id\": \"k4\", \"kind\": \"key\", \"proof\": \"" ONES "\", \"owner\": \"bob\"},"
    " {\"id\": \"k5\", \"kind\": \"certificate\", \"proof\": \"" TWOS "\", \"owner\": \"bob\"}],"
    " \"names\": [{\"name\": \"shop\", \"owner\": \"alice\"}, {\"name\": \"com\", \"owner\": "
    "\"alice\"}],"
    " \"domains\": [{\"name\": \"app.customer.com\", \"owner\": \"bob\", \"proved\": 7},"
    " {\"name\": \"new.customer.com\", \"owner\": \"bob\"}],"
    " \"secrets\": [{\"made\": 9, \"bytes\": \"" ONES TWOS
    "\"}, {\"made\": 8, \"bytes\": \"" TWOS ONES "\"}]}";

static void setup(void)
{
    REQUIRE(load(full) == 0);
}

static void found_by_their_proof_and_kind(void)
{
    uint8_t proof[ACCESS_PROOF_BYTES];
    memset(proof, 0x11, sizeof proof);
    const struct access_grant *g = access_token(table, proof);
    REQUIRE(g != NULL);
    CHECK_STR(g->id, "k3");
    CHECK_STR(g->owner, "alice");
    CHECK_EQ_INT(g->limits.tunnels, 3);
    CHECK_EQ_INT(g->limits.rate, 100);
    CHECK(access_grant_by_id(table, SLICE("k3")) == g);
    CHECK(access_grant_by_id(table, SLICE("k")) == NULL);
    CHECK_STR(access_key(table, proof)->id, "k4");
    proof[31] = 0x12; // the half that is not in the map
    CHECK(access_token(table, proof) == NULL);
    proof[31] = 0x11;
    proof[0] = 0;
    CHECK(access_token(table, proof) == NULL);
    CHECK_STR(access_certificate(table, SLICE(TWOS))->id, "k5");
    CHECK(access_certificate(table, SLICE(ONES)) == NULL);
    CHECK(access_certificate(table, SLICE("22")) == NULL);
    CHECK(access_certificate(table, SLICE("")) == NULL);
    CHECK(access_certificate(table, SLICE(TWOS "0")) == NULL);
}

static void a_fingerprint_is_written_in_many_ways(void)
{
    char with_colons[200];
    struct text t = text_on(with_colons, sizeof with_colons);
    for (int i = 0; i < ACCESS_PROOF_BYTES; i++) {
        text_str(&t, i > 0 ? ":22" : "22");
    }
    CHECK(access_certificate(table, text_slice(&t)) != NULL);
}

static void what_a_scope_has(void)
{
    const struct access_grant *g = access_grant_by_id(table, SLICE("k3"));
    const struct access_grant *any = access_grant_by_id(table, SLICE("k4"));
    CHECK(!access_expired(g, 4999));
    CHECK(access_expired(g, 5000));
    CHECK(!access_expired(any, UINT64_MAX));
    CHECK(access_may_name(g, SLICE("myapp")));
    CHECK(access_may_name(g, SLICE("x-dev")));
    CHECK(!access_may_name(g, SLICE("other")));
    CHECK(access_may_name(any, SLICE("other")));
    CHECK(!access_may_random(g));
    CHECK(access_may_random(any));
    CHECK(access_may_port(g, 20000));
    CHECK(access_may_port(g, 20010));
    CHECK(!access_may_port(g, 20011));
    CHECK(!access_may_port(any, 20000));
}

static void patterns(void)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool takes;
    } rows[] = {
        {"a", "a", true},         {"a", "b", false},
        {"*", "a", true},         {"*", "a.b", false},
        {"*.b", "a.b", true},     {"*.b", "a.a.b", false},
        {"a*", "a", true},        {"a*c", "abbc", true},
        {"a*c", "abcbc", true},   {"a*c", "abcb", false},
        {"*a*b*", "xaxbx", true}, {"*a*b*", "xbxax", false},
        {"**", "ab", true},       {"*-dev", "x-dev.y", false},
        {"", "", true},           {"", "a", false},
        {"*", "", true},          {"*.*", "a.b", true},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        if (!CHECK(access_pattern_takes(slice_str(rows[i].pattern), slice_str(rows[i].name)) ==
                   rows[i].takes)) {
            printf("# %s %s\n", rows[i].pattern, rows[i].name);
        }
    }
}

static void whose_a_name_is(void)
{
    struct slice owner;
    const struct access_grant *alice = access_grant_by_id(table, SLICE("k3"));
    const struct access_grant *bob = access_grant_by_id(table, SLICE("k4"));
    REQUIRE(access_owner_of(table, SLICE("shop"), &owner));
    CHECK_TEXT(owner.ptr, owner.len, "alice");
    CHECK(access_owner_of(table, SLICE("app.customer.com"), &owner));
    CHECK_TEXT(owner.ptr, owner.len, "bob");
    CHECK(access_owner_of(table, SLICE("x.y.app.customer.com"), &owner));
    CHECK(!access_owner_of(table, SLICE("new.customer.com"), &owner)); // not proved
    CHECK(!access_owner_of(table, SLICE("customer.com"), &owner));
    CHECK(!access_owner_of(table, SLICE("xapp.customer.com"), &owner));
    CHECK(!access_owner_of(table, SLICE("x.com"), &owner)); // "com" is a reserved label, no domain
    CHECK(!access_owner_of(table, SLICE(""), &owner));
    CHECK(!access_allows(table, alice, SLICE("shop"))); // hers, but not in the token's scope
    CHECK(access_allows(table, alice, SLICE("myapp")));
    CHECK(!access_allows(table, bob, SLICE("shop")));
    CHECK(!access_allows(table, NULL, SLICE("shop")));
    CHECK(access_allows(table, NULL, SLICE("free")));
    CHECK(access_allows(table, bob, SLICE("app.customer.com")));
    CHECK(access_allows(table, bob, SLICE("z.app.customer.com")));
    CHECK(!access_allows(table, bob, SLICE("new.customer.com")));
    CHECK(!access_allows(table, NULL, SLICE("app.customer.com")));
    CHECK(!access_allows(table, NULL, SLICE("a.b")));
}

static void secrets(void)
{
    const struct access_secret *s;
    REQUIRE(access_secrets(table, &s) == 2);
    CHECK_EQ_INT(s[0].made_ms, 9);
    CHECK_EQ_INT(s[0].seal[31], 0x11);
    CHECK_EQ_INT(s[0].instance[0], 0x22);
    CHECK_EQ_INT(s[1].made_ms, 8);
}

static void an_empty_one_knows_nobody(void)
{
    uint8_t proof[ACCESS_PROOF_BYTES] = {0};
    const struct access_secret *s;
    REQUIRE(load("{\"grants\": []}") == 0);
    CHECK(access_token(table, proof) == NULL);
    CHECK_EQ_INT(access_secrets(table, &s), 0);
    CHECK(access_allows(table, NULL, SLICE("x")));
    REQUIRE(load(full) == 0);
}

static void references(void)
{
    struct access *mine = access_ref(table);
    CHECK(mine == table);
    access_unref(mine);
    CHECK(access_grant_by_id(table, SLICE("k3")) != NULL);
    access_unref(NULL);
}

static void what_is_no_table(void)
{
#define GRANT(id, proof, more)                                                                     \
    "{\"id\": \"" id "\", \"kind\": \"token\", \"proof\": \"" proof "\", \"owner\": \"a\"" more "}"
    static const struct {
        const char *json;
        int error;
    } rows[] = {
        {"{\"grants\": [" GRANT("a", "12", "") "]}", E_INVALID},
        {"{\"grants\": [" GRANT("a", ONES "1", "") "]}", E_INVALID},
        {"{\"grants\": [" GRANT("a", ONES, "") ", " GRANT("a", TWOS, "") "]}", E_INVALID},
        {"{\"grants\": [" GRANT("a", ONES, "") ", " GRANT("b", LATE, "") "]}", E_INVALID},
        {"{\"grants\": [" GRANT("a", ONES, ", \"ports\": [\"2-1\"]") "]}", E_INVALID},
        {"{\"grants\": [" GRANT("a", ONES, ", \"tunnels\": -1") "]}", E_CONFIG},
        {"{\"grants\": [" GRANT("a", ONES, ", \"odd\": 1") "]}", E_CONFIG},
        {"{\"grants\": [{\"id\": \"a\"}]}", E_CONFIG},
        {"{\"names\": [{\"name\": \"UPPER\", \"owner\": \"a\"}]}", E_INVALID},
        {"{\"names\": [{\"name\": \"a\", \"owner\": \"a b\"}]}", E_INVALID},
        {"{\"names\": [{\"name\": \"a\", \"owner\": \"a\"}, {\"name\": \"a\", \"owner\": \"b\"}]}",
         E_INVALID},
        {"{\"secrets\": [{\"made\": 1, \"bytes\": \"00\"}]}", E_INVALID},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        if (!CHECK_EQ_INT(load(rows[i].json), rows[i].error)) {
            printf("# %s\n", rows[i].json);
        }
    }
    REQUIRE(load(full) == 0);
}

static void what_may_be_written(void)
{
    struct access_ports p;
    CHECK(access_ports_parse(SLICE("20000"), &p) && p.first == 20000 && p.last == 20000);
    CHECK(access_ports_parse(SLICE("1-65535"), &p) && p.first == 1 && p.last == 65535);
    static const char *const bad_ports[] = {"", "0", "1-", "-1", "1-65536", "2-1", "a", "1-2-3"};
    for (size_t i = 0; i < array_len(bad_ports); i++) {
        CHECK(!access_ports_parse(slice_str(bad_ports[i]), &p));
    }
    CHECK(access_name_ok(SLICE("a-b.c1")));
    static const char *const bad_names[] = {"",   ".",    "a.", ".a",  "-a",
                                            "a-", "a-.b", "A",  "a_b", "*"};
    for (size_t i = 0; i < array_len(bad_names); i++) {
        CHECK(!access_name_ok(slice_str(bad_names[i])));
    }
    char label[65];
    memset(label, 'a', sizeof label);
    CHECK(access_name_ok(slice_of(label, 63)));
    CHECK(!access_name_ok(slice_of(label, 64)));
    CHECK(access_pattern_ok(SLICE("*-dev")) && access_pattern_ok(SLICE("*")));
    CHECK(!access_pattern_ok(SLICE("a b")));
    CHECK(access_owner_ok(SLICE("Alice.B_c-1@x")));
    CHECK(!access_owner_ok(SLICE("")) && !access_owner_ok(SLICE("a b")));
    CHECK(!access_owner_ok(slice_of(label, 64)) && access_owner_ok(slice_of(label, 63)));
}

static void teardown(void)
{
    access_unref(table);
    table = NULL;
}

static void reserved_names_are_not_imitated(void)
{
    struct slice owner = {NULL, 0};
    CHECK(access_owner_of_alike(table, SLICE("sh-0p"), &owner));
    CHECK_TEXT(owner.ptr, owner.len, "alice");
    CHECK(access_owner_of_alike(table, SLICE("shop"), &owner));
    CHECK(!access_owner_of_alike(table, SLICE("shops"), &owner));
    CHECK(!access_owner_of_alike(table, SLICE("app.customer.com"), &owner));
}

TAP_MAIN(setup, reserved_names_are_not_imitated, found_by_their_proof_and_kind,
         a_fingerprint_is_written_in_many_ways, what_a_scope_has, patterns, whose_a_name_is,
         secrets, an_empty_one_knows_nobody, references, what_is_no_table, what_may_be_written,
         teardown)
