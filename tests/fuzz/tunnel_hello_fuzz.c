// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes an agent's handshake, from its fields to the 101. The input is text: the first line chooses the
// network and the edge ("seed 7, anonymous, cut 20"), then come the fields of a first request, and after
// a line "=" those of a second one on another connection. `$A` and `$B` stand for tokens, `$I` for an
// instance, `$S` and `$T` for the secret and the ticket of the first 101; `$H` ends the head early, so
// that what follows comes before the answer.
//
// The same text is given to what reads tickets, nonces and names. Nothing may crash, break a promise or
// hang; every whole request gets an answer that somebody else can read; a 101 holds all that it must;
// and when the agents are gone, everything is gone soon after.

#include <stdio.h>
#include <stdlib.h>

#include "../sim/edge.h"
#include "../sim/grants.h"
#include "base/base64.h"
#include "obs/log.h"
#include "tunnel/key.h"
#include "tunnel/names.h"
#include "tunnel/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AGENTS = 2, REQUEST_MAX = 8192, ANSWER_MAX = 4096, SECOND_NS = 1000000000 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};

#define CONFIG(settings)                                                                           \
    "log: error\ntimeouts: {header: 2s, idle: 3s, write: 4s}\nsites:\n  '*.t.test': {tunnels: "    \
    "{insecure_clear: on, ports: 20000-20003, park: 5s, per_address: 3, " settings "}}\n"          \
    "  default: {tunnels: {at: t.test, insecure_clear: on}}\n  own.t.test: {respond: x}\n"

static const char closed[] = CONFIG("anonymous: off, banned: [paypal]");
static const char open[] = CONFIG("anonymous: on, names: ip");

// ---- what reads texts -------------------------------------------------------------------------------

static void read_texts(struct slice text)
{
    static const struct access_secret secret = {.seal = {1}, .instance = {2}};
    static const struct key_nonces nonces = {{3}};
    struct ticket t;
    ensure(!ticket_open(text, &secret, 1, SLICE("z"), 0, &t));
    ensure(!key_nonce_is(&nonces, 1, 1000, text));
    struct conf_node none = {NULL, 0};
    struct slice label = slice_sub(text, 0, 70);
    enum names_verdict v = names_judge(label, none);
    ensure((v == NAMES_SHAPE) == !names_is_label(label));
    ensure(names_look_alike(label, label));
    if (names_is_domain(text)) {
        ensure(text.len <= NAMES_DOMAIN_MAX && slice_find_char(text, '.') > 0);
    }
    if (names_is_label(label)) {
        char room[NAMES_DOMAIN_MAX];
        struct text out = text_on(room, sizeof(room));
        names_suggest((const uint8_t *)"\x01\x02\x03\x04", label, &out);
        ensure(names_is_label(text_slice(&out)) && !slice_eq(text_slice(&out), label));
    }
}

// ---- agents -----------------------------------------------------------------------------------------

struct agent {
    struct sim *sim;
    struct sim_end *end; // NULL: closed, or not begun
    char out[REQUEST_MAX];
    size_t out_len;
    size_t out_pos;
    size_t cut; // bytes sent at once
    char in[ANSWER_MAX];
    size_t in_len;
    bool whole; // a head that ends was sent
};

static struct agent agents[AGENTS];

/** Value of a field of the first answer. */
static struct slice answered(const struct agent *a, struct slice name)
{
    struct slice rest = slice_of(a->in, a->in_len);
    ptrdiff_t at = slice_find(rest, name);
    if (at < 0) {
        return slice_of(NULL, 0);
    }
    rest = slice_from(rest, (size_t)at + name.len);
    ptrdiff_t end = slice_find(rest, SLICE("\r\n"));
    return slice_sub(rest, 0, end < 0 ? rest.len : (size_t)end);
}

static struct slice replacement(char c)
{
    switch (c) {
    case 'A':
        return SLICE("Bearer " GRANTS_ALICE);
    case 'B':
        return SLICE("Bearer " GRANTS_BOB);
    case 'L':
        return SLICE("Bearer " GRANTS_LATE);
    case 'I':
        return SLICE("0Zk2yT5oQm6sM1cXr0dV3A");
    case 'S':
        return answered(&agents[0], SLICE("\r\nAdit-Secret: "));
    case 'T':
        return answered(&agents[0], SLICE("\r\nAdit-Ticket: "));
    case 'H':
        return SLICE("\r\n");
    default:
        return slice_of(NULL, 0);
    }
}

static void put_line(struct text *t, struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '$' && i + 1 < line.len) {
            text_put(t, replacement(line.ptr[++i]));
        } else {
            text_char(t, line.ptr[i]);
        }
    }
    text_put(t, SLICE("\r\n"));
}

static struct slice next_line(struct slice *rest)
{
    ptrdiff_t end = slice_find_char(*rest, '\n');
    struct slice line = end < 0 ? *rest : slice_sub(*rest, 0, (size_t)end);
    *rest = end < 0 ? slice_from(*rest, rest->len) : slice_from(*rest, (size_t)end + 1);
    return line;
}

/** The request of one agent: lines until "=". */
static void write_request(struct agent *a, struct slice *rest)
{
    struct text t = text_on(a->out, sizeof(a->out));
    text_str(&t,
             "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: t.test\r\nConnection: Upgrade\r\n");
    while (rest->len > 0) {
        struct slice line = next_line(rest);
        if (slice_eq(line, SLICE("="))) {
            break;
        }
        if (line.len > 0) {
            put_line(&t, line);
        }
    }
    text_put(&t, SLICE("\r\n"));
    a->whole = !t.overflow;
    a->out_len = t.len;
}

static void close_agent(struct agent *a)
{
    if (a->end != NULL) {
        sim_close(a->end);
        a->end = NULL;
    }
}

static void on_agent(struct sim_end *e, unsigned events, void *user)
{
    struct agent *a = user;
    (void)events;
    while (a->out_pos < a->out_len) {
        struct slice left = slice_of(a->out + a->out_pos, a->out_len - a->out_pos);
        size_t n = sim_send(e, slice_sub(left, 0, a->cut));
        a->out_pos += n;
        if (n == 0) {
            break;
        }
    }
    char byte;
    while (sim_recv(e, &byte, 1) == 1) {
        if (a->in_len < sizeof(a->in)) {
            a->in[a->in_len++] = byte;
        }
    }
    if (sim_is_reset(e) || sim_at_eof(e)) {
        close_agent(a);
    }
}

static void run(struct edge *e, uint32_t seconds)
{
    struct sim *s = agents[0].sim;
    uint64_t until = sim_now_ns(s) + (uint64_t)seconds * SECOND_NS;
    (void)sim_run(s, edge_loops(e), edge_core_count(e), until, NULL, NULL);
}

static void check_welcome(const struct agent *a)
{
    uint8_t secret[HELLO_SECRET_BYTES + 3];
    size_t len = 0;
    struct slice url = answered(a, SLICE("\r\nAdit-Url: "));
    int e = base64_read(answered(a, SLICE("\r\nAdit-Secret: ")), BASE64_URL, secret, sizeof(secret),
                        &len);
    ensure(e == 0 && len == HELLO_SECRET_BYTES);
    ensure(answered(a, SLICE("\r\nAdit-Connection: id=")).len > 0);
    ensure(answered(a, SLICE("\r\nAdit-Retry: within=")).len > 0);
    if (slice_starts(url, SLICE("http://"))) {
        struct slice name = answered(a, SLICE("\r\nAdit-Name: "));
        ensure(names_is_label(name) || names_is_domain(name));
        ensure(answered(a, SLICE("\r\nAdit-Ticket: ")).len > 0);
    } else {
        ensure(slice_starts(url, SLICE("tcp://t.test:2000")) ||
               slice_starts(url, SLICE("udp://t.test:2000")));
    }
}

static void check_answer(const struct agent *a)
{
    struct slice in = slice_of(a->in, a->in_len);
    if (in.len == 0) {
        return; // early bytes, or a head that never ended
    }
    ensure(slice_starts(in, SLICE("HTTP/1.1 ")) && slice_find(in, SLICE("\r\n\r\n")) > 0);
    if (slice_starts(in, SLICE("HTTP/1.1 101 "))) {
        check_welcome(a);
    }
}

static void call(struct edge *e, struct sim *s, struct agent *a, struct slice *rest, size_t cut)
{
    write_request(a, rest);
    a->cut = cut;
    a->end = sim_connect(s, &edge_at, on_agent, a);
    run(e, 1);
    check_answer(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size);
    log_set_level(LOG_ERROR);
    read_texts(rest);
    struct slice first = next_line(&rest);
    read_texts(first);
    bool anonymous = slice_find(first, SLICE("anonymous")) >= 0;
    uint64_t seed = first.len;
    size_t cut = 1 + (first.len > 0 ? (uint8_t)first.ptr[first.len - 1] : 0u) % 64u * 8;
    const struct sim_faults faults = {.latency_max_ns = 1000000};
    const struct edge_limits limits = {.cores = 2, .chunks_max = 1000, .connections_max = 20};
    struct sim_case c = {.scenario = "handshake"};
    struct sim *s = sim_new(seed, &faults);
    memset(agents, 0, sizeof(agents));
    agents[0].sim = s;
    struct edge *e = edge_open(&c, s, &edge_at, anonymous ? open : closed, &limits);
    struct access *grants = grants_new();
    edge_set_access(e, grants);
    access_unref(grants);
    for (int i = 0; i < AGENTS; i++) {
        call(e, s, &agents[i], &rest, cut);
    }
    for (int i = 0; i < AGENTS; i++) {
        close_agent(&agents[i]);
    }
    run(e, 60);
    ensure(edge_exchanges(e) == 0 && edge_connections(e) == 0);
    edge_close(&c, e);
    sim_free(s);
    ensure(c.failures == 0);
    return 0;
}
