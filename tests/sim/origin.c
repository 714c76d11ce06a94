// SPDX-License-Identifier: Apache-2.0
//
// Origins. A connection reads a request, finds its plan and sends the planned response in pieces,
// with pauses. What it reads is checked like what a client reads: the proxy must have written a
// well-formed request with exactly the body that the client sent.

#include "origin.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

enum { OUT_BYTES = 8192 };

enum phase { PHASE_READING, PHASE_INTERIM, PHASE_HEAD, PHASE_BODY, PHASE_END, PHASE_STUCK };

struct origin_conn {
    struct origin_conn *next;
    struct world *w;
    struct sim_end *end;
    struct wire wire;
    struct plan *plan;
    enum phase phase;
    enum plan_fault fault; // of this attempt
    int interim_left;
    uint64_t body_at, body_stop;
    bool request_done;
    bool paused;
    bool gone;
    bool continued; // 100 was sent
    char out[OUT_BYTES];
    size_t out_len, out_pos;
};

static struct origin_conn *all;

static void origin_event(struct sim_end *e, unsigned events, void *user);

static void put(struct origin_conn *o, const char *text)
{
    size_t n = strlen(text);
    ensure(o->out_len + n <= OUT_BYTES);
    memcpy(o->out + o->out_len, text, n);
    o->out_len += n;
}

static void leave(struct origin_conn *o, bool reset)
{
    o->gone = true;
    sim_note(o->w->c, "origin: %s after request %d, fault %d", reset ? "reset" : "close",
             o->plan != NULL ? (int)o->plan->id : -1, (int)o->fault);
    if (reset) {
        sim_reset(o->end);
    } else {
        sim_close(o->end);
    }
}

static void on_request_body(void *user, struct slice bytes, uint64_t at)
{
    struct origin_conn *o = user;
    plan_check(o->w, o->plan, false, bytes, at);
}

static void put_framing(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    char line[64];
    if (p->status == 204 || p->status == 304) {
        return;
    }
    if (p->response_framing == PLAN_CHUNKED) {
        put(o, p->trailers ? "Trailer: X-End\r\n" : "");
        put(o, "Transfer-Encoding: chunked\r\n");
    } else if (p->response_framing == PLAN_LENGTH) {
        (void)snprintf(line, sizeof(line), "Content-Length: %llu\r\n",
                       (unsigned long long)p->response_bytes);
        put(o, line);
    }
}

static void put_head(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    char line[128];
    (void)snprintf(line, sizeof(line), "HTTP/1.1 %d Planned\r\nX-Id: %u\r\n", p->status, p->id);
    put(o, line);
    if (o->fault == FAULT_BAD_HEAD) {
        static const char *const wrong[] = {
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: +3\r\n",
            "Transfer-Encoding: gzip\r\n",
            "X-A: b\nX-C: d\r\n",
            "No colon\r\n",
            " folded: yes\r\n",
        };
        put(o, wrong[p->id % array_len(wrong)]);
    }
    put(o, p->gzip ? "Content-Type: text/plain\r\n" : "");
    bool closes = p->origin_closes || p->response_framing == PLAN_CLOSE;
    put(o, closes ? "Connection: close\r\n" : "");
    put_framing(o);
    put(o, "\r\n");
}

// Bytes behind the response, in one segment with its end: what comes later than that cannot be told
// from the answer to the next request.
static void put_extra(struct origin_conn *o)
{
    const char *extra = NULL;
    if (o->fault == FAULT_EXTRA_BYTES) {
        extra = "extra bytes";
    } else if (o->fault == FAULT_TWO_ANSWERS) {
        extra = "HTTP/1.1 200 Stolen\r\nX-Id: 999999\r\nContent-Length: 6\r\n\r\nstolen";
    }
    bool last = o->plan->response_framing != PLAN_LENGTH || o->body_at == o->body_stop;
    if (extra != NULL && last && sim_room(o->end) >= o->out_len + strlen(extra)) {
        put(o, extra);
    }
}

static void put_piece(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    uint64_t left = o->body_stop - o->body_at;
    size_t n = 1 + (size_t)rng_below(sim_rng(o->w->s), p->piece_max);
    n = n < left ? n : (size_t)left;
    n = n < OUT_BYTES - 64 ? n : OUT_BYTES - 64;
    char line[32];
    if (p->response_framing == PLAN_CHUNKED) {
        (void)snprintf(line, sizeof(line), "%zx\r\n", n);
        put(o, line);
    }
    plan_fill(p, true, o->body_at, o->out + o->out_len, n);
    o->out_len += n;
    o->body_at += n;
    put(o, p->response_framing == PLAN_CHUNKED ? "\r\n" : "");
    if (p->response_framing == PLAN_LENGTH) {
        put_extra(o);
    }
}

static void begin_next_request(struct origin_conn *o)
{
    o->phase = PHASE_READING;
    o->plan = NULL;
    o->request_done = false;
    o->continued = false;
    wire_reset(&o->wire);
}

// The response is out.
static void end_response(struct origin_conn *o)
{
    if (o->plan->origin_closes || o->plan->response_framing == PLAN_CLOSE) {
        leave(o, false);
    } else if (!o->request_done) {
        o->phase = PHASE_END; // an early answer: the rest of the request is read first
    } else {
        begin_next_request(o);
    }
}

static void begin_body(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    o->phase = PHASE_BODY;
    o->body_at = 0;
    o->body_stop = plan_has_response_body(p) ? p->response_bytes : 0;
    if (o->fault == FAULT_CUT_BODY || o->fault == FAULT_RESET_BODY || o->fault == FAULT_BAD_CHUNK) {
        o->body_stop = rng_below(sim_rng(o->w->s), p->response_bytes);
    }
}

static void finish_body(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    if (o->fault == FAULT_CUT_BODY || o->fault == FAULT_RESET_BODY) {
        leave(o, o->fault == FAULT_RESET_BODY);
        return;
    }
    if (o->fault == FAULT_BAD_CHUNK) {
        put(o, "zz\r\n");
        o->phase = PHASE_STUCK;
        return;
    }
    if (p->response_framing == PLAN_CHUNKED && plan_has_response_body(p)) {
        put(o, "0\r\n");
        put(o, p->trailers ? "X-End: yes\r\n\r\n" : "\r\n");
        put_extra(o);
    }
    o->phase = PHASE_END;
}

// Produces the next bytes; false when there are none for now.
static bool produce(struct origin_conn *o)
{
    o->out_len = 0;
    o->out_pos = 0;
    switch (o->phase) {
    case PHASE_INTERIM:
        if (o->plan->expect && !o->continued && !o->plan->early_answer) {
            o->continued = true;
            put(o, "HTTP/1.1 100 Continue\r\n\r\n");
            return true;
        }
        if (!o->request_done && !o->plan->early_answer) {
            return false;
        }
        if (o->interim_left > 0) {
            o->interim_left--;
            put(o, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
            return true;
        }
        o->phase = PHASE_HEAD;
        return true;
    case PHASE_HEAD:
        put_head(o);
        begin_body(o);
        return true;
    case PHASE_BODY:
        if (o->body_at < o->body_stop) {
            put_piece(o);
        } else {
            finish_body(o);
        }
        return !o->gone;
    case PHASE_END:
        if (!o->request_done) {
            return false;
        }
        end_response(o);
        return false;
    case PHASE_READING:
    case PHASE_STUCK:
        return false;
    }
    return false;
}

static void pause_over(void *user)
{
    struct origin_conn *o = user;
    o->paused = false;
    if (!o->gone) {
        origin_event(o->end, 0, o);
    }
}

static void send_some(struct origin_conn *o)
{
    while (!o->gone && !o->paused) {
        if (o->out_pos == o->out_len) {
            if (!produce(o)) {
                return;
            }
            uint64_t pause = o->plan->pause_max_ns;
            if (pause > 0 && rng_chance(sim_rng(o->w->s), 0.3)) {
                o->paused = true;
                sim_after(o->w->s, rng_below(sim_rng(o->w->s), pause), pause_over, o);
                return;
            }
        }
        size_t left = o->out_len - o->out_pos;
        size_t n = sim_send(o->end, slice_of(o->out + o->out_pos, left));
        o->out_pos += n;
        if (n < left) {
            return;
        }
    }
}

// The faults that come instead of a response.
static bool misbehave(struct origin_conn *o)
{
    switch (o->fault) {
    case FAULT_CLOSE_EARLY:
    case FAULT_RESET_EARLY:
        leave(o, o->fault == FAULT_RESET_EARLY);
        return true;
    case FAULT_GARBAGE: {
        static const char *const garbage[] = {
            "HTTP/0.9 what?\r\n\r\n",      "<html>no head</html>\r\n\r\n",
            "HTTP/1.1 99 Low\r\n\r\n",     "HTTP/1.1 200\n\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 two hundred\r\n\r\n",
        };
        o->out_len = 0;
        o->out_pos = 0;
        put(o, garbage[o->plan->id % array_len(garbage)]);
        o->phase = PHASE_STUCK;
        return false;
    }
    case FAULT_SILENT:
        o->phase = PHASE_STUCK;
        return true;
    case FAULT_NONE:
    case FAULT_BAD_HEAD:
    case FAULT_CUT_BODY:
    case FAULT_RESET_BODY:
    case FAULT_BAD_CHUNK:
    case FAULT_EXTRA_BYTES:
    case FAULT_TWO_ANSWERS:
    case FAULTS:
        break;
    }
    return false;
}

static void on_request_head(struct origin_conn *o)
{
    struct world *w = o->w;
    o->plan = plan_of_path(w, wire_word(&o->wire, 1));
    if (o->plan == NULL || o->wire.state == WIRE_BAD) {
        sim_fail(w->c, "an origin got a request that nobody sent: %.*s", (int)o->wire.head_len,
                 o->wire.head);
        leave(o, true);
        return;
    }
    struct plan *p = o->plan;
    if (!slice_eq(wire_word(&o->wire, 0), slice_str(p->method))) {
        sim_fail(w->c, "request %u: the method has changed", p->id);
    }
    // A client whose connection ended sends again what nobody seems to have seen; it may be on its way yet.
    if (++p->seen > p->asked && !plan_is_idempotent(p)) {
        sim_fail(w->c, "request %u: %s was repeated", p->id, p->method);
    }
    o->fault = p->fault_times > 0 ? p->fault : FAULT_NONE;
    p->fault_times -= p->fault_times > 0;
    o->interim_left = p->interim;
    sim_note(w->c, "origin: request %u, %s, fault %d", p->id, p->method, (int)o->fault);
    o->phase = PHASE_INTERIM;
}

static void on_request_end(struct origin_conn *o)
{
    const struct plan *p = o->plan;
    if (o->wire.body_bytes != p->request_bytes) {
        sim_fail(o->w->c, "request %u: %llu body bytes came of %llu", p->id,
                 (unsigned long long)o->wire.body_bytes, (unsigned long long)p->request_bytes);
    }
    o->request_done = true;
    if (o->phase != PHASE_READING && o->fault != FAULT_NONE && misbehave(o)) {
        return;
    }
}

static void receive(struct origin_conn *o)
{
    char buffer[4096];
    while (!o->gone && !o->request_done) {
        size_t n = sim_recv(o->end, buffer, sizeof(buffer));
        if (n == 0) {
            return;
        }
        size_t at = 0;
        while (at < n && !o->gone && !o->request_done) {
            bool head;
            at += wire_feed(&o->wire, slice_of(buffer + at, n - at), &head);
            if (head) {
                on_request_head(o);
            }
            if (o->wire.state == WIRE_BAD) {
                sim_fail(o->w->c, "an origin got a broken request: %s", o->wire.wrong);
                leave(o, true);
                return;
            }
            if (!o->gone && o->wire.state == WIRE_DONE) {
                on_request_end(o);
            }
            if (!o->gone && o->request_done && o->phase == PHASE_END && at < n) {
                end_response(o); // answered early and whole: what follows is the next request
            }
        }
        if (at < n && !o->gone) {
            sim_fail(o->w->c, "an origin got bytes behind its request");
            leave(o, true);
        }
    }
}

static void origin_event(struct sim_end *e, unsigned events, void *user)
{
    struct origin_conn *o = user;
    (void)events;
    bool again;
    do {
        receive(o);
        if (!o->gone) {
            send_some(o);
        }
        again = !o->gone && o->phase == PHASE_READING && sim_readable(e) > 0;
    } while (again);
    if (!o->gone && (sim_is_reset(e) || (sim_at_eof(e) && o->phase == PHASE_READING))) {
        leave(o, false);
    } else if (!o->gone && sim_at_eof(e)) {
        leave(o, false); // the proxy has gone away in the middle
    }
}

static void origin_accept(struct sim_end *e, void *user)
{
    struct origin_conn *o = calloc(1, sizeof(*o));
    ensure(o != NULL);
    o->next = all;
    all = o;
    o->w = user;
    o->end = e;
    o->wire.request = true;
    o->wire.on_body = on_request_body;
    o->wire.user = o;
    begin_next_request(o);
    sim_set_actor(e, origin_event, o);
}

void origin_open(struct world *w, const struct os_addr *at)
{
    sim_listen(w->s, at, origin_accept, w);
}

void origin_free_all(void)
{
    while (all != NULL) {
        struct origin_conn *o = all;
        all = o->next;
        free(o);
    }
}
