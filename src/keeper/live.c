// SPDX-License-Identifier: Apache-2.0
//
// Keeping the tunnels that live (keeper/live.h). A look reads one word for the table, then one for each
// row, and only rows that were written since. Most of these say that a tunnel was parked or came back,
// which is not kept; what is, is compared by its hash.

#include "keeper/live.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/slab.h"
#include "obs/log.h"
#include "obs/tunnel_rows.h"
#include "os/clock.h"
#include "os/shared.h"
#include "state/state.h"

#include "keeper/keeper_int.h"

enum { LOOK_MS = 1000, FAILED_MS = 60000 };

struct live_seen {
    uint32_t edition; // of the row when it was looked at
    bool kept;
    uint64_t hash; // of what is kept
};

void live_init(struct keeper_live *l)
{
    *l = (struct keeper_live){0};
}

static void unmap(struct keeper_live *l)
{
    if (l->rows != NULL) {
        os_shared_unmap((void *)(uintptr_t)l->rows, tunnel_rows_bytes());
    }
    l->rows = NULL;
}

void live_fini(struct keeper_live *l)
{
    unmap(l);
    mem_free(l->seen);
    live_init(l);
}

void live_take_rows(struct keeper *k, int fd)
{
    struct keeper_live *l = &k->live;
    void *at = NULL;
    unmap(l);
    l->fresh = true;
    if (os_shared_map(fd, tunnel_rows_bytes(), false, &at) != 0) {
        return;
    }
    l->rows = tunnel_rows_open(at, tunnel_rows_bytes());
    if (l->rows == NULL) { // the worker had no memory for them
        os_shared_unmap(at, tunnel_rows_bytes());
    }
}

// ---- looking ------------------------------------------------------------------------------------

static struct state_tunnel tunnel_of(const struct tunnel_row *row, uint32_t index)
{
    return (struct state_tunnel){
        .row = index,
        .zone = slice_str(row->zone),
        .name = slice_str(row->name),
        .owner = slice_str(row->owner),
        .kind = row->kind,
        .bits = row->bits,
        .port = row->port,
        .since_ms = row->since_wall_ms,
    };
}

static uint64_t hash_of(const struct state_tunnel *t)
{
    static const struct hash_key key = {{0}}; // agents choose texts, but gain nothing by a clash
    uint64_t numbers[] = {t->kind, t->bits, t->port, t->since_ms};
    uint64_t hash = hash_bytes(&key, slice_of((const char *)numbers, sizeof numbers));
    const struct slice texts[] = {t->zone, t->name, t->owner};
    for (size_t i = 0; i < array_len(texts); i++) {
        hash = hash * 31 + hash_bytes(&key, texts[i]);
    }
    return hash;
}

// One row that has changed: into the state, out of it, or neither.
static int keep_row(struct keeper *k, uint32_t index)
{
    struct live_seen *seen = &k->live.seen[index];
    struct tunnel_row row;
    seen->edition = tunnel_rows_edition(k->live.rows, index);
    if (!tunnel_rows_read(k->live.rows, index, &row)) {
        bool was = seen->kept;
        seen->kept = false;
        return was ? state_tunnel_remove(k->grants.state, index) : 0;
    }
    const struct state_tunnel t = tunnel_of(&row, index);
    uint64_t hash = hash_of(&t);
    if (seen->kept && seen->hash == hash) {
        return 0;
    }
    seen->kept = true;
    seen->hash = hash;
    return state_tunnel_put(k->grants.state, &t);
}

static bool has_changed(const struct keeper_live *l, uint32_t index)
{
    return l->fresh || l->seen[index].edition != tunnel_rows_edition(l->rows, index);
}

static int keep_rows(struct keeper *k)
{
    struct keeper_live *l = &k->live;
    uint32_t high = tunnel_rows_high(l->rows);
    int error = state_begin(k->grants.state);
    if (error != 0) {
        return error;
    }
    if (l->fresh) {
        memset(l->seen, 0, TUNNEL_ROWS_MAX * sizeof *l->seen);
        error = state_tunnels_clear(k->grants.state);
    }
    for (uint32_t i = 0; error == 0 && i < high; i++) {
        error = has_changed(l, i) ? keep_row(k, i) : 0;
    }
    return state_end(k->grants.state, error);
}

static bool is_wanted(const struct keeper *k)
{
    return k->live.rows != NULL && k->state >= 0 && k->grants.state != NULL;
}

void live_tick(struct keeper *k)
{
    struct keeper_live *l = &k->live;
    if (k->ending || !is_wanted(k) || os_clock_ms() < l->look_at_ms) {
        return;
    }
    l->look_at_ms = os_clock_ms() + LOOK_MS;
    uint32_t changes = tunnel_rows_changes(l->rows);
    if (!l->fresh && changes == l->changes) {
        return;
    }
    if (l->seen == NULL) {
        l->seen = mem_zalloc(TUNNEL_ROWS_MAX * sizeof *l->seen);
    }
    int error = l->seen != NULL ? keep_rows(k) : E_NO_MEMORY;
    l->changes = changes;
    l->fresh = error != 0; // then all of it anew
    if (error != 0) {
        l->look_at_ms += FAILED_MS;
    }
    if (error != 0 && !l->failed) {
        log_line(LOG_WARN, "which tunnels there are cannot be kept for the next start: %s",
                 l->seen != NULL ? state_trouble(k->grants.state) : error_text(error));
    }
    l->failed = error != 0;
}

int live_wait_ms(const struct keeper *k)
{
    uint64_t now = os_clock_ms();
    if (!is_wanted(k)) {
        return -1;
    }
    return k->live.look_at_ms > now ? (int)(k->live.look_at_ms - now) : 0;
}

// ---- at the start -------------------------------------------------------------------------------

static void put(char *field, size_t size, struct slice text)
{
    (void)snprintf(field, size, "%.*s", SLICE_ARG(text));
}

static void put_row(void *arg, const struct state_tunnel *t)
{
    struct tunnel_rows *rows = arg;
    struct tunnel_row row = {
        .counts.state = TUNNEL_ROW_PARKED,
        .since_wall_ms = t->since_ms,
        .kind = t->kind,
        .bits = t->bits,
        .port = t->port,
    };
    put(row.zone, sizeof row.zone, t->zone);
    put(row.name, sizeof row.name, t->name);
    put(row.owner, sizeof row.owner, t->owner);
    tunnel_rows_set(rows, tunnel_rows_take(rows), &row);
}

static int send_rows(struct keeper *k, int fd)
{
    void *at = NULL;
    int error = os_shared_map(fd, tunnel_rows_bytes(), true, &at);
    if (error != 0) {
        return error;
    }
    struct tunnel_rows *rows = tunnel_rows_begin(at);
    error = state_tunnels_each(k->grants.state, put_row, rows);
    bool any = tunnel_rows_high(rows) > 0;
    os_shared_unmap(at, tunnel_rows_bytes());
    struct ipc_message m;
    ipc_init(&m, IPC_tunnels_kept);
    return error == 0 && any ? keeper_send(k, &m, &fd, 1) : error;
}

void live_send_kept(struct keeper *k)
{
    if (k->state < 0 || k->grants.state == NULL || k->live.sent) {
        return;
    }
    k->live.sent = true;
    int fd = os_shared_make("adit-kept", tunnel_rows_bytes());
    int error = fd < 0 ? fd : send_rows(k, fd);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (error != 0) {
        log_line(LOG_WARN, "names of tunnels of before the start are not kept free: %s",
                 error_text(error));
    }
}
