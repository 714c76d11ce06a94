// SPDX-License-Identifier: Apache-2.0
//
// The configuration of balancing (upstream/balance_plan.h).

#include "upstream/balance_plan.h"

#include "conf/diag.h"

enum { BOUND_DEFAULT = 125 };

static const char *const method_words[] = {"two-choices", "round-robin", "least-conn",
                                           "ewma",        "ip-hash",     NULL};

const struct conf_directive balance_rows[] = {
    {.name = "method",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = method_words,
     .fallback = "two-choices",
     .text =
         "`two-choices`: two servers are drawn by weight, and the one with fewer requests takes "
         "it. `round-robin`: in turn. `least-conn`: the one with the fewest requests of all. "
         "`ewma`: two are drawn, and the quicker one by its latency and requests takes it. "
         "`ip-hash`: a client always meets the same server."},
    {.name = "hash",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = KEY_NAME_MAX + 16,
     .aka = "consistent hash_on header cookie path query uri source",
     .text = "What places a request: `client`, `path`, `header NAME`, `cookie NAME` or "
             "`query NAME`. The same value meets the same server; when a server goes, only its "
             "values move. A request without it is placed at random."},
    {.name = "bound",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 101,
     .max = 1000,
     .off_ok = true,
     .fallback = "125%",
     .aka = "hash-balance-factor hash_balance_factor",
     .text =
         "With `hash`: the most that one server carries, of the average; what is beyond it goes "
         "to the next server of the value."},
    CONF_END,
};

static bool check_hash(struct conf_diags *d, struct conf_node hash)
{
    struct key_plan key;
    if (key_parse(conf_text(hash), &key)) {
        return true;
    }
    conf_error(d, hash, "`hash` is `client`, `path`, `header NAME`, `cookie NAME` or `query NAME`");
    conf_hint(d, "balance: {hash: header x-user}");
    return false;
}

void balance_check(struct conf_diags *d, struct conf_node balance)
{
    struct conf_node method = conf_get(balance, "method");
    struct conf_node hash = conf_get(balance, "hash");
    struct conf_node bound = conf_get(balance, "bound");
    if (conf_count(balance) == 0) {
        conf_error(d, balance, "`balance` says nothing");
        conf_hint(d, "balance: two-choices");
    }
    if (conf_exists(method) && conf_exists(hash)) {
        conf_error(d, method, "`hash` is a method of its own");
        conf_hint(d, "leave `method` out");
    }
    if (conf_exists(hash)) {
        (void)check_hash(d, hash);
    }
    if (conf_exists(bound) && !conf_exists(hash)) {
        conf_error(d, bound, "`bound` has no effect without `hash`");
        conf_hint(d, "balance: {hash: client, bound: 125%%}");
    }
}

void balance_compile(struct conf_node upstream, struct balance_plan *out)
{
    struct conf_node balance = conf_get(upstream, "balance");
    struct conf_node hash = conf_get(balance, "hash");
    struct conf_node bound = conf_get(balance, "bound");
    *out = (struct balance_plan){0};
    out->settings.slow_start_ms = (uint32_t)conf_duration_ms(conf_get(upstream, "slow_start"), 0);
    if (conf_exists(hash)) {
        bool known = key_parse(conf_text(hash), &out->key);
        ensure(known);
        out->method = balance_find(SLICE("hash"));
        out->settings.bound_percent = conf_is_off(bound) ? 0 : conf_percent(bound, BOUND_DEFAULT);
    } else {
        out->method = balance_find(conf_string(conf_get(balance, "method"), "two-choices"));
        ensure(out->method != NULL);
        out->key.kind = out->method->by_key ? KEY_CLIENT : KEY_NONE;
    }
    ensure(out->method != NULL);
}
