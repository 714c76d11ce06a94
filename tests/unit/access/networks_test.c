// SPDX-License-Identifier: Apache-2.0
//
// `allow` and `deny`: who comes in by address, over levels and with exceptions.

#include "access/access.h"
#include "headers/stage.h"

struct row {
    const char *site;
    const char *client;
    bool comes_in;
};

static const struct row rows[] = {
    {"allow: 10.0.0.0/8", "10.1.2.3:1", true},
    {"allow: 10.0.0.0/8", "11.1.2.3:1", false},
    {"allow: 10.0.0.0/8", "[::ffff:10.1.2.3]:1", true},
    {"allow: 10.0.0.0/8", "[2001:db8::1]:1", false},
    {"allow: [10.0.0.0/8, not 10.9.0.0/16]", "10.9.0.1:1", false},
    {"allow: [not 10.9.0.0/16, 10.0.0.0/8]", "10.9.0.1:1", false},
    {"allow: [not 10.9.0.0/16, 10.0.0.0/8]", "10.8.0.1:1", true},
    {"allow: not 10.9.0.0/16", "11.8.0.1:1", true},
    {"allow: unix", "unix:/run/a", true},
    {"allow: 10.0.0.0/8", "unix:/run/a", false},
    {"deny: 192.0.2.0/24", "192.0.2.9:1", false},
    {"deny: 192.0.2.0/24", "192.0.3.9:1", true},
    {"deny: [192.0.2.0/24, not 192.0.2.9]", "192.0.2.9:1", true},
    {"deny: not 10.0.0.0/8", "192.0.2.9:1", false},
    {"deny: not 10.0.0.0/8", "10.0.0.9:1", true},
    {"deny: ['0.0.0.0/0', '::/0', unix]", "unix:/run/a", false},
    {"allow: 10.0.0.0/8, deny: 10.0.0.1", "10.0.0.1:1", false},
    {"allow: 10.0.0.0/8, deny: 10.0.0.1", "10.0.0.2:1", true},
    {"deny: off, allow: 10.0.0.0/8", "10.0.0.2:1", true},
};

static void judges_addresses(void)
{
    for (size_t i = 0; i < array_len(rows); i++) {
        struct stage s;
        char directives[256];
        (void)snprintf(directives, sizeof(directives), "%s, respond: ok", rows[i].site);
        stage_begin(&s, &networks_module, directives);
        fake_peer(s.f, rows[i].client);
        CHECK_EQ_INT(stage_request(&s), rows[i].comes_in ? STAGE_CONTINUE : STAGE_ANSWER);
        CHECK_EQ_INT(answered.error, rows[i].comes_in ? 0 : E_ADDRESS_REFUSED);
        stage_end(&s);
    }
}

static void a_client_that_is_not_known_is_on_no_list(void)
{
    static const char *const lists[] = {"allow: ['0.0.0.0/0', '::/0', unix]", "allow: not 10.0.0.1",
                                        "deny: 192.0.2.0/24", "deny: not 192.0.2.0/24"};
    for (size_t i = 0; i < array_len(lists); i++) {
        struct stage s;
        char directives[256];
        (void)snprintf(directives, sizeof(directives), "%s, respond: ok", lists[i]);
        stage_begin(&s, &networks_module, directives);
        s.f->x.client = (struct os_addr){.kind = OS_ADDR_NONE};
        CHECK_EQ_INT(stage_request(&s), STAGE_ANSWER);
        stage_end(&s);
    }
}

static const struct {
    const char *top, *site, *route;
    int lists;
} levels[] = {
    {"allow: 10.0.0.0/8", "allow: 10.1.0.0/16", "allow: 10.1.1.0/24", 3},
    {"allow: 10.0.0.0/8", "deny: 10.1.0.0/16", "allow: off", 1},
    {"allow: 10.0.0.0/8", "allow: off", "allow: 10.1.1.0/24", 1},
    {"deny: 10.0.0.0/8", "allow: 10.0.0.0/8", "via_nothing", 2},
    {"allow: 10.0.0.0/8", "via_nothing", "allow: off", 0},
    {"via_nothing", "via_nothing", "via_nothing", 0},
};

static const char *line(const char *text, const char *end, char *buffer, size_t size)
{
    bool none = strcmp(text, "via_nothing") == 0;
    (void)snprintf(buffer, size, "%s%s", none ? "" : text, none ? "" : end);
    return buffer;
}

static void all_levels_hold_unless_off(void)
{
    for (size_t i = 0; i < array_len(levels); i++) {
        struct fake_conf c;
        char yaml[1024];
        char part[3][100];
        (void)snprintf(yaml, sizeof(yaml), "%ssites: {default: {%sroutes: [{%srespond: ok}]}}\n",
                       line(levels[i].top, "\n", part[0], sizeof(part[0])),
                       line(levels[i].site, ", ", part[1], sizeof(part[1])),
                       line(levels[i].route, ", ", part[2], sizeof(part[2])));
        REQUIRE(fake_compile(&c, yaml) == 0);
        // The number of lists is the first member; none: the module has nothing to do.
        const uint32_t *conf = c.snapshot->fallback->routes[0].conf[module_index(&networks_module)];
        CHECK_EQ_INT(conf == NULL ? 0 : (int)*conf, levels[i].lists);
        fake_conf_free(&c);
    }
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("allow: [], respond: ok", "empty list"));
    CHECK(stage_refuses("deny: 10.0.0.1/8, respond: ok", "10.0.0.1/8"));
    CHECK(stage_refuses("deny: example.com, respond: ok", "example.com"));
}

TAP_MAIN(judges_addresses, a_client_that_is_not_known_is_on_no_list, all_levels_hold_unless_off,
         says_what_is_wrong)
