// SPDX-License-Identifier: Apache-2.0
//
// Origins that say who they are, and their visitors (named.h).

#include "named.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"

#include "plan.h"
#include "wire.h"

enum { PIECE = 4096, MILLISECOND_NS = 1000000 };

/** Either end of a connection that sends one message after the other. */
struct talk {
    struct named *named;
    struct talk *next; // of all: they live until the end
    struct sim_end *end;
    struct wire wire;
    uint32_t id;     // of the request under way
    uint32_t origin; // whose it is, or who answered
    char head[512];
    size_t head_len;
    uint64_t sent; // head included
    uint64_t body_bytes;
    bool sending;
    bool paused;
    bool over;
};

struct named_visitor {
    struct talk talk; // first
    struct named_visitor *next;
    char names[NAMED_REQUESTS_MAX][NAMED_NAME_MAX];
    uint32_t count;
    uint32_t at;
    uint64_t asked_ns;
    int status;
};

struct named {
    struct sim_case *c;
    struct sim *s;
    struct os_addr edge;
    struct named_judge judge;
    bool rough;
    uint32_t next_id;
    uint32_t good;
    struct talk *talks;             // of origins
    struct named_visitor *visitors; // all there were
    struct {
        struct named *named;
        uint32_t index;
        bool open;
    } origins[NAMED_ORIGINS_MAX];
};

static uint64_t request_bytes(uint32_t id)
{
    return id % 3 == 0 ? id * 2654435761u % 40000 : 0;
}

static uint64_t response_bytes(uint32_t id)
{
    uint32_t spread = id * 2246822519u;
    return spread % 4 == 0 ? spread % 150000 : spread % 3000;
}

static uint32_t answer_key(uint32_t id, uint32_t origin)
{
    return id * NAMED_ORIGINS_MAX + origin;
}

static void end_talk(struct talk *t)
{
    if (!t->over) {
        t->over = true;
        sim_close(t->end);
    }
}

/** False: it is not all out. */
static bool send_some(struct talk *t, uint32_t key, bool response)
{
    uint64_t total = t->head_len + t->body_bytes;
    while (t->sending && t->sent < total) {
        char buffer[PIECE];
        struct slice bytes = slice_of(t->head + t->sent, t->head_len - t->sent);
        if (t->sent >= t->head_len) {
            uint64_t at = t->sent - t->head_len;
            size_t n = (size_t)num_min_u64(t->body_bytes - at, sizeof(buffer));
            for (size_t i = 0; i < n; i++) {
                buffer[i] = plan_byte(key, response, at + i);
            }
            bytes = slice_of(buffer, n);
        }
        size_t n = sim_send(t->end, bytes);
        t->sent += n;
        if (n < bytes.len) {
            return false;
        }
    }
    return true;
}

static void check_bytes(struct named *n, uint32_t key, bool response, struct slice bytes,
                        uint64_t at)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != plan_byte(key, response, at + i)) {
            sim_fail(n->c, "a wrong %s byte at %llu", response ? "response" : "request",
                     (unsigned long long)(at + i));
            return;
        }
    }
}

// ---- origins -----------------------------------------------------------------------------------------

static void on_origin(struct sim_end *e, unsigned events, void *user);

static void on_request_body(void *user, struct slice bytes, uint64_t at)
{
    struct talk *t = user;
    check_bytes(t->named, t->id, false, bytes, at);
}

static struct slice label_of(struct slice host)
{
    ptrdiff_t dot = slice_find_char(host, '.');
    return dot < 0 ? host : slice_sub(host, 0, (size_t)dot);
}

static void take_request(struct talk *t)
{
    struct named *n = t->named;
    struct slice path = wire_word(&t->wire, 1);
    struct slice name = label_of(wire_field(&t->wire, "host"));
    uint64_t id = 0;
    if (!slice_starts(path, SLICE("/")) ||
        num_parse_u64(slice_from(path, 1), n->next_id - 1, &id) != 0) {
        sim_fail(n->c, "origin %u got: %.*s", t->origin, (int)t->wire.head_len, t->wire.head);
    }
    t->id = (uint32_t)id;
    if (!n->judge.may(n->judge.arg, t->origin, name, sim_now_ns(n->s))) {
        sim_fail(n->c, "origin %u got request %u, which is for %.*s", t->origin, t->id,
                 SLICE_ARG(name));
    }
    t->body_bytes = response_bytes(t->id);
    t->head_len =
        (size_t)snprintf(t->head, sizeof(t->head),
                         "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nX-Origin: %u\r\nX-Request: "
                         "%u\r\nX-Name: %.*s\r\n\r\n",
                         (unsigned long long)t->body_bytes, t->origin, t->id, SLICE_ARG(name));
    ensure(t->head_len < sizeof(t->head));
}

static void pause_over(void *user)
{
    struct talk *t = user;
    t->paused = false;
    if (!t->over) {
        on_origin(t->end, 0, t);
    }
}

static void begin_answer(struct talk *t)
{
    struct rng *r = sim_rng(t->named->s);
    t->sending = true;
    t->sent = 0;
    t->paused = true;
    uint64_t most_ms = rng_chance(r, 0.1) ? 3000 : 20;
    sim_after(t->named->s, rng_below(r, most_ms * MILLISECOND_NS), pause_over, t);
}

static void read_request(struct talk *t)
{
    char buffer[PIECE];
    size_t n;
    while (!t->sending && (n = sim_recv(t->end, buffer, sizeof(buffer))) > 0) {
        for (size_t at = 0; at < n && t->wire.state != WIRE_BAD;) {
            bool head = false;
            at += wire_feed(&t->wire, slice_of(buffer + at, n - at), &head);
            if (head && t->wire.state != WIRE_BAD) {
                take_request(t);
            }
            if (t->wire.state == WIRE_DONE) {
                if (t->wire.body_bytes != request_bytes(t->id) || at != n) {
                    sim_fail(t->named->c, "request %u has a wrong length", t->id);
                }
                begin_answer(t);
                break;
            }
        }
        if (t->wire.state == WIRE_BAD) {
            sim_fail(t->named->c, "origin %u: %s", t->origin, t->wire.wrong);
            end_talk(t);
            return;
        }
    }
}

static void on_origin(struct sim_end *e, unsigned events, void *user)
{
    struct talk *t = user;
    (void)events;
    read_request(t);
    if (t->over) {
        return;
    }
    if (t->sending && !t->paused && send_some(t, answer_key(t->id, t->origin), true)) {
        t->sending = false;
        wire_reset(&t->wire);
        read_request(t);
    }
    if (sim_is_reset(e) || (sim_at_eof(e) && !t->sending)) {
        end_talk(t);
    }
}

static void on_accept(struct sim_end *e, void *user)
{
    struct named *n = *(struct named **)user; // first of an origin
    uint32_t index = 0;
    while (user != &n->origins[index]) {
        index++;
    }
    struct talk *t = calloc(1, sizeof(*t));
    ensure(t != NULL);
    t->named = n;
    t->next = n->talks;
    n->talks = t;
    t->end = e;
    t->origin = index;
    t->wire.request = true;
    t->wire.on_body = on_request_body;
    t->wire.user = t;
    wire_reset(&t->wire);
    sim_set_actor(e, on_origin, t);
}

struct os_addr named_origin_at(uint32_t origin)
{
    return (struct os_addr){
        .kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, (uint8_t)(origin + 1)}};
}

void named_origin_open(struct named *n, uint32_t origin)
{
    struct os_addr at = named_origin_at(origin);
    if (!n->origins[origin].open) {
        n->origins[origin].open = true;
        sim_listen(n->s, &at, on_accept, &n->origins[origin]);
    }
}

void named_origin_close(struct named *n, uint32_t origin)
{
    struct os_addr at = named_origin_at(origin);
    n->origins[origin].open = false;
    sim_unlisten(n->s, &at);
}

// ---- visitors ----------------------------------------------------------------------------------------

static struct named_visitor *visitor_of(struct talk *t)
{
    return (struct named_visitor *)t;
}

static void on_response_body(void *user, struct slice bytes, uint64_t at)
{
    struct talk *t = user;
    if (visitor_of(t)->status == 200) {
        check_bytes(t->named, answer_key(t->id, t->origin), true, bytes, at);
    }
}

static void take_head(struct named_visitor *v)
{
    struct talk *t = &v->talk;
    struct named *n = t->named;
    v->status = t->wire.status;
    struct slice want = slice_str(v->names[v->at]);
    static const int refusals[] = {404, 421, 429, 502, 503, 504};
    bool refused = false;
    for (size_t i = 0; i < array_len(refusals); i++) {
        refused = refused || v->status == refusals[i];
    }
    uint64_t origin = 0;
    uint64_t id = 0;
    if (v->status != 200) {
        if (!refused || wire_field_count(&t->wire, "x-origin") > 0) {
            sim_fail(n->c, "request %u for %.*s got %d", t->id, SLICE_ARG(want), v->status);
        }
        return;
    }
    if (num_parse_u64(wire_field(&t->wire, "x-origin"), NAMED_ORIGINS_MAX - 1, &origin) != 0 ||
        num_parse_u64(wire_field(&t->wire, "x-request"), UINT32_MAX, &id) != 0) {
        sim_fail(n->c, "request %u got an answer of nobody", t->id);
    }
    struct slice name = wire_field(&t->wire, "x-name");
    t->origin = (uint32_t)origin;
    if (id != t->id || !slice_eq(name, want)) {
        sim_fail(n->c, "request %u for %.*s got the answer to %llu, for %.*s", t->id,
                 SLICE_ARG(want), (unsigned long long)id, SLICE_ARG(name));
    }
    if (!n->judge.may(n->judge.arg, t->origin, want, v->asked_ns)) {
        sim_fail(n->c, "request %u for %.*s was answered by origin %u", t->id, SLICE_ARG(want),
                 t->origin);
    }
}

static void ask(struct named_visitor *v)
{
    struct talk *t = &v->talk;
    t->id = t->named->next_id++;
    t->sent = 0;
    t->sending = true;
    t->body_bytes = request_bytes(t->id);
    bool body = t->id % 3 == 0;
    t->head_len =
        (size_t)snprintf(t->head, sizeof(t->head), "%s /%u HTTP/1.1\r\nHost: %s.t.test\r\n",
                         body ? "POST" : "GET", t->id, v->names[v->at]);
    if (body) {
        t->head_len +=
            (size_t)snprintf(t->head + t->head_len, sizeof(t->head) - t->head_len,
                             "Content-Length: %llu\r\n", (unsigned long long)t->body_bytes);
    }
    t->head_len += (size_t)snprintf(t->head + t->head_len, sizeof(t->head) - t->head_len, "\r\n");
    ensure(t->head_len < sizeof(t->head));
    v->status = 0;
    v->asked_ns = sim_now_ns(t->named->s);
    wire_reset(&t->wire);
}

/** One answer is complete. */
static void next_request(struct named_visitor *v)
{
    struct talk *t = &v->talk;
    struct named *n = t->named;
    if (v->status == 200) {
        n->good++;
        if (t->wire.body_bytes != response_bytes(t->id)) {
            sim_fail(n->c, "request %u got %llu bytes", t->id,
                     (unsigned long long)t->wire.body_bytes);
        }
    }
    bool whole = t->sent == t->head_len + t->body_bytes;
    if (++v->at == v->count || t->wire.close || !whole) {
        end_talk(t);
        return;
    }
    ask(v);
}

static void read_answer(struct named_visitor *v)
{
    struct talk *t = &v->talk;
    char buffer[PIECE];
    size_t n;
    while (!t->over && (n = sim_recv(t->end, buffer, sizeof(buffer))) > 0) {
        for (size_t at = 0; at < n && !t->over;) {
            bool head = false;
            at += wire_feed(&t->wire, slice_of(buffer + at, n - at), &head);
            if (t->wire.state == WIRE_BAD) {
                sim_fail(t->named->c, "request %u: %s", t->id, t->wire.wrong);
                end_talk(t);
                return;
            }
            if (head) {
                take_head(v);
            }
            if (t->wire.state == WIRE_DONE) {
                if (at != n) {
                    sim_fail(t->named->c, "request %u: bytes behind its answer", t->id);
                }
                next_request(v);
            }
        }
    }
}

static void on_visitor(struct sim_end *e, unsigned events, void *user)
{
    struct named_visitor *v = user;
    struct talk *t = &v->talk;
    struct named *n = t->named;
    (void)events;
    (void)send_some(t, t->id, false);
    read_answer(v);
    if (!t->over && t->sent == 0) {
        (void)send_some(t, t->id, false); // the next one
    }
    if (t->over || (!sim_is_reset(e) && !sim_at_eof(e))) {
        return;
    }
    wire_eof(&t->wire);
    if (v->status == 0 && v->at == 0 && !n->rough) {
        sim_fail(n->c, "request %u for %s got no answer", t->id, v->names[v->at]);
    }
    end_talk(t);
}

struct named_visitor *named_visit(struct named *n, const char *const *names, uint32_t count)
{
    struct named_visitor *v = calloc(1, sizeof(*v));
    ensure(v != NULL && count > 0 && count <= NAMED_REQUESTS_MAX);
    v->next = n->visitors;
    n->visitors = v;
    v->talk.named = n;
    v->talk.wire.on_body = on_response_body;
    v->talk.wire.user = &v->talk;
    v->count = count;
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(v->names[i], sizeof(v->names[i]), "%s", names[i]);
    }
    ask(v);
    v->talk.end = sim_connect(n->s, &n->edge, on_visitor, v);
    return v;
}

int named_status(const struct named_visitor *v)
{
    return v->status;
}

bool named_is_over(const struct named_visitor *v)
{
    return v->talk.over;
}

void named_check_over(struct named *n)
{
    for (const struct named_visitor *v = n->visitors; v != NULL; v = v->next) {
        if (!v->talk.over) {
            sim_fail(n->c, "request %u for %s hangs: status %d, %llu bytes", v->talk.id,
                     v->names[v->at], v->status, (unsigned long long)v->talk.wire.body_bytes);
        }
    }
}

uint32_t named_good(const struct named *n)
{
    return n->good;
}

uint32_t named_all(const struct named *n)
{
    return n->next_id;
}

void named_set_rough(struct named *n, bool rough)
{
    n->rough = rough;
}

struct named *named_new(struct sim_case *c, struct sim *s, const struct os_addr *edge,
                        const struct named_judge *judge)
{
    struct named *n = calloc(1, sizeof(*n));
    ensure(n != NULL);
    n->c = c;
    n->s = s;
    n->edge = *edge;
    n->judge = *judge;
    for (uint32_t i = 0; i < NAMED_ORIGINS_MAX; i++) {
        n->origins[i].named = n;
        n->origins[i].index = i;
    }
    return n;
}

void named_free(struct named *n)
{
    for (struct talk *t = n->talks; t != NULL;) {
        struct talk *next = t->next;
        free(t);
        t = next;
    }
    for (struct named_visitor *v = n->visitors; v != NULL;) {
        struct named_visitor *next = v->next;
        free(v);
        v = next;
    }
    free(n);
}
