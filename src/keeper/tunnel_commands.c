// SPDX-License-Identifier: Apache-2.0
//
// `adit tunnels` and `adit kick` on the keeper's side. Which tunnels there are is read from the rows
// that the worker writes (obs/tunnel_rows.h), so the list answers when the worker hangs; a kick is the
// worker's to do. The rows tell as well which grants are in use, which is noted once an hour.

#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"
#include "obs/tunnel_rows.h"
#include "os/clock.h"
#include "state/state.h"

#include "keeper/grants.h"
#include "keeper/keeper_int.h"

enum { KICK_WAIT_MS = 3000, URL_MAX = 400, USED_GRAIN_MS = 3600 * 1000, USED_AT_ONCE = 256 };

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(text that is not UTF-8)");
}

// ---- list ---------------------------------------------------------------------------------------

static void list_row(void *arg, const struct tunnel_row *row)
{
    static const char *const kinds[] = {"http", "tcp", "udp"};
    char buffer[URL_MAX];
    struct text url = text_on(buffer, sizeof buffer - 1);
    tunnel_row_url(row, &url);
    buffer[url.len] = '\0';
    json_t *one = json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "name", text_value(row->name), "zone", text_value(row->zone), "url", text_value(buffer),
        "kind", row->kind < array_len(kinds) ? kinds[row->kind] : "?", "state",
        row->counts.state == TUNNEL_ROW_PARKED ? "parked" : "live", "owner", text_value(row->owner),
        "grant", text_value(row->grant), "from", text_value(row->address), "agent",
        text_value(row->agent), "since_ms", (json_int_t)row->since_wall_ms, "state_since_ms",
        (json_int_t)row->state_wall_ms, "instances", (json_int_t)row->counts.instances,
        "connections", (json_int_t)row->counts.connections, "active",
        (json_int_t)row->counts.active, "requests", (json_int_t)row->counts.requests, "bytes_in",
        (json_int_t)row->counts.bytes_in, "bytes_out", (json_int_t)row->counts.bytes_out);
    uint32_t rtt = row->counts.rtt_us;
    (void)json_object_set_new(one, "rtt_us", rtt != 0 ? json_integer(rtt) : json_null());
    if (one != NULL) {
        (void)json_array_append_new(arg, one);
    }
}

json_t *tunnels_list(const struct keeper *k)
{
    json_t *all = json_array();
    if (k->live.rows != NULL) {
        tunnel_rows_each(k->live.rows, list_row, all);
    }
    return json_pack("{s:b, s:o}", "ok", 1, "tunnels", all);
}

// ---- kick ---------------------------------------------------------------------------------------

json_t *tunnels_kick_command(struct keeper *k, struct slice words)
{
    ptrdiff_t blank = slice_find_char(words, ' ');
    size_t len = blank >= 0 ? (size_t)blank : words.len;
    struct slice name = slice_sub(words, 0, len);
    struct slice reason = slice_trim(slice_from(words, len + 1));
    struct ipc_message m;
    struct ipc_fds fds;
    if (name.len == 0 || name.len >= IPC_NAME_MAX) {
        return grants_refuse("`%.*s` is no name of a tunnel", SLICE_ARG(name));
    }
    ipc_init(&m, IPC_kick);
    uint64_t number = ++k->grants.kicks;
    m.u.kick.number = number;
    ipc_set_text(m.u.kick.name, sizeof m.u.kick.name, name);
    ipc_set_text(m.u.kick.text, sizeof m.u.kick.text,
                 reason.len > 0 ? reason : SLICE("the operator ended it"));
    int error = keeper_send(k, &m, NULL, 0);
    do {
        error = error == 0 ? keeper_await_for(k, IPC_kicked, &m, &fds, KICK_WAIT_MS) : error;
    } while (error == 0 && m.u.kicked.number != number);
    if (error != 0 || m.u.kicked.error != 0) {
        return grants_refuse("the worker does not answer: try again");
    }
    if (m.u.kicked.count == 0) {
        return grants_refuse("there is no tunnel `%.*s`; `adit tunnels` lists them",
                             SLICE_ARG(name));
    }
    log_line(LOG_INFO, "tunnel ended by command name=%.*s count=%u", SLICE_ARG(name),
             m.u.kicked.count);
    return json_pack("{s:b, s:i}", "ok", 1, "tunnels", (int)m.u.kicked.count);
}

// ---- grants in use ------------------------------------------------------------------------------

struct used {
    uint32_t count;
    char id[USED_AT_ONCE][TUNNEL_ROW_GRANT_MAX];
    bool noted[USED_AT_ONCE]; // less than an hour ago
};

static uint32_t find_used(const struct used *u, struct slice id)
{
    uint32_t i = 0;
    while (i < u->count && !slice_eq(slice_str(u->id[i]), id)) {
        i++;
    }
    return i;
}

static void skip_noted(void *arg, const struct state_grant *g)
{
    struct used *u = arg;
    uint32_t i = find_used(u, g->id);
    if (i < u->count && g->used_ms + USED_GRAIN_MS > os_clock_wall_ms()) {
        u->noted[i] = true;
    }
}

// More than fit are noted by one of the next looks.
static void collect(struct used *u, const struct tunnel_rows *rows)
{
    static uint32_t at; // where the last look ended
    for (uint32_t i = 0; i < TUNNEL_ROWS_MAX && u->count < USED_AT_ONCE; i++) {
        struct tunnel_row row;
        at = (at + 1) % TUNNEL_ROWS_MAX;
        if (tunnel_rows_last(rows, at, &row) && row.grant[0] != '\0' &&
            find_used(u, slice_str(row.grant)) == u->count) {
            memcpy(u->id[u->count++], row.grant, sizeof row.grant);
        }
    }
}

void tunnels_note_used(struct keeper *k)
{
    static struct used u; // the main thread only
    u = (struct used){0};
    if (k->live.rows == NULL) {
        return;
    }
    collect(&u, k->live.rows);
    int error = u.count > 0 ? state_grants_each(k->grants.state, skip_noted, &u) : E_NOT_FOUND;
    uint32_t left = 0;
    for (uint32_t i = 0; i < u.count; i++) {
        left += !u.noted[i];
    }
    if (error != 0 || left == 0 || state_begin(k->grants.state) != 0) {
        return;
    }
    for (uint32_t i = 0; error == 0 && i < u.count; i++) {
        if (!u.noted[i]) {
            error = state_grant_used(k->grants.state, slice_str(u.id[i]), os_clock_wall_ms());
        }
    }
    error = state_end(k->grants.state, error);
    if (error != 0) {
        log_line(LOG_WARN, "which grants are in use cannot be written: %s",
                 state_trouble(k->grants.state));
    }
}
