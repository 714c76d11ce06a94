// SPDX-License-Identifier: Apache-2.0
//
// `adit name` on the keeper's side: names that are kept for an owner before their first use, and own
// domains, which are an owner's once a TXT record proves it.

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/clock.h"
#include "state/state.h"
#include "tunnel/access.h"

#include "keeper/domains.h"
#include "keeper/grants.h"
#include "keeper/keeper_int.h"

enum { VALUE_LEN = 32 };

static json_t *text_value(struct slice s)
{
    json_t *value = json_stringn(s.ptr, s.len);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

// ---- what there is ------------------------------------------------------------------------------

struct found {
    struct slice name;
    bool is;
    uint32_t count;
    char owner[ACCESS_OWNER_MAX];
    char value[DOMAIN_VALUE_MAX];
    uint64_t created_ms;
};

static void find_name(void *arg, const struct state_name *n)
{
    struct found *f = arg;
    f->count++;
    if (slice_eq(n->name, f->name)) {
        f->is = true;
        ipc_set_text(f->owner, sizeof f->owner, n->owner);
    }
}

static void find_domain(void *arg, const struct state_domain *d)
{
    struct found *f = arg;
    f->count++;
    if (slice_eq(d->name, f->name)) {
        f->is = true;
        f->created_ms = d->created_ms;
        ipc_set_text(f->owner, sizeof f->owner, d->owner);
        ipc_set_text(f->value, sizeof f->value, d->value);
    }
}

static void list_name(void *arg, const struct state_name *n)
{
    (void)json_array_append_new(arg, json_pack("{s:o, s:o, s:s, s:I}", "name", text_value(n->name),
                                               "owner", text_value(n->owner), "kind", "reserved",
                                               "created_ms", (json_int_t)n->created_ms));
}

static json_t *domain_value(const struct state_domain *d)
{
    char record[ACCESS_NAME_MAX + 16];
    char value[DOMAIN_VALUE_MAX];
    struct text r = text_on(record, sizeof record);
    struct text v = text_on(value, sizeof value);
    text_printf(&r, DOMAIN_LABEL ".%.*s", SLICE_ARG(d->name));
    text_printf(&v, DOMAIN_VALUE "%.*s", SLICE_ARG(d->value));
    return json_pack("{s:o, s:o, s:s, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "name",
                     text_value(d->name), "owner", text_value(d->owner), "kind", "domain", "proved",
                     d->proved_ms != 0, "proved_ms", (json_int_t)d->proved_ms, "asked_ms",
                     (json_int_t)d->asked_ms, "created_ms", (json_int_t)d->created_ms, "why",
                     text_value(d->why), "record", text_value(text_slice(&r)), "value",
                     text_value(text_slice(&v)));
}

static void list_domain(void *arg, const struct state_domain *d)
{
    (void)json_array_append_new(arg, domain_value(d));
}

static json_t *list(struct keeper *k)
{
    json_t *all = json_array();
    int error = state_names_each(k->grants.state, list_name, all);
    error = error == 0 ? state_domains_each(k->grants.state, list_domain, all) : error;
    if (error != 0) {
        json_decref(all);
        return grants_failed(k, error);
    }
    return json_pack("{s:b, s:o}", "ok", 1, "names", all);
}

// ---- changes ------------------------------------------------------------------------------------

static json_t *reserve(struct keeper *k, struct slice name, struct slice owner)
{
    struct found f = {.name = name};
    if (!access_name_ok(name) || slice_find_char(name, '.') >= 0) {
        return grants_refuse("`%.*s` is no name: lower-case letters, digits and -, at most 63",
                             SLICE_ARG(name));
    }
    int error = state_names_each(k->grants.state, find_name, &f);
    if (error == 0 && f.is && !slice_eq(slice_str(f.owner), owner)) {
        return grants_refuse("`%.*s` is reserved for %s", SLICE_ARG(name), f.owner);
    }
    if (error == 0 && !f.is && f.count >= ACCESS_NAMES_MAX) {
        return grants_refuse("there are %u reserved names already: release some", f.count);
    }
    struct state_name n = {name, owner, os_clock_wall_ms()};
    error = error == 0 && !f.is ? state_name_add(k->grants.state, &n) : error;
    return error == 0 ? grants_done(k) : grants_failed(k, error);
}

static json_t *release(struct keeper *k, struct slice name)
{
    bool domain = slice_find_char(name, '.') >= 0;
    int error = domain ? state_domain_remove(k->grants.state, name)
                       : state_name_remove(k->grants.state, name);
    if (error == E_NOT_FOUND) {
        return grants_refuse("`%.*s` is not reserved; `adit name list` shows what is",
                             SLICE_ARG(name));
    }
    return error == 0 ? grants_done(k) : grants_failed(k, error);
}

// It is asked for at once; the answer comes later.
static void ask_soon(struct keeper *k)
{
    k->grants.ask_at_ms = 1;
}

static json_t *add_domain(struct keeper *k, struct slice name, struct slice owner)
{
    struct found f = {.name = name};
    char value[VALUE_LEN + 1];
    if (!access_name_ok(name) || slice_find_char(name, '.') < 0 || name.len > DOMAIN_NAME_MAX) {
        return grants_refuse("`%.*s` is no domain: app.customer.com, in lower case",
                             SLICE_ARG(name));
    }
    int error = state_domains_each(k->grants.state, find_domain, &f);
    if (error == 0 && f.is && !slice_eq(slice_str(f.owner), owner)) {
        return grants_refuse("`%.*s` belongs to %s: `adit name release` it first", SLICE_ARG(name),
                             f.owner);
    }
    if (error == 0 && !f.is && f.count >= ACCESS_NAMES_MAX) {
        return grants_refuse("there are %u domains already: release some", f.count);
    }
    if (!grants_random(value, VALUE_LEN)) {
        return grants_refuse("the kernel gives no random bytes");
    }
    struct state_domain d = {.name = name,
                             .owner = owner,
                             .value = slice_str(f.is ? f.value : value),
                             .created_ms = os_clock_wall_ms(),
                             .why = SLICE("not asked yet")};
    error = error == 0 && !f.is ? state_domain_put(k->grants.state, &d) : error;
    if (error != 0) {
        return grants_failed(k, error);
    }
    json_t *answer = f.is ? json_pack("{s:b, s:b}", "ok", 1, "in_force", 1) : grants_done(k);
    ask_soon(k);
    (void)json_object_set_new(answer, "domain", domain_value(&d));
    return answer;
}

struct again {
    struct found found;
    struct state_domain domain; // its texts below
    char why[128];
    uint64_t proved_ms;
    uint32_t failures;
};

static void find_again(void *arg, const struct state_domain *d)
{
    struct again *a = arg;
    find_domain(&a->found, d);
    if (slice_eq(d->name, a->found.name)) {
        a->domain = *d;
        ipc_set_text(a->why, sizeof a->why, d->why);
    }
}

static json_t *check(struct keeper *k, struct slice name)
{
    struct again a = {.found = {.name = name}};
    int error = state_domains_each(k->grants.state, find_again, &a);
    if (error == 0 && !a.found.is) {
        return grants_refuse("there is no domain `%.*s`; `adit name list` shows what there is",
                             SLICE_ARG(name));
    }
    a.domain.name = name;
    a.domain.owner = slice_str(a.found.owner);
    a.domain.value = slice_str(a.found.value);
    a.domain.why = slice_str(a.why);
    a.domain.asked_ms = 0;
    error = error == 0 ? state_domain_put(k->grants.state, &a.domain) : error;
    if (error != 0) {
        return grants_failed(k, error);
    }
    ask_soon(k);
    return json_pack("{s:b, s:o}", "ok", 1, "domain", domain_value(&a.domain));
}

// ---- words --------------------------------------------------------------------------------------

static struct slice next_word(struct slice *rest)
{
    ptrdiff_t blank = slice_find_char(*rest, ' ');
    size_t len = blank >= 0 ? (size_t)blank : rest->len;
    struct slice word = slice_sub(*rest, 0, len);
    *rest = slice_from(*rest, len + 1);
    return word;
}

json_t *name_command(struct keeper *k, struct slice words)
{
    struct slice verb = next_word(&words);
    struct slice name = next_word(&words);
    struct slice owner = next_word(&words);
    bool owned = slice_eq(verb, SLICE("reserve")) || slice_eq(verb, SLICE("add-domain"));
    if (owned && !access_owner_ok(owner)) {
        return grants_refuse("`%.*s` is no name of an owner: at most %d letters, digits and any of "
                             "-_.@",
                             SLICE_ARG(owner), ACCESS_OWNER_MAX - 1);
    }
    if (grants_open(k) != 0) {
        return grants_failed(k, E_IO);
    }
    if (slice_eq(verb, SLICE("reserve"))) {
        return reserve(k, name, owner);
    }
    if (slice_eq(verb, SLICE("add-domain"))) {
        return add_domain(k, name, owner);
    }
    if (slice_eq(verb, SLICE("release"))) {
        return release(k, name);
    }
    if (slice_eq(verb, SLICE("check"))) {
        return check(k, name);
    }
    if (slice_eq(verb, SLICE("list"))) {
        return list(k);
    }
    return grants_refuse("no such command: name reserve, release, add-domain, check, list");
}
