// SPDX-License-Identifier: Apache-2.0
//
// Who the client is, and what origins are told.

#include "proxy/forwarded.h"

#include "base/text.h"
#include "proxy/fake_exchange.h"

static struct os_cidr nets[4];

static void trust(struct fake *f, const char *a, const char *b)
{
    REQUIRE(os_cidr_parse(slice_str(a), &nets[0]) == 0);
    f->snapshot.trusted = nets;
    f->snapshot.trusted_count = 1;
    if (b != NULL) {
        REQUIRE(os_cidr_parse(slice_str(b), &nets[1]) == 0);
        f->snapshot.trusted_count = 2;
    }
}

static const char *client_text(const struct exchange *x)
{
    static char bytes[OS_ADDR_TEXT_MAX];
    struct text t = text_on(bytes, sizeof(bytes) - 1);
    os_addr_ip_text(&x->client, &t);
    bytes[t.len] = '\0';
    return bytes;
}

static const char *value(const struct exchange *x, const char *name)
{
    static char bytes[1024];
    struct slice s = fields_get(&x->request.fields, slice_str(name));
    (void)snprintf(bytes, sizeof(bytes), "%.*s", SLICE_ARG(s));
    return bytes;
}

struct client_row {
    const char *name;  // of the field
    const char *value; // NULL: not there
    const char *client;
    bool secure;
    const char *proto; // X-Forwarded-Proto
};

// Peer 10.0.0.1; 10.0.0.0/8 and ::1 are trusted.
static const struct client_row client_rows[] = {
    {"X-Forwarded-For", NULL, "10.0.0.1", false, NULL},
    {"X-Forwarded-For", "203.0.113.9", "203.0.113.9", false, NULL},
    {"X-Forwarded-For", "203.0.113.9:1234", "203.0.113.9", false, NULL},
    {"X-Forwarded-For", "2001:db8::1", "2001:db8::1", false, NULL},
    {"X-Forwarded-For", "[2001:db8::1]:80", "2001:db8::1", false, NULL},
    {"X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9", true, "https"},
    {"X-Forwarded-For", "1.1.1.1, 203.0.113.9", "203.0.113.9", true, "http, https"},
    {"X-Forwarded-For", "10.1.1.1, 10.2.2.2", "10.1.1.1", false, NULL},
    {"X-Forwarded-For", "1.1.1.1, garbage", "10.0.0.1", false, NULL},
    {"X-Forwarded-For", "1.1.1.1, unknown, 10.0.0.3", "10.0.0.3", false, NULL},
    {"X-Forwarded-For", "1.1.1.1, unix:/run/x", "10.0.0.1", false, NULL},
    {"X-Forwarded-For", "1.2.3.4,", "1.2.3.4", false, NULL},
    {"Forwarded", "for=203.0.113.9", "203.0.113.9", false, NULL},
    {"Forwarded", "for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9", true, NULL},
    {"Forwarded", "For=\"[2001:db8::2]:99\"; Proto=HTTPS", "2001:db8::2", true, NULL},
    {"Forwarded", "for=1.1.1.1, for=2.2.2.2", "2.2.2.2", false, NULL},
    {"Forwarded", "for=1.1.1.1, for=10.0.0.2", "1.1.1.1", false, NULL},
    {"Forwarded", "for=_hidden, for=10.0.0.2", "10.0.0.2", false, NULL},
    {"Forwarded", "for=\"1.1.1.1, for=2.2.2.2", "2.2.2.2", false, NULL},
    {"Forwarded", "for=\"a\\\",b\", for=2.2.2.2", "2.2.2.2", false, NULL},
    {"Forwarded", "for=\"2.2.2\\.2\"", "10.0.0.1", false, NULL},
    {"Forwarded", "by=10.0.0.1;proto=https", "10.0.0.1", true, NULL},
    {"Forwarded", ";;;,,,", "10.0.0.1", false, NULL},
};

static void finds_the_client(void)
{
    for (size_t i = 0; i < array_len(client_rows); i++) {
        const struct client_row *r = &client_rows[i];
        struct fake *f = fake_new();
        fake_peer(f, "10.0.0.1:5555");
        trust(f, "10.0.0.0/8", "::1");
        if (r->value != NULL) {
            fake_field(f, r->name, r->value);
        }
        if (r->proto != NULL) {
            fake_field(f, "X-Forwarded-Proto", r->proto);
        }
        forwarded_client(&f->x);
        if (!CHECK_STR(client_text(&f->x), r->client) || !CHECK(f->x.client_secure == r->secure)) {
            printf("#   row %zu: %s\n", i, r->value != NULL ? r->value : "(none)");
        }
        fake_free(f);
    }
}

static void believes_nobody_else(void)
{
    struct fake *f = fake_new();
    trust(f, "10.0.0.0/8", NULL);
    fake_field(f, "X-Forwarded-For", "1.2.3.4");
    fake_field(f, "Forwarded", "for=1.2.3.4");
    fake_field(f, "X-Forwarded-Proto", "https");
    forwarded_client(&f->x);
    CHECK_STR(client_text(&f->x), "192.0.2.7");
    CHECK(!f->x.client_secure);
    fake_free(f);
}

static void joins_fields_of_one_name(void)
{
    struct fake *f = fake_new();
    fake_peer(f, "10.0.0.1:5555");
    trust(f, "10.0.0.0/8", NULL);
    fake_field(f, "X-Forwarded-For", "1.1.1.1, 9.9.9.9");
    fake_field(f, "User-Agent", "x");
    fake_field(f, "X-Forwarded-For", "10.3.3.3");
    forwarded_client(&f->x);
    CHECK_STR(client_text(&f->x), "9.9.9.9");
    CHECK(forwarded_request(&f->x) == 0);
    CHECK_STR(value(&f->x, "x-forwarded-for"), "1.1.1.1, 9.9.9.9, 10.3.3.3, 10.0.0.1");
    fake_free(f);
}

static void prefers_the_kind_in_use(void)
{
    for (unsigned mode = 0; mode < 4; mode++) {
        struct fake *f = fake_new();
        fake_peer(f, "10.0.0.1:5555");
        trust(f, "10.0.0.0/8", NULL);
        f->snapshot.forwarded = (uint8_t)mode;
        fake_field(f, "X-Forwarded-For", "1.1.1.1");
        fake_field(f, "Forwarded", "for=2.2.2.2");
        forwarded_client(&f->x);
        CHECK_STR(client_text(&f->x), mode == FORWARDED_RFC7239 ? "2.2.2.2" : "1.1.1.1");
        fake_free(f);
    }
}

static void ends_at_its_hops(void)
{
    static char list[4096];
    size_t len = 0;
    for (int i = 0; i < 200; i++) {
        len += (size_t)snprintf(list + len, sizeof(list) - len, "10.0.0.%d, ", i);
    }
    struct fake *f = fake_new();
    fake_peer(f, "10.0.0.1:5555");
    trust(f, "10.0.0.0/8", NULL);
    fake_field(f, "X-Forwarded-For", list);
    forwarded_client(&f->x);
    CHECK_STR(client_text(&f->x), "10.0.0.136");
    fake_free(f);
}

static void replaces_what_strangers_sent(void)
{
    struct fake *f = fake_new();
    fake_field(f, "X-Forwarded-For", "1.2.3.4");
    fake_field(f, "X-Forwarded-Port", "99");
    fake_field(f, "x-forwarded-prefix", "/admin");
    fake_field(f, "X-Real-IP", "1.2.3.4");
    fake_field(f, "Forwarded", "for=1.2.3.4");
    fake_field(f, "X-Request-Id", "mine");
    fake_field(f, "X-Forwarded", "left alone");
    forwarded_client(&f->x);
    CHECK(forwarded_request(&f->x) == 0);
    CHECK_STR(value(&f->x, "X-Forwarded-For"), "192.0.2.7");
    CHECK_STR(value(&f->x, "X-Forwarded-Proto"), "http");
    CHECK_STR(value(&f->x, "X-Forwarded-Host"), "example.com");
    CHECK_STR(value(&f->x, "X-Request-Id"), "00000000000000ab");
    CHECK_STR(value(&f->x, "Via"), "1.1 adit");
    CHECK_STR(value(&f->x, "X-Forwarded-Port"), "");
    CHECK_STR(value(&f->x, "X-Forwarded-Prefix"), "");
    CHECK_STR(value(&f->x, "X-Real-IP"), "");
    CHECK_STR(value(&f->x, "Forwarded"), "");
    CHECK_STR(value(&f->x, "X-Forwarded"), "left alone");
    fake_free(f);
}

static void leaves_what_stages_set(void)
{
    struct fake *f = fake_new();
    fake_field(f, "X-Real-IP", "1.2.3.4");
    forwarded_client(&f->x);
    CHECK_STR(value(&f->x, "X-Real-IP"), "");
    fake_field(f, "X-Real-IP", "192.0.2.7");
    fake_field(f, "X-Forwarded-Proto", "https");
    CHECK(forwarded_request(&f->x) == 0);
    CHECK_STR(value(&f->x, "X-Real-IP"), "192.0.2.7");
    CHECK_STR(value(&f->x, "X-Forwarded-Proto"), "https");
    fake_free(f);
}

static void keeps_what_trusted_proxies_sent(void)
{
    struct fake *f = fake_new();
    fake_peer(f, "10.0.0.1:5555");
    trust(f, "10.0.0.0/8", NULL);
    fake_field(f, "X-Forwarded-Proto", "https");
    fake_field(f, "X-Forwarded-Host", "shop.example");
    fake_field(f, "X-Forwarded-Port", "443");
    fake_field(f, "X-Request-Id", "abc-123");
    fake_field(f, "Forwarded", "for=1.2.3.4");
    forwarded_client(&f->x);
    CHECK(forwarded_request(&f->x) == 0);
    CHECK_STR(value(&f->x, "X-Forwarded-For"), "10.0.0.1");
    CHECK_STR(value(&f->x, "X-Forwarded-Proto"), "https");
    CHECK_STR(value(&f->x, "X-Forwarded-Host"), "shop.example");
    CHECK_STR(value(&f->x, "X-Forwarded-Port"), "443");
    CHECK_STR(value(&f->x, "X-Request-Id"), "abc-123");
    CHECK_STR(value(&f->x, "Forwarded"), "");
    fake_free(f);
}

struct begin_row {
    enum forwarded_mode mode;
    const char *name; // of what came
    const char *value;
    const char *x; // what goes out
    const char *rfc7239;
};

// Peer 10.0.0.1, which is trusted.
static const struct begin_row begin_rows[] = {
    {FORWARDED_X, "X-Forwarded-For", "1.1.1.1, 203.0.113.9", "203.0.113.9, 10.0.0.1", ""},
    {FORWARDED_X, "Forwarded", "for=1.1.1.1, for=203.0.113.9", "203.0.113.9, 10.0.0.1", ""},
    {FORWARDED_X, "X-Forwarded-For", "1.1.1.1, garbage", "10.0.0.1", ""},
    {FORWARDED_X, "X-Real-IP", "1.1.1.1", "10.0.0.1", ""},
    {FORWARDED_RFC7239, "X-Forwarded-For", "1.1.1.1, 203.0.113.9", "",
     "for=203.0.113.9;proto=http, for=10.0.0.1;host=example.com;proto=http"},
    {FORWARDED_RFC7239, "Forwarded", "for=1.1.1.1, for=\"[2001:db8::7]\";proto=https", "",
     "for=\"[2001:db8::7]\";proto=https, for=10.0.0.1;host=example.com;proto=http"},
    {FORWARDED_OFF, "X-Forwarded-For", "1.1.1.1, 203.0.113.9", "203.0.113.9", ""},
    {FORWARDED_OFF, "Forwarded", "for=1.1.1.1, for=203.0.113.9", "", "for=203.0.113.9;proto=http"},
};

static void begins_at_the_client(void)
{
    for (size_t i = 0; i < array_len(begin_rows); i++) {
        const struct begin_row *r = &begin_rows[i];
        struct fake *f = fake_new();
        fake_peer(f, "10.0.0.1:5555");
        trust(f, "10.0.0.0/8", NULL);
        f->snapshot.forwarded = r->mode;
        f->x.request.authority = SLICE("example.com");
        fake_field(f, r->name, r->value);
        forwarded_client(&f->x);
        CHECK(forwarded_begin_at_client(&f->x) == 0);
        CHECK(forwarded_request(&f->x) == 0);
        CHECK_STR(value(&f->x, "X-Forwarded-For"), r->x);
        CHECK_STR(value(&f->x, "Forwarded"), r->rfc7239);
        fake_free(f);
    }
}

// At the edge: whoever the client is, and nothing of what came or was set.
static void tells_agents_who_visits(void)
{
    static const struct {
        const char *peer;
        const char *chain;
        const char *told;
    } rows[] = {
        {"192.0.2.7:1", NULL, "192.0.2.7"},
        {"192.0.2.7:1", "203.0.113.9", "192.0.2.7"}, // of a stranger
        {"10.0.0.1:1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},
        {"10.0.0.1:1", "1.1.1.1, 2001:db8::7", "2001:db8::7"},
        {"[2001:db8::7]:1", NULL, "2001:db8::7"},
        {"unix:/run/x", NULL, "unknown"},
    };
    static const enum forwarded_mode modes[] = {FORWARDED_OFF, FORWARDED_X, FORWARDED_RFC7239};
    for (size_t i = 0; i < array_len(rows) * array_len(modes); i++) {
        struct fake *f = fake_new();
        fake_peer(f, rows[i / 3].peer);
        trust(f, "10.0.0.0/8", NULL);
        f->snapshot.forwarded = modes[i % 3];
        fake_field(f, "Adit-Visitor", "198.51.100.1");
        fake_field(f, "adit-visitor", "198.51.100.2");
        if (rows[i / 3].chain != NULL) {
            fake_field(f, "X-Forwarded-For", rows[i / 3].chain);
        }
        forwarded_client(&f->x);
        CHECK(forwarded_tell_visitor(&f->x) == 0);
        CHECK_STR(value(&f->x, "Adit-Visitor"), rows[i / 3].told);
        CHECK_EQ_INT(fields_remove(&f->x.request.fields, SLICE("adit-visitor")), 1);
        fake_free(f);
    }
}

// At the agent: that field alone, which goes no further.
static void an_agent_believes_one_field(void)
{
    static const struct {
        const char *told;
        const char *client; // "-": not known
    } rows[] = {
        {"203.0.113.9", "203.0.113.9"},
        {"2001:db8::7", "2001:db8::7"},
        {"unknown", "-"},
        {"203.0.113.9, 1.1.1.1", "-"},
        {"", "-"},
        {NULL, "-"},
        {"unix:/run/x", "-"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        fake_peer(f, "unix:/run/agent");
        trust(f, "unix", "0.0.0.0/0");
        f->peer.site = SLICE("t0.tunnel");
        f->snapshot.forwarded = FORWARDED_OFF;
        fake_field(f, "X-Forwarded-For", "192.0.2.1");
        if (rows[i].told != NULL) {
            fake_field(f, "Adit-Visitor", rows[i].told);
        }
        forwarded_client(&f->x);
        char ip[OS_ADDR_TEXT_MAX];
        struct text t = text_on(ip, sizeof(ip) - 1);
        os_addr_ip_text(&f->x.client, &t);
        ip[t.len] = '\0';
        CHECK_STR(ip, rows[i].client);
        CHECK(fields_find(&f->x.request.fields, SLICE("adit-visitor")) == NULL);
        CHECK_STR(value(&f->x, "X-Forwarded-For"), "192.0.2.1");
        fake_free(f);
    }
}

struct rfc7239_row {
    const char *peer;
    const char *host;
    const char *written;
};

static const struct rfc7239_row rfc7239_rows[] = {
    {"192.0.2.7:1", "example.com", "for=192.0.2.7;host=example.com;proto=http"},
    {"192.0.2.7:1", "example.com:8080", "for=192.0.2.7;host=\"example.com:8080\";proto=http"},
    {"[2001:db8::7]:1", "[::1]", "for=\"[2001:db8::7]\";host=\"[::1]\";proto=http"},
    {"unix:/run/x", "", "for=unknown;proto=http"},
};

static void writes_rfc7239(void)
{
    for (size_t i = 0; i < array_len(rfc7239_rows); i++) {
        struct fake *f = fake_new();
        fake_peer(f, rfc7239_rows[i].peer);
        f->snapshot.forwarded = FORWARDED_RFC7239;
        f->x.request.authority = slice_str(rfc7239_rows[i].host);
        forwarded_client(&f->x);
        CHECK(forwarded_request(&f->x) == 0);
        CHECK_STR(value(&f->x, "Forwarded"), rfc7239_rows[i].written);
        CHECK_STR(value(&f->x, "X-Forwarded-For"), "");
        fake_free(f);
    }
}

static void writes_nothing_when_off(void)
{
    struct fake *f = fake_new();
    f->snapshot.forwarded = FORWARDED_OFF;
    f->snapshot.via = false;
    fake_field(f, "X-Forwarded-For", "1.2.3.4");
    forwarded_client(&f->x);
    CHECK(forwarded_request(&f->x) == 0);
    CHECK_STR(value(&f->x, "X-Forwarded-For"), "");
    CHECK_STR(value(&f->x, "Via"), "");
    fake_free(f);
}

static void breaks_loops(void)
{
    struct fake *f = fake_new();
    fake_field(f, "Via", "1.1 adit, 1.0 adit (x), HTTP/1.1 ADIT, 1.1 aditx, 1.1 other");
    forwarded_client(&f->x);
    CHECK(forwarded_request(&f->x) == 0);
    fake_field(f, "Via", "1.1 adit, 1.1 adit, 1.1 adit, 1.1 adit");
    CHECK_EQ_INT(forwarded_request(&f->x), E_LOOP);
    fake_free(f);
}

static void adds_via_to_answers(void)
{
    struct fake *f = fake_new();
    f->x.response.version_minor = 0;
    CHECK(forwarded_response(&f->x, "1.1") == 0);
    f->x.response.version_minor = 1;
    CHECK(forwarded_response(&f->x, "1.1") == 0);
    CHECK(forwarded_response(&f->x, "2") == 0);
    const struct fields *r = &f->x.response.fields;
    REQUIRE(r->count == 3);
    CHECK(slice_eq(field_value(r, &r->entries[0]), SLICE("1.0 adit")));
    CHECK(slice_eq(field_value(r, &r->entries[1]), SLICE("1.1 adit")));
    CHECK(slice_eq(field_value(r, &r->entries[2]), SLICE("2 adit")));
    fake_free(f);
}

TAP_MAIN(finds_the_client, believes_nobody_else, joins_fields_of_one_name, prefers_the_kind_in_use,
         ends_at_its_hops, replaces_what_strangers_sent, keeps_what_trusted_proxies_sent,
         begins_at_the_client, tells_agents_who_visits, an_agent_believes_one_field,
         leaves_what_stages_set, writes_rfc7239, writes_nothing_when_off, breaks_loops,
         adds_via_to_answers)
