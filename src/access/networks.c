// SPDX-License-Identifier: Apache-2.0
//
// The module `networks`: `allow` and `deny`. The client's address, as trusted proxies say it is, must be
// in every list of `allow` and in no list of `deny`, whatever their order; else the answer is 403. The
// connection is kept: behind a proxy that we trust it is also that of others.

#include "net/networks.h"
#include "base/error.h"
#include "proxy/exchange.h"

#include "access/access.h"

struct level {
    bool deny;
    struct network_list list;
};

struct networks {
    uint32_t count;
    struct level levels[];
};

// ---- configuration ------------------------------------------------------------------------------

const struct conf_directive networks_directives[] = {
    {.name = "allow",
     .contexts = CONF_IN_ALL,
     .merge = CONF_MERGE_ALL,
     NETWORK_LIST,
     .aka = "ip_restriction allow_ips whitelist allowlist ipallowlist",
     .text = "Only these clients may ask, by their address behind trusted proxies: networks, "
             "`unix`, and exceptions with `not` in front. Others get 403. Lists of the levels "
             "around it hold as well; `off` takes them away.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /admin/*, allow: [10.0.0.0/8, not 10.9.0.0/16], proxy: 3001}\n"
                "      - {proxy: 3000}\n"},
    {.name = "deny",
     .contexts = CONF_IN_ALL,
     .merge = CONF_MERGE_ALL,
     NETWORK_LIST,
     .aka = "deny_ips blacklist blocklist block",
     .text = "These clients may not ask and get 403, also when `allow` names them.",
     .example = "sites:\n"
                "  example.com: {deny: [192.0.2.0/24, \"2001:db8::/32\"], proxy: 3000}\n"},
    CONF_END,
};

static int compile(const struct module_compile *c, void **conf)
{
    static const char *const names[] = {"allow", "deny"};
    struct networks *all = NULL;
    for (size_t which = 0; which < array_len(names); which++) {
        size_t levels = access_levels(c->scope, names[which]);
        for (size_t i = 0; i < levels; i++) {
            struct conf_node node = conf_get(c->scope->level[i], names[which]);
            if (!conf_exists(node)) {
                continue;
            }
            if (all == NULL) {
                size_t most = array_len(names) * array_len(c->scope->level);
                all = arena_zalloc(c->arena, sizeof(*all) + most * sizeof(all->levels[0]));
            }
            if (all == NULL) {
                return E_NO_MEMORY;
            }
            struct level *level = &all->levels[all->count];
            level->deny = which == 1;
            int rc = network_list_compile(&level->list, node, c->arena, c->diags);
            if (rc != 0) {
                return rc;
            }
            all->count++;
        }
    }
    *conf = all;
    return 0;
}

// ---- requests -----------------------------------------------------------------------------------

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct networks *all = conf;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct level *level = &all->levels[i];
        // Of a client that is not known no list says that it may come.
        if (x->client.kind == OS_ADDR_NONE ||
            network_list_has(&level->list, &x->client) == level->deny) {
            exchange_fail(x, E_ADDRESS_REFUSED, HTTP_DOWN);
            return STAGE_ANSWER;
        }
    }
    return STAGE_CONTINUE;
}

const struct module networks_module = {
    .name = "networks",
    .directives = networks_directives,
    .compile = compile,
    .on_request = on_request,
};
