// SPDX-License-Identifier: Apache-2.0
//
// Lists of networks (net/networks.h).

#include "net/networks.h"

#include "base/error.h"

enum { NETWORKS_MAX = 4096 }; // of a list; each is looked at in turn

void network_list_check(struct conf_diags *d, struct conf_node list)
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

int network_list_compile(struct network_list *out, struct conf_node list, struct arena *a,
                         struct conf_diags *d)
{
    *out = (struct network_list){.networks =
                                     arena_alloc(a, conf_count(list) * sizeof(struct network))};
    if (out->networks == NULL) {
        return E_NO_MEMORY;
    }
    conf_each(at, list)
    {
        struct network *n = &out->networks[out->count];
        struct slice text = conf_text(at);
        n->negated = slice_starts(text, SLICE("not "));
        if (os_cidr_parse(n->negated ? slice_trim(slice_from(text, 4)) : text, &n->cidr) != 0) {
            conf_error(d, at, "not a network");
            return E_CONFIG;
        }
        out->positive = out->positive || !n->negated;
        out->count++;
    }
    return 0;
}

bool network_list_has(const struct network_list *list, const struct os_addr *a)
{
    ensure(a->kind != OS_ADDR_NONE);
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
