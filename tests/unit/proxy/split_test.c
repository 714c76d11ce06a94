// SPDX-License-Identifier: Apache-2.0
//
// Splits: who serves which request, how shares are drawn, and what is refused.

#include "proxy/split.h"

#include "conf/conf_help.h"
#include "proxy/fake_conf.h"
#include "proxy/fake_exchange.h"

#define UPSTREAMS "upstreams: {app: {servers: 1}, canary: {servers: 2}, other: {servers: 3}}\n"

static struct fake_conf conf;
static struct fake *fake;
static struct upstream_request rq;

static struct upstream *begin(const char *proxy)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof(yaml), UPSTREAMS "sites: {default: {proxy: %s}}\n", proxy);
    REQUIRE(fake_compile(&conf, yaml) == 0);
    fake = fake_new();
    rng_seed(&fake->loop.rng, 7);
    fake->x.subject = (struct upstream_subject){.request = &fake->x.request,
                                                .client = &fake->x.client,
                                                .peer = &fake->peer,
                                                .path = fake->x.normal_path,
                                                .arena = &fake->x.arena};
    rq = (struct upstream_request){.loop = &fake->loop, .subject = &fake->x.subject};
    const struct site *site = snapshot_site(conf.snapshot, SLICE("example.com"));
    REQUIRE(site != NULL && site->route_count > 0);
    struct upstream *u = site->routes[0].upstream;
    REQUIRE(u != NULL && u->ops != NULL && u->ops->choose != NULL);
    return u;
}

static void end(void)
{
    fake_free(fake);
    fake_conf_free(&conf);
}

static bool goes_to(struct upstream *u, const char *name)
{
    return slice_eq(u->ops->choose(u, &rq)->name, slice_str(name));
}

static unsigned share_of(struct upstream *u, const char *name, unsigned requests)
{
    unsigned n = 0;
    for (unsigned i = 0; i < requests; i++) {
        n += goes_to(u, name);
    }
    return n;
}

static void conditions_come_first(void)
{
    struct upstream *u = begin("{split: [{to: canary, when: {header: {x-canary: '1'}}},"
                               " {to: other, when: {cookie: {beta: on}, path: /a/*}}, {to: app}]}");
    fake->x.captures[0] = SLICE("of the route");
    CHECK(goes_to(u, "app"));
    fake_field(fake, "x-canary", "2");
    CHECK(goes_to(u, "app"));
    fake_field(fake, "Cookie", "a=b; beta=yes");
    CHECK(goes_to(u, "app"));
    fake_target(fake, "/a/b");
    CHECK(goes_to(u, "other"));
    fake_field(fake, "x-canary", "1");
    CHECK(goes_to(u, "canary"));
    CHECK(slice_eq(fake->x.captures[0], SLICE("of the route")));
    end();
}

static void shares_are_drawn(void)
{
    struct upstream *u = begin("{split: [{to: canary, share: 10%}, {to: other, share: 30%}, "
                               "{to: app, share: 60%}]}");
    unsigned canary = 0;
    unsigned other = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct slice name = u->ops->choose(u, &rq)->name;
        canary += slice_eq(name, SLICE("canary"));
        other += slice_eq(name, SLICE("other"));
    }
    CHECK(canary > 1800 && canary < 2200);
    CHECK(other > 5700 && other < 6300);
    end();
    u = begin("{split: [{to: canary, share: 0%}, {to: app}]}");
    CHECK_EQ_INT(share_of(u, "app", 2000), 2000);
    end();
    u = begin("{split: [{to: canary, share: 100%}]}");
    CHECK_EQ_INT(share_of(u, "canary", 200), 200);
    end();
}

/** Of 1000 clients, a bit for each that the canary gets. */
static unsigned in_canary(const char *proxy, bool *in)
{
    struct upstream *u = begin(proxy);
    unsigned n = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char addr[32];
        (void)snprintf(addr, sizeof(addr), "10.0.%u.%u:1", i / 250, i % 250 + 1);
        fake_peer(fake, addr);
        in[i] = goes_to(u, "canary");
        CHECK(share_of(u, "canary", 3) == (in[i] ? 3U : 0U)); // it stays
        n += in[i];
    }
    end();
    return n;
}

static void a_client_stays(void)
{
    static bool few[1000];
    static bool more[1000];
    unsigned n = in_canary("{split: [{to: canary, share: 5%}, {to: app}], by: client}", few);
    CHECK(n > 25 && n < 80);
    n = in_canary("{split: [{to: canary, share: 20%}, {to: app}], by: client}", more);
    CHECK(n > 150 && n < 250);
    for (unsigned i = 0; i < 1000; i++) {
        CHECK(!few[i] || more[i]); // who was in it still is
    }
}

static void shares_go_by_what_is_said(void)
{
    static const char *const forms[] = {"header x-user", "cookie uid", "query uid"};
    for (size_t f = 0; f < array_len(forms); f++) {
        char proxy[128];
        (void)snprintf(proxy, sizeof(proxy),
                       "{split: [{to: canary, share: 50%%}, {to: app}], by: %s}", forms[f]);
        unsigned n = 0;
        for (unsigned i = 0; i < 100; i++) {
            char text[64];
            struct upstream *u = begin(proxy);
            (void)snprintf(text, sizeof(text), "u%u", i);
            fake_field(fake, "x-user", text);
            (void)snprintf(text, sizeof(text), "uid=u%u", i);
            fake_field(fake, "Cookie", text);
            (void)snprintf(text, sizeof(text), "/?uid=u%u", i);
            fake_target(fake, text);
            bool in = goes_to(u, "canary");
            CHECK(share_of(u, "canary", 3) == (in ? 3U : 0U));
            n += in;
            end();
        }
        CHECK(n > 25 && n < 75);
    }
}

#define SPLIT(inner) UPSTREAMS "sites: {a.b: {proxy: {split: " inner "}}}\n"

static void mistakes_are_told(void)
{
    CHECK_STR(report_of(SPLIT("[{to: canary, share: 5%}, {to: app, share: 90%}]")),
              "2:23 the shares add up to 95%, not to 100% | the last one may leave its share out: "
              "it gets the rest\n");
    CHECK_STR(report_of(SPLIT("[{to: canary, share: 100%}, {to: app}]")),
              "2:23 the shares before the last part add up to 100%: nothing is left for it | the "
              "last one may leave its share out: it gets the rest\n");
    CHECK_STR(report_of(SPLIT("[{to: canry, share: 5%}, {to: app}]")),
              "2:36 no upstream `canry` | did you mean `canary`?\n");
    CHECK_STR(
        report_of(SPLIT("[{to: canary}, {to: app, share: 5%}]")),
        "2:23 the shares add up to 5%, not to 100% | the last one may leave its share out: it "
        "gets the rest\n"
        "2:31 this part takes every request, so none comes to those after it | give it `when` "
        "or `share`; only the last one may leave its share out\n");
    CHECK_STR(
        report_of(SPLIT("[{to: canary, share: 5%, when: {path: /a}}, {to: app}]")),
        "2:51 `when` and `share` in one part | those that match go there, all of them; a part "
        "of its own gives it a share of the others\n");
    CHECK_STR(report_of(SPLIT("[{to: app}], by: user")),
              "2:47 `by` is not what shares go by: user | client, cookie NAME, header NAME, query "
              "NAME or path\n");
}

TAP_MAIN(conditions_come_first, shares_are_drawn, a_client_stays, shares_go_by_what_is_said,
         mistakes_are_told)
