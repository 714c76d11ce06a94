// SPDX-License-Identifier: Apache-2.0
//
// Splits (proxy/split.h): rows, check, compile, choice.
//
// A share is drawn from [0, 100): the parts lie one behind the other from 0 on, so the first shares keep
// what they had when one grows at the cost of the last. The hash is salted with the name of the first
// upstream that has a share: two routes with the same canary send the same clients to it, and
// two different canaries do not.

#include "proxy/split.h"

#include "base/error.h"
#include "base/hash.h"
#include "conf/diag.h"
#include "proxy/directives.h"
#include "proxy/exchange.h"
#include "proxy/key.h"
#include "proxy/match.h"

enum { SPLIT_MAGIC = 0x73706c74, PARTS_MAX = 64, WHOLE = 100 };

struct split_part {
    const struct match *when; // NULL: by share
    uint32_t end;             // of its share: the sum of those up to it
    struct upstream *to;
};

struct split {
    uint32_t magic;
    uint32_t count;
    bool has_conditions;
    bool has_key;
    struct key_plan key;
    struct hash_key salt;
    struct upstream base;
    struct split_part parts[];
};

// ---- rows ------------------------------------------------------------------------------------------

static const struct conf_directive part_rows[] = {
    {.name = "to",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_UPSTREAM,
     .required = true,
     .text = "The upstream: its name, an address, or a list of addresses."},
    {.name = "when",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .rows = proxy_matches,
     .condition = true,
     .text = "Matches as in a route; all of them must hold."},
    {.name = "share",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 0,
     .max = 100,
     .aka = "weight percent percentage",
     .text =
         "How many of the requests that no `when` has taken. The last part may leave it out: it "
         "gets the rest."},
    CONF_END,
};

static void check_part(struct conf_diags *d, struct conf_node part, bool last, uint64_t *sum)
{
    struct conf_node share = conf_get(part, "share");
    bool when = conf_exists(conf_get(part, "when"));
    if (when && conf_exists(share)) {
        conf_error(d, share, "`when` and `share` in one part");
        conf_hint(d,
                  "those that match go there, all of them; a part of its own gives it a share of "
                  "the others");
    } else if (!when && !conf_exists(share) && !last) {
        conf_error(d, part, "this part takes every request, so none comes to those after it");
        conf_hint(d, "give it `when` or `share`; only the last one may leave its share out");
    }
    *sum += conf_percent(share, 0);
}

static void check_split(struct conf_diags *d, struct conf_node split)
{
    uint64_t sum = 0;
    uint32_t left = conf_count(split);
    bool rest = false;
    if (left == 0) {
        conf_error(d, split, "`split` has an empty list");
        return;
    }
    if (left > PARTS_MAX) {
        conf_error(d, split, "more than %d parts in a split", PARTS_MAX);
        return;
    }
    conf_each(part, split)
    {
        left--;
        check_part(d, part, left == 0, &sum);
        rest = !conf_exists(conf_get(part, "when")) && !conf_exists(conf_get(part, "share"));
    }
    if (rest && sum >= WHOLE) {
        conf_error(d, split,
                   "the shares before the last part add up to %u%%: nothing is left for it",
                   (unsigned)sum);
        conf_hint(d, "the last one may leave its share out: it gets the rest");
    } else if (!rest && sum != WHOLE) {
        conf_error(d, split, "the shares add up to %u%%, not to 100%%", (unsigned)sum);
        conf_hint(d, "the last one may leave its share out: it gets the rest");
    }
}

static void check_by(struct conf_diags *d, struct conf_node by)
{
    struct key_plan plan;
    if (!key_parse(conf_text(by), &plan)) {
        conf_error(d, by, "`by` is not what shares go by: %.*s", SLICE_ARG(conf_text(by)));
        conf_hint(d, "client, cookie NAME, header NAME, query NAME or path");
    }
}

const struct conf_directive split_rows[] = {
    {.name = "split",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .required = true,
     .rows = part_rows,
     .check = check_split,
     .aka = "canary traffic_split split_clients weighted",
     .text = "Which upstream serves a request: the first part whose `when` holds, else one by its "
             "share. Shares add up to 100%."},
    {.name = "by",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 200,
     .check = check_by,
     .text = "What shares go by, so that a client stays with its upstream: `client` (its address), "
             "`cookie NAME`, `header NAME`, `query NAME` or `path`. Requests without it go by the "
             "client. Without `by` each request is drawn anew."},
    CONF_END,
};

// ---- choice ----------------------------------------------------------------------------------------

static struct split *split_of(struct upstream *u)
{
    struct split *s = container_of(u, struct split, base);
    ensure_magic(s, SPLIT_MAGIC);
    return s;
}

/** Matches of paths note what they caught, which is the route's to say. */
static struct upstream *first_that_holds(const struct split *s, struct exchange *x)
{
    struct slice captures[EXCHANGE_CAPTURES_MAX];
    memcpy(captures, x->captures, sizeof(captures));
    struct upstream *found = NULL;
    for (uint32_t i = 0; i < s->count && found == NULL; i++) {
        const struct split_part *p = &s->parts[i];
        found = p->when != NULL && match_eval(p->when, x) ? p->to : NULL;
    }
    memcpy(x->captures, captures, sizeof(captures));
    return found;
}

static uint32_t draw(const struct split *s, const struct upstream_request *rq)
{
    static const struct key_plan by_client = {.kind = KEY_CLIENT};
    uint64_t key = 0;
    bool known =
        s->has_key && (key_of(&s->key, rq->subject, &key) || key_of(&by_client, rq->subject, &key));
    if (!known) {
        return (uint32_t)rng_below(&rq->loop->rng, WHOLE);
    }
    return (uint32_t)(hash_bytes(&s->salt, slice_of((const char *)&key, sizeof(key))) % WHOLE);
}

static struct upstream *choose(struct upstream *u, const struct upstream_request *rq)
{
    const struct split *s = split_of(u);
    if (s->has_conditions) {
        struct upstream_subject *subject = (struct upstream_subject *)(uintptr_t)rq->subject;
        struct exchange *x = container_of(subject, struct exchange, subject);
        struct upstream *found = first_that_holds(s, x);
        if (found != NULL) {
            return found;
        }
    }
    uint32_t at = draw(s, rq);
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->parts[i].when == NULL && at < s->parts[i].end) {
            return s->parts[i].to;
        }
    }
    ensure(false); // the shares add up
    return NULL;
}

static void acquire(struct upstream *u, struct upstream_request *rq)
{
    (void)split_of(u);
    rq->on_failed(rq, E_INTERNAL); // who chooses first never comes here
}

static const struct upstream_ops split_ops = {.choose = choose, .acquire = acquire};

// ---- compile ---------------------------------------------------------------------------------------

static int add_part(struct split *s, const struct split_sources *from, struct conf_node n,
                    uint32_t *sum)
{
    struct split_part *p = &s->parts[s->count];
    struct conf_node when = conf_get(n, "when");
    struct conf_node share = conf_get(n, "share");
    int e = from->find(from->arg, conf_get(n, "to"), &p->to);
    if (e < 0) {
        return e;
    }
    s->count++;
    if (conf_exists(when)) {
        e = match_compile(when, from->arena, from->diags, &p->when);
        s->has_conditions = true;
        if (e == 0 && p->when == NULL) {
            conf_error(from->diags, when, "`when` says nothing");
            e = E_CONFIG;
        }
        return e;
    }
    bool first = *sum == 0 && s->salt.k[0] == 0;
    *sum = conf_exists(share) ? *sum + conf_percent(share, 0) : WHOLE;
    p->end = *sum;
    if (first) {
        static const struct hash_key key = {{0x61646974, 0x73706c69}};
        s->salt.k[0] = hash_bytes(&key, p->to->name) | 1;
    }
    return 0;
}

int split_compile(const struct split_sources *from, struct conf_node proxy, struct slice name,
                  struct upstream **out)
{
    struct conf_node list = conf_get(proxy, "split");
    struct conf_node by = conf_get(proxy, "by");
    uint32_t count = conf_count(list);
    ensure(count > 0 && count <= PARTS_MAX);
    struct split *s = arena_zalloc(from->arena, sizeof(*s) + count * sizeof(s->parts[0]));
    if (s == NULL) {
        return E_NO_MEMORY;
    }
    s->magic = SPLIT_MAGIC;
    s->base.ops = &split_ops;
    s->base.name = name;
    s->has_key = conf_exists(by) && key_parse(conf_text(by), &s->key);
    uint32_t sum = 0;
    conf_each(part, list)
    {
        int e = add_part(s, from, part, &sum);
        if (e < 0) {
            return e;
        }
    }
    ensure(sum == WHOLE);
    *out = &s->base;
    return 0;
}
