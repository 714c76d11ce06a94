// SPDX-License-Identifier: Apache-2.0
//
// key: which part of a request places it, and that it does so the same everywhere and for good.

#include "proxy/key.h"

#include "os/addr.h"
#include "tap.h"

struct world {
    struct arena arena;
    struct http_head head;
    struct os_addr client;
    struct upstream_subject subject;
};

static void setup_world(struct world *w)
{
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, NULL, 0, NULL, 1 << 16);
    http_head_init(&w->head, &w->arena, 16384, 100);
    w->subject =
        (struct upstream_subject){.request = &w->head, .client = &w->client, .arena = &w->arena};
}

static void add(struct world *w, const char *name, const char *value)
{
    REQUIRE(fields_add(&w->head.fields, slice_str(name), slice_str(value)) == 0);
}

static bool key(const struct world *w, const char *form, uint64_t *out)
{
    struct key_plan p;
    REQUIRE(key_parse(slice_str(form), &p));
    return key_of(&p, &w->subject, out);
}

static uint64_t key_or_0(const struct world *w, const char *form)
{
    uint64_t k = 0;
    return key(w, form, &k) ? k : 0;
}

static void reads_its_forms(void)
{
    static const struct {
        const char *text;
        int kind; // -1: refused
        const char *name;
    } rows[] = {
        {"client", KEY_CLIENT, ""},
        {" path ", KEY_PATH, ""},
        {"header X-User", KEY_HEADER, "X-User"},
        {"cookie  sid", KEY_COOKIE, "sid"},
        {"query q", KEY_QUERY, "q"},
        {"", -1, ""},
        {"client x", -1, ""},
        {"header", -1, ""},
        {"header ", -1, ""},
        {"header a b", -1, ""},
        {"header a:b", -1, ""},
        {"cookie a=b", -1, ""},
        {"Header x", -1, ""},
        {"url", -1, ""},
        {"cookie "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaa",
         -1, ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct key_plan p;
        bool ok = key_parse(slice_str(rows[i].text), &p);
        if (CHECK(ok == (rows[i].kind >= 0)) && ok) {
            CHECK_EQ_INT(p.kind, rows[i].kind);
            CHECK_TEXT(p.name, p.name_len, rows[i].name);
        }
    }
}

static void a_client_is_an_address_or_a_network_of_64_bits(void)
{
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } rows[] = {
        {"10.0.0.1:1", "10.0.0.1:2", true},
        {"10.0.0.1:1", "10.0.0.2:1", false},
        {"[2001:db8::1]:1", "[2001:db8::ffff:1:2:3]:9", true},
        {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
        {"10.0.0.1:1", "[::ffff:10.0.0.1]:1", true},
        {"10.0.0.2:1", "[::ffff:10.0.0.1]:1", false},
    };
    struct world w;
    setup_world(&w);
    for (size_t i = 0; i < array_len(rows); i++) {
        REQUIRE(os_addr_parse(slice_str(rows[i].a), &w.client) == 0);
        uint64_t a = key_or_0(&w, "client");
        REQUIRE(os_addr_parse(slice_str(rows[i].b), &w.client) == 0);
        uint64_t b = key_or_0(&w, "client");
        CHECK(a != 0 && b != 0 && (a == b) == rows[i].same);
    }
    REQUIRE(os_addr_parse(SLICE("unix:/x"), &w.client) == 0);
    CHECK_EQ_INT(key_or_0(&w, "client"), 0);
    w.subject.client = NULL;
    CHECK_EQ_INT(key_or_0(&w, "client"), 0);
    arena_fini(&w.arena);
}

static void parts_of_a_request(void)
{
    struct world w;
    setup_world(&w);
    add(&w, "X-User", "anna");
    add(&w, "x-empty", "");
    add(&w, "cookie", "a=1; sid=\"anna\"; sid=other");
    w.head.query = SLICE("x=1&q=an%6ea&q=no&e=");
    w.subject.path = SLICE("anna");
    uint64_t anna = key_or_0(&w, "path");
    CHECK(anna != 0);
    CHECK(key_or_0(&w, "header x-user") == anna);
    CHECK(key_or_0(&w, "cookie sid") == anna);
    CHECK(key_or_0(&w, "query q") == anna);
    static const char *const none[] = {"header x-empty", "header y", "cookie SID", "cookie y",
                                       "query e",        "query y",  "query Q"};
    for (size_t i = 0; i < array_len(none); i++) {
        uint64_t k;
        CHECK(!key(&w, none[i], &k));
    }
    w.subject.request = NULL; // layer 4
    w.subject.path = SLICE("");
    CHECK_EQ_INT(key_or_0(&w, "header x-user") + key_or_0(&w, "cookie sid") +
                     key_or_0(&w, "query q") + key_or_0(&w, "path"),
                 0);
    arena_fini(&w.arena);
}

// What browsers, and others, send.
static void cookies_are_found_whatever_is_around_them(void)
{
    static const struct {
        const char *fields[2];
        const char *want; // values of `sid`, each followed by a bar
    } rows[] = {
        {{"sid=1"}, "1|"},
        {{"a=b; sid=1; c=d"}, "1|"},
        {{"a=b;sid=1"}, "1|"},
        {{"  sid = 1 ;"}, "1|"},
        {{"sid=1; sid=2"}, "1|2|"},
        {{"sid=1", "sid=2"}, "1|2|"},
        {{"a=b", "sid=2"}, "2|"},
        {{"sid=a=b"}, "a=b|"},
        {{"sid=\"x y\""}, "x y|"},
        {{"sid=\""}, "\"|"},
        {{"sid="}, "|"},
        {{"sid"}, ""},
        {{"xsid=1; sidx=2; Sid=3"}, ""},
        {{";;;=;sid=1;;"}, "1|"},
        {{""}, ""},
        {{NULL}, ""},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct world w;
        setup_world(&w);
        add(&w, "accept", "sid=9");
        for (int f = 0; f < 2 && rows[i].fields[f] != NULL; f++) {
            add(&w, "cookie", rows[i].fields[f]);
        }
        struct key_cookies at = {0};
        struct slice value;
        char got[64] = "";
        size_t n = 0;
        while (key_next_cookie(&w.head.fields, SLICE("sid"), &at, &value)) {
            n += (size_t)snprintf(got + n, sizeof got - n, "%.*s|", SLICE_ARG(value));
        }
        CHECK_STR(got, rows[i].want);
        arena_fini(&w.arena);
    }
}

static void keys_do_not_change_between_versions(void)
{
    struct world w;
    setup_world(&w);
    add(&w, "x-user", "anna");
    REQUIRE(os_addr_parse(SLICE("192.0.2.7:1"), &w.client) == 0);
    CHECK(key_or_0(&w, "header x-user") == 0xfa9c44545658feb5);
    CHECK(key_or_0(&w, "client") == 0x9ff803f529f0c143);
    arena_fini(&w.arena);
}

TAP_MAIN(reads_its_forms, a_client_is_an_address_or_a_network_of_64_bits, parts_of_a_request,
         cookies_are_found_whatever_is_around_them, keys_do_not_change_between_versions)
