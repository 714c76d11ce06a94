// SPDX-License-Identifier: Apache-2.0
//
// The state (state/state.h) as tables, and all the SQL there is. The schema grows by steps: a step is
// never changed once it was released, the next version of adit adds another.

#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "state/sqlite_int.h"

enum { STATE_MAGIC = 0x73746174 };

struct state {
    uint32_t magic;
    struct db db;
};

static const char *const steps[] = {
    "CREATE TABLE grants (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, proof BLOB NOT NULL,"
    " owner TEXT NOT NULL, names TEXT NOT NULL, ports TEXT NOT NULL, tunnels INTEGER NOT NULL,"
    " rate INTEGER NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL, note TEXT NOT NULL, UNIQUE (kind, proof)) STRICT;"
    "CREATE TABLE names (name TEXT PRIMARY KEY, owner TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE domains (name TEXT PRIMARY KEY, owner TEXT NOT NULL, value TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, proved_ms INTEGER NOT NULL, asked_ms INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, why TEXT NOT NULL) STRICT;"
    "CREATE TABLE secrets (made_ms INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;",
    "CREATE TABLE tunnels (row INTEGER PRIMARY KEY, zone TEXT NOT NULL, name TEXT NOT NULL,"
    " owner TEXT NOT NULL, kind INTEGER NOT NULL, bits INTEGER NOT NULL, port INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL) STRICT;",
};

int state_open(int dir, struct state **out, struct text *why)
{
    struct state *s = mem_zalloc(sizeof *s);
    if (s == NULL) {
        text_str(why, error_text(E_NO_MEMORY));
        return E_NO_MEMORY;
    }
    s->magic = STATE_MAGIC;
    int error = db_open(&s->db, dir, STATE_FILE, steps, array_len(steps), why);
    if (error != 0) {
        mem_free(s);
        return error;
    }
    *out = s;
    return 0;
}

bool state_exists(int dir)
{
    struct stat st;
    return dir >= 0 && fstatat(dir, STATE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void state_close(struct state *s)
{
    if (s != NULL) {
        ensure_magic(s, STATE_MAGIC);
        db_close(&s->db);
        s->magic = 0;
        mem_free(s);
    }
}

const char *state_trouble(const struct state *s)
{
    ensure_magic(s, STATE_MAGIC);
    return s->db.trouble;
}

static int change(struct state *s, const char *sql, const struct db_value *values, uint32_t count)
{
    ensure_magic(s, STATE_MAGIC);
    struct db_order order = {.sql = sql, .values = values, .count = count};
    return db_do(&s->db, &order, NULL);
}

static int remove_row(struct state *s, const char *sql, struct slice key)
{
    ensure_magic(s, STATE_MAGIC);
    const struct db_value values[] = {DB_T(key)};
    struct db_order order = {.sql = sql, .values = values, .count = 1};
    int changed = 0;
    int error = db_do(&s->db, &order, &changed);
    return error == 0 && changed == 0 ? E_NOT_FOUND : error;
}

int state_begin(struct state *s)
{
    ensure_magic(s, STATE_MAGIC);
    return db_script(&s->db, "BEGIN IMMEDIATE");
}

int state_end(struct state *s, int error)
{
    ensure_magic(s, STATE_MAGIC);
    char trouble[DB_TROUBLE_MAX];
    memcpy(trouble, s->db.trouble, sizeof trouble);
    int ended = error == 0 ? db_script(&s->db, "COMMIT") : error;
    if (ended != 0) {
        int back = db_script(&s->db, "ROLLBACK"); // the first trouble counts
        (void)back;
        if (error != 0) {
            memcpy(s->db.trouble, trouble, sizeof trouble);
        }
    }
    return ended;
}

// ---- changes ------------------------------------------------------------------------------------

int state_grant_add(struct state *s, const struct state_grant *g)
{
    const struct db_value values[] = {
        DB_T(g->id),         DB_N(g->kind),       DB_B(g->proof),   DB_T(g->owner),
        DB_T(g->names),      DB_T(g->ports),      DB_N(g->tunnels), DB_N(g->rate),
        DB_N(g->created_ms), DB_N(g->expires_ms), DB_N(g->used_ms), DB_T(g->note),
    };
    return change(s,
                  "INSERT INTO grants (id, kind, proof, owner, names, ports, tunnels, rate,"
                  " created_ms, expires_ms, used_ms, note)"
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  values, array_len(values));
}

int state_grant_remove(struct state *s, struct slice id)
{
    return remove_row(s, "DELETE FROM grants WHERE id = ?", id);
}

int state_grant_used(struct state *s, struct slice id, uint64_t ms)
{
    const struct db_value values[] = {DB_N(ms), DB_T(id)};
    return change(s, "UPDATE grants SET used_ms = ? WHERE id = ?", values, array_len(values));
}

int state_name_add(struct state *s, const struct state_name *n)
{
    const struct db_value values[] = {DB_T(n->name), DB_T(n->owner), DB_N(n->created_ms)};
    return change(s, "INSERT INTO names (name, owner, created_ms) VALUES (?, ?, ?)", values,
                  array_len(values));
}

int state_name_remove(struct state *s, struct slice name)
{
    return remove_row(s, "DELETE FROM names WHERE name = ?", name);
}

int state_domain_put(struct state *s, const struct state_domain *d)
{
    const struct db_value values[] = {
        DB_T(d->name),      DB_T(d->owner),    DB_T(d->value),    DB_N(d->created_ms),
        DB_N(d->proved_ms), DB_N(d->asked_ms), DB_N(d->failures), DB_T(d->why),
    };
    return change(s,
                  "INSERT OR REPLACE INTO domains (name, owner, value, created_ms, proved_ms,"
                  " asked_ms, failures, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                  values, array_len(values));
}

int state_domain_remove(struct state *s, struct slice name)
{
    return remove_row(s, "DELETE FROM domains WHERE name = ?", name);
}

int state_secret_add(struct state *s, const struct state_secret *one, uint32_t keep)
{
    const struct db_value values[] = {DB_N(one->made_ms), DB_B(one->bytes)};
    const struct db_value kept[] = {DB_N(keep)};
    int error =
        change(s, "INSERT INTO secrets (made_ms, bytes) VALUES (?, ?)", values, array_len(values));
    return error == 0 ? change(s,
                               "DELETE FROM secrets WHERE made_ms NOT IN"
                               " (SELECT made_ms FROM secrets ORDER BY made_ms DESC LIMIT ?)",
                               kept, array_len(kept))
                      : error;
}

int state_tunnel_put(struct state *s, const struct state_tunnel *t)
{
    const struct db_value values[] = {
        DB_N(t->row),  DB_T(t->zone), DB_T(t->name), DB_T(t->owner),
        DB_N(t->kind), DB_N(t->bits), DB_N(t->port), DB_N(t->since_ms),
    };
    return change(s,
                  "INSERT OR REPLACE INTO tunnels (row, zone, name, owner, kind, bits, port,"
                  " since_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                  values, array_len(values));
}

int state_tunnel_remove(struct state *s, uint32_t row)
{
    const struct db_value values[] = {DB_N(row)};
    return change(s, "DELETE FROM tunnels WHERE row = ?", values, array_len(values));
}

int state_tunnels_clear(struct state *s)
{
    return change(s, "DELETE FROM tunnels", NULL, 0);
}

// ---- reading ------------------------------------------------------------------------------------

struct walk {
    void *arg;
    state_grant_fn *grant;
    state_name_fn *name;
    state_domain_fn *domain;
    state_tunnel_fn *tunnel;
    state_secret_fn *secret;
};

static int walk_rows(struct state *s, const char *sql, void (*row)(void *arg, sqlite3_stmt *st),
                     struct walk *w)
{
    ensure_magic(s, STATE_MAGIC);
    struct db_order order = {.sql = sql, .row = row, .arg = w};
    return db_do(&s->db, &order, NULL);
}

static void grant_row(void *arg, sqlite3_stmt *st)
{
    const struct walk *w = arg;
    struct state_grant g = {
        .id = db_text(st, 0),
        .kind = (uint32_t)db_number(st, 1),
        .owner = db_text(st, 3),
        .names = db_text(st, 4),
        .ports = db_text(st, 5),
        .tunnels = (uint32_t)db_number(st, 6),
        .rate = (uint32_t)db_number(st, 7),
        .created_ms = db_number(st, 8),
        .expires_ms = db_number(st, 9),
        .used_ms = db_number(st, 10),
        .note = db_text(st, 11),
    };
    db_blob(st, 2, g.proof, sizeof g.proof);
    w->grant(w->arg, &g);
}

int state_grants_each(struct state *s, state_grant_fn *each, void *arg)
{
    struct walk w = {.arg = arg, .grant = each};
    return walk_rows(s,
                     "SELECT id, kind, proof, owner, names, ports, tunnels, rate, created_ms,"
                     " expires_ms, used_ms, note FROM grants ORDER BY created_ms, id",
                     grant_row, &w);
}

static void name_row(void *arg, sqlite3_stmt *st)
{
    const struct walk *w = arg;
    struct state_name n = {db_text(st, 0), db_text(st, 1), db_number(st, 2)};
    w->name(w->arg, &n);
}

int state_names_each(struct state *s, state_name_fn *each, void *arg)
{
    struct walk w = {.arg = arg, .name = each};
    return walk_rows(s, "SELECT name, owner, created_ms FROM names ORDER BY name", name_row, &w);
}

static void domain_row(void *arg, sqlite3_stmt *st)
{
    const struct walk *w = arg;
    struct state_domain d = {
        .name = db_text(st, 0),
        .owner = db_text(st, 1),
        .value = db_text(st, 2),
        .created_ms = db_number(st, 3),
        .proved_ms = db_number(st, 4),
        .asked_ms = db_number(st, 5),
        .failures = (uint32_t)db_number(st, 6),
        .why = db_text(st, 7),
    };
    w->domain(w->arg, &d);
}

int state_domains_each(struct state *s, state_domain_fn *each, void *arg)
{
    struct walk w = {.arg = arg, .domain = each};
    return walk_rows(s,
                     "SELECT name, owner, value, created_ms, proved_ms, asked_ms, failures, why"
                     " FROM domains ORDER BY name",
                     domain_row, &w);
}

static void tunnel_row(void *arg, sqlite3_stmt *st)
{
    const struct walk *w = arg;
    struct state_tunnel t = {
        .row = (uint32_t)db_number(st, 0),
        .zone = db_text(st, 1),
        .name = db_text(st, 2),
        .owner = db_text(st, 3),
        .kind = (uint32_t)db_number(st, 4),
        .bits = (uint32_t)db_number(st, 5),
        .port = (uint32_t)db_number(st, 6),
        .since_ms = db_number(st, 7),
    };
    w->tunnel(w->arg, &t);
}

int state_tunnels_each(struct state *s, state_tunnel_fn *each, void *arg)
{
    struct walk w = {.arg = arg, .tunnel = each};
    return walk_rows(s,
                     "SELECT row, zone, name, owner, kind, bits, port, since_ms FROM tunnels"
                     " ORDER BY row",
                     tunnel_row, &w);
}

static void secret_row(void *arg, sqlite3_stmt *st)
{
    const struct walk *w = arg;
    struct state_secret one = {.made_ms = db_number(st, 0)};
    db_blob(st, 1, one.bytes, sizeof one.bytes);
    w->secret(w->arg, &one);
}

int state_secrets_each(struct state *s, state_secret_fn *each, void *arg)
{
    struct walk w = {.arg = arg, .secret = each};
    return walk_rows(s, "SELECT made_ms, bytes FROM secrets ORDER BY made_ms DESC", secret_row, &w);
}
