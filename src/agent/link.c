// SPDX-License-Identifier: Apache-2.0
//
// One connection of an instance: attempts, and what becomes of them. An attempt looks the edge up,
// dials, asks, and is let in, refused, or fails; what follows is for the line to say. While a
// connection is there the next one can be under way: an edge that restarts, or a network that has
// changed, is left only when the new one is in.

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "http/websocket_transport.h"

#include "agent/agent_int.h"

static struct agent *agent_of(const struct agent_link *k)
{
    return k->line->agent;
}

static struct loop *loop_of(const struct agent_link *k)
{
    return &k->line->agent->loop;
}

// ---- connections that were let in ------------------------------------------------------------------

/** It is closed: forgets it, and tells the line when it was in use. */
static void conn_is_gone(struct agent_conn *c, int error)
{
    struct agent *a = c->agent;
    struct agent_link *k = c->link;
    uint64_t held_ms = a->loop.now_ms - c->since_ms;
    list_remove(&c->in_agent);
    c->magic = 0;
    slab_give(&a->conn_slab, c);
    if (k != NULL) {
        ensure(k->conn == c);
        k->conn = NULL;
        bool plain = error == E_EOF || error == 0;
        agent_line_on_loss(k, held_ms,
                           slice_str(plain ? "the edge closed the connection" : error_text(error)));
    }
}

static void on_gone(struct down_session *s, void *arg, int error)
{
    struct agent_conn *c = arg;
    ensure_magic(c, AGENT_CONN_MAGIC);
    ensure(c->session == s);
    conn_is_gone(c, error);
}

/** Where the edge restarts, its visitors of before go on asking over this connection. */
static bool on_goaway(struct down_session *s, void *arg, uint32_t code, struct slice text)
{
    struct agent_conn *c = arg;
    ensure_magic(c, AGENT_CONN_MAGIC);
    (void)s;
    if (c->link == NULL || code != 0) { // with any other code it is about to be closed
        return c->restarts && code == 0;
    }
    struct agent_farewell f;
    agent_farewell_parse(text, &f);
    c->restarts = f.reconnect && !f.end;
    agent_line_on_farewell(c->link, &f);
    return c->restarts;
}

static const struct down_session_watcher watcher = {.on_goaway = on_goaway, .on_gone = on_gone};

/** The link has no more to do with its connection, which ends with what it carries. */
static void let_go(struct agent_link *k, bool replaced)
{
    struct agent_conn *c = k->conn;
    if (c != NULL) {
        k->conn = NULL;
        c->link = NULL;
        if (c->session != NULL && !(replaced && c->restarts)) {
            c->session->ops->drain(c->session);
        }
    }
}

// ---- the end of an attempt -------------------------------------------------------------------------

static void drop_chunk(struct chunk **c)
{
    if (*c != NULL) {
        chunk_unref(*c);
        *c = NULL;
    }
}

/** Gives back what an attempt holds. */
static void end_attempt(struct agent_link *k)
{
    loop_timer_stop(loop_of(k), &k->timer);
    agent_reach_cancel(&k->reach);
    if (k->t != NULL) {
        transport_close(k->t, false);
        k->t = NULL;
    }
    drop_chunk(&k->out);
    drop_chunk(&k->in);
    k->state = k->conn != NULL ? LINK_UP : LINK_OFF;
    agent_line_resume(k->line);
}

static void fail(struct agent_link *k, int error, const char *what, struct slice reason)
{
    char buffer[AGENT_WHY_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    const struct agent_edge *edge = k->line->place->edge;
    agent_edge_authority(&t, edge);
    if (edge->proxy.kind != OUTBOUND_DIRECT) {
        text_str(&t, " by ");
        outbound_text(&edge->proxy, &t);
    }
    text_printf(&t, ": %s", what);
    if (reason.len > 0) {
        text_str(&t, ": ");
        text_put(&t, reason);
    }
    k->changed_way = false;
    end_attempt(k);
    agent_line_on_failure(k, error, text_slice(&t));
}

// ---- the handshake ---------------------------------------------------------------------------------

/** The answer was a 101: the roles turn round. */
static void let_in(struct agent_link *k)
{
    struct agent *a = agent_of(k);
    struct agent_conn *c = slab_take(&a->conn_slab);
    if (c == NULL) {
        fail(k, E_NO_MEMORY, error_text(E_NO_MEMORY), SLICE(""));
        return;
    }
    *c = (struct agent_conn){.magic = AGENT_CONN_MAGIC,
                             .link = k,
                             .agent = a,
                             .t = k->t,
                             .since_ms = a->loop.now_ms,
                             .remote = k->remote};
    list_init(&c->in_agent);
    list_push_back(&a->conns, &c->in_agent);
    struct transport *t = k->t;
    struct chunk *first = k->in;
    uint32_t pos = (uint32_t)k->head_len;
    k->changed_way = false;
    if (a->loop.sys->ops->local_addr(a->loop.sys, t->io.fd, &c->local) != 0) {
        c->local.kind = OS_ADDR_NONE;
    }
    k->t = NULL;
    k->in = NULL;
    if (first->used == pos) {
        chunk_unref(first);
        first = NULL;
    }
    if (k->websocket_key[0] != '\0') {
        t = websocket_wrap(t, true, first, pos);
        first = NULL;
        c->t = t;
    }
    end_attempt(k);
    let_go(k, true);
    k->conn = c;
    k->state = LINK_UP;
    struct http_peer peer = {
        .transport = t,
        .listener = k->line->tunnel,
        .stream = a->streams[k->line->tunnel],
        .site = slice_str(k->line->site),
        .many = agent_line_tunnel(k->line)->proxy_protocol.len > 0,
    };
    peer.connection_id = peer.many ? rng_u64(&a->loop.rng) : 0; // 0: as any other
    // The edge stands for its visitors like a proxy on this machine; their addresses are in the fields
    // that it writes.
    http_peer_set(&peer, &(struct os_addr){.kind = OS_ADDR_UNIX});
    agent_line_on_grant(k, &k->answer);
    const struct down_session_terms terms = {
        .peer = &peer, .watcher = &watcher, .watcher_arg = c, .liveness = true};
    int e = E_NO_MEMORY;
    struct down_session *session =
        t == NULL ? NULL : traffic_core_adopt(a->core, t, &terms, first, pos, &e);
    c->session = session;
    if (session == NULL) {
        conn_is_gone(c, e);
    } else if (c->link == NULL) { // the line has ended meanwhile
        session->ops->drain(session);
    }
}

static void attempt(struct agent_link *k);

/** Asks in WebSocket messages where the plain upgrade was not understood, and the other way round, at
 * once. False: that was just tried. */
static bool try_other_form(struct agent_link *k)
{
    if (k->changed_way) {
        k->changed_way = false;
        return false;
    }
    k->changed_way = true;
    k->line->place->websocket = k->websocket_key[0] == '\0';
    attempt(k);
    return true;
}

static int put_authorization(const struct agent_link *k, struct text *out)
{
    const struct agent_plan *plan = agent_of(k)->plan;
    if (k->signing) {
        return agent_sign(plan, k->line->place->edge, k->t, slice_str(k->answer.nonce), out);
    }
    if (plan->token.len > 0 && !plan->has_key && plan->certificate.len == 0) {
        text_str(out, "Bearer ");
        text_put(out, plan->token);
    }
    return out->overflow ? E_TOO_LARGE : 0;
}

static int write_hello(struct agent_link *k)
{
    struct agent_line *n = k->line;
    const struct agent_tunnel *wanted = agent_line_tunnel(n);
    struct agent *a = agent_of(k);
    k->out = chunk_new(&a->loop.chunks);
    k->in = k->in != NULL ? k->in : chunk_new(&a->loop.chunks);
    if (k->out == NULL || k->in == NULL) {
        return E_NO_MEMORY;
    }
    char credential[AGENT_CREDENTIAL_MAX];
    struct text authorization = text_on(credential, sizeof(credential));
    int e = put_authorization(k, &authorization);
    if (e != 0) {
        return e;
    }
    k->websocket_key[0] = '\0';
    if (n->place->websocket) {
        uint8_t random[16];
        a->loop.sys->ops->random(a->loop.sys, random, sizeof(random));
        websocket_key(random, k->websocket_key);
        k->websocket_key[WEBSOCKET_KEY_BYTES] = '\0';
    }
    const struct agent_hello hello = {
        .edge = n->place->edge,
        .tunnel = wanted,
        .authorization = text_slice(&authorization),
        .instance = slice_str(n->instance),
        .slot = k->slot,
        .sequence = k->sequence,
        .secret = slice_str(n->secret),
        .ticket = slice_str(n->ticket),
        .name = n->name[0] != '\0' ? slice_str(n->name) : wanted->name,
        .port = n->port != 0 ? n->port : wanted->port,
        .websocket_key = slice_str(k->websocket_key),
    };
    struct text out = text_on(k->out->data, CHUNK_BYTES);
    agent_hello_write(&out, &hello);
    k->out->used = (uint32_t)out.len;
    k->out_pos = 0;
    return out.overflow ? E_TOO_LARGE : 0;
}

/** 0, E_AGAIN or why it is of no use. */
static int send_hello(struct agent_link *k)
{
    while (k->out != NULL) {
        struct iovec iov = {k->out->data + k->out_pos, k->out->used - k->out_pos};
        struct io_result r = transport_write(k->t, &iov, 1, false);
        if (r.status != IO_OK) {
            return r.status == IO_AGAIN ? E_AGAIN : r.status == IO_EOF ? E_RESET : r.error;
        }
        k->out_pos += (uint32_t)r.n;
        if (k->out_pos == k->out->used) {
            drop_chunk(&k->out);
        }
    }
    return 0;
}

/** The edge has given a nonce: whether it was signed and sent on the same connection. */
static bool ask_again(struct agent_link *k)
{
    const struct agent_answer *a = &k->answer;
    bool whole = a->body_bytes >= 0 && k->in->used - k->head_len == (uint64_t)a->body_bytes;
    if (!agent_of(k)->plan->has_key || k->signing || a->status != 401 || a->nonce[0] == '\0' ||
        !a->keep_alive || !whole) {
        return false;
    }
    k->signing = true;
    k->in->used = 0;
    k->head_len = 0;
    k->scan = (struct h1_scan){0};
    int e = write_hello(k);
    if (e != 0) {
        fail(k, e, "the key cannot sign", slice_str(error_text(e)));
        return true;
    }
    e = send_hello(k);
    if (e != 0 && e != E_AGAIN) {
        fail(k, e, "the handshake cannot be sent", slice_str(error_text(e)));
    }
    return true;
}

static void judge(struct agent_link *k)
{
    if (k->answer.status == 101) {
        let_in(k);
        return;
    }
    if (ask_again(k)) {
        return;
    }
    size_t len = k->in->used - k->head_len;
    if (k->answer.body_bytes >= 0) {
        len = num_min_size(len, (size_t)k->answer.body_bytes);
        agent_answer_text(&k->answer, slice_of(k->in->data + k->head_len, len));
    }
    if (agent_answer_is_foreign(&k->answer) && try_other_form(k)) {
        return;
    }
    end_attempt(k);
    agent_line_on_refusal(k, &k->answer);
}

/** Whether all is there that will be looked at. */
static bool is_complete(const struct agent_link *k)
{
    uint64_t have = k->in->used - k->head_len;
    int64_t body = k->answer.status == 101 ? 0 : k->answer.body_bytes;
    return body <= 0 || have >= num_min_u64((uint64_t)body, ANSWER_BODY_MAX);
}

/** E_AGAIN: more has to come. */
static int look_at_input(struct agent_link *k)
{
    static const struct h1_limits limits = {
        .head_bytes = ANSWER_HEAD_MAX, .target_bytes = 1024, .fields = ANSWER_FIELDS_MAX};
    if (k->head_len == 0) {
        size_t len = 0;
        int e = h1_scan_head(&k->scan, &limits, k->in->data, k->in->used, &len);
        if (e == 0) {
            struct slice key = slice_str(k->websocket_key);
            e = key.len > 0 ? agent_answer_parse_websocket(k->in->data, len, key, &k->answer)
                            : agent_answer_parse(k->in->data, len, &k->answer);
        }
        if (e != 0) {
            return e;
        }
        k->head_len = len;
    }
    return is_complete(k) ? 0 : E_AGAIN;
}

static void receive(struct agent_link *k)
{
    while (k->t != NULL && k->t->readable) {
        struct iovec iov = {k->in->data + k->in->used, chunk_room(k->in)};
        struct io_result r = transport_read(k->t, &iov, 1);
        if (r.status == IO_AGAIN) {
            return;
        }
        bool ended = r.status != IO_OK;
        k->in->used += ended ? 0 : (uint32_t)r.n;
        int e = ended && k->head_len == 0 ? (r.status == IO_EOF ? E_EARLY_CLOSE : r.error)
                                          : look_at_input(k);
        if (e == 0 || (ended && e == E_AGAIN)) {
            bool asked_twice = k->signing;
            judge(k);
            if (k->t == NULL || k->signing == asked_twice) {
                return;
            }
        } else if (e != E_AGAIN) {
            fail(k, e, "the answer to the handshake cannot be used", slice_str(error_text(e)));
            return;
        }
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    struct agent_link *k = t->owner;
    ensure_magic(k, AGENT_LINK_MAGIC);
    (void)events;
    int e = send_hello(k);
    if (e != 0 && e != E_AGAIN && !t->readable) { // it may have said why
        fail(k, e, "the handshake cannot be sent", slice_str(error_text(e)));
        return;
    }
    receive(k);
}

static void on_reached(struct agent_reach *reach, int error, const struct dial_result *r)
{
    struct agent_link *k = container_of(reach, struct agent_link, reach);
    ensure_magic(k, AGENT_LINK_MAGIC);
    if (error != 0) {
        fail(k, error, error_text(error), slice_str(reach->reason));
        return;
    }
    k->t = r->t;
    k->remote = os_peer_addr(&r->peer.addr);
    k->state = LINK_ASKING;
    k->head_len = 0;
    k->signing = false;
    k->scan = (struct h1_scan){0};
    transport_set_owner(k->t, k, on_ready);
    int e = write_hello(k);
    if (e != 0) {
        fail(k, e, error_text(e), SLICE(""));
        return;
    }
    on_ready(k->t, 0);
}

// ---- attempts --------------------------------------------------------------------------------------

static void dial(struct agent_link *k)
{
    const struct agent_place *p = k->line->place;
    k->state = LINK_DIALLING;
    agent_reach_begin(&k->reach, p, AGENT_ATTEMPT_MS);
}

static void not_found(struct agent_link *k, int error)
{
    bool unknown = error == E_NOT_RESOLVED;
    fail(k, error, unknown ? "the name does not resolve" : "its address cannot be found",
         unknown ? SLICE("") : slice_str(error_text(error)));
}

static void attempt(struct agent_link *k)
{
    const struct agent_place *p = k->line->place;
    end_attempt(k);
    k->sequence = ++k->line->sequence;
    loop_timer_set(loop_of(k), &k->timer, AGENT_ATTEMPT_MS);
    if (p->addr_count > 0) {
        dial(k);
    } else if (p->error != 0) {
        not_found(k, p->error);
    } else {
        k->state = LINK_LOOKING;
    }
}

static void on_timer(struct wheel_timer *t)
{
    struct agent_link *k = container_of(t, struct agent_link, timer);
    ensure_magic(k, AGENT_LINK_MAGIC);
    switch ((enum agent_link_state)k->state) {
    case LINK_PAUSED:
        if (agent_line_may_call(k)) {
            attempt(k);
        } else {
            k->state = LINK_WAITING;
        }
        return;
    case LINK_LOOKING:
        not_found(k, E_NOT_RESOLVED);
        return;
    case LINK_DIALLING:
        fail(k, E_CONNECT_TIMEOUT, error_text(E_CONNECT_TIMEOUT), SLICE(""));
        return;
    case LINK_ASKING:
        fail(k, E_RESPONSE_TIMEOUT, "no answer to the handshake in time", SLICE(""));
        return;
    case LINK_OFF:
    case LINK_WAITING:
    case LINK_UP:
        break;
    }
    unreachable();
}

void agent_link_init(struct agent_link *k, struct agent_line *line, unsigned slot)
{
    *k = (struct agent_link){.magic = AGENT_LINK_MAGIC, .line = line, .slot = (uint8_t)slot};
    wheel_timer_init(&k->timer, on_timer);
    agent_reach_init(&k->reach, loop_of(k), traffic_core_dialer(agent_of(k)->core));
    k->reach.done = on_reached;
}

void agent_link_start(struct agent_link *k, uint64_t in_ms)
{
    ensure_magic(k, AGENT_LINK_MAGIC);
    if (k->state == LINK_OFF || k->state == LINK_UP) {
        k->state = LINK_PAUSED;
        loop_timer_set(loop_of(k), &k->timer, in_ms);
    }
}

void agent_link_resume(struct agent_link *k)
{
    if (k->state == LINK_WAITING) {
        k->state = LINK_PAUSED;
        loop_timer_set(loop_of(k), &k->timer, 0);
    }
}

void agent_link_again(struct agent_link *k)
{
    ensure_magic(k, AGENT_LINK_MAGIC);
    end_attempt(k);
    agent_link_start(k, 0);
}

void agent_link_stop(struct agent_link *k)
{
    ensure_magic(k, AGENT_LINK_MAGIC);
    end_attempt(k);
    let_go(k, false);
    k->state = LINK_OFF;
}

void agent_link_on_addresses(struct agent_link *k)
{
    if (k->magic != AGENT_LINK_MAGIC) {
        return; // its line is not open yet
    }
    const struct agent_place *p = k->line->place;
    if (k->state == LINK_LOOKING) {
        if (p->addr_count > 0) {
            dial(k);
        } else {
            not_found(k, p->error);
        }
    }
}
