// SPDX-License-Identifier: Apache-2.0
//
// An agent that was let in and then does as it likes: two connections of one tunnel and one of a TCP port
// are the fuzzer's (h2_peer.h), beside them are a well-behaved agent of another owner, and visitors of
// all three. The edge is the real one on two cores, so that bridges are on the way.
//
// Nothing may crash, break a promise or hang. What a visitor reads is HTTP to somebody else's reader,
// never holds a byte of the tunnel next door or a cookie for it, and begins with a status; the good
// tunnel's visitors get exactly its answer. An edge that ends a connection says goodbye. What one agent
// makes the edge hold is bounded, and when all have gone nothing is left.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/edge.h"
#include "../sim/grants.h"
#include "../sim/wire.h"
#include "base/text.h"
#include "obs/log.h"
#include "tunnel/ports.h"

#include "h2_peer.h"
#include "network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MALLORYS = 3, // two of the name, one of the port
    AGENTS = MALLORYS + 1,
    VISITORS = 32,
    CROWD = 12, // visitors who come together
    CROWDS_MAX = 4,
    ACTS_MAX = 120,
    PAUSES_MAX = 300,
    READ_BYTES = 4096,
    CHUNKS_HELD_MAX = 2400, // 38 MiB: the windows of three connections, and what visitors wait for
    LISTENER_INDEX = 1,
    PORT = 20000,
};

#define GOOD_BODY "what the good service says"
#define NAME_HOST "alpha.t.test"

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};
static const struct os_addr port_at = {.kind = OS_ADDR_V4, .port = PORT, .u.ip = {10, 0, 0, 1}};

#define CONFIG(site)                                                                               \
    "log: error\n"                                                                                 \
    "limits: {header_size: 4KiB, header_count: 20, body_size: 1MiB}\n"                             \
    "timeouts: {header: 2s, idle: 3s, body: 2s, response: 4s, read: 3s, tunnel: 5s, write: 4s}\n"  \
    "sites:\n  '*.t.test': {" site "tunnels: {insecure_clear: on, ports: 20000-20003, park: 5s, "  \
    "anonymous: off}}\n"

static const char *const configs[] = {CONFIG(""), CONFIG("compress: on, ")};

// ---- what an agent may say ---------------------------------------------------------------------------

static const struct h2_field firsts[][5] = {
    {{":status", "200"}},
    {{":status", "200"}, {"content-length", "10"}},
    {{":status", "103"}},
    {{":status", "204"}},
    {{":status", "304"}},
    {{":status", "101"}},
    {{":status", "500"}},
    {{":status", "404"}, {"content-type", "text/html"}},
    {{":status", "200"}, {"content-type", "text/html"}},
    {{":status", "099"}},
    {{":status", "2000"}},
    {{":status", "200"}, {":status", "200"}},
    {{":method", "GET"}, {":path", "/"}},
    {{"grpc-status", "0"}},
    {{":status", "100"}},
};

static const struct h2_field fields[] = {
    {"set-cookie", "a=b; Domain=t.test"},
    {"set-cookie", "a=b; path=/; dOMAIN = .T.test ; Domain=alpha.t.test"},
    {"set-cookie", "a=b; Domain=t.test."},
    {"set-cookie", "a=b; Domain=bob-1.t.test"},
    {"set-cookie", "a=b; Domain=alpha.t.test"},
    {"set-cookie", "__Host-adit=x; Domain=t.test; Secure"},
    {"connection", "close"},
    {"connection", "set-cookie, x-ok"},
    {"transfer-encoding", "chunked"},
    {"content-length", "0"},
    {"content-length", "5"},
    {"content-length", "5, 5"},
    {"content-length", "18446744073709551616"},
    {"keep-alive", "timeout=5"},
    {"upgrade", "h2c"},
    {"proxy-connection", "keep-alive"},
    {"te", "gzip"},
    {"trailer", "set-cookie"},
    {"content-encoding", "gzip"},
    {"x-ok", "a\r\nset-cookie: x=y; Domain=t.test"},
    {"x-ok", "a\nb"},
    {"x-ok\r\nset-cookie", "x"},
    {"X-Upper", "1"},
    {" x", "1"},
    {"", "1"},
    {"adit-reason", "taken"},
    {"adit-url", "https://bob-1.t.test"},
    {"location", "http://agent.invalid/"},
    {"link", "</a>; rel=preload"},
    {"retry-after", "1"},
    {"www-authenticate", "Basic realm=\"t.test\""},
    {"strict-transport-security", "max-age=99999999; includeSubDomains"},
    {"alt-svc", "h2=\"evil.test:443\""},
    {"sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    {"sec-websocket-protocol", "adit-tunnel.1"},
    {":path", "/"},
    {"host", "bob-1.t.test"},
};

static const struct h2_words words = {firsts, sizeof(firsts) / sizeof(firsts[0]), fields,
                                      sizeof(fields) / sizeof(fields[0])};

// ---- the world ---------------------------------------------------------------------------------------

struct ask {
    const char *method;
    const char *rest;
};

static const struct ask asks[] = {
    {"GET", "\r\n"},
    {"POST", "Content-Length: 10\r\n\r\n0123456789"},
    {"POST", ("Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
              "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")},
    {"HEAD", "\r\n"},
    {"GET", ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")},
    {"GET", "Accept-Encoding: gzip\r\nExpect: 100-continue\r\n\r\n"},
    {"PUT", "Content-Length: 100000\r\n\r\nand no more"},
};
enum { ASK_GET = 0, ASK_HEAD = 3, ASK_SWITCH = 4, ASK_CUT = 6 };

enum whom { GOOD, NAME, PUBLIC_PORT };

struct visitor {
    struct world *world;
    struct sim_end *end; // NULL: none
    enum whom whom;
    bool http;     // else bytes without form
    bool may_fail; // not all was asked, or he has troubles of his own: nothing is promised
    bool over;
    bool deaf;
    int status; // of the last answer that was no interim one
    struct wire wire;
    char body[sizeof(GOOD_BODY)];
    size_t body_len;
    char tail[sizeof(GOOD_BODY)]; // the last bytes that came
    size_t tail_len;
};

struct world {
    struct sim *sim;
    struct edge *edge;
    struct sim_case *c;
    bool calm;     // what is written goes out whole
    bool messages; // the first connection is in WebSocket messages
    bool drained;
    bool asked_port; // the edge asks its steward for the port
    bool port_open;
    uint32_t reloads;
    uint32_t sequence;
    char secret[2][64]; // of the name, of the port
    struct h2_peer agents[AGENTS];
    bool ended[AGENTS]; // it ended its side itself
    struct visitor visitors[VISITORS];
    uint32_t visits;
    uint32_t crowds; // more of them would meet a full edge, which promises nothing
};

static struct world *current; // one at a time

static void serve_ports(struct world *w);

static bool has_asked(void *arg)
{
    const struct world *w = arg;
    return w->asked_port;
}

static void run_for(struct world *w, uint64_t ms)
{
    uint64_t until = sim_now_ns(w->sim) + ms * 1000000;
    while (sim_run(w->sim, edge_loops(w->edge), edge_core_count(w->edge), until, has_asked, w) ==
           SIM_DONE) {
        serve_ports(w);
    }
}

// ---- what visitors read ------------------------------------------------------------------------------

/** Everybody may set cookies for himself alone. */
static void check_cookie(struct slice value)
{
    while (value.len > 0) {
        ptrdiff_t end = slice_find_char(value, ';');
        struct slice part = end < 0 ? value : slice_sub(value, 0, (size_t)end);
        value = end < 0 ? slice_of(value.ptr, 0) : slice_from(value, (size_t)end + 1);
        ptrdiff_t equals = slice_find_char(part, '=');
        if (equals < 0 ||
            !slice_eq_nocase(slice_trim(slice_sub(part, 0, (size_t)equals)), SLICE("domain"))) {
            continue;
        }
        struct slice domain = slice_trim(slice_from(part, (size_t)equals + 1));
        size_t own = sizeof(NAME_HOST) - 1;
        ensure(domain.len == 0 || domain.len >= own);
        ensure(domain.len == 0 ||
               slice_eq_nocase(slice_from(domain, domain.len - own), SLICE(NAME_HOST)));
    }
}

static void check_lines(const char *p, size_t n)
{
    struct slice rest = slice_of(p, n);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find(rest, SLICE("\r\n"));
        struct slice line = end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
        rest = end < 0 ? slice_of(rest.ptr, 0) : slice_from(rest, (size_t)end + 2);
        ptrdiff_t colon = slice_find_char(line, ':');
        if (colon > 0 && slice_eq_nocase(slice_sub(line, 0, (size_t)colon), SLICE("set-cookie"))) {
            check_cookie(slice_from(line, (size_t)colon + 1));
        }
    }
}

/** What the good service says comes from nobody else. */
static void check_stranger(struct visitor *v, struct slice bytes)
{
    enum { KEEP = sizeof(GOOD_BODY) - 2 };
    char room[KEEP + READ_BYTES];
    ensure(bytes.len <= READ_BYTES);
    memcpy(room, v->tail, v->tail_len);
    memcpy(room + v->tail_len, bytes.ptr, bytes.len);
    struct slice all = slice_of(room, v->tail_len + bytes.len);
    ensure(slice_find(all, SLICE(GOOD_BODY)) < 0);
    v->tail_len = all.len < KEEP ? all.len : KEEP;
    memcpy(v->tail, all.ptr + all.len - v->tail_len, v->tail_len);
}

static void on_body(void *user, struct slice bytes, uint64_t at)
{
    struct visitor *v = user;
    (void)at;
    if (v->whom != GOOD) {
        check_stranger(v, bytes);
    }
    for (size_t i = 0; i < bytes.len && v->body_len < sizeof(v->body); i++) {
        v->body[v->body_len++] = bytes.ptr[i];
    }
}

static void end_visit(struct visitor *v)
{
    if (v->end == NULL) {
        return;
    }
    sim_close(v->end);
    v->end = NULL;
    if (v->over && v->http && !v->may_fail && !v->world->drained) {
        ensure(v->status != 0);
        ensure(v->whom != GOOD || v->status == 200);
    }
}

static void take_head(struct visitor *v)
{
    struct wire *wire = &v->wire;
    check_lines(wire->head, wire->head_len);
    if (wire->status == 101) {
        v->status = 101;
        v->http = false;
    } else if (wire->status < 200) {
        bool head_only = wire->head_only;
        wire_reset(wire);
        wire->head_only = head_only;
    } else {
        v->status = wire->status;
    }
}

static void read_http(struct visitor *v, struct slice bytes)
{
    struct wire *wire = &v->wire;
    while (bytes.len > 0 && v->http && wire->state != WIRE_DONE) {
        bool head = false;
        size_t n = wire_feed(wire, bytes, &head);
        if (wire->state == WIRE_BAD) {
            printf("# %s\n", wire->wrong);
        }
        ensure(wire->state != WIRE_BAD);
        if (head) {
            take_head(v);
        } else if (wire->chunked) {
            check_lines(bytes.ptr,
                        n); // trailers; what looks like them in a body would be noticed too
        }
        bytes = slice_from(bytes, n);
    }
    ensure(!v->http || bytes.len == 0); // nobody asked twice
}

static void on_visitor(struct sim_end *e, unsigned events, void *user)
{
    struct visitor *v = user;
    char buffer[READ_BYTES];
    size_t n = 0;
    (void)events;
    ensure(v->end == e);
    while (!v->deaf && (n = sim_recv(e, buffer, sizeof(buffer))) > 0) {
        if (v->http) {
            read_http(v, slice_of(buffer, n));
        } else if (v->whom != GOOD) {
            check_stranger(v, slice_of(buffer, n));
        }
    }
    bool gone = sim_is_reset(e) || sim_at_eof(e);
    if (gone) {
        wire_eof(&v->wire);
    }
    if (gone || (v->http && v->wire.state == WIRE_DONE)) {
        v->over = true;
        if (v->whom == GOOD && v->status == 200 && !v->may_fail) {
            ensure(v->body_len == sizeof(GOOD_BODY) - 1);
            ensure(memcmp(v->body, GOOD_BODY, v->body_len) == 0);
        }
        end_visit(v);
    }
}

// ---- visitors ----------------------------------------------------------------------------------------

static void visit(struct world *w, uint8_t how)
{
    static const char *const hosts[] = {"bob-1.t.test", NAME_HOST};
    struct visitor *v = &w->visitors[w->visits++ % VISITORS];
    v->over = false; // whoever was there goes
    end_visit(v);
    memset(v, 0, sizeof(*v));
    unsigned ask = (how >> 2 & 7) % (unsigned)array_len(asks);
    v->world = w;
    v->whom = (enum whom)((how & 3) % 3);
    v->http = v->whom != PUBLIC_PORT;
    if (v->whom == GOOD && (ask == ASK_HEAD || ask == ASK_SWITCH)) {
        ask = ASK_GET; // it gives one answer to all
    }
    v->may_fail = ask == ASK_CUT;
    v->wire.on_body = on_body;
    v->wire.user = v;
    wire_reset(&v->wire);
    v->wire.head_only = ask == ASK_HEAD;
    if (v->whom == PUBLIC_PORT && !w->port_open) {
        return;
    }
    v->end = sim_connect(w->sim, v->http ? &edge_at : &port_at, on_visitor, v);
    run_for(w, 5);
    if (v->end != NULL && v->http) {
        char text[512];
        int n = snprintf(text, sizeof(text), "%s /%u HTTP/1.1\r\nHost: %s\r\n%s", asks[ask].method,
                         w->visits, hosts[v->whom], asks[ask].rest);
        ensure(n > 0 && (size_t)n < sizeof(text));
        (void)sim_send(v->end, slice_of(text, (size_t)n));
    }
}

static void visit_all(struct world *w, uint8_t how)
{
    bool crowd = (how & 0x60) == 0x60 && w->crowds < CROWDS_MAX;
    w->crowds += crowd;
    for (unsigned i = 0; !w->drained && i < (crowd ? CROWD : 1u); i++) {
        visit(w, how);
    }
}

static void trouble_visitor(struct world *w, struct input *in)
{
    uint8_t how = next_byte(in);
    struct visitor *v = &w->visitors[(w->visits + VISITORS - 1 - (how >> 4)) % VISITORS];
    if (v->end == NULL) {
        return;
    }
    v->may_fail = true;
    switch (how & 7) {
    case 0:
        sim_reset(v->end);
        v->end = NULL;
        break;
    case 1:
        sim_shutdown(v->end);
        break;
    case 2:
        end_visit(v);
        break;
    case 3:
    case 4:
        v->deaf = !v->deaf;
        on_visitor(v->end, 0, v);
        break;
    default:
        if (!v->http) { // what comes after a request that is whole would be the next one
            struct slice bytes = next_bytes(in, next_byte(in));
            (void)sim_send(v->end, bytes);
        }
        break;
    }
}

// ---- agents ------------------------------------------------------------------------------------------

static void on_agent(struct sim_end *e, unsigned events, void *user)
{
    struct h2_peer *p = user;
    (void)events;
    ensure(p->end == e);
    h2_peer_read(p);
    if (p->end != NULL && (sim_is_reset(e) || (sim_at_eof(e) && !p->deaf))) {
        bool own = sim_is_reset(e) || p->left || current->ended[p - current->agents];
        bool reads = p->framed && !p->deaf && p->form == H2_PEER_PLAIN;
        // What could not be written at once is lost: nobody waits for one that broke the rules.
        ensure(own || p->goaway || !reads || !current->calm);
        h2_peer_close(p);
    }
}

static bool on_answer(struct h2_peer *p)
{
    struct world *w = current;
    size_t which = (size_t)(p - w->agents);
    struct slice text = slice_of(p->text, p->text_len);
    if (!slice_starts(text, SLICE("HTTP/1.1 101 "))) {
        return false;
    }
    ptrdiff_t at = slice_find(text, SLICE("\r\nAdit-Secret: "));
    ensure(at > 0);
    struct slice value = slice_from(text, (size_t)at + sizeof("\r\nAdit-Secret: ") - 1);
    ptrdiff_t end = slice_find(value, SLICE("\r\n"));
    ensure(end > 0 && end < 64);
    if (which != MALLORYS) {
        memcpy(w->secret[which == 2], value.ptr, (size_t)end);
        w->secret[which == 2][end] = '\0';
    }
    return true;
}

static void answer_well(struct h2_peer *p, uint8_t type, uint8_t flags, uint32_t stream)
{
    if ((type == H2_FRAME_DATA || type == H2_FRAME_HEADERS) && (flags & 1) != 0) {
        h2_peer_frame(p, H2_FRAME_HEADERS, 4, stream, "\x88", 1);
        h2_peer_frame(p, H2_FRAME_DATA, 1, stream, GOOD_BODY, sizeof(GOOD_BODY) - 1);
    }
}

static void let_flow(struct h2_peer *p)
{
    (void)p;
    run_for(current, 1);
}

static void write_hello(struct world *w, unsigned which, struct text *out)
{
    static const char *const who[AGENTS] = {
        ("Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Name: alpha\r\n"
         "Adit-Instance: AAAAAAAAAAAAAAAAAAAAAA\r\nAdit-Connection: slot=0"),
        ("Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Name: alpha\r\n"
         "Adit-Instance: AAAAAAAAAAAAAAAAAAAAAA\r\nAdit-Connection: slot=1"),
        ("Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Kind: tcp\r\nAdit-Port: 20000\r\n"
         "Adit-Instance: AAAAAAAAAAAAAAAAAAAABA\r\nAdit-Connection: slot=0"),
        ("Authorization: Bearer " GRANTS_BOB "\r\nAdit-Name: bob-1\r\n"
         "Adit-Instance: AAAAAAAAAAAAAAAAAAAACA\r\nAdit-Connection: slot=0"),
    };
    static const char plain[] = "Upgrade: adit-tunnel/1\r\n";
    static const char messages[] =
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
        "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: adit-tunnel.1\r\n";
    const char *secret = which == MALLORYS ? "" : w->secret[which == 2];
    text_str(out,
             "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: t.test\r\nConnection: Upgrade\r\n");
    text_str(out, w->agents[which].form == H2_PEER_PLAIN ? plain : messages);
    text_str(out, who[which]);
    text_printf(out, ", sequence=%u\r\n", ++w->sequence);
    if (secret[0] != '\0') {
        text_printf(out, "Adit-Secret: %s\r\n", secret);
    }
    text_str(out, "\r\n");
    ensure(!out->overflow);
}

static void call(struct world *w, unsigned which)
{
    struct h2_peer *p = &w->agents[which];
    char room[1024];
    struct text hello = text_on(room, sizeof(room));
    h2_peer_close(p);
    memset(p, 0, sizeof(*p));
    p->polite = true;
    p->preface = true;
    p->on_text = on_answer;
    p->on_full = let_flow;
    p->much = PAUSES_MAX;
    p->on_frame = which == MALLORYS ? answer_well : NULL;
    p->form = w->messages && which == 0 ? H2_PEER_WEBSOCKET_CLIENT : H2_PEER_PLAIN;
    w->ended[which] = false;
    p->end = sim_connect(w->sim, &edge_at, on_agent, p);
    run_for(w, 5);
    write_hello(w, which, &hello);
    h2_peer_send(p, room, hello.len);
    run_for(w, 30);
}

static void wake_steward(void *arg)
{
    struct world *w = arg;
    w->asked_port = true;
}

/** The steward and the supervisor in one: the port that was asked for is opened. */
static void serve_ports(struct world *w)
{
    struct tunnel_ports *ports = edge_ports(w->edge);
    struct tunnel_port_request r;
    uint64_t now_ms = sim_now_ns(w->sim) / 1000000;
    w->asked_port = false;
    while (tunnel_ports_next(ports, now_ms, &r)) {
        ensure(!w->port_open && r.port == PORT && !r.datagram);
        edge_listen_stream(w->edge, &port_at, r.key, LISTENER_INDEX);
        const struct tunnel_port port = {
            .used = true, .key = r.key, .port = r.port, .index = LISTENER_INDEX};
        tunnel_ports_opened(ports, &port, now_ms, false);
        bool more = tunnel_ports_done(ports, r.number, 0, &r);
        ensure(!more);
        w->port_open = true;
    }
}

// ---- acts --------------------------------------------------------------------------------------------

static void set_access(struct world *w, bool alice)
{
    struct access *a = alice ? grants_new() : grants_new_without_alice();
    edge_set_access(w->edge, a);
    access_unref(a);
}

static void trouble_edge(struct world *w, unsigned which, uint8_t how)
{
    switch (how & 15) {
    case 5:
        (void)edge_kick(w->edge, SLICE("alpha"));
        break;
    case 6:
        set_access(w, (how & 16) != 0);
        break;
    case 7:
        if (w->reloads < EDGE_DOCUMENTS_MAX - 2) {
            w->reloads++;
            edge_reload(w->edge, configs[how >> 4 & 1]);
        }
        break;
    case 8:
        if (how == 0xf8 && !w->drained) {
            w->drained = true;
            edge_drain(w->edge);
        }
        break;
    default:
        if (!w->drained) {
            call(w, which);
        }
        break;
    }
}

static void trouble(struct world *w, unsigned which, struct input *in)
{
    struct h2_peer *p = &w->agents[which];
    uint8_t how = next_byte(in);
    w->ended[which] = w->ended[which] || (how & 15) < 3;
    switch (how & 15) {
    case 0:
        if (p->end != NULL) {
            sim_reset(p->end);
            p->end = NULL;
        }
        break;
    case 1:
        if (p->end != NULL) {
            sim_shutdown(p->end);
        }
        break;
    case 2:
        h2_peer_close(p);
        break;
    case 3:
        p->deaf = !p->deaf && p->framed;
        h2_peer_read(p);
        break;
    case 4:
        p->polite = !p->polite;
        break;
    default:
        trouble_edge(w, which, how);
        break;
    }
}

// An act begins with a byte: its kind, whether time passes behind it, and whose it is.
static void act(struct world *w, struct input *in)
{
    uint8_t op = next_byte(in);
    unsigned which = (op >> 6 & 3u) % MALLORYS;
    struct h2_peer *p = &w->agents[which];
    uint8_t n = 0;
    switch (op & 7) {
    case 0:
        h2_peer_head(p, &words, false, in);
        break;
    case 1:
        h2_peer_data(p, false, in);
        break;
    case 2:
        h2_peer_any(p, false, in);
        break;
    case 3:
        h2_peer_raw(p, in);
        break;
    case 4:
        n = next_byte(in);
        run_for(w, (uint64_t)n * n / 4);
        break;
    case 5:
        trouble(w, which, in);
        break;
    case 6:
        visit_all(w, next_byte(in));
        break;
    default:
        trouble_visitor(w, in);
        break;
    }
    if ((op & 8) == 0) {
        run_for(w, 20);
    }
    ensure(edge_chunks(w->edge) <= CHUNKS_HELD_MAX);
}

// ---- a run -------------------------------------------------------------------------------------------

/** The worker ends in the middle of it all. */
static void end_at_once(struct world *w)
{
    edge_end(w->c, w->edge);
    ensure(w->c->failures == 0);
}

static void finish(struct world *w)
{
    run_for(w, 60 * 1000); // every exchange has found an end
    for (int i = 0; i < VISITORS; i++) {
        struct visitor *v = &w->visitors[i];
        if (v->end != NULL && v->http && !v->may_fail) {
            ensure(v->status != 0 || w->drained);
        }
        end_visit(v);
    }
    for (int i = 0; i < AGENTS; i++) {
        h2_peer_close(&w->agents[i]);
    }
    run_for(w, 300 * 1000);
    ensure(edge_exchanges(w->edge) == 0);
    ensure(edge_connections(w->edge) == 0);
    edge_close(w->c, w->edge);
    ensure(w->c->failures == 0);
}

static void run(struct world *w, const uint8_t *data, size_t size)
{
    struct sim_case c = {.scenario = "fuzz", .seed = data[0]};
    struct sim_faults faults = network_of(data[1]);
    struct edge_limits limits = {.cores = 2, .chunks_max = 4096, .connections_max = 240};
    struct input in = {data + 2, size - 2};
    current = w;
    w->c = &c;
    w->calm = (data[1] & 7) == 0;
    w->messages = (data[1] & 64) != 0;
    w->sim = sim_new(c.seed, &faults);
    w->edge = edge_open(&c, w->sim, &edge_at, configs[data[1] >> 3 & 1], &limits);
    set_access(w, true);
    edge_ports(w->edge)->wake = wake_steward;
    edge_ports(w->edge)->wake_arg = w;
    call(w, MALLORYS);
    call(w, 0);
    if ((data[1] & 16) != 0) {
        call(w, 1);
    }
    if ((data[1] & 32) != 0) {
        call(w, 2);
    }
    for (unsigned i = 0; i < ACTS_MAX && in.left > 0; i++) {
        act(w, &in);
    }
    if ((data[1] & 128) != 0) {
        end_at_once(w);
    } else {
        finish(w);
    }
    sim_free(w->sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    struct world *w = calloc(1, sizeof(*w));
    ensure(w != NULL);
    log_set_level(LOG_ERROR);
    run(w, data, size);
    free(w);
    return 0;
}
