// SPDX-License-Identifier: Apache-2.0
//
// Names of tunnels: which may be asked for, and those that the edge makes.

#include "tunnel/names.h"

#include "conf/diag.h"
#include "conf/load.h"
#include "tap.h"

struct shape {
    const char *text;
    bool label;
    bool domain;
};

#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct shape shapes[] = {
    {"myapp", true, false},
    {"a", true, false},
    {"my-app-2", true, false},
    {"2fast", true, false},
    {"", false, false},
    {"-a", false, false},
    {"a-", false, false},
    {"MyApp", false, false},
    {"my_app", false, false},
    {"my app", false, false},
    {"m\xc3\xbc", false, false},
    {"xn--mnchen-3ya", false, false},
    {"ab--c", false, false},
    {"a.b", false, true},
    {SIXTY "aaa", true, false},
    {SIXTY "aaaa", false, false},
    {"app.customer.com", false, true},
    {"app.customer.com.", false, false},
    {".com", false, false},
    {"a..b", false, false},
    {"10.0.0.1", false, false},
    {"app.xn--p1ai", false, true},
    {"ab--c.com", false, false},
    {"*.a.com", false, false},
    {"a.b:80", false, false},
    {"a/b", false, false},
    {SIXTY "." SIXTY "." SIXTY "." SIXTY ".com", false, true},
    {SIXTY "." SIXTY "." SIXTY "." SIXTY "." SIXTY, false, false},
};

static void knows_labels_and_domains(void)
{
    for (size_t i = 0; i < array_len(shapes); i++) {
        struct slice text = slice_str(shapes[i].text);
        if (names_is_label(text) != shapes[i].label || names_is_domain(text) != shapes[i].domain) {
            printf("# %s\n", shapes[i].text);
            CHECK(false);
        }
    }
}

struct row {
    const char *label;
    enum names_verdict verdict;
};

static const struct row rows[] = {
    {"myapp", NAMES_OK},
    {"my-login-page", NAMES_OK},
    {"blog", NAMES_OK},
    {"vista", NAMES_OK},
    {"www", NAMES_BANNED},
    {"www2", NAMES_BANNED},
    {"admin", NAMES_BANNED},
    {"mta-sts", NAMES_BANNED},
    {"adm1n", NAMES_LOOKALIKE},
    {"adrnin", NAMES_LOOKALIKE},
    {"ad-min", NAMES_LOOKALIKE},
    {"a-d-m-1-n", NAMES_LOOKALIKE},
    {"l0g1n", NAMES_LOOKALIKE},
    {"loqin", NAMES_OK},
    {"4p1", NAMES_LOOKALIKE},
    {"mai1", NAMES_LOOKALIKE},
    {"vvww", NAMES_LOOKALIKE},
    {"mtasts", NAMES_LOOKALIKE},
    {"cqcu2t-ip-49-185-26-79", NAMES_BANNED},
    {"a-ip6-2001-db8-0-0-0-0-0-1", NAMES_BANNED},
    {"my-ip-app", NAMES_OK},
    {"-x", NAMES_SHAPE},
    {"xn--paypl-7ve", NAMES_SHAPE},
    {"www.x", NAMES_SHAPE},
    // of the zone
    {"paypal", NAMES_BANNED},
    {"paypa1", NAMES_LOOKALIKE},
    {"pay-pal", NAMES_LOOKALIKE},
    {"mybank", NAMES_BANNED},
    {"my-b4nk-login", NAMES_LOOKALIKE},
    {"ban-king", NAMES_LOOKALIKE},
    {"x-staging", NAMES_BANNED},
    {"xstaging", NAMES_OK},
};

static const struct conf_directive list_rows[] = {
    {.name = "banned", .contexts = CONF_IN_TOP, .type = CONF_TYPE_STRING, .list = true},
    CONF_END,
};
static const struct conf_directive *const tables[] = {list_rows, NULL};

static void judges_names(void)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    REQUIRE(conf_load_text("t", "banned: [paypal, \"*bank*\", \"*-staging\"]\n", tables, d, &doc) ==
            0);
    struct conf_node banned = conf_get(conf_root(doc), "banned");
    for (size_t i = 0; i < array_len(rows); i++) {
        enum names_verdict v = names_judge(slice_str(rows[i].label), banned);
        if (v != rows[i].verdict) {
            printf("# %s: %d\n", rows[i].label, v);
            CHECK(false);
        }
    }
    struct conf_node none = conf_get(conf_root(doc), "nothing");
    CHECK_EQ_INT(names_judge(SLICE("paypal"), none), NAMES_OK);
    conf_doc_free(doc);
    conf_diags_free(d);
}

static void makes_names(void)
{
    static const uint8_t entropy[NAMES_RANDOM_BYTES] = {0xff, 0x00, 0xa5, 0x5a, 1, 2, 3, 4, 5, 6};
    char room[NAMES_DOMAIN_MAX];
    struct text t = text_on(room, sizeof(room));
    names_random(entropy, &t);
    CHECK_EQ_INT(t.len, 16);
    CHECK(names_is_label(text_slice(&t)));
    struct os_addr a;
    REQUIRE(os_addr_parse_ip(SLICE("49.185.26.79"), 0, &a) == 0);
    t = text_on(room, sizeof(room));
    names_of_address(entropy, &a, &t);
    CHECK(names_is_label(text_slice(&t)));
    CHECK(slice_ends(text_slice(&t), SLICE("-ip-49-185-26-79")));
    CHECK_EQ_INT(t.len, 6 + sizeof("-ip-49-185-26-79") - 1);
    REQUIRE(os_addr_parse_ip(SLICE("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), 0, &a) == 0);
    t = text_on(room, sizeof(room));
    names_of_address(entropy, &a, &t);
    CHECK(names_is_label(text_slice(&t)));
    CHECK(slice_ends(text_slice(&t), SLICE("-ip6-2001-db8-ffff-ffff-ffff-ffff-ffff-ffff")));
    REQUIRE(os_addr_parse_ip(SLICE("::ffff:10.1.2.3"), 0, &a) == 0);
    t = text_on(room, sizeof(room));
    names_of_address(entropy, &a, &t);
    CHECK(slice_ends(text_slice(&t), SLICE("-ip-10-1-2-3")));
}

static void suggests_names(void)
{
    static const uint8_t entropy[NAMES_SUGGESTION_BYTES] = {1, 2, 3, 4};
    char room[NAMES_DOMAIN_MAX];
    struct text t = text_on(room, sizeof(room));
    names_suggest(entropy, SLICE("myapp"), &t);
    CHECK(slice_starts(text_slice(&t), SLICE("myapp-")));
    CHECK_EQ_INT(t.len, 11);
    t = text_on(room, sizeof(room));
    names_suggest(entropy, SLICE("app.customer.com"), &t);
    CHECK(slice_starts(text_slice(&t), SLICE("app-")));
    CHECK(slice_ends(text_slice(&t), SLICE(".customer.com")));
    t = text_on(room, sizeof(room));
    names_suggest(entropy, SLICE(SIXTY "aaa"), &t);
    CHECK_EQ_INT(t.len, NAMES_LABEL_MAX);
    CHECK(names_is_label(text_slice(&t)));
}

TAP_MAIN(knows_labels_and_domains, judges_names, makes_names, suggests_names)
