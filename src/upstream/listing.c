// SPDX-License-Identifier: Apache-2.0
//
// Lists of servers from all their sources (upstream/listing.h). The servers document is counted: the
// registry holds the newest, and a home core holds one while it makes a list of it.

#include "upstream/listing.h"

#include "base/error.h"
#include "base/slab.h"
#include "conf/address.h"
#include "obs/log.h"

struct servers_news {
    atomic_uint refs;
    const struct conf_doc *doc;
    void (*forget)(void *owner);
    void *owner;
};

static void unref(struct servers_news *n)
{
    if (n != NULL && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
        n->forget(n->owner);
        mem_free(n);
    }
}

static struct servers_news *newest(struct upstream_registry *r)
{
    pthread_mutex_lock(&r->lock);
    struct servers_news *n = r->news;
    if (n != NULL) {
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

int listing_set(struct upstream_registry *r, const struct conf_doc *doc,
                void (*forget)(void *owner), void *owner)
{
    struct servers_news *n = mem_zalloc(sizeof(*n));
    if (n == NULL) {
        return E_NO_MEMORY;
    }
    *n = (struct servers_news){.doc = doc, .forget = forget, .owner = owner};
    atomic_init(&n->refs, 1);
    pthread_mutex_lock(&r->lock);
    struct servers_news *old = r->news;
    r->news = n;
    pthread_mutex_unlock(&r->lock);
    unref(old);
    groups_look_again(r);
    return 0;
}

void listing_forget(struct upstream_registry *r)
{
    unref(r->news);
    r->news = NULL;
}

// ---- one group's ------------------------------------------------------------------------------------

static bool is_of(const char *upstream, struct conf_node override)
{
    return slice_eq(conf_string(conf_get(override, "upstream"), ""), slice_str(upstream));
}

void listing_open(struct listing *l, struct group *g)
{
    *l = (struct listing){.upstream = g->name, .spec = g->spec, .news = newest(g->registry)};
    if (l->news == NULL) {
        return;
    }
    struct conf_node all = conf_get(conf_root(l->news->doc), "overrides");
    uint32_t count = 0;
    conf_each(one, all)
    {
        count += is_of(l->upstream, one);
    }
    l->overrides = count > 0 ? mem_alloc(count * sizeof(*l->overrides)) : NULL;
    if (count > 0 && l->overrides == NULL) {
        log_line(LOG_ERROR, "upstream %s: no memory for what commands have said", g->name);
        return;
    }
    conf_each(one, all)
    {
        if (is_of(l->upstream, one)) {
            servers_override_read(one, &l->overrides[l->override_count++]);
        }
    }
}

void listing_close(struct listing *l)
{
    mem_free(l->overrides);
    unref(l->news);
    l->overrides = NULL;
    l->news = NULL;
}

uint32_t listing_state_bits(struct slice state)
{
    return slice_eq(state, SLICE("drain"))         ? VITALS_DRAIN
           : slice_eq(state, SLICE("maintenance")) ? VITALS_MAINTENANCE
                                                   : 0;
}

// An entry of a watched file or a command: what is spoken comes from the upstream. False: it cannot
// be had, which the keeper has said.
static bool entry_of(const struct group_spec *spec, struct slice at, struct group_entry *e)
{
    bool service = conf_address_is_service(at);
    enum conf_scheme scheme = conf_address_take_scheme(&at);
    struct os_addr addr;
    *e = (struct group_entry){.at = at, .limits = spec->limits, .weight = 1};
    e->type = service ? GROUP_SERVICE : os_addr_parse(at, &addr) == 0 ? GROUP_ADDRESS : GROUP_NAME;
    e->kind = scheme == CONF_SCHEME_HTTPS ? spec->secure : spec->plain;
    if (scheme == CONF_SCHEME_H2C) {
        e->kind.protocol = SERVER_H2;
    }
    return scheme != CONF_SCHEME_HTTPS || spec->secure.tls != NULL;
}

static void each_of_file(const struct listing *l, const struct group_entry *file, listing_fn *fn,
                         void *arg)
{
    struct conf_node none = {NULL, 0};
    struct conf_node list = l->news != NULL ? servers_doc_file(l->news->doc, file->at) : none;
    conf_each(n, list)
    {
        struct group_entry e;
        if (!entry_of(l->spec, conf_string(conf_get(n, "at"), ""), &e)) {
            continue;
        }
        e.weight = (uint32_t)conf_int(conf_get(n, "weight"), 1);
        e.tier = conf_bool(conf_get(n, "backup"), false)
                     ? ROSTER_BACKUP_TIER
                     : (uint32_t)conf_int(conf_get(n, "priority"), 0);
        e.bits = listing_state_bits(conf_string(conf_get(n, "state"), ""));
        fn(arg, &e);
    }
}

void listing_each(const struct listing *l, listing_fn *fn, void *arg)
{
    for (uint32_t i = 0; l->spec != NULL && i < l->spec->entry_count; i++) {
        const struct group_entry *e = &l->spec->entries[i];
        if (e->type == GROUP_FILE) {
            each_of_file(l, e, fn, arg);
        } else {
            fn(arg, e);
        }
    }
    for (uint32_t i = 0; l->spec != NULL && i < l->override_count; i++) {
        struct group_entry e;
        if (l->overrides[i].added && entry_of(l->spec, l->overrides[i].at, &e)) {
            fn(arg, &e);
        }
    }
}

static bool same_address(struct slice written, struct slice address)
{
    (void)conf_address_take_scheme(&written);
    return slice_eq(written, address);
}

const struct servers_override *listing_override(const struct listing *l, struct slice address,
                                                struct slice at)
{
    const struct servers_override *whole = NULL;
    for (uint32_t i = 0; i < l->override_count; i++) {
        const struct servers_override *o = &l->overrides[i];
        if (same_address(o->at, address)) {
            return o;
        }
        if (same_address(o->at, at)) {
            whole = o;
        }
    }
    return whole;
}
