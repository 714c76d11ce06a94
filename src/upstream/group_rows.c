// SPDX-License-Identifier: Apache-2.0
//
// How the servers of a group are, told to whoever reads the rows (obs/server_rows.h): once a second,
// and at once when the list changes. A server has a row from its first list to its last; when there
// are none left it is served all the same and not told of.

#include "base/text.h"
#include "obs/server_rows.h"
#include "upstream/group_int.h"

enum { TELL_MS = 1000 };

static_assert((int)SERVER_ROW_DOWN == (int)VITALS_DOWN, "told as they are");
static_assert((int)SERVER_ROW_EJECTED == (int)VITALS_EJECTED, "told as they are");
static_assert((int)SERVER_ROW_DRAIN == (int)VITALS_DRAIN, "told as they are");
static_assert((int)SERVER_ROW_MAINTENANCE == (int)VITALS_MAINTENANCE, "told as they are");
static_assert((int)SERVER_ROW_TIER_BACKUP == (int)ROSTER_BACKUP_TIER, "told as it is");

static struct loop *home_loop(const struct group *g)
{
    return g->registry->cores[g->home].loop;
}

static void put(char *field, size_t size, struct slice text)
{
    struct text t = text_on(field, size - 1);
    text_put(&t, slice_sub(text, 0, size - 1));
}

static uint64_t load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void tell(struct group *g, const struct roster *r, uint32_t index)
{
    struct server *s = r->entries[index].server;
    const struct vitals *v = &s->vitals;
    struct loop *l = home_loop(g);
    uint64_t now_ms = loop_clock_ns(l) / 1000000;
    uint64_t ejected_until = load(&v->ejected_until_ms);
    uint32_t bits = atomic_load_explicit(&v->bits, memory_order_relaxed) & ~(uint32_t)VITALS_GONE;
    if (s->row == SERVER_ROWS_NONE) {
        s->row = server_rows_claim(g->registry->rows);
        s->told_since_ms = l->wall_ms;
        s->told_bits = bits;
    }
    if (s->told_bits != bits) {
        s->told_since_ms = l->wall_ms;
        s->told_bits = bits;
    }
    struct server_row row = {
        .bits = bits,
        .weight = r->servers[index].weight,
        .tier = r->entries[index].tier,
        .active = vitals_active(v),
        .open = atomic_load_explicit(&v->open, memory_order_relaxed),
        .limit = atomic_load_explicit(&v->limit, memory_order_relaxed),
        .requests = load(&v->requests),
        .failures = load(&v->failures),
        .latency_ns = load(&v->latency_ns),
        .since_wall_ms = s->told_since_ms,
        .ejected_until_ms = ejected_until > now_ms ? l->wall_ms + (ejected_until - now_ms) : 0,
    };
    put(row.upstream, sizeof(row.upstream), slice_str(g->name));
    put(row.address, sizeof(row.address), server_text(s));
    put(row.at, sizeof(row.at), server_host(s));
    if (g->care.health != NULL && (bits & VITALS_DOWN) != 0) {
        struct slice why = health_text(g->care.health, s); // "down: HTTP 503"
        ptrdiff_t colon = slice_find_char(why, ' ');
        put(row.reason, sizeof(row.reason), slice_from(why, (size_t)(colon + 1)));
    }
    uint64_t since = load(&v->ready_since_ms);
    if (r->balance.slow_start_ms != 0 && since != 0 && now_ms - since < r->balance.slow_start_ms) {
        row.bits |= SERVER_ROW_SLOW;
    }
    server_rows_write(g->registry->rows, s->row, &row);
}

static void tell_all(struct group *g)
{
    const struct roster *r = g->newest;
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        tell(g, r, i);
    }
}

static void on_tell(struct wheel_timer *t)
{
    struct group *g = container_of(t, struct group, tell);
    ensure_magic(g, GROUP_MAGIC);
    tell_all(g);
    loop_timer_set(home_loop(g), t, TELL_MS);
}

void group_rows_init(struct group *g)
{
    wheel_timer_init(&g->tell, on_tell);
}

void group_rows_begin(struct group *g)
{
    if (g->registry->rows == NULL) {
        return;
    }
    tell_all(g);
    loop_timer_stop(home_loop(g), &g->tell);
    loop_timer_set(home_loop(g), &g->tell, TELL_MS);
}

void group_rows_end(struct group *g)
{
    if (g->registry->rows != NULL && home_loop(g) != NULL) {
        loop_timer_stop(home_loop(g), &g->tell);
    }
}

void group_rows_forget(const struct group *g, struct server *s)
{
    if (g->registry->rows != NULL && s->row != SERVER_ROWS_NONE) {
        server_rows_release(g->registry->rows, s->row);
        s->row = SERVER_ROWS_NONE;
    }
}
