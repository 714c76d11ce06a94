// SPDX-License-Identifier: Apache-2.0
//
// Clients. `next` is the plan whose answer is awaited, `sent` the one that is sent next. When a
// connection ends, what was sent behind the awaited request and not answered is sent again on the
// next one: the proxy has not looked at it, or closed after it said so (RFC 9112 9.3.1).

#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/num.h"
#include "wire.h"

enum { CLIENT_OUT = 8192, CONTINUE_NS = 500000000, CONNECTIONS_MAX = 64 };

struct client {
    struct client *all_next;
    struct world *w;
    struct os_addr to;
    struct client_habits habits;
    struct sim_end *end;
    uint32_t generation; // of the connection: timers of an old one do nothing
    uint32_t connections;
    uint32_t next, sent, stop;
    struct wire wire;
    bool done;
    bool paused, read_paused;
    bool last_said; // the answer said that the connection closes
    // The body being read is compressed.
    bool inflating;
    bool inflate_ended;
    z_stream inflate;
    uint64_t inflated;
    // Sending.
    bool head_sent;
    bool awaiting_continue;
    uint64_t body_at;
    char out[CLIENT_OUT];
    size_t out_len, out_pos;
};

static struct client *all;
struct tick;
static struct tick *all_ticks;

struct tick {
    struct tick *all_next;
    struct client *x;
    uint32_t generation;
};

static void client_event(struct sim_end *e, unsigned events, void *user);
static void connect_again(struct client *x);

static struct rng *rng(struct client *x)
{
    return sim_rng(x->w->s);
}

static struct plan *plan_at(struct client *x, uint32_t i)
{
    return &x->w->plans[i];
}

static void finish(struct client *x)
{
    x->done = true;
    x->generation++;
    x->w->clients_left--;
    if (x->end != NULL) {
        sim_close(x->end);
    }
}

// ---- timers of one connection ------------------------------------------------------------------------

static struct tick *tick_of(struct client *x)
{
    struct tick *t = malloc(sizeof(*t));
    ensure(t != NULL);
    *t = (struct tick){all_ticks, x, x->generation};
    all_ticks = t;
    return t;
}

static struct client *take_tick(void *user)
{
    struct tick *t = user;
    return t->generation == t->x->generation ? t->x : NULL;
}

static void pause_over(void *user)
{
    struct client *x = take_tick(user);
    if (x != NULL) {
        x->paused = false;
        client_event(x->end, 0, x);
    }
}

static void read_pause_over(void *user)
{
    struct client *x = take_tick(user);
    if (x != NULL) {
        x->read_paused = false;
        client_event(x->end, 0, x);
    }
}

static void continue_over(void *user)
{
    struct client *x = take_tick(user);
    if (x != NULL && x->awaiting_continue) {
        x->awaiting_continue = false;
        client_event(x->end, 0, x);
    }
}

static void abort_now(void *user)
{
    struct client *x = user;
    if (x->done) {
        return;
    }
    if (x->habits.abort_by_reset && x->end != NULL) {
        sim_reset(x->end);
    }
    finish(x);
}

// ---- sending -----------------------------------------------------------------------------------------

static void make_head(struct client *x, const struct plan *p)
{
    char framing[64] = "";
    if (p->request_framing == PLAN_LENGTH) {
        (void)snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n",
                       (unsigned long long)p->request_bytes);
    } else if (p->request_framing == PLAN_CHUNKED) {
        (void)snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
    }
    int n = snprintf(x->out, sizeof(x->out), "%s /r/%u HTTP/1.%d\r\nHost: sim.test\r\n%s%s%s%s\r\n",
                     p->method, p->id, p->old_client ? 0 : 1, framing,
                     p->expect ? "Expect: 100-continue\r\n" : "",
                     p->gzip ? "Accept-Encoding: gzip\r\n" : "",
                     rng_chance(rng(x), 0.3) ? "X-More: some text that makes it longer\r\n" : "");
    ensure(n > 0 && (size_t)n < sizeof(x->out));
    x->out_len = (size_t)n;
    x->head_sent = true;
    x->body_at = 0;
}

static void make_piece(struct client *x, const struct plan *p)
{
    uint64_t left = p->request_bytes - x->body_at;
    size_t n = 1 + (size_t)rng_below(rng(x), CLIENT_OUT - 64);
    n = n < left ? n : (size_t)left;
    x->out_len = 0;
    if (p->request_framing == PLAN_CHUNKED) {
        x->out_len = (size_t)snprintf(x->out, 32, "%zx\r\n", n);
    }
    plan_fill(p, false, x->body_at, x->out + x->out_len, n);
    x->out_len += n;
    x->body_at += n;
    if (p->request_framing == PLAN_CHUNKED) {
        const char *end = x->body_at == p->request_bytes ? "\r\n0\r\n\r\n" : "\r\n";
        memcpy(x->out + x->out_len, end, strlen(end));
        x->out_len += strlen(end);
    }
}

// Makes the next bytes to send; false when there are none for now.
static bool produce(struct client *x)
{
    x->out_len = 0;
    x->out_pos = 0;
    if (x->sent == x->stop || x->sent >= x->next + x->habits.depth) {
        return false;
    }
    struct plan *p = plan_at(x, x->sent);
    if (x->sent > x->next && plan_at(x, x->sent - 1)->old_client) {
        return false; // HTTP/1.0 closes after its answer
    }
    if (!x->head_sent) {
        p->asked++;
        make_head(x, p);
        if (p->expect) {
            x->awaiting_continue = true;
            sim_after(x->w->s, CONTINUE_NS, continue_over, tick_of(x));
        }
        return true;
    }
    if (x->awaiting_continue) {
        return false;
    }
    if (x->body_at < p->request_bytes) {
        make_piece(x, p);
        return true;
    }
    if (p->request_framing == PLAN_CHUNKED && p->request_bytes == 0 && x->body_at == 0) {
        x->out_len = (size_t)snprintf(x->out, 32, "0\r\n\r\n");
    }
    x->head_sent = false;
    do {
        x->sent++;
    } while (x->sent < x->stop && plan_at(x, x->sent)->outcome != OUT_NONE);
    return true;
}

static void send_some(struct client *x)
{
    while (!x->paused) {
        if (x->out_pos == x->out_len) {
            if (!produce(x)) {
                return;
            }
            if (x->habits.pause_max_ns > 0 && rng_chance(rng(x), 0.3)) {
                x->paused = true;
                sim_after(x->w->s, rng_below(rng(x), x->habits.pause_max_ns), pause_over,
                          tick_of(x));
                return;
            }
        }
        size_t left = x->out_len - x->out_pos;
        size_t piece = 1 + (size_t)rng_below(rng(x), x->habits.piece_max);
        piece = piece < left ? piece : left;
        size_t n = sim_send(x->end, slice_of(x->out + x->out_pos, piece));
        x->out_pos += n;
        if (n < piece) {
            return;
        }
    }
}

// ---- receiving ---------------------------------------------------------------------------------------

static bool is_planned(struct client *x)
{
    return wire_field(&x->wire, "x-id").len > 0;
}

static void stop_inflating(struct client *x)
{
    if (x->inflating) {
        (void)inflateEnd(&x->inflate);
        x->inflating = false;
    }
}

static void inflate_some(struct client *x, struct slice bytes)
{
    const struct plan *p = plan_at(x, x->next);
    char out[8192];
    char in[8192];
    while (bytes.len > 0 || x->inflate.avail_in > 0) {
        size_t n = bytes.len < sizeof(in) ? bytes.len : sizeof(in);
        memcpy(in, bytes.ptr, n); // zlib takes no const
        bytes = slice_from(bytes, n);
        x->inflate.next_in = (unsigned char *)in;
        x->inflate.avail_in = (unsigned)n;
        do {
            x->inflate.next_out = (unsigned char *)out;
            x->inflate.avail_out = sizeof(out);
            int rc = inflate(&x->inflate, Z_NO_FLUSH);
            if ((rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) || x->inflate_ended) {
                sim_fail(x->w->c, "request %u: bad gzip (%d)", p->id, rc);
                return;
            }
            size_t got = sizeof(out) - x->inflate.avail_out;
            if (is_planned(x)) { // else it is an error page
                plan_check(x->w, p, true, slice_of(out, got), x->inflated);
            }
            x->inflated += got;
            x->inflate_ended = rc == Z_STREAM_END;
        } while (!x->inflate_ended && (x->inflate.avail_out == 0 || x->inflate.avail_in > 0));
    }
}

static void on_response_body(void *user, struct slice bytes, uint64_t at)
{
    struct client *x = user;
    bool gzip = wire_field(&x->wire, "content-encoding").len > 0;
    if (gzip && at == 0) {
        stop_inflating(x);
        memset(&x->inflate, 0, sizeof(x->inflate));
        ensure(inflateInit2(&x->inflate, 16 + MAX_WBITS) == Z_OK);
        x->inflating = true;
        sim_note(x->w->c, "request %u: gzip", plan_at(x, x->next)->id);
        x->inflate_ended = false;
        x->inflated = 0;
    }
    if (gzip) {
        inflate_some(x, bytes);
    } else if (is_planned(x)) {
        plan_check(x->w, plan_at(x, x->next), true, bytes, at);
    }
}

static void judge(struct client *x, struct plan *p, unsigned outcome)
{
    p->outcome |= outcome;
    if ((p->allowed & outcome) == 0) {
        sim_fail(x->w->c,
                 "request %u: outcome %u (status %d), allowed %u; %s 1.%d, sends %d/%llu, gets %d "
                 "%d/%llu, fault %d, seen %u",
                 p->id, outcome, x->wire.status, p->allowed, p->method, p->old_client ? 0 : 1,
                 (int)p->request_framing, (unsigned long long)p->request_bytes, p->status,
                 (int)p->response_framing, (unsigned long long)p->response_bytes, (int)p->fault,
                 p->seen);
    }
}

// To the next request without an outcome.
static void advance(struct client *x)
{
    do {
        x->next++;
    } while (x->next < x->stop && plan_at(x, x->next)->outcome != OUT_NONE);
}

static void check_answer(struct client *x, const struct plan *p)
{
    const struct wire *w = &x->wire;
    uint64_t id;
    bool own = num_parse_u64(wire_field(w, "x-id"), UINT64_MAX, &id) == 0 && id == p->id;
    if (!own || wire_field_count(w, "x-id") != 1) {
        sim_fail(x->w->c, "request %u got the answer to another", p->id);
    }
    if (w->status != p->status) {
        sim_fail(x->w->c, "request %u: status %d, planned %d", p->id, w->status, p->status);
    }
    uint64_t want = plan_has_response_body(p) ? p->response_bytes : 0;
    uint64_t got = w->body_bytes;
    if (wire_field(w, "content-encoding").len > 0 && plan_has_response_body(p)) {
        if (!p->gzip || !x->inflating || !x->inflate_ended) {
            sim_fail(x->w->c, "request %u: gzip that was not asked for, or not whole", p->id);
        }
        got = x->inflated;
    }
    if (got != want) {
        sim_fail(x->w->c, "request %u: %llu of %llu body bytes, and nobody says so", p->id,
                 (unsigned long long)got, (unsigned long long)want);
    }
}

// A whole response is there; false when the connection is done with.
static bool on_response(struct client *x)
{
    struct plan *p = plan_at(x, x->next);
    if (x->wire.status < 200) {
        if (x->wire.status == 100) {
            x->awaiting_continue = false;
        }
        if (p->old_client) {
            sim_fail(x->w->c, "request %u: an interim response to HTTP/1.0", p->id);
        }
        wire_reset(&x->wire);
        return true;
    }
    if (x->wire.chunked && p->old_client) {
        sim_fail(x->w->c, "request %u: chunked to HTTP/1.0", p->id);
    }
    if (is_planned(x)) {
        check_answer(x, p);
    } else if (x->wire.status < 400) {
        sim_fail(x->w->c, "request %u: status %d of nobody", p->id, x->wire.status);
    }
    judge(x, p, is_planned(x) ? OUT_GOOD : OUT_ERROR);
    advance(x);
    x->awaiting_continue = false; // whoever answers without 100 gets the body all the same
    x->last_said = x->wire.close || p->old_client;
    wire_reset(&x->wire);
    if (x->next == x->stop) {
        finish(x);
        return false;
    }
    if (x->last_said) {
        connect_again(x);
        return false;
    }
    return true;
}

static void connection_ended(struct client *x)
{
    struct plan *p = plan_at(x, x->next);
    wire_eof(&x->wire);
    if (x->wire.state == WIRE_DONE && !sim_is_reset(x->end)) {
        (void)on_response(x); // delimited by the close
        return;
    }
    sim_note(x->w->c, "request %u: connection %s in state %d", p->id,
             sim_is_reset(x->end) ? "reset" : "closed", (int)x->wire.state);
    judge(x, p, OUT_CUT);
    // What was sent behind it is lost as well; it is sent again unless an origin may have acted on it.
    for (uint32_t i = x->next + 1; i < x->stop && i < x->sent + 1; i++) {
        struct plan *behind = plan_at(x, i);
        if (behind->seen > 0 && !plan_is_idempotent(behind)) {
            judge(x, behind, OUT_CUT);
        }
    }
    advance(x);
    if (x->next == x->stop) {
        finish(x);
    } else {
        connect_again(x);
    }
}

static void receive(struct client *x, uint32_t generation)
{
    char buffer[8192];
    while (generation == x->generation && !x->read_paused) {
        size_t max = x->habits.read_max < sizeof(buffer) ? x->habits.read_max : sizeof(buffer);
        size_t n = sim_recv(x->end, buffer, max);
        if (n == 0) {
            return;
        }
        for (size_t at = 0; at < n && generation == x->generation;) {
            bool head;
            x->wire.head_only = strcmp(plan_at(x, x->next)->method, "HEAD") == 0;
            at += wire_feed(&x->wire, slice_of(buffer + at, n - at), &head);
            if (x->wire.state == WIRE_BAD) {
                sim_fail(x->w->c, "request %u: broken response: %s", plan_at(x, x->next)->id,
                         x->wire.wrong);
                finish(x);
                return;
            }
            if (x->wire.state == WIRE_DONE) {
                (void)on_response(x);
            }
        }
        if (generation == x->generation && x->habits.read_pause_ns > 0) {
            x->read_paused = true;
            sim_after(x->w->s, rng_below(rng(x), x->habits.read_pause_ns), read_pause_over,
                      tick_of(x));
        }
    }
}

static void client_event(struct sim_end *e, unsigned events, void *user)
{
    struct client *x = user;
    uint32_t generation = x->generation;
    (void)events;
    if (x->done || e != x->end) {
        return;
    }
    receive(x, generation);
    if (generation == x->generation && !x->read_paused && sim_readable(e) == 0 &&
        (sim_is_reset(e) || sim_at_eof(e))) {
        connection_ended(x);
    }
    if (generation == x->generation && !sim_is_reset(e)) {
        send_some(x);
    }
}

// ---- connections -------------------------------------------------------------------------------------

static void connect_now(void *user)
{
    struct client *x = user;
    if (!x->done) {
        x->end = sim_connect(x->w->s, &x->to, client_event, x);
    }
}

static void connect_again(struct client *x)
{
    x->generation++;
    if (x->end != NULL) {
        sim_close(x->end);
        x->end = NULL;
    }
    if (++x->connections > CONNECTIONS_MAX) {
        sim_fail(x->w->c, "request %u: connection after connection", plan_at(x, x->next)->id);
        finish(x);
        return;
    }
    x->sent = x->next;
    x->head_sent = false;
    x->awaiting_continue = false;
    x->paused = false;
    x->read_paused = false;
    x->out_len = 0;
    x->out_pos = 0;
    wire_reset(&x->wire);
    sim_after(x->w->s, 1 + rng_below(rng(x), 1000000), connect_now, x);
}

void client_open(struct world *w, const struct os_addr *to, uint32_t first, uint32_t count,
                 const struct client_habits *habits, uint64_t delay_ns)
{
    struct client *x = calloc(1, sizeof(*x));
    ensure(x != NULL);
    x->all_next = all;
    all = x;
    x->w = w;
    x->to = *to;
    x->habits = *habits;
    x->next = first;
    x->sent = first;
    x->stop = first + count;
    x->wire.on_body = on_response_body;
    x->wire.user = x;
    wire_reset(&x->wire);
    w->clients_left++;
    sim_after(w->s, delay_ns, connect_now, x);
    if (habits->abort_after_ns > 0) {
        sim_after(w->s, delay_ns + habits->abort_after_ns, abort_now, x);
    }
}

void client_tell_hanging(void)
{
    for (struct client *x = all; x != NULL; x = x->all_next) {
        if (!x->done) {
            const struct plan *p = plan_at(x, x->next);
            sim_fail(x->w->c,
                     "request %u (%s, fault %d) hangs: reader state %d, %llu body bytes in, "
                     "sent %u of %u, seen %u",
                     p->id, p->method, p->fault, (int)x->wire.state,
                     (unsigned long long)x->wire.body_bytes, x->sent, x->stop, p->seen);
        }
    }
}

void client_free_all(void)
{
    while (all != NULL) {
        struct client *x = all;
        all = x->all_next;
        stop_inflating(x);
        free(x);
    }
    while (all_ticks != NULL) {
        struct tick *t = all_ticks;
        all_ticks = t->all_next;
        free(t);
    }
}
