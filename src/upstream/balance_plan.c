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
    {.name = "sticky",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = KEY_NAME_MAX + 16,
     .aka = "sticky_cookie stickiness sessions affinity persistence",
     .text = "`cookie` or `cookie NAME`: a signed cookie names the server that a client met first, "
             "and while that server is there, draining too, the client meets it again. Without "
             "NAME each upstream has a name of its own."},
    {.name = "else",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = method_words,
     .fallback = "two-choices",
     .aka = "fallback",
     .text = "With `sticky`: how a server is chosen for a client without a cookie."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 1024,
     .aka = "secret cookie_secret",
     .text = "With `sticky`: what cookies are signed with, at least 16 characters, so that several "
             "edges honour each other's; a secret, so rather \"$env(STICKY_KEY)\". Without it "
             "adit makes one and keeps it in its state directory."},
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

static void check_sticky(struct conf_diags *d, struct conf_node balance)
{
    struct conf_node sticky = conf_get(balance, "sticky");
    struct conf_node key = conf_get(balance, "key");
    struct conf_node method = conf_get(balance, "method");
    struct conf_node hash = conf_get(balance, "hash");
    struct sticky_plan plan;
    if (!sticky_parse(conf_text(sticky), SLICE(""), &plan)) {
        conf_error(d, sticky, "`sticky` is `cookie` or `cookie NAME`");
        conf_hint(d, "balance: {sticky: cookie}");
    }
    if (conf_exists(method)) {
        conf_error(d, method, "with `sticky` the method is called `else`");
        conf_hint(d, "balance: {sticky: cookie, else: %.*s}", SLICE_ARG(conf_text(method)));
    }
    if (conf_exists(hash)) {
        conf_error(d, hash, "`hash` and `sticky` both say where a client goes");
        conf_hint(d, "leave one of them out");
    }
    if (conf_exists(key) && conf_text(key).len < STICKY_SECRET_MIN) {
        conf_error(d, key, "`key` has fewer than %d characters", STICKY_SECRET_MIN);
        conf_hint(d, "`openssl rand -hex 16` makes one");
    }
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
    if (conf_exists(conf_get(balance, "sticky"))) {
        check_sticky(d, balance);
        return;
    }
    static const char *const sticky_only[] = {"else", "key"};
    for (size_t i = 0; i < array_len(sticky_only); i++) {
        struct conf_node n = conf_get(balance, sticky_only[i]);
        if (conf_exists(n)) {
            conf_error(d, n, "`%s` has no effect without `sticky`", sticky_only[i]);
            conf_hint(d, "balance: {sticky: cookie}");
        }
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

static void compile_sticky(struct conf_node balance, struct slice name, struct sticky_plan *out)
{
    struct conf_node key = conf_get(balance, "key");
    bool known = sticky_parse(conf_text(conf_get(balance, "sticky")), name, out);
    ensure(known);
    if (conf_exists(key)) {
        sticky_set_secret(out, conf_text(key));
    }
}

void balance_compile(struct conf_node upstream, struct slice name, struct balance_plan *out)
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
        bool sticky = conf_exists(conf_get(balance, "sticky"));
        struct conf_node method = conf_get(balance, sticky ? "else" : "method");
        out->method = balance_find(conf_string(method, "two-choices"));
        if (sticky) {
            compile_sticky(balance, name, &out->sticky);
        }
        ensure(out->method != NULL);
        out->key.kind = out->method->by_key ? KEY_CLIENT : KEY_NONE;
    }
    ensure(out->method != NULL);
}
