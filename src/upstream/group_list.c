// SPDX-License-Identifier: Apache-2.0
//
// Lists of servers (upstream/group_list.h).
//
// An entry is an address, a name (each of its addresses is a server) or a service (each record is,
// RFC 2782: its priority becomes a tier, its weight the weight). Entries stand in the configuration,
// in a watched file, or were added by a command. Commands come last and may say something else of any
// server: of an entry, or of one address of a name.

#include "upstream/group_list.h"

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/log.h"
#include "upstream/servers.h"

// ---- entries ----------------------------------------------------------------------------------------

typedef void entry_fn(struct group *g, const struct group_entry *e, void *arg);

enum group_entry_type list_take_type(struct slice *at, enum conf_scheme *scheme)
{
    struct os_addr addr;
    bool service = conf_address_is_service(*at);
    *scheme = conf_address_take_scheme(at);
    return service ? GROUP_SERVICE : os_addr_parse(*at, &addr) == 0 ? GROUP_ADDRESS : GROUP_NAME;
}

uint32_t list_tier(struct conf_node server)
{
    return conf_bool(conf_get(server, "backup"), false)
               ? ROSTER_BACKUP_TIER
               : (uint32_t)conf_int(conf_get(server, "priority"), 0);
}

uint32_t list_bits(struct slice state)
{
    return slice_eq(state, SLICE("drain"))         ? VITALS_DRAIN
           : slice_eq(state, SLICE("maintenance")) ? VITALS_MAINTENANCE
                                                   : 0;
}

static enum group_kind kind_of(enum conf_scheme scheme)
{
    return scheme == CONF_SCHEME_HTTPS ? GROUP_KIND_TLS
           : scheme == CONF_SCHEME_TLS ? GROUP_KIND_RAW_TLS
           : scheme == CONF_SCHEME_H2C ? GROUP_KIND_H2C
                                       : GROUP_KIND_CLEAR;
}

/** One that is not in the configuration: what is spoken to it is what the upstream says. */
static bool entry_of(const struct group_spec *spec, struct slice at, struct group_entry *e)
{
    enum conf_scheme scheme;
    enum group_entry_type type = list_take_type(&at, &scheme);
    enum group_kind kind = kind_of(scheme);
    *e = (struct group_entry){
        .type = type, .at = at, .kind = spec->kinds[kind], .limits = spec->limits, .weight = 1};
    return spec->has_kind[kind];
}

static void each_of_file(struct group *g, const struct group_entry *file, entry_fn *fn, void *arg)
{
    const struct conf_doc *doc = g->registry->books[g->home];
    if (doc == NULL) { // it comes when the keeper has read the file
        return;
    }
    conf_each(n, servers_doc_file(doc, file->at))
    {
        struct group_entry e;
        struct slice at = conf_string(conf_get(n, "at"), "");
        if (!entry_of(g->spec, at, &e)) {
            log_line(LOG_WARN, "upstream %s: %.*s is left out: TLS needs `tls: {name: ...}`",
                     g->name, (int)at.len, at.ptr);
            continue;
        }
        e.weight = (uint32_t)conf_int(conf_get(n, "weight"), 1);
        e.bits = list_bits(conf_string(conf_get(n, "state"), "ready"));
        e.tier = list_tier(n);
        fn(g, &e, arg);
    }
}

static bool next_override(const struct group *g, struct conf_node *at, struct servers_override *out)
{
    for (; conf_exists(*at); *at = conf_next(*at)) {
        if (slice_eq(conf_string(conf_get(*at, "upstream"), ""), slice_str(g->name))) {
            servers_override_read(*at, out);
            *at = conf_next(*at);
            return true;
        }
    }
    return false;
}

static struct conf_node first_override(const struct group *g)
{
    const struct conf_doc *doc = g->registry->books[g->home];
    return doc == NULL ? (struct conf_node){NULL, 0}
                       : conf_first(conf_get(conf_root(doc), "overrides"));
}

static void each_entry(struct group *g, entry_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < g->spec->entry_count; i++) {
        const struct group_entry *e = &g->spec->entries[i];
        if (e->type == GROUP_FILE) {
            each_of_file(g, e, fn, arg);
        } else {
            fn(g, e, arg);
        }
    }
    struct conf_node at = first_override(g);
    struct servers_override o;
    while (next_override(g, &at, &o)) {
        struct group_entry e;
        if (o.added && !o.removed && entry_of(g->spec, o.at, &e)) {
            fn(g, &e, arg);
        }
    }
}

// ---- names ------------------------------------------------------------------------------------------

static struct group_name *name_of(const struct group *g, const struct group_entry *e)
{
    list_each(node, &g->names)
    {
        struct group_name *n = list_entry(node, struct group_name, link);
        if (n->type == e->type && slice_eq(slice_str(n->at), e->at)) {
            return n;
        }
    }
    return NULL;
}

static void keep_target(struct group_name *n, struct group_target *t,
                        const struct resolver_entry *from)
{
    t->addr = from->addr;
    t->weight = from->weight;
    t->priority = from->priority;
    struct text host = text_on(t->host, sizeof(t->host));
    if (n->type == GROUP_SERVICE) {
        text_put(&host, from->target);
        text_char(&host, ':');
        text_u64(&host, from->addr.port);
    } else {
        text_str(&host, n->at);
    }
    t->host_len = (uint32_t)host.len;
}

static void on_answer(void *arg, const struct resolver_list *list)
{
    struct group_name *n = arg;
    n->answered = true;
    n->error = list->error;
    if (list->count > 0) { // when a lookup fails these are the last ones
        struct group_target *targets = mem_alloc(list->count * sizeof(*targets));
        if (targets == NULL) {
            return;
        }
        for (unsigned i = 0; i < list->count; i++) {
            keep_target(n, &targets[i], &list->entries[i]);
        }
        mem_free(n->targets);
        n->targets = targets;
        n->count = list->count;
    }
    n->changed(n->group);
}

static void forget_name(struct group_name *n)
{
    struct upstream_core *core = &n->group->registry->cores[n->group->home];
    if (n->watch != NULL) {
        resolver_unwatch(core->resolver, n->watch);
    }
    list_remove(&n->link);
    mem_free(n->targets);
    mem_free(n);
}

/** "name:port" or, of a service, the name alone. */
static bool question_of(const struct group_name *n, struct resolver_question *q)
{
    struct slice at = slice_str(n->at);
    if (n->type == GROUP_SERVICE) {
        *q = (struct resolver_question){.kind = RESOLVER_SERVICE, .name = at};
        return true;
    }
    size_t colon = at.len;
    while (colon > 0 && at.ptr[colon - 1] != ':') {
        colon--;
    }
    uint64_t port = 0;
    if (colon == 0 || num_parse_u64(slice_from(at, colon), UINT16_MAX, &port) < 0) {
        return false;
    }
    *q = (struct resolver_question){
        .kind = RESOLVER_HOST, .name = slice_of(at.ptr, colon - 1), .port = (uint16_t)port};
    return true;
}

static void follow_one(struct group *g, const struct group_entry *e, void *arg)
{
    void (**changed)(struct group *) = arg;
    struct upstream_core *core = &g->registry->cores[g->home];
    if (e->type != GROUP_NAME && e->type != GROUP_SERVICE) {
        return;
    }
    struct group_name *n = name_of(g, e);
    if (n != NULL) {
        n->wanted = true;
        return;
    }
    if (core->resolver == NULL || e->at.len >= sizeof(n->at)) {
        return;
    }
    n = mem_zalloc(sizeof(*n));
    if (n == NULL) {
        return;
    }
    n->group = g;
    n->type = e->type;
    n->wanted = true;
    n->changed = *changed;
    list_init(&n->link);
    memcpy(n->at, e->at.ptr, e->at.len);
    list_push_back(&g->names, &n->link);
    struct resolver_question q;
    if (!question_of(n, &q) || resolver_follow(core->resolver, &q, on_answer, n, &n->watch) < 0) {
        forget_name(n);
    }
}

void list_follow(struct group *g, void (*changed)(struct group *g))
{
    list_each(node, &g->names)
    {
        list_entry(node, struct group_name, link)->wanted = false;
    }
    if (g->spec != NULL) {
        each_entry(g, follow_one, &changed);
    }
    list_each_safe(node, next, &g->names)
    {
        struct group_name *n = list_entry(node, struct group_name, link);
        if (!n->wanted) {
            forget_name(n);
        }
    }
}

// ---- drafts -----------------------------------------------------------------------------------------

static struct draft_row *add_row(struct draft *d, const struct group_entry *e,
                                 const struct os_addr *addr, struct slice host)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (os_addr_eq(&d->rows[i].addr, addr) && server_kind_eq(&d->rows[i].kind, &e->kind)) {
            return NULL; // two names of one server
        }
    }
    if (d->count == BALANCE_SERVERS_MAX) {
        d->cut = true;
        return NULL;
    }
    struct draft_row *row = &d->rows[d->count++];
    *row = (struct draft_row){
        .addr = *addr,
        .host = host,
        .origin = e->at,
        .kind = e->kind,
        .limits = e->limits,
        .weight = e->weight,
        .tier = e->tier,
        .bits = e->bits,
    };
    return row;
}

/** The records of a service by their priorities, from the entry's own tier on. */
static uint32_t tier_of(const struct group_name *n, uint32_t i, uint32_t first)
{
    uint32_t lower = 0;
    for (uint32_t a = 0; a < n->count; a++) {
        bool seen = a > 0 && n->targets[a].priority == n->targets[a - 1].priority;
        lower += !seen && n->targets[a].priority < n->targets[i].priority;
    }
    return (uint32_t)num_min_u64(first + lower, ROSTER_BACKUP_TIER - 1);
}

static void add_service(struct draft *d, const struct group_entry *e, const struct group_name *n)
{
    uint32_t heaviest = 1;
    for (uint32_t i = 0; i < n->count; i++) {
        heaviest = n->targets[i].weight > heaviest ? n->targets[i].weight : heaviest;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        const struct group_target *t = &n->targets[i];
        struct draft_row *row = add_row(d, e, &t->addr, slice_of(t->host, t->host_len));
        if (row == NULL) {
            continue;
        }
        uint32_t weight = t->weight;
        if (heaviest > BALANCE_WEIGHT_MAX) { // theirs go to 65,535
            weight = (uint32_t)((uint64_t)weight * BALANCE_WEIGHT_MAX / heaviest);
        }
        row->weight = weight == 0 ? 1 : weight;
        row->tier = e->tier == ROSTER_BACKUP_TIER ? e->tier : tier_of(n, i, e->tier);
    }
}

static void fill_one(struct group *g, const struct group_entry *e, void *arg)
{
    struct draft *d = arg;
    struct os_addr addr;
    if (e->type == GROUP_ADDRESS) {
        if (os_addr_parse(e->at, &addr) == 0) {
            (void)add_row(d, e, &addr, e->at);
        }
        return;
    }
    const struct group_name *n = name_of(g, e);
    if (n == NULL) {
        d->error = E_NOT_RESOLVED;
        return;
    }
    d->pending = d->pending || !n->answered;
    d->error = n->error != 0 ? n->error : d->error;
    if (e->type == GROUP_SERVICE) {
        add_service(d, e, n);
        return;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        (void)add_row(d, e, &n->targets[i].addr, e->at);
    }
}

static void add_callers(const struct group *g, struct draft *d)
{
    d->pending = d->pending || (g->calls && g->caller_count == 0 && !g->over);
    for (uint32_t i = 0; i < g->caller_count; i++) {
        struct server *s = g->callers[i];
        const struct group_entry e = {.kind = s->kind, .limits = g->spec->limits, .weight = 1};
        struct draft_row *row = add_row(d, &e, &s->addr, server_host(s));
        if (row != NULL) {
            row->server = s;
        }
    }
}

static bool is_meant(const struct draft_row *row, const struct servers_override *o)
{
    struct slice at = o->at;
    struct slice of = o->of;
    (void)conf_address_take_scheme(&at);
    (void)conf_address_take_scheme(&of);
    if (of.len == 0) {
        return slice_eq(row->origin, at) || slice_eq(row->host, at);
    }
    struct os_addr addr;
    return slice_eq(row->origin, of) && os_addr_parse(at, &addr) == 0 &&
           os_addr_eq(&addr, &row->addr);
}

static void override(struct draft *d, const struct servers_override *o)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        struct draft_row row = d->rows[i];
        if (is_meant(&row, o)) {
            if (o->removed) {
                continue;
            }
            row.weight = o->weight > 0 ? o->weight : row.weight;
            row.bits = o->state.len > 0 ? list_bits(o->state) : row.bits;
        }
        d->rows[kept++] = row;
    }
    d->count = kept;
}

void list_fill(struct group *g, struct draft *d)
{
    d->pending = false;
    d->cut = false;
    d->error = 0;
    d->count = 0;
    each_entry(g, fill_one, d);
    add_callers(g, d);
    for (uint32_t i = 0; i < g->spec->entry_count; i++) {
        d->pending = d->pending || (g->spec->entries[i].type == GROUP_FILE &&
                                    g->registry->books[g->home] == NULL);
    }
    struct conf_node at = first_override(g);
    struct servers_override o;
    while (next_override(g, &at, &o)) {
        override(d, &o);
    }
}
