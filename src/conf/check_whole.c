// SPDX-License-Identifier: Apache-2.0
//
// What holds between directives: every upstream that is named exists, no host belongs to two sites,
// no route stands behind one that takes everything. Runs on the canonical tree.

#include <stdlib.h>

#include "conf/nearest.h"
#include "conf/tree_int.h"

// ---- upstreams ----------------------------------------------------------------------------------

static void check_upstream_name(struct conf_build *b, const struct conf_item *item)
{
    const struct conf_item *upstreams = conf_item_get(b->root, "upstreams");
    struct conf_nearest nearest = conf_nearest_to(item->text);
    if (upstreams != NULL && conf_item_get_slice(upstreams, item->text) != NULL) {
        return;
    }
    for (const struct conf_item *i = upstreams != NULL ? upstreams->first : NULL; i != NULL;
         i = i->next) {
        conf_nearest_offer(&nearest, i->key);
    }
    conf_report(b->diags, CONF_ERROR, item->spot, "no upstream `%.*s`", SLICE_ARG(item->text));
    if (nearest.best.len > 0) {
        conf_hint(b->diags, "did you mean `%.*s`?", SLICE_ARG(nearest.best));
    } else if (slice_find_char(item->text, '.') >= 0 || slice_eq(item->text, SLICE("localhost"))) {
        conf_hint(b->diags, "an address has a port: %.*s:80", SLICE_ARG(item->text));
    } else {
        conf_hint(b->diags, "define it under `upstreams`, or write an address with its port");
    }
}

static void walk_upstreams(struct conf_build *b, const struct conf_item *item)
{
    bool named = item->row != NULL && item->row->type == CONF_TYPE_UPSTREAM;
    if (named && item->kind == CONF_SCALAR && !item->wrong) {
        check_upstream_name(b, item);
    }
    for (const struct conf_item *i = item->first; i != NULL; i = i->next) {
        walk_upstreams(b, i);
    }
}

// ---- hosts --------------------------------------------------------------------------------------

struct host {
    struct slice name;
    struct conf_spot spot;
};

static int compare_hosts(const void *a, const void *b)
{
    const struct host *x = a;
    const struct host *y = b;
    size_t common = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = common > 0 ? memcmp(x->name.ptr, y->name.ptr, common) : 0;
    if (order == 0 && x->name.len != y->name.len) {
        return x->name.len < y->name.len ? -1 : 1;
    }
    if (order == 0) {
        uint64_t p = (uint64_t)x->spot.file << 48 | (uint64_t)x->spot.line << 16 | x->spot.column;
        uint64_t q = (uint64_t)y->spot.file << 48 | (uint64_t)y->spot.line << 16 | y->spot.column;
        order = p < q ? -1 : p > q;
    }
    return order;
}

// Directives of a site whose values are hosts that the site answers to.
static bool holds_hosts(const struct conf_item *item)
{
    return item->row != NULL && item->row->type == CONF_TYPE_HOST && !item->row->condition;
}

static void add_host(struct host *out, size_t *count, struct slice name, struct conf_spot spot)
{
    if (out != NULL) {
        out[*count] = (struct host){name, spot};
    }
    (*count)++;
}

// Counts them when `out` is NULL.
static size_t collect_hosts(const struct conf_item *sites, struct host *out)
{
    size_t n = 0;
    for (const struct conf_item *site = sites->first; site != NULL; site = site->next) {
        add_host(out, &n, site->key, site->key_spot);
        for (const struct conf_item *i = site->first; i != NULL; i = i->next) {
            const struct conf_item *host = holds_hosts(i) ? i->first : NULL;
            for (; host != NULL; host = host->next) {
                add_host(out, &n, host->text, host->spot);
            }
        }
    }
    return n;
}

static void check_hosts(struct conf_build *b, const struct conf_item *sites)
{
    size_t count = collect_hosts(sites, NULL);
    struct host *hosts = arena_alloc(b->arena, (count + 1) * sizeof *hosts);
    if (hosts == NULL) {
        conf_build_no_memory(b);
        return;
    }
    (void)collect_hosts(sites, hosts);
    qsort(hosts, count, sizeof *hosts, compare_hosts);
    for (size_t i = 1; i < count; i++) {
        if (hosts[i].name.len > 0 && slice_eq(hosts[i - 1].name, hosts[i].name)) {
            conf_report(b->diags, CONF_ERROR, hosts[i].spot, "the host `%.*s` is there already",
                        SLICE_ARG(hosts[i].name));
            conf_other(b->diags, hosts[i - 1].spot, "first given here");
        }
    }
}

static void check_host_lists(struct conf_build *b, const struct conf_item *site)
{
    for (const struct conf_item *i = site->first; i != NULL; i = i->next) {
        for (const struct conf_item *h = holds_hosts(i) ? i->first : NULL; h != NULL; h = h->next) {
            if (slice_eq(h->text, SLICE("default"))) {
                conf_report(b->diags, CONF_ERROR, h->spot,
                            "`default` is a site of its own, not a further name of one");
            }
        }
    }
    const struct conf_item *names = conf_item_get(site, "names");
    if (names != NULL &&
        (slice_eq(site->key, SLICE("default")) || slice_starts(site->key, SLICE("*.")))) {
        conf_report(b->diags, CONF_ERROR, conf_item_spot(names),
                    "`names` are redirected to the name of the site, and `%.*s` is no single host",
                    SLICE_ARG(site->key));
        conf_hint(b->diags, "`aliases` are further hosts without a redirect");
    }
}

// ---- routes -------------------------------------------------------------------------------------

static bool takes_everything(const struct conf_item *route)
{
    for (const struct conf_item *i = route->first; i != NULL; i = i->next) {
        if (i->row != NULL && i->row->condition) {
            return false;
        }
    }
    return true;
}

static void warn_unreachable(struct conf_build *b, struct conf_spot spot,
                             const struct conf_item *taker, const char *what)
{
    conf_report(b->diags, CONF_WARNING, spot, "%s is never reached", what);
    conf_other(b->diags, conf_item_spot(taker), "this route takes everything that comes to it");
    conf_hint(b->diags, "routes are tried as listed: put the one without a match last");
}

static void check_routes(struct conf_build *b, const struct conf_item *site)
{
    const struct conf_item *routes = conf_item_get(site, "routes");
    const struct conf_item *taker = NULL;
    bool action = false;
    for (const struct conf_item *i = site->first; i != NULL; i = i->next) {
        action = action || (i->row != NULL && i->row->action);
    }
    for (const struct conf_item *i = routes != NULL ? routes->first : NULL; i != NULL;
         i = i->next) {
        if (taker != NULL) {
            warn_unreachable(b, conf_item_spot(i), taker, "this route");
            return;
        }
        taker = !i->wrong && takes_everything(i) ? i : NULL;
    }
    for (const struct conf_item *i = site->first; taker != NULL && i != NULL; i = i->next) {
        if (i->row != NULL && i->row->action) {
            warn_unreachable(b, conf_item_spot(i), taker, "what the site does for the rest");
        }
    }
    if (!action && (routes == NULL || routes->count == 0) && !site->wrong) {
        conf_report(b->diags, CONF_ERROR, conf_item_spot(site), "the site `%.*s` does nothing",
                    SLICE_ARG(site->key));
        conf_hint(b->diags, "say what to do with its requests, as in `proxy: 3000`");
    }
}

void conf_check_whole(struct conf_build *b)
{
    const struct conf_item *sites = conf_item_get(b->root, "sites");
    walk_upstreams(b, b->root);
    if (sites == NULL || sites->kind != CONF_MAP) {
        return;
    }
    check_hosts(b, sites);
    for (const struct conf_item *site = sites->first; site != NULL; site = site->next) {
        if (site->kind == CONF_MAP) {
            check_host_lists(b, site);
            check_routes(b, site);
        }
    }
}
