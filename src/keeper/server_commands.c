// SPDX-License-Identifier: Apache-2.0
//
// `adit server` on the keeper's side: how the servers are, read from the rows that the worker writes,
// and what is said of them from now on. A command changes the overrides, keeps them, and waits a
// moment for the worker's word that every core goes by them.
//
// A server is meant by its address, as it is in the configuration, in a watched file, or as a name's
// lookup gave it; in the last case the name is noted, so that a reload knows what it belonged to.

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/address.h"
#include "conf/nearest.h"
#include "obs/server_rows.h"
#include "os/clock.h"
#include "os/shared.h"

#include "keeper/keeper_int.h"

enum { ADDRESS_MAX = 320, WORDS_MAX = 4, ANSWER_MAX = 512 };

static json_t *refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static json_t *refuse(const char *format, ...)
{
    char buffer[ANSWER_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    return json_pack("{s:b, s:s}", "ok", 0, "error", buffer);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

// ---- rows -------------------------------------------------------------------------------------------

static const char *state_word(const struct server_row *row)
{
    return (row->bits & SERVER_ROW_MAINTENANCE) != 0 ? "maintenance"
           : (row->bits & SERVER_ROW_DRAIN) != 0     ? "draining"
           : (row->bits & SERVER_ROW_DOWN) != 0      ? "down"
           : (row->bits & SERVER_ROW_EJECTED) != 0   ? "ejected"
                                                     : "healthy";
}

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

static json_t *row_value(const struct server_row *row)
{
    uint64_t now = os_clock_wall_ms();
    uint64_t until = row->ejected_until_ms;
    json_t *value =
        json_pack("{s:o, s:o, s:o, s:s, s:o, s:i, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I}",
                  "upstream", text_value(row->upstream), "address", text_value(row->address), "at",
                  text_value(row->at), "state", state_word(row), "reason", text_value(row->reason),
                  "weight", (int)row->weight, "backup", row->tier == SERVER_ROW_TIER_BACKUP,
                  "priority", row->tier == SERVER_ROW_TIER_BACKUP ? -1 : (int)row->tier, "active",
                  (json_int_t)row->active, "connections", (json_int_t)row->open, "requests",
                  (json_int_t)row->requests, "failures", (json_int_t)row->failures, "latency_us",
                  (json_int_t)(row->latency_ns / 1000), "since_ms", (json_int_t)row->since_wall_ms);
    if (value != NULL && (row->bits & SERVER_ROW_EJECTED) != 0 && until > now) {
        (void)json_object_set_new(value, "ejected_for_ms", json_integer((json_int_t)(until - now)));
    }
    return value;
}

typedef void row_fn(void *arg, const struct server_row *row);

static void each_row(int block, uint32_t cores, row_fn *fn, void *arg)
{
    void *at = NULL;
    if (cores == 0 || cores > IPC_CORES_MAX ||
        os_shared_map(block, server_rows_block_bytes(cores), false, &at) != 0) {
        return;
    }
    const struct server_rows *rows = server_rows_in(at, cores);
    for (uint32_t i = 0; i < SERVER_ROWS_MAX; i++) {
        struct server_row row;
        if (server_rows_read(rows, i, &row)) {
            fn(arg, &row);
        }
    }
    os_shared_unmap(at, server_rows_block_bytes(cores));
}

// The rows as they are now, from a status; the messages that follow it are not for us.
static json_t *all_rows(struct keeper *k, row_fn *fn, void *arg)
{
    struct ipc_message m;
    struct ipc_fds fds;
    if (keeper_ask_status(k, &m, &fds) != 0) {
        return refuse("the supervisor does not answer");
    }
    if (fds.count > 0) {
        each_row(fds.fd[0], m.u.status.cores, fn, arg);
    }
    ipc_drop(&fds);
    return NULL;
}

struct listed {
    json_t *rows;
    struct slice upstream; // empty: all
};

static void add_row(void *arg, const struct server_row *row)
{
    struct listed *l = arg;
    if (l->upstream.len == 0 || slice_eq(l->upstream, slice_str(row->upstream))) {
        json_t *value = row_value(row);
        if (value != NULL) {
            (void)json_array_append_new(l->rows, value);
        }
    }
}

static json_t *unknown_upstream(const struct keeper *k, struct slice name)
{
    struct conf_nearest near = conf_nearest_to(name);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(k->servers.known, key, value)
    {
        conf_nearest_offer(&near, slice_str(key));
    }
    if (near.best.len > 0) {
        return refuse("there is no upstream `%.*s`, did you mean `%.*s`?", SLICE_ARG(name),
                      SLICE_ARG(near.best));
    }
    return refuse("there is no upstream `%.*s`; `adit server list` shows what there is",
                  SLICE_ARG(name));
}

static json_t *list(struct keeper *k, struct slice upstream)
{
    struct listed l = {.rows = json_array(), .upstream = upstream};
    json_t *failed = all_rows(k, add_row, &l);
    char name[ADDRESS_MAX];
    ipc_set_text(name, sizeof name, upstream);
    if (failed == NULL && upstream.len > 0 && json_array_size(l.rows) == 0 &&
        json_object_get(k->servers.known, name) == NULL) {
        failed = unknown_upstream(k, upstream);
    }
    if (failed != NULL) {
        json_decref(l.rows);
        return failed;
    }
    return json_pack("{s:b, s:o, s:O}", "ok", 1, "servers", l.rows, "overrides",
                     k->servers.overrides);
}

struct summary {
    json_t *unhealthy;
    int total;
};

static void sum_row(void *arg, const struct server_row *row)
{
    struct summary *s = arg;
    s->total++;
    json_t *value = row->bits != 0 ? row_value(row) : NULL;
    if (value != NULL) {
        (void)json_array_append_new(s->unhealthy, value);
    }
}

json_t *server_summary(const struct keeper *k, int block, uint32_t cores)
{
    struct summary s = {.unhealthy = json_array()};
    each_row(block, cores, sum_row, &s);
    return json_pack("{s:i, s:o, s:O}", "total", s.total, "unhealthy", s.unhealthy, "overrides",
                     k->servers.overrides);
}

// ---- finding a server -------------------------------------------------------------------------------

/** The server that a command means. */
struct target {
    struct keeper *k;
    const char *upstream;
    struct slice address; // without scheme
    char text[ADDRESS_MAX];
    const json_t *entry; // of a list; NULL: an address of a name, or nowhere
    bool in_list;
    char at[ADDRESS_MAX]; // as it is in the list
    char of[ADDRESS_MAX]; // the name's entry
    struct conf_nearest nearest;
};

static bool same_address(const char *written, struct slice address)
{
    struct slice at = slice_str(written);
    (void)conf_address_take_scheme(&at);
    return slice_eq(at, address);
}

static void offer(struct target *t, const char *at, const json_t *entry)
{
    struct slice address = slice_str(at);
    (void)conf_address_take_scheme(&address);
    conf_nearest_offer(&t->nearest, address);
    if (!t->in_list && same_address(at, t->address)) {
        t->in_list = true;
        t->entry = entry;
        ipc_set_text(t->at, sizeof t->at, slice_str(at));
    }
}

static void offer_row(void *arg, const struct server_row *row)
{
    struct target *t = arg;
    if (strcmp(row->upstream, t->upstream) != 0) {
        return;
    }
    conf_nearest_offer(&t->nearest, slice_str(row->address));
    if (!t->in_list && slice_eq(slice_str(row->address), t->address)) {
        t->in_list = true;
        ipc_set_text(t->at, sizeof t->at, slice_str(row->address));
        ipc_set_text(t->of, sizeof t->of, slice_str(row->at));
    }
}

static void offer_lists(struct target *t, const json_t *known)
{
    const struct keeper_servers *s = &t->k->servers;
    const char *at = NULL;
    json_t *entry = NULL;
    json_object_foreach(json_object_get(known, "at"), at, entry)
    {
        offer(t, at, entry);
    }
    size_t i = 0;
    json_t *path = NULL;
    json_array_foreach(json_object_get(known, "files"), i, path)
    {
        for (uint32_t f = 0; f < s->file_count; f++) {
            size_t n = 0;
            bool its = strcmp(s->files[f].path, json_string_value(path)) == 0;
            json_array_foreach(its ? s->files[f].list : NULL, n, entry)
            {
                offer(t, text_of(entry, "at"), entry);
            }
        }
    }
}

static json_t *override_of(const struct target *t)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(t->k->servers.overrides, i, one)
    {
        if (strcmp(text_of(one, "upstream"), t->upstream) == 0 &&
            same_address(text_of(one, "at"), t->address)) {
            return one;
        }
    }
    return NULL;
}

// NULL: it is found, or `must` is not set.
static json_t *find(struct target *t, struct slice word, bool must)
{
    struct conf_problem problem = {"", ""};
    struct text out = text_on(t->text, sizeof t->text - 1);
    if (conf_address_origin(word, &out, &problem) != 0) {
        return refuse("`%.*s`: %s", SLICE_ARG(word), problem.what);
    }
    t->text[out.len] = '\0';
    t->address = slice_str(t->text);
    (void)conf_address_take_scheme(&t->address);
    t->nearest = conf_nearest_to(t->address);
    offer_lists(t, json_object_get(t->k->servers.known, t->upstream));
    json_t *failed = t->in_list ? NULL : all_rows(t->k, offer_row, t);
    if (failed != NULL || t->in_list || override_of(t) != NULL || !must) {
        return failed;
    }
    if (t->nearest.best.len > 0) {
        return refuse("upstream %s has no server %.*s, did you mean %.*s?", t->upstream,
                      SLICE_ARG(t->address), SLICE_ARG(t->nearest.best));
    }
    return refuse("upstream %s has no server %.*s; `adit server list %s` shows those it has",
                  t->upstream, SLICE_ARG(t->address), t->upstream);
}

// ---- changing ---------------------------------------------------------------------------------------

static json_t *make_override(struct target *t)
{
    json_t *o = override_of(t);
    if (o != NULL || json_array_size(t->k->servers.overrides) == SERVERS_OVERRIDES_MAX) {
        return o;
    }
    o = json_pack("{s:s, s:s}", "upstream", t->upstream, "at", t->in_list ? t->at : t->text);
    if (o != NULL && t->of[0] != '\0' && strcmp(t->of, t->at) != 0 && strchr(t->of, ':') != NULL) {
        (void)json_object_set_new(o, "of", json_string(t->of));
    }
    return o != NULL && json_array_append_new(t->k->servers.overrides, o) == 0 ? o : NULL;
}

// An override that says what the list says anyway, or nothing, is none.
static void tidy(struct target *t, json_t *o)
{
    static const char *const keys[] = {"weight", "state"};
    static const char *const usual[] = {"1", "ready"};
    bool added = json_object_get(o, "added") != NULL;
    for (size_t i = 0; i < array_len(keys); i++) {
        const char *listed = text_of(t->entry, keys[i]);
        const char *is = listed[0] != '\0' ? listed : usual[i];
        bool known = t->entry != NULL || added;
        if (known && strcmp(text_of(o, keys[i]), is) == 0) {
            (void)json_object_del(o, keys[i]);
        }
    }
    bool says = added || json_object_get(o, "removed") != NULL ||
                json_object_get(o, "weight") != NULL || json_object_get(o, "state") != NULL;
    for (size_t i = json_array_size(t->k->servers.overrides); !says && i-- > 0;) {
        if (json_array_get(t->k->servers.overrides, i) == o) {
            (void)json_array_remove(t->k->servers.overrides, i);
            return;
        }
    }
}

static json_t *done(struct target *t, const char *did)
{
    servers_save(t->k);
    bool in_force = servers_send(t->k, true);
    return json_pack("{s:b, s:s, s:s%, s:s, s:b}", "ok", 1, "upstream", t->upstream, "address",
                     t->address.ptr, t->address.len, "did", did, "in_force", (int)in_force);
}

static json_t *too_many(void)
{
    return refuse("more than %d servers with something said of them", SERVERS_OVERRIDES_MAX);
}

static bool weight_of(struct slice word, const char **out, char buffer[16])
{
    uint64_t weight = 0;
    if (num_parse_u64(word, SERVERS_WEIGHT_MAX, &weight) != 0 || weight == 0) {
        return false;
    }
    (void)snprintf(buffer, 16, "%u", (unsigned)weight);
    *out = buffer;
    return true;
}

static json_t *add(struct target *t, const struct slice *words, int count)
{
    char number[16];
    const char *weight = NULL;
    const json_t *known = json_object_get(t->k->servers.known, t->upstream);
    if (count > 2 && !(slice_starts(words[2], SLICE("weight=")) &&
                       weight_of(slice_from(words[2], 7), &weight, number))) {
        return refuse("`%.*s` is not weight=1 to weight=%d", SLICE_ARG(words[2]),
                      SERVERS_WEIGHT_MAX);
    }
    json_t *failed = find(t, words[1], false);
    if (failed != NULL) {
        return failed;
    }
    json_t *o = override_of(t);
    bool removed = o != NULL && json_object_get(o, "removed") != NULL;
    if (o != NULL ? !removed : t->in_list) {
        return refuse("upstream %s has %.*s already", t->upstream, SLICE_ARG(t->address));
    }
    bool secure = servers_is_secure(slice_str(t->text));
    if (secure && !t->in_list && !json_is_true(json_object_get(known, "secure"))) {
        return refuse("which name is in its certificate? The upstream has to say: tls: {name: "
                      "app.internal}");
    }
    o = make_override(t);
    if (o == NULL) {
        return too_many();
    }
    (void)json_object_del(o, "removed");
    if (!t->in_list) {
        (void)json_object_set_new(o, "added", json_string("on"));
    }
    if (weight != NULL) {
        (void)json_object_set_new(o, "weight", json_string(weight));
    }
    tidy(t, o);
    return done(t, "add");
}

static json_t *take_away(struct target *t, const struct slice *words)
{
    json_t *failed = find(t, words[1], true);
    json_t *o = failed == NULL ? make_override(t) : NULL;
    if (failed != NULL || o == NULL) {
        return failed != NULL ? failed : too_many();
    }
    bool added = json_object_get(o, "added") != NULL;
    bool named = json_object_get(o, "of") != NULL; // its name may still give it
    static const char *const keys[] = {"added", "weight", "state"};
    for (size_t i = 0; i < array_len(keys); i++) {
        (void)json_object_del(o, keys[i]);
    }
    if (!added || named) {
        (void)json_object_set_new(o, "removed", json_string("on"));
    }
    tidy(t, o);
    return done(t, "remove");
}

static json_t *set_state(struct target *t, const struct slice *words, const char *state)
{
    json_t *failed = find(t, words[1], true);
    json_t *o = failed == NULL ? make_override(t) : NULL;
    if (failed != NULL || o == NULL) {
        return failed != NULL ? failed : too_many();
    }
    if (json_object_get(o, "removed") != NULL) {
        return refuse("%.*s was removed; `adit server add %s %.*s` brings it back",
                      SLICE_ARG(t->address), t->upstream, SLICE_ARG(t->address));
    }
    (void)json_object_set_new(o, "state", json_string(state));
    tidy(t, o);
    return done(t, state);
}

static json_t *set_weight(struct target *t, const struct slice *words, int count)
{
    char number[16];
    const char *weight = NULL;
    if (count < 3 || !weight_of(words[2], &weight, number)) {
        return refuse("a weight is 1 to %d", SERVERS_WEIGHT_MAX);
    }
    json_t *failed = find(t, words[1], true);
    json_t *o = failed == NULL ? make_override(t) : NULL;
    if (failed != NULL || o == NULL) {
        return failed != NULL ? failed : too_many();
    }
    (void)json_object_set_new(o, "weight", json_string(weight));
    tidy(t, o);
    return done(t, "weight");
}

static json_t *change(struct keeper *k, struct slice verb, const struct slice *words, int count)
{
    char upstream[IPC_NAME_MAX];
    ipc_set_text(upstream, sizeof upstream, words[0]);
    if (json_object_get(k->servers.known, upstream) == NULL) {
        return unknown_upstream(k, words[0]);
    }
    struct target t = {.k = k, .upstream = upstream};
    if (slice_eq(verb, SLICE("add"))) {
        return add(&t, words, count);
    }
    if (slice_eq(verb, SLICE("remove"))) {
        return take_away(&t, words);
    }
    if (slice_eq(verb, SLICE("weight"))) {
        return set_weight(&t, words, count);
    }
    static const char *const states[] = {"ready", "drain", "maintenance"};
    for (size_t i = 0; i < array_len(states); i++) {
        if (slice_eq(verb, slice_str(states[i]))) {
            return set_state(&t, words, states[i]);
        }
    }
    return refuse("no such command: list, add, remove, drain, ready, maintenance, weight");
}

json_t *server_command(struct keeper *k, struct slice line)
{
    struct slice words[WORDS_MAX + 1] = {{NULL, 0}};
    int count = 0;
    while (line.len > 0 && count <= WORDS_MAX) {
        ptrdiff_t blank = slice_find_char(line, ' ');
        size_t len = blank >= 0 ? (size_t)blank : line.len;
        if (len > 0) {
            words[count++] = slice_sub(line, 0, len);
        }
        line = slice_from(line, len + 1);
    }
    if (count > 0 && count <= 2 && slice_eq(words[0], SLICE("list"))) {
        return list(k, count > 1 ? words[1] : SLICE(""));
    }
    if (count < 3 || count > WORDS_MAX) {
        return refuse("server list [UPSTREAM], or server COMMAND UPSTREAM ADDRESS");
    }
    return change(k, words[0], &words[1], count - 1);
}
