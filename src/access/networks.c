// SPDX-License-Identifier: Apache-2.0
//
// The module `networks`: `allow` and `deny`. The client's address, as trusted proxies say it is, must be
// in every list of `allow` and in no list of `deny`, whatever their order; else the answer is 403. The
// connection is kept: behind a proxy that we trust it is also that of others.

#include "base/error.h"
#include "conf/diag.h"
#include "os/addr.h"
#include "proxy/exchange.h"

#include "access/access.h"

enum { NETWORKS_MAX = 4096 }; // of a list; each is looked at in turn

struct network {
    bool negated;
    struct os_cidr cidr;
};

struct network_list {
    bool deny;
    bool positive; // some network is not negated
    uint32_t count;
    struct network *networks;
};

struct networks {
    uint32_t count;
    struct network_list lists[];
};

// ---- configuration ------------------------------------------------------------------------------

static void check_list(struct conf_diags *d, struct conf_node list)
{
    if (conf_is_off(list)) {
        return;
    }
    uint32_t count = conf_count(list);
    if (count == 0 || count > NETWORKS_MAX) {
        conf_error(d, list, count == 0 ? "an empty list" : "more than %d networks", NETWORKS_MAX);
        conf_hint(d, "nobody at all: deny: [0.0.0.0/0, \"::/0\", unix]");
    }
}

// What both say of their values.
#define NETWORK_LIST                                                                               \
    .contexts = CONF_IN_ALL, .type = CONF_TYPE_CIDR, .merge = CONF_MERGE_ALL, .list = true,        \
    .off_ok = true, .not_ok = true, .words = (const char *const[]){"unix", NULL},                  \
    .check = check_list

const struct conf_directive networks_directives[] = {
    {.name = "allow",
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
     NETWORK_LIST,
     .aka = "deny_ips blacklist blocklist block",
     .text = "These clients may not ask and get 403, also when `allow` names them.",
     .example = "sites:\n"
                "  example.com: {deny: [192.0.2.0/24, \"2001:db8::/32\"], proxy: 3000}\n"},
    CONF_END,
};

static int compile_list(const struct module_compile *c, struct conf_node node, bool deny,
                        struct network_list *list)
{
    *list = (struct network_list){.deny = deny};
    list->networks = arena_alloc(c->arena, conf_count(node) * sizeof(struct network));
    if (list->networks == NULL) {
        return E_NO_MEMORY;
    }
    conf_each(at, node)
    {
        struct network *n = &list->networks[list->count];
        struct slice text = conf_text(at);
        n->negated = slice_starts(text, SLICE("not "));
        if (os_cidr_parse(n->negated ? slice_trim(slice_from(text, 4)) : text, &n->cidr) != 0) {
            conf_error(c->diags, at, "not a network");
            return E_CONFIG;
        }
        list->positive = list->positive || !n->negated;
        list->count++;
    }
    return 0;
}

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
                all = arena_zalloc(c->arena, sizeof(*all) + most * sizeof(all->lists[0]));
            }
            int rc = all == NULL ? E_NO_MEMORY
                                 : compile_list(c, node, which == 1, &all->lists[all->count]);
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

static bool list_has(const struct network_list *list, const struct os_addr *a)
{
    bool found = !list->positive;
    for (uint32_t i = 0; i < list->count; i++) {
        const struct network *n = &list->networks[i];
        if ((n->negated || !found) && os_cidr_contains(&n->cidr, a)) {
            if (n->negated) {
                return false;
            }
            found = true;
        }
    }
    return found;
}

static enum stage_result on_request(struct exchange *x, const void *conf)
{
    const struct networks *all = conf;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct network_list *list = &all->lists[i];
        // Of a client that is not known no list says that it may come.
        if (x->client.kind == OS_ADDR_NONE || list_has(list, &x->client) == list->deny) {
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
