// SPDX-License-Identifier: Apache-2.0
//
// balance_plan: what the rows of `balance` mean, and what is said of those that mean nothing.

#include "upstream/balance_plan.h"

#include "conf/conf_help.h"

#define UPSTREAM(inner) "upstreams: {app: {servers: 80, " inner "}}\nsites: {a.b: {proxy: app}}\n"

static struct balance_plan plan_of(const char *yaml)
{
    struct conf_doc *doc = NULL;
    struct conf_diags *d = conf_diags_new();
    struct balance_plan plan = {0};
    REQUIRE(d != NULL);
    if (CHECK(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0)) {
        balance_compile(conf_get(conf_get(conf_root(doc), "upstreams"), "app"), SLICE("app"),
                        &plan);
        conf_doc_free(doc);
    }
    conf_diags_free(d);
    return plan;
}

static void methods_have_their_names(void)
{
    static const char *const names[] = {"two-choices", "round-robin", "least-conn", "ewma",
                                        "ip-hash"};
    for (size_t i = 0; i < array_len(names); i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, UPSTREAM("balance: %s"), names[i]);
        struct balance_plan p = plan_of(yaml);
        REQUIRE(p.method != NULL);
        CHECK_STR(p.method->name, names[i]);
        CHECK_EQ_INT(p.settings.bound_percent, 0);
        CHECK_EQ_INT(p.key.kind, i == 4 ? KEY_CLIENT : KEY_NONE);
    }
}

static void the_default_is_two_choices(void)
{
    struct balance_plan p = plan_of(UPSTREAM("connections: 1"));
    REQUIRE(p.method != NULL);
    CHECK_STR(p.method->name, "two-choices");
    CHECK_EQ_INT(p.settings.slow_start_ms, 0);
    p = plan_of(UPSTREAM("slow_start: 30s"));
    CHECK_EQ_INT(p.settings.slow_start_ms, 30000);
}

static void a_hash_has_a_key_and_a_bound(void)
{
    struct balance_plan p = plan_of(UPSTREAM("balance: {hash: header x-user}"));
    REQUIRE(p.method != NULL);
    CHECK_STR(p.method->name, "hash");
    CHECK_EQ_INT(p.key.kind, KEY_HEADER);
    CHECK_TEXT(p.key.name, p.key.name_len, "x-user");
    CHECK_EQ_INT(p.settings.bound_percent, 125);
    p = plan_of(UPSTREAM("balance: {hash: path, bound: 150%}"));
    CHECK_EQ_INT(p.key.kind, KEY_PATH);
    CHECK_EQ_INT(p.settings.bound_percent, 150);
    p = plan_of(UPSTREAM("balance: {hash: client, bound: off}"));
    CHECK_EQ_INT(p.key.kind, KEY_CLIENT);
    CHECK_EQ_INT(p.settings.bound_percent, 0);
}

static void sticky_sessions_have_a_cookie(void)
{
    struct balance_plan p = plan_of(UPSTREAM("balance: {sticky: cookie}"));
    REQUIRE(p.method != NULL);
    CHECK_STR(p.method->name, "two-choices");
    CHECK(p.sticky.on && !p.sticky.keyed);
    p = plan_of(UPSTREAM("balance: {sticky: cookie sid, else: ip-hash, key: 0123456789abcdef}"));
    CHECK_STR(p.method->name, "ip-hash");
    CHECK_EQ_INT(p.key.kind, KEY_CLIENT);
    CHECK(p.sticky.on && p.sticky.keyed);
    CHECK_TEXT(p.sticky.clear.text, p.sticky.clear.len, "sid");
}

static void mistakes_are_told(void)
{
    CHECK_STR(report_of(UPSTREAM("balance: {sticky: sid}")),
              "1:50 `sticky` is `cookie` or `cookie NAME` | balance: {sticky: cookie}\n");
    CHECK_STR(
        report_of(UPSTREAM("balance: {sticky: cookie, method: ewma}")),
        "1:66 with `sticky` the method is called `else` | balance: {sticky: cookie, else: ewma}\n");
    CHECK_STR(report_of(UPSTREAM("balance: {sticky: cookie, hash: path}")),
              "1:64 `hash` and `sticky` both say where a client goes | leave one of them out\n");
    CHECK_STR(report_of(UPSTREAM("balance: {sticky: cookie, key: short}")),
              "1:63 `key` has fewer than 16 characters | `openssl rand -hex 16` makes one\n");
    CHECK_STR(report_of(UPSTREAM("balance: {else: ewma}")),
              "1:48 `else` has no effect without `sticky` | balance: {sticky: cookie}\n");
    CHECK_STR(report_of(UPSTREAM("balance: {method: ewma, key: 0123456789abcdef}")),
              "1:61 `key` has no effect without `sticky` | balance: {sticky: cookie}\n");
    CHECK_STR(report_of(UPSTREAM("balance: random")),
              "1:41 `balance` is `two-choices`, `round-robin`, `least-conn`, `ewma` or `ip-hash`, "
              "not `random`\n");
    CHECK_STR(report_of(UPSTREAM("balance: hash")),
              "1:41 `balance` is `two-choices`, `round-robin`, `least-conn`, `ewma` or `ip-hash`, "
              "not `hash`\n");
    CHECK_STR(report_of(UPSTREAM("balance: {}")),
              "1:32 `balance` says nothing | balance: two-choices\n");
    CHECK_STR(report_of(UPSTREAM("balance: {hash: x-user}")),
              "1:48 `hash` is `client`, `path`, `header NAME`, `cookie NAME` or `query NAME` | "
              "balance: {hash: header x-user}\n");
    CHECK_STR(report_of(UPSTREAM("balance: {header: x-user}")),
              "1:42 unknown key `header` in `balance` | `header` is known in: a route\n");
    CHECK_STR(report_of(UPSTREAM("balance: {method: ewma, hash: path}")),
              "1:50 `hash` is a method of its own | leave `method` out\n");
    CHECK_STR(report_of(UPSTREAM("balance: {method: ewma, bound: 125%}")),
              "1:63 `bound` has no effect without `hash` | balance: {hash: client, bound: 125%}\n");
    CHECK_STR(report_of(UPSTREAM("balance: {hash: path, bound: 100%}")),
              "1:61 `bound` is 101% to 1000%, not 100%\n");
    CHECK_STR(report_of(UPSTREAM("balance: off")),
              "1:41 `balance` is `two-choices`, `round-robin`, `least-conn`, `ewma` or `ip-hash`, "
              "not `off`\n");
    CHECK_STR(report_of(UPSTREAM("slow_start: 1ms")), "1:44 `slow_start` is 1s to 1h, not 1ms\n");
}

TAP_MAIN(methods_have_their_names, the_default_is_two_choices, a_hash_has_a_key_and_a_bound,
         sticky_sessions_have_a_cookie, mistakes_are_told)
