// SPDX-License-Identifier: Apache-2.0
//
// An edge that lets an agent in, or does not, and then does as it likes (h2_peer.h). The agent is the
// real one, with a target of HTTP, TCP or UDP that is well behaved.
//
// Nothing may crash, break a promise or hang. The agent calls nobody but its edge and its target; what
// the target gets is HTTP to somebody else's reader, is never meant for the agent itself, and is nothing
// at all where visitors need a password. It does not call its edge more often than it promises, what it
// holds is bounded, and when it leaves it is gone soon after.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/wire.h"
#include "agent/agent_int.h"
#include "base/text.h"
#include "http/websocket.h"
#include "obs/log.h"

#include "h2_peer.h"
#include "network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CALLS = 8, // connections of the agent that are remembered
    TALKS = 8, // connections of its target
    ACTS_MAX = 120,
    PAUSES_MAX = 300,
    CHUNKS_HELD_MAX = 1200,
    ANSWER_BYTES = 1024,
};

#define TARGET_BODY "what the target says"
#define PREFACE     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};
static const struct os_addr target_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 1}};
static const struct os_addr traps[] = {
    {.kind = OS_ADDR_V4, .port = 22, .u.ip = {10, 0, 0, 1}},
    {.kind = OS_ADDR_V4, .port = 80, .u.ip = {127, 0, 0, 1}},
    {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 1, 0, 2}},
    {.kind = OS_ADDR_V4, .port = 443, .u.ip = {10, 1, 0, 1}},
};

// ---- what an edge may ask ----------------------------------------------------------------------------

#define WHERE                                                                                      \
    {":scheme", "https"},                                                                          \
    {                                                                                              \
        ":authority", "alpha.t.test"                                                               \
    }

static const struct h2_field firsts[][5] = {
    {{":method", "GET"}, {":path", "/"}, WHERE},
    {{":method", "POST"}, {":path", "/form"}, WHERE},
    {{":method", "HEAD"}, {":path", "/"}, WHERE},
    {{":method", "CONNECT"}, {":authority", "t.test:20000"}},
    {{":method", "CONNECT"}, {":protocol", "websocket"}, {":path", "/ws"}, WHERE},
    {{":method", "CONNECT"},
     {":protocol", "connect-udp"},
     {":path", "/.well-known/masque/udp/t.test/20000/"},
     WHERE},
    {{":method", "POST"},
     {":path", "/connections"},
     {":scheme", "https"},
     {":authority", "agent.invalid"}},
    {{":method", "GET"}, {":path", "/x"}, {":scheme", "https"}, {":authority", "AGENT.invalid."}},
    {{":method", "GET"}, {":path", "/"}, {":scheme", "http"}, {":authority", "10.1.0.2"}},
    {{":method", "CONNECT"}, {":authority", "10.1.0.2:80"}},
    {{":method", "GET"}, {":path", "http://10.1.0.2/"}, WHERE},
    {{":method", "OPTIONS"}, {":path", "*"}, WHERE},
    {{":method", "GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET"}, {":path", "/"}, WHERE},
    {{":method", "GET"}, {":path", "/ HTTP/1.1\r\nx: y"}, WHERE},
    {{":method", "GET"}, {":path", ""}, WHERE},
    {{":method", "GET"}, {":path", "/"}},
    {{":status", "200"}},
    {{"x-trailer", "1"}},
};

static const struct h2_field fields[] = {
    {"adit-connections", "4"},
    {"adit-connections", "1"},
    {"adit-connections", "99999999999999999999"},
    {"x-forwarded-for", "192.0.2.1"},
    {"x-forwarded-for", "unix:, 10.1.0.2, x"},
    {"x-forwarded-proto", "https"},
    {"x-forwarded-host", "agent.invalid"},
    {"forwarded", "for=\"192.0.2.1:1234\""},
    {"forwarded", "for=\"[::1]:0\";host=\"a\r\nb\""},
    {"authorization", "Basic dTp3cm9uZw=="},
    {"authorization", "Basic"},
    {"content-length", "10"},
    {"content-length", "0"},
    {"content-length", "10, 11"},
    {"transfer-encoding", "chunked"},
    {"connection", "close, authorization"},
    {"te", "trailers"},
    {"te", "gzip"},
    {"upgrade", "websocket"},
    {"expect", "100-continue"},
    {"cookie", "a=b"},
    {"cookie", "c=d"},
    {"host", "agent.invalid"},
    {"host", "alpha.t.test"},
    {"capsule-protocol", "?1"},
    {"trailer", "authorization"},
    {"X-Upper", "1"},
    {"x-ok", "a\r\nb: c"},
    {"", "1"},
    {":protocol", "websocket"},
    {"accept-encoding", "gzip"},
    {"priority", "u=0"},
    {"range", "bytes=0-1"},
    {"max-forwards", "0"},
};

static const struct h2_words words = {firsts, sizeof(firsts) / sizeof(firsts[0]), fields,
                                      sizeof(fields) / sizeof(fields[0])};

#define GIVEN                                                                                      \
    "Adit-Name: alpha\r\nAdit-Secret: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n"             \
    "Adit-Ticket: dGlja2V0\r\nAdit-Connection: id=1\r\n"
#define WELCOME                                                                                    \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: adit-tunnel/1\r\n"

static const char *const answers[] = {
    WELCOME GIVEN "Adit-Url: http://alpha.t.test\r\nAdit-Retry: within=1000\r\n\r\n",
    WELCOME GIVEN "Adit-Url: tcp://t.test:20000\r\nAdit-Retry: within=0\r\n\r\n",
    WELCOME "Adit-Url: http://x.t.test\r\n\r\n",
    WELCOME "\r\n",
    "HTTP/1.1 429 Later\r\nAdit-Reason: tunnels\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nno\n",
    "HTTP/1.1 503 Later\r\nAdit-Reason: draining\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 409 Taken\r\nAdit-Reason: sequence\r\nContent-Length: 0\r\n\r\n",
    ("HTTP/1.1 409 Taken\r\nAdit-Reason: taken\r\nAdit-Suggestion: beta\r\n"
     "Content-Length: 0\r\n\r\n"),
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
};
enum { ANSWERS_IN = 3 }; // the first ones let it in

// ---- the world ---------------------------------------------------------------------------------------

struct talk {
    struct sim_end *end; // NULL: none
    struct wire wire;
    bool raw; // bytes come back as they are
};

struct world {
    struct sim *sim;
    struct agent *agent; // NULL: it does not run
    struct agent_plan plan;
    bool locked; // the target is behind a password
    uint32_t accepted;
    uint8_t answer;
    char own_answer[ANSWER_BYTES];
    size_t own_len; // not 0: in place of the others, once
    struct h2_peer calls[CALLS];
    uint32_t talk_count;
    struct talk talks[TALKS];
};

static struct world *current; // one at a time

static void run_for(struct world *w, uint64_t ms)
{
    if (w->agent == NULL) {
        return;
    }
    struct loop *loops[1] = {&w->agent->loop};
    (void)sim_run(w->sim, loops, 1, sim_now_ns(w->sim) + ms * 1000000, NULL, NULL);
    if (atomic_load(&w->agent->loop.stopping)) {
        agent_free(w->agent);
        w->agent = NULL;
    }
}

// ---- the target --------------------------------------------------------------------------------------

static void close_talk(struct talk *t)
{
    if (t->end != NULL) {
        sim_close(t->end);
        t->end = NULL;
    }
}

static void answer_request(struct talk *t)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";
    static const char switched[] =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    struct wire *wire = &t->wire;
    bool head_only = slice_eq(wire_word(wire, 0), SLICE("HEAD"));
    if (slice_eq_nocase(wire_field(wire, "upgrade"), SLICE("websocket"))) {
        t->raw = true;
        (void)sim_send(t->end, slice_str(switched));
    } else {
        (void)sim_send(t->end, slice_str(head));
        (void)sim_send(t->end, slice_str(head_only ? "" : TARGET_BODY));
    }
    wire_reset(wire);
}

static void read_request(struct talk *t, struct slice bytes)
{
    struct wire *wire = &t->wire;
    while (bytes.len > 0 && t->end != NULL) {
        if (t->raw) {
            (void)sim_send(t->end, bytes);
            return;
        }
        bool head = false;
        bytes = slice_from(bytes, wire_feed(wire, bytes, &head));
        if (wire->state == WIRE_BAD) {
            printf("# %s: %.*s\n", wire->wrong, (int)wire->head_len, wire->head);
        }
        ensure(wire->state != WIRE_BAD);
        if (head) {
            ensure(!current->locked);
            ensure(!slice_eq_nocase(wire_field(wire, "host"), SLICE("agent.invalid")));
        }
        if (wire->state == WIRE_DONE) {
            answer_request(t);
        }
    }
}

static void on_target(struct sim_end *e, unsigned events, void *user)
{
    struct talk *t = user;
    char buffer[4096];
    size_t n = 0;
    (void)events;
    while (t->end != NULL && (n = sim_recv(e, buffer, sizeof(buffer))) > 0) {
        read_request(t, slice_of(buffer, n));
    }
    if (t->end != NULL && (sim_is_reset(e) || sim_at_eof(e))) {
        close_talk(t);
    }
}

static void on_target_accept(struct sim_end *e, void *user)
{
    struct world *w = user;
    struct talk *t = &w->talks[w->talk_count++ % TALKS];
    close_talk(t);
    memset(t, 0, sizeof(*t));
    t->end = e;
    t->wire.request = true;
    t->raw = w->plan.tunnels[0].kind == AGENT_TCP;
    wire_reset(&t->wire);
    sim_set_actor(e, on_target, t);
}

static void on_trap(struct sim_end *e, void *user)
{
    (void)e;
    (void)user;
    puts("# the agent has called somebody else");
    unreachable();
}

// ---- the edge ----------------------------------------------------------------------------------------

/** The proof that belongs to the key that was sent (RFC 6455 4.2.2). */
static void send_websocket_welcome(struct h2_peer *p)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    char room[1024];
    struct text t = text_on(room, sizeof(room));
    struct slice request = slice_of(p->text, p->text_len);
    static const struct slice name = SLICE_INIT("\r\nSec-WebSocket-Key: ");
    ptrdiff_t at = slice_find(request, name);
    ensure(at > 0);
    websocket_accept(slice_sub(request, (size_t)at + name.len, WEBSOCKET_KEY_BYTES), accept);
    text_str(&t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Protocol: adit-tunnel.1\r\nSec-WebSocket-Accept: ");
    text_put(&t, slice_of(accept, sizeof(accept)));
    text_str(&t, "\r\n" GIVEN "Adit-Url: http://alpha.t.test\r\n\r\n");
    ensure(!t.overflow);
    h2_peer_send(p, room, t.len);
    p->form = H2_PEER_WEBSOCKET_SERVER;
}

static void begin_session(void *user)
{
    struct h2_peer *p = user;
    if (p->framed) { // it may have been replaced
        h2_peer_send(p, PREFACE, sizeof(PREFACE) - 1);
        h2_peer_frame(p, H2_FRAME_SETTINGS, 0, 0, "", 0);
    }
}

static bool on_request(struct h2_peer *p)
{
    struct world *w = current;
    unsigned which = w->answer % (unsigned)array_len(answers);
    struct slice request = slice_of(p->text, p->text_len);
    if (w->own_len > 0) {
        h2_peer_send(p, w->own_answer, w->own_len);
        w->own_len = 0;
        return false;
    }
    if (which < ANSWERS_IN && slice_find(request, SLICE("\r\nUpgrade: websocket\r\n")) > 0) {
        send_websocket_welcome(p);
    } else {
        h2_peer_send(p, answers[which], strlen(answers[which]));
    }
    if (which < ANSWERS_IN) {
        sim_after(w->sim, 1000, begin_session, p);
    }
    return which < ANSWERS_IN;
}

static void on_edge(struct sim_end *e, unsigned events, void *user)
{
    struct h2_peer *p = user;
    (void)events;
    h2_peer_read(p);
    if (p->end == e && (sim_is_reset(e) || sim_at_eof(e))) {
        h2_peer_close(p);
    }
}

static void let_flow(struct h2_peer *p)
{
    (void)p;
    run_for(current, 1);
}

static void on_edge_accept(struct sim_end *e, void *user)
{
    struct world *w = user;
    struct h2_peer *p = &w->calls[w->accepted++ % CALLS];
    h2_peer_close(p);
    memset(p, 0, sizeof(*p));
    p->end = e;
    p->polite = true;
    p->on_text = on_request;
    p->on_full = let_flow;
    p->much = PAUSES_MAX;
    sim_set_actor(e, on_edge, p);
}

// ---- acts --------------------------------------------------------------------------------------------

static void break_connection(struct h2_peer *p, uint8_t how)
{
    if (p->end == NULL) {
        return;
    }
    switch (how) {
    case 0:
        sim_reset(p->end);
        p->end = NULL;
        break;
    case 1:
        sim_shutdown(p->end);
        break;
    default:
        h2_peer_close(p);
        break;
    }
}

static void trouble(struct world *w, struct h2_peer *p, struct input *in)
{
    static const char goodbye[] = "\0\0\0\0\0\0\0\0reconnect within=100";
    static const char end[] = "\0\0\0\0\0\0\0\0end the operator said so";
    uint8_t how = next_byte(in);
    struct slice bytes;
    switch (how & 15) {
    case 0:
    case 1:
    case 2:
        break_connection(p, how & 15);
        break;
    case 3:
        p->deaf = !p->deaf && p->framed;
        h2_peer_read(p);
        break;
    case 4:
        p->polite = !p->polite;
        break;
    case 5:
        h2_peer_frame(p, H2_FRAME_GOAWAY, 0, 0, goodbye, sizeof(goodbye) - 1);
        break;
    case 6:
        h2_peer_frame(p, H2_FRAME_GOAWAY, 0, 0, end, (how & 16) != 0 ? sizeof(end) - 1 : 12);
        break;
    case 7:
        bytes = next_bytes(in, next_byte(in) * 4u);
        w->own_len = bytes.len;
        memcpy(w->own_answer, bytes.ptr, bytes.len);
        break;
    case 8:
        for (int i = 0; i < TALKS; i++) {
            close_talk(&w->talks[i]);
        }
        break;
    case 9:
        if (how == 0xf9) {
            sim_unlisten(w->sim, &target_at);
        }
        break;
    default:
        w->answer = how >> 4;
        break;
    }
}

// An act begins with a byte: its kind, whether time passes behind it, and which connection is meant.
static void act(struct world *w, struct input *in)
{
    uint8_t op = next_byte(in);
    uint32_t newest = w->accepted + CALLS - 1;
    struct h2_peer *p = &w->calls[(newest - (op >> 4 & 7u)) % CALLS];
    uint8_t n = 0;
    switch (op & 7) {
    case 0:
    case 7:
        h2_peer_head(p, &words, true, in);
        break;
    case 1:
    case 6:
        h2_peer_data(p, true, in);
        break;
    case 2:
        h2_peer_any(p, true, in);
        break;
    case 3:
        h2_peer_raw(p, in);
        break;
    case 4:
        n = next_byte(in);
        run_for(w, (uint64_t)n * n / 4);
        break;
    default:
        trouble(w, p, in);
        break;
    }
    if ((op & 8) == 0) {
        run_for(w, 20);
    }
    if (w->agent != NULL) {
        ensure(w->agent->loop.chunks.in_use <= CHUNKS_HELD_MAX);
    }
}

// ---- a run -------------------------------------------------------------------------------------------

static void on_event(void *arg, const struct agent_event *e)
{
    (void)arg;
    for (size_t i = 0; i < e->text.len; i++) { // it is shown on a terminal
        ensure((unsigned char)e->text.ptr[i] >= 0x20 || e->text.ptr[i] == '\n');
    }
}

static void start(struct world *w, uint8_t how)
{
    char room[1024];
    struct text why = text_on(room, sizeof(room));
    bool stream = (how & 3) == 1;
    bool datagrams = (how & 7) == 7;
    w->locked = (how & 3) == 2;
    w->plan = (struct agent_plan){.tunnel_count = 1, .edge_count = 1, .terminal = -1};
    w->plan.token = SLICE("adit_aaaaaaaa_alice");
    w->plan.edges[0] = (struct agent_edge){.host = SLICE("t.test"), .port = 80};
    struct agent_tunnel *t = &w->plan.tunnels[0];
    *t = (struct agent_tunnel){.shown = SLICE("the target")};
    t->kind = stream ? AGENT_TCP : datagrams ? AGENT_UDP : AGENT_HTTP;
    t->target = stream || datagrams ? SLICE("10.1.0.1:80") : SLICE("http://10.1.0.1:80");
    if (w->locked) {
        t->users = (struct agent_list){{SLICE("u:a long password")}, 1};
    }
    int e = agent_make(&w->plan, sim_sys(w->sim), on_event, w, &why, &w->agent);
    if (e != 0) {
        printf("# %.*s\n", (int)why.len, why.ptr);
    }
    ensure(e == 0);
    traffic_core_set_names(w->agent->core, SLICE(""), SLICE("10.0.0.1 t.test\n"));
    e = agent_open_lines(w->agent, &why);
    ensure(e == 0);
}

/** The first attempt comes at once, those behind it after pauses that grow; each of four slots. */
static void check_calls(const struct world *w)
{
    uint64_t seconds = sim_now_ns(w->sim) / 1000000000;
    ensure(w->accepted <= AGENT_SLOTS_MAX * (24 + seconds));
}

static void finish(struct world *w, bool at_once)
{
    check_calls(w);
    if (!at_once) {
        run_for(w, 100 * 1000);
        check_calls(w);
    }
    if (w->agent != NULL && !at_once) {
        agent_leave(w->agent);
        run_for(w, 40 * 1000);
        ensure(w->agent == NULL);
    } else if (w->agent != NULL) {
        agent_free(w->agent);
        w->agent = NULL;
    }
    for (int i = 0; i < CALLS; i++) {
        h2_peer_close(&w->calls[i]);
    }
    for (int i = 0; i < TALKS; i++) {
        close_talk(&w->talks[i]);
    }
    ensure(sim_fds_open(w->sim) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    struct world *w = calloc(1, sizeof(*w));
    ensure(w != NULL);
    struct sim_faults faults = network_of(data[1]);
    struct input in = {data + 2, size - 2};
    log_set_level(LOG_ERROR);
    current = w;
    w->sim = sim_new(data[0], &faults);
    w->answer = (data[1] >> 3 & 3) == 1; // a port's, or a name's
    sim_listen(w->sim, &edge_at, on_edge_accept, w);
    sim_listen(w->sim, &target_at, on_target_accept, w);
    for (size_t i = 0; i < array_len(traps); i++) {
        sim_listen(w->sim, &traps[i], on_trap, NULL);
    }
    start(w, data[1] >> 3);
    run_for(w, 50);
    for (unsigned i = 0; i < ACTS_MAX && in.left > 0 && w->agent != NULL; i++) {
        act(w, &in);
    }
    finish(w, (data[1] & 128) != 0);
    sim_free(w->sim);
    free(w);
    return 0;
}
