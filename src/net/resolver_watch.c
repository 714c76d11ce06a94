// SPDX-License-Identifier: Apache-2.0
//
// What the resolver follows. A watch works in rounds: a host asks for A and AAAA of each name that the
// search list makes of it until one exists; a service asks for its records and then for the addresses
// of their targets, as far as those did not come along. The round's TTL is the shortest of all that
// went into it. Failures are repeated after 1, 2, 4 ... 30 s; what needs no server (literals,
// localhost, the hosts text) stands until the texts change.
//
// "Is not there" and "nobody can say" are kept apart, for each family and each target: a name server
// that answers for IPv6 but times out for IPv4 must not cost the IPv4 servers. Only what is known not
// to exist goes; and when nothing at all would be left, the last list stays.
//
// c-ares cannot take one query back. A watch that ends leaves its queries alone, and their answers
// find nobody.

#include <ares.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/slab.h"
#include "obs/log.h"

#include "net/resolver_int.h"

enum {
    WATCH_MAGIC = 0x4e501002,
    QUERY_MAGIC = 0x4e501003,
    TTL_MIN_S = 1,
    TTL_MAX_S = 3600,
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 30000,
    AGAIN_MS = 250,   // how long a change of texts is spread over
    QUERIES_MAX = 32, // of one watch at once
    TTL_JITTER = 16,  // up to a sixteenth later, so that cores and names do not ask in step
    LOST_V4 = 1,
    LOST_V6 = 2,
};

struct query {
    uint32_t magic;
    struct resolver_watch *watch; // NULL: it has ended
    struct list link;
    uint32_t target;
    unsigned type;
    struct dns_name name;
};

struct found {
    uint32_t target; // index into `services`; 0 for a host
    struct os_addr addr;
};

/** One look at everything that a watch stands for. */
struct round {
    bool running;
    bool advancing; // answers may come while questions are asked
    bool cancelled; // the servers are others now
    uint32_t pending;
    uint32_t candidate;
    uint32_t next_target;
    uint32_t ttl_s;
    const char *why; // it failed
    struct dns_service *services;
    uint32_t service_count;
    struct found *found;
    uint32_t found_count;
    uint8_t lost[DNS_SERVICES_MAX]; // LOST_ bits: of this target nobody could say
};

struct resolver_watch {
    uint32_t magic;
    struct list link;
    struct resolver *resolver;
    resolver_list_fn *fn;
    resolver_fn *addrs_fn; // in place of `fn`
    void *arg;
    struct wheel_timer timer;
    struct list queries;
    enum resolver_kind kind;
    uint16_t port;
    bool failing;
    bool again; // once more when the round is over
    uint32_t retry_ms;
    uint32_t count;
    struct resolver_entry *entries; // with the text of their targets behind them
    struct round round;
    char name[RESOLVER_NAME_MAX + 1];
};

static struct slice name_of(const struct resolver_watch *w)
{
    return slice_str(w->name);
}

static void set_timer(struct resolver_watch *w, uint64_t ms)
{
    loop_timer_stop(w->resolver->loop, &w->timer);
    loop_timer_set(w->resolver->loop, &w->timer, ms);
}

// ---- what is told ---------------------------------------------------------------------------------

static void tell_addrs(const struct resolver_watch *w, int error)
{
    struct os_addr addrs[RESOLVER_ENTRIES_MAX];
    uint32_t count = error == 0 ? w->count : 0;
    for (uint32_t i = 0; i < count; i++) {
        addrs[i] = w->entries[i].addr;
    }
    w->addrs_fn(w->arg, addrs, count, error);
}

// The watch may be gone afterwards.
static void tell(struct resolver_watch *w, int error)
{
    if (w->addrs_fn != NULL) {
        tell_addrs(w, error);
        return;
    }
    struct resolver_list list = {w->entries, w->count, error};
    w->fn(w->arg, &list);
}

static void fail(struct resolver_watch *w, int error, const char *why)
{
    uint32_t retry_ms = w->retry_ms;
    w->retry_ms = retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS;
    set_timer(w, retry_ms - rng_below(&w->resolver->loop->rng, retry_ms / 4));
    if (!w->failing && w->count > 0) {
        log_line(LOG_WARN, "resolver: %s keeps its last addresses count=%u: %s", w->name, w->count,
                 why);
    } else if (!w->failing) {
        log_line(LOG_WARN, "resolver: %s has no addresses: %s", w->name, why);
    }
    w->failing = true;
    tell(w, error);
}

// ---- the list -------------------------------------------------------------------------------------

static int order_addrs(const struct os_addr *a, const struct os_addr *b)
{
    int order = (a->kind > b->kind) - (a->kind < b->kind);
    order = order != 0 ? order : memcmp(a->u.ip, b->u.ip, a->kind == OS_ADDR_V4 ? 4 : 16);
    return order != 0 ? order : (a->port > b->port) - (a->port < b->port);
}

static int order_entries(const void *x, const void *y)
{
    const struct resolver_entry *a = x;
    const struct resolver_entry *b = y;
    int order = (a->priority > b->priority) - (a->priority < b->priority);
    order = order != 0 ? order : order_addrs(&a->addr, &b->addr);
    // Of one address that is there twice the larger weight counts.
    return order != 0 ? order : (a->weight < b->weight) - (a->weight > b->weight);
}

static bool has_addr(const struct resolver_entry *entries, uint32_t count, const struct os_addr *a)
{
    for (uint32_t i = 0; i < count; i++) {
        if (os_addr_eq(&entries[i].addr, a)) {
            return true;
        }
    }
    return false;
}

static uint32_t sort_entries(struct resolver_entry *entries, uint32_t count)
{
    qsort(entries, count, sizeof(*entries), order_entries);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!has_addr(entries, kept, &entries[i].addr)) {
            entries[kept++] = entries[i];
        }
    }
    return kept;
}

static bool same_entries(const struct resolver_watch *w, const struct resolver_entry *entries,
                         uint32_t count)
{
    bool same = w->count == count;
    for (uint32_t i = 0; same && i < count; i++) {
        const struct resolver_entry *a = &w->entries[i];
        const struct resolver_entry *b = &entries[i];
        same = a->priority == b->priority && a->weight == b->weight &&
               os_addr_eq(&a->addr, &b->addr) && slice_eq(a->target, b->target);
    }
    return same;
}

// One block: the entries, then the text of their targets.
static int keep_entries(struct resolver_watch *w, const struct resolver_entry *entries,
                        uint32_t count)
{
    size_t text = 0;
    for (uint32_t i = 0; i < count; i++) {
        text += entries[i].target.len;
    }
    struct resolver_entry *kept = mem_alloc(count * sizeof(*kept) + text);
    if (kept == NULL) {
        return E_NO_MEMORY;
    }
    char *at = (char *)(kept + count);
    for (uint32_t i = 0; i < count; i++) {
        kept[i] = entries[i];
        memcpy(at, entries[i].target.ptr, entries[i].target.len);
        kept[i].target.ptr = at;
        at += entries[i].target.len;
    }
    mem_free(w->entries);
    w->entries = kept;
    w->count = count;
    return 0;
}

static void add_found(struct resolver_watch *w, uint32_t target, const struct os_addr *a)
{
    struct round *r = &w->round;
    if (r->found == NULL) {
        r->found = mem_alloc(RESOLVER_ENTRIES_MAX * sizeof(*r->found));
    }
    if (r->found != NULL && r->found_count < RESOLVER_ENTRIES_MAX) {
        r->found[r->found_count++] = (struct found){target, *a};
    }
}

static struct slice target_name(const struct resolver_watch *w, uint32_t target)
{
    return w->kind == RESOLVER_HOST ? name_of(w) : dns_name_text(&w->round.services[target].target);
}

// What nobody could say anything about stays as it was.
static void find_lost(struct resolver_watch *w, uint32_t target)
{
    unsigned lost = w->round.lost[target];
    for (uint32_t i = 0; lost != 0 && i < w->count; i++) {
        const struct resolver_entry *e = &w->entries[i];
        unsigned family = e->addr.kind == OS_ADDR_V4 ? LOST_V4 : LOST_V6;
        if ((lost & family) != 0 && slice_eq(e->target, target_name(w, target))) {
            add_found(w, target, &e->addr);
        }
    }
}

static uint32_t first_of_target(const struct round *r, uint32_t service)
{
    const struct dns_name *name = &r->services[service].target;
    uint32_t i = 0;
    while (!slice_eq(dns_name_text(&r->services[i].target), dns_name_text(name))) {
        i++;
    }
    return i;
}

// The round's entries into the scratch; returns how many.
static uint32_t collect(struct resolver_watch *w)
{
    struct round *r = &w->round;
    struct resolver_entry *entries = w->resolver->scratch->entries;
    uint32_t services = w->kind == RESOLVER_HOST ? 1 : r->service_count;
    uint32_t count = 0;
    for (uint32_t i = 0; i < services; i++) {
        find_lost(w, i);
    }
    for (uint32_t i = 0; i < services; i++) {
        struct resolver_entry e = {.weight = 1, .target = target_name(w, i)};
        uint16_t port = w->port;
        uint32_t target = 0;
        if (w->kind == RESOLVER_SERVICE) {
            e.priority = r->services[i].priority;
            e.weight = r->services[i].weight;
            port = r->services[i].port;
            target = first_of_target(r, i);
        }
        for (uint32_t k = 0; k < r->found_count && count < RESOLVER_ENTRIES_MAX; k++) {
            if (r->found[k].target == target) {
                entries[count] = e;
                entries[count].addr = r->found[k].addr;
                entries[count++].addr.port = port;
            }
        }
    }
    return sort_entries(entries, count);
}

static void end_round(struct resolver_watch *w)
{
    struct round *r = &w->round;
    mem_free(r->services);
    mem_free(r->found);
    memset(r, 0, sizeof(*r));
}

static bool any_lost(const struct round *r)
{
    for (size_t i = 0; i < array_len(r->lost); i++) {
        if (r->lost[i] != 0) {
            return true;
        }
    }
    return false;
}

static void set_next(struct resolver_watch *w, uint32_t ttl_s, bool partly)
{
    ttl_s = ttl_s < TTL_MIN_S ? TTL_MIN_S : ttl_s > TTL_MAX_S ? TTL_MAX_S : ttl_s;
    uint64_t ms = (uint64_t)ttl_s * 1000;
    if (partly && w->retry_ms < ms) {
        ms = w->retry_ms;
        w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 : RETRY_MAX_MS;
    } else if (!partly) {
        w->retry_ms = RETRY_MIN_MS;
    }
    set_timer(w, ms + rng_below(&w->resolver->loop->rng, ms / TTL_JITTER));
}

// The round has found something. `fixed`: without asking anybody, so there is no next one.
static void succeed(struct resolver_watch *w, bool fixed)
{
    uint32_t count = collect(w);
    const struct resolver_entry *entries = w->resolver->scratch->entries;
    bool changed = !same_entries(w, entries, count);
    uint32_t ttl_s = w->round.ttl_s;
    bool partly = any_lost(&w->round);
    if (changed && keep_entries(w, entries, count) != 0) {
        end_round(w);
        fail(w, E_NO_MEMORY, error_text(E_NO_MEMORY));
        return;
    }
    end_round(w);
    if (!fixed) {
        set_next(w, ttl_s, partly);
    }
    if (w->failing) {
        log_line(LOG_INFO, "resolver: %s resolves again count=%u", w->name, w->count);
    }
    bool news = changed || w->failing;
    w->failing = false;
    if (news) {
        tell(w, 0);
    }
}

static void finish(struct resolver_watch *w)
{
    struct round *r = &w->round;
    const char *why = r->why != NULL ? r->why : "it does not exist";
    if (r->cancelled || w->again) {
        w->again = false;
        end_round(w);
        set_timer(w, 0);
        return;
    }
    if (r->found_count > 0) {
        succeed(w, false);
        return;
    }
    end_round(w);
    fail(w, E_NOT_RESOLVED, why);
}

// ---- asking ---------------------------------------------------------------------------------------

static void advance(struct resolver_watch *w);

static void lose(struct resolver_watch *w, uint32_t target, unsigned type, const char *why)
{
    w->round.lost[target] |= type == DNS_TYPE_A ? LOST_V4 : LOST_V6;
    w->round.why = why;
}

static void shorten(struct resolver_watch *w, uint32_t ttl_s)
{
    w->round.ttl_s = ttl_s < w->round.ttl_s ? ttl_s : w->round.ttl_s;
}

static const char unreadable[] = "an answer that cannot be read";

static void take_addrs(struct resolver_watch *w, const struct query *q, int status,
                       struct slice message)
{
    struct dns_addrs *addrs = &w->resolver->scratch->addrs;
    if (status == ARES_ENODATA || status == ARES_ENOTFOUND) {
        return;
    }
    if (status != ARES_SUCCESS) {
        lose(w, q->target, q->type, ares_strerror(status));
        return;
    }
    if (dns_answer_addrs(message, &q->name, q->type, addrs) != 0) {
        lose(w, q->target, q->type, unreadable);
        return;
    }
    shorten(w, addrs->ttl_s);
    for (uint32_t i = 0; i < addrs->count; i++) {
        add_found(w, q->target, &addrs->addrs[i]);
    }
}

static void take_services(struct resolver_watch *w, const struct query *q, int status,
                          struct slice message)
{
    struct dns_services *s = &w->resolver->scratch->services;
    struct round *r = &w->round;
    if (status != ARES_SUCCESS) {
        bool none = status == ARES_ENODATA || status == ARES_ENOTFOUND;
        r->why = none ? "there is no such service" : ares_strerror(status);
        return;
    }
    if (dns_answer_services(message, &q->name, s) != 0) {
        r->why = unreadable;
        return;
    }
    if (s->count == 0) {
        r->why = s->none ? "the service says it is not offered" : "there is no such service";
        return;
    }
    r->services = mem_alloc(s->count * sizeof(*r->services));
    if (r->services == NULL) {
        r->why = error_text(E_NO_MEMORY);
        return;
    }
    memcpy(r->services, s->services, s->count * sizeof(*r->services));
    r->service_count = s->count;
    shorten(w, s->ttl_s);
    for (uint32_t i = 0; i < s->extra_count; i++) {
        add_found(w, s->extra[i].service, &s->extra[i].addr);
        shorten(w, s->services[s->extra[i].service].extra_ttl_s);
    }
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    (void)timeouts;
    struct query *q = arg;
    ensure_magic(q, QUERY_MAGIC);
    struct resolver_watch *w = q->watch;
    if (w != NULL) {
        ensure_magic(w, WATCH_MAGIC);
        ensure(w->round.pending > 0);
        w->round.pending--;
        list_remove(&q->link);
        struct slice message = slice_of((const char *)bytes, len > 0 ? (size_t)len : 0);
        if (status == ARES_ECANCELLED) {
            w->round.cancelled = true;
        } else if (q->type == DNS_TYPE_SRV) {
            take_services(w, q, status, message);
        } else {
            take_addrs(w, q, status, message);
        }
    }
    q->magic = 0;
    mem_free(q);
    if (w != NULL) {
        advance(w);
    }
}

static int ask(struct resolver_watch *w, struct slice name, unsigned type, uint32_t target)
{
    struct query *q = mem_zalloc(sizeof(*q));
    if (q == NULL || dns_name_set(&q->name, name) != 0) {
        int e = q == NULL ? E_NO_MEMORY : E_INVALID;
        mem_free(q);
        return e;
    }
    q->magic = QUERY_MAGIC;
    q->watch = w;
    q->type = type;
    q->target = target;
    list_init(&q->link);
    list_push_back(&w->queries, &q->link);
    w->round.pending++;
    resolver_ask(w->resolver, &q->name, type, on_answer, q);
    return 0;
}

static void ask_both(struct resolver_watch *w, struct slice name, uint32_t target)
{
    static const unsigned types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
    for (size_t i = 0; i < array_len(types); i++) {
        if (ask(w, name, types[i], target) == E_NO_MEMORY) { // a name that cannot be is not there
            lose(w, target, types[i], error_text(E_NO_MEMORY));
        }
    }
}

static bool step_host(struct resolver_watch *w)
{
    struct round *r = &w->round;
    char name[RESOLVER_NAME_MAX + 1];
    if (r->pending > 0 || r->found_count > 0 || r->lost[0] != 0 ||
        resolver_text_candidate(&w->resolver->text, name_of(w), r->candidate, name) != 0) {
        return false;
    }
    r->candidate++;
    ask_both(w, slice_str(name), 0);
    return true;
}

static void ask_for_target(struct resolver_watch *w, uint32_t i)
{
    struct round *r = &w->round;
    if (first_of_target(r, i) != i || r->services[i].extra_ttl_s != UINT32_MAX) {
        return;
    }
    struct os_addr addrs[DNS_ADDRS_MAX];
    struct slice name = dns_name_text(&r->services[i].target);
    uint32_t known =
        resolver_text_addrs(w->resolver->hosts, name, 0, addrs, (uint32_t)array_len(addrs));
    for (uint32_t k = 0; k < known; k++) {
        add_found(w, i, &addrs[k]);
    }
    if (known == 0) {
        ask_both(w, name, i);
    }
}

static bool step_service(struct resolver_watch *w)
{
    struct round *r = &w->round;
    if (r->candidate == 0) {
        r->candidate = 1;
        if (ask(w, name_of(w), DNS_TYPE_SRV, 0) != 0) {
            r->why = "that is no name of a service";
        }
        return true;
    }
    if (r->next_target == r->service_count || r->pending >= QUERIES_MAX) {
        return false;
    }
    ask_for_target(w, r->next_target++);
    return true;
}

// Asks what can be asked now; ends the round when nothing is left to wait for.
static void advance(struct resolver_watch *w)
{
    struct round *r = &w->round;
    if (r->advancing) {
        return;
    }
    r->advancing = true;
    bool more = true;
    while (more && !r->cancelled) {
        more = w->kind == RESOLVER_HOST ? step_host(w) : step_service(w);
    }
    r->advancing = false;
    if (r->pending == 0) {
        finish(w);
    }
}

static bool find_fixed(struct resolver_watch *w)
{
    struct os_addr addrs[DNS_ADDRS_MAX];
    uint32_t count = w->kind == RESOLVER_HOST && w->name[0] != '\0'
                         ? resolver_text_addrs(w->resolver->hosts, name_of(w), w->port, addrs,
                                               (uint32_t)array_len(addrs))
                         : 0;
    for (uint32_t i = 0; i < count; i++) {
        add_found(w, 0, &addrs[i]);
    }
    return count > 0 && w->round.found_count > 0;
}

static void on_due(struct wheel_timer *t)
{
    struct resolver_watch *w = container_of(t, struct resolver_watch, timer);
    ensure_magic(w, WATCH_MAGIC);
    ensure(!w->round.running);
    w->again = false;
    w->round.ttl_s = UINT32_MAX;
    if (find_fixed(w)) {
        succeed(w, true);
        return;
    }
    if (w->resolver->servers.count == 0) {
        end_round(w);
        fail(w, E_NOT_RESOLVED, "there is no name server");
        return;
    }
    w->round.running = true;
    advance(w);
}

// ---- watches --------------------------------------------------------------------------------------

void resolver_watch_all_again(struct resolver *r)
{
    for (struct list *node = r->watches.next; node != &r->watches; node = node->next) {
        struct resolver_watch *w = list_entry(node, struct resolver_watch, link);
        if (w->round.running) {
            w->again = true;
        } else {
            w->retry_ms = RETRY_MIN_MS;
            set_timer(w, rng_below(&r->loop->rng, AGAIN_MS));
        }
    }
}

static int open_watch(struct resolver *r, const struct resolver_question *q,
                      struct resolver_watch **out)
{
    ensure_magic(r, RESOLVER_MAGIC);
    struct resolver_watch *w = mem_zalloc(sizeof(*w));
    if (w == NULL) {
        return E_NO_MEMORY;
    }
    w->magic = WATCH_MAGIC;
    w->resolver = r;
    w->kind = q->kind;
    w->port = q->port;
    w->retry_ms = RETRY_MIN_MS;
    list_init(&w->queries);
    list_init(&w->link);
    list_push_back(&r->watches, &w->link);
    wheel_timer_init(&w->timer, on_due);
    if (q->name.len <= RESOLVER_NAME_MAX && slice_find_char(q->name, '\0') < 0) {
        memcpy(w->name, q->name.ptr, q->name.len);
    } // else it stays empty, which no server knows
    set_timer(w, 0);
    *out = w;
    return 0;
}

int resolver_follow(struct resolver *r, const struct resolver_question *q, resolver_list_fn *fn,
                    void *arg, struct resolver_watch **out)
{
    ensure(fn != NULL);
    int e = open_watch(r, q, out);
    if (e == 0) {
        (*out)->fn = fn;
        (*out)->arg = arg;
    }
    return e;
}

int resolver_watch(struct resolver *r, struct slice name, uint16_t port, resolver_fn *fn, void *arg,
                   struct resolver_watch **out)
{
    ensure(fn != NULL);
    struct resolver_question q = {RESOLVER_HOST, name, port};
    int e = open_watch(r, &q, out);
    if (e == 0) {
        (*out)->addrs_fn = fn;
        (*out)->arg = arg;
    }
    return e;
}

void resolver_watch_end(struct list *link)
{
    struct resolver_watch *w = list_entry(link, struct resolver_watch, link);
    ensure_magic(w, WATCH_MAGIC);
    list_remove(&w->link);
    loop_timer_stop(w->resolver->loop, &w->timer);
    struct list *node;
    while ((node = list_first(&w->queries)) != NULL) {
        struct query *q = list_entry(node, struct query, link);
        list_remove(node);
        q->watch = NULL;
    }
    end_round(w);
    mem_free(w->entries);
    w->magic = 0;
    mem_free(w);
}

void resolver_unwatch(struct resolver *r, struct resolver_watch *w)
{
    ensure_magic(w, WATCH_MAGIC);
    ensure(w->resolver == r);
    resolver_watch_end(&w->link);
}
