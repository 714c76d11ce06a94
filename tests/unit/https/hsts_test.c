// SPDX-License-Identifier: Apache-2.0
//
// Strict-Transport-Security: in which answers, and what it says.

#include "https/https.h"

#include "headers/stage.h"

// The field of an answer on a site with these settings; NULL: the module has nothing to do there.
static const char *value_of(const char *directives, bool secure)
{
    static char value[128];
    struct stage s;
    stage_begin(&s, &hsts_module, directives);
    if (s.own == NULL) {
        stage_end(&s);
        return NULL;
    }
    s.f->x.client_secure = secure;
    CHECK(fields_add(&s.f->x.response.fields, SLICE("strict-transport-security"),
                     SLICE("max-age=1")) == 0);
    CHECK(stage_response(&s) == STAGE_CONTINUE);
    struct slice got = fields_get(&s.f->x.response.fields, SLICE("Strict-Transport-Security"));
    (void)snprintf(value, sizeof value, "%.*s", SLICE_ARG(got));
    stage_end(&s);
    return value;
}

static void is_off_unless_said(void)
{
    CHECK(value_of("respond: x", true) == NULL);
    CHECK(value_of("tls: {hsts: off}, respond: x", true) == NULL);
    CHECK(value_of("tls: off, respond: x", true) == NULL);
}

static void says_what_is_configured(void)
{
    CHECK_STR(value_of("tls: {hsts: on}, respond: x", true), "max-age=31536000");
    CHECK_STR(value_of("tls: {hsts: 1d}, respond: x", true), "max-age=86400");
    CHECK_STR(value_of("tls: {hsts: {subdomains: on, preload: on}}, respond: x", true),
              "max-age=31536000; includeSubDomains; preload");
    CHECK_STR(value_of("tls: {hsts: {max_age: 0s}}, respond: x", true), "max-age=0");
}

static void not_in_clear(void)
{
    CHECK_STR(value_of("tls: {hsts: on}, respond: x", false), "max-age=1");
}

static void sites_inherit_it(void)
{
    struct fake_conf c;
    REQUIRE(fake_compile(&c, "tls: {hsts: on}\nsites: {a.com: {respond: x}, b.com: {tls: off, "
                             "respond: x}, c.com: {tls: {hsts: off}, respond: x}}\n") == 0);
    unsigned i = module_index(&hsts_module);
    CHECK(snapshot_site(c.snapshot, SLICE("a.com"))->routes[0].conf[i] != NULL);
    CHECK(snapshot_site(c.snapshot, SLICE("b.com"))->routes[0].conf[i] == NULL);
    CHECK(snapshot_site(c.snapshot, SLICE("c.com"))->routes[0].conf[i] == NULL);
    CHECK(c.snapshot->fallback_route.conf[i] == NULL);
    fake_conf_free(&c);
}

TAP_MAIN(is_off_unless_said, says_what_is_configured, not_in_clear, sites_inherit_it)
