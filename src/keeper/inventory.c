// SPDX-License-Identifier: Apache-2.0
//
// Listing certificates (keeper/inventory.h). Times are told twice: in seconds since 1970 for programs,
// as text for people.

#include "keeper/inventory.h"

#include <stdio.h>
#include <time.h>

#include "base/arena.h"
#include "base/text.h"
#include "obs/log.h"
#include "tls/cert.h"

#include "keeper/keeper_int.h"
#include "keeper/local.h"

enum { DESCRIBE_BYTES_MAX = 1 << 20 };

static json_t *text_of(struct slice s)
{
    json_t *value = json_stringn(s.ptr != NULL ? s.ptr : "", s.len);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

// "2026-11-23T09:30:00Z", or null.
static json_t *time_of(uint64_t seconds)
{
    char buffer[32];
    time_t t = (time_t)seconds;
    struct tm parts;
    bool known = seconds != 0 && seconds < UINT32_MAX && gmtime_r(&t, &parts) != NULL &&
                 strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
    return known ? json_string(buffer) : json_null();
}

static void put(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

// ---- the list -----------------------------------------------------------------------------------

static json_t *row_of_holding(const struct holding *h)
{
    static const char *const sources[] = {
        [NEED_FILES] = "files",
        [NEED_AUTHORITY] = "authority",
        [NEED_LOCAL] = "local",
        [NEED_ACME] = "acme",
    };
    json_t *row = json_object();
    put(row, "name", text_of(h->name));
    put(row, "source", json_string(h->on_demand ? "on demand" : sources[h->kind]));
    put(row, "key", json_string(h->rsa ? "rsa" : "ecdsa"));
    put(row, "issuer", json_string(h->issuer));
    put(row, "from", json_string(h->via));
    put(row, "not_before", time_of(h->not_before));
    put(row, "expires", time_of(h->not_after));
    put(row, "renews", time_of(h->renew_at));
    put(row, "expires_s", json_integer((json_int_t)h->not_after));
    put(row, "renews_s", json_integer((json_int_t)h->renew_at));
    put(row, "next_attempt", time_of(h->next_attempt));
    put(row, "failures", json_integer(h->failures));
    put(row, "stapled", json_boolean(h->staple.len > 0));
    put(row, "busy", json_boolean(h->busy));
    put(row, "error", json_string(h->error));
    return row;
}

static json_t *names_of(const struct cert_info *info)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < info->name_count; i++) {
        (void)json_array_append_new(names, text_of(info->names[i]));
    }
    return names;
}

static json_t *row_of_files(const struct need *one, const struct holding *h)
{
    struct arena a;
    struct cert_info info = {0};
    json_t *row = json_object();
    arena_init(&a, NULL, 0, NULL, DESCRIBE_BYTES_MAX);
    bool known = cert_describe(one->chain, &a, &info) == 0;
    put(row, "name", text_of(known && info.name_count > 0 ? info.names[0] : one->cert));
    put(row, "source", json_string("files"));
    put(row, "key", text_of(info.key_type));
    put(row, "issuer", text_of(info.issuer));
    put(row, "not_before", time_of(info.not_before));
    put(row, "expires", time_of(info.not_after));
    put(row, "renews", json_null());
    put(row, "expires_s", json_integer((json_int_t)info.not_after));
    put(row, "stapled", json_boolean(h != NULL && h->staple.len > 0));
    put(row, "error", json_string(known ? "" : "cannot be read"));
    put(row, "names", names_of(&info));
    put(row, "file", text_of(one->cert));
    arena_fini(&a);
    return row;
}

static void add_holding(void *arg, struct holding *h)
{
    if (h->wanted && h->kind != NEED_FILES) {
        (void)json_array_append_new(arg, row_of_holding(h));
    }
}

json_t *inventory_list(struct keeper *k)
{
    struct certificates *c = &k->certificates;
    json_t *rows = json_array();
    vault_lock(&c->vault);
    for (const struct need *one = c->needs != NULL ? c->needs->first : NULL; one != NULL;
         one = one->next) {
        if (one->kind == NEED_FILES) {
            (void)json_array_append_new(rows, row_of_files(one, vault_get(&c->vault, one->id)));
        }
    }
    vault_each(&c->vault, add_holding, rows);
    bool root = c->vault.root.len > 0;
    vault_unlock(&c->vault);
    json_t *answer = json_pack("{s:b, s:o, s:s}", "ok", 1, "certificates", rows, "state",
                               k->state >= 0 ? k->state_path : "");
    if (root && k->state >= 0) {
        char path[IPC_PATH_MAX + sizeof LOCAL_ROOT];
        (void)snprintf(path, sizeof path, "%s/" LOCAL_ROOT, k->state_path);
        put(answer, "local_root", json_string(path));
    }
    return answer;
}

// ---- renewals -----------------------------------------------------------------------------------

struct renewal {
    struct slice name;
    uint32_t found;
    uint32_t files; // of that name: not ours to renew
};

static void renew_one(void *arg, struct holding *h)
{
    struct renewal *r = arg;
    if (!h->wanted || h->kind == NEED_FILES || !slice_eq(h->name, r->name)) {
        return;
    }
    h->renew = true;
    r->found++;
}

static bool covered_by_files(const struct need *one, struct slice name)
{
    struct arena a;
    struct cert_info info;
    arena_init(&a, NULL, 0, NULL, DESCRIBE_BYTES_MAX);
    bool covered = one->kind == NEED_FILES && cert_describe(one->chain, &a, &info) == 0 &&
                   cert_covers(&info, name);
    arena_fini(&a);
    return covered;
}

json_t *inventory_renew(struct keeper *k, struct slice name)
{
    struct certificates *c = &k->certificates;
    struct renewal r = {.name = name};
    vault_lock(&c->vault);
    vault_each(&c->vault, renew_one, &r);
    for (const struct need *one = c->needs != NULL ? c->needs->first : NULL; one != NULL;
         one = one->next) {
        r.files += covered_by_files(one, name);
    }
    ensure(pthread_cond_broadcast(&c->vault.changed) == 0);
    vault_wake(&c->vault);
    vault_unlock(&c->vault);
    if (r.found > 0) {
        log_line(LOG_INFO, "renewal asked for name=%.*s", SLICE_ARG(name));
        return json_pack("{s:b, s:i}", "ok", 1, "renewals", (int)r.found);
    }
    return json_pack("{s:b, s:s}", "ok", 0, "error",
                     r.files > 0
                         ? "its certificate comes from files: replace them, then adit reload"
                         : "no certificate of that name; `adit cert` lists them");
}
