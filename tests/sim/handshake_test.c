// SPDX-License-Identifier: Apache-2.0
//
// Agents' handshakes against the real edge on two cores, over rough networks: agents that are let in, that
// are refused, that leave at any point, that speak too early, that come back. Whoever stays gets the
// answer that his request deserves, a name belongs to one at a time, an agent that comes back
// has its name again, and when all have gone and parking is over, nothing is left.

#include <stdio.h>

#include "edge.h"
#include "grants.h"
#include "kernel.h"
#include "wire.h"

enum { AGENTS_MAX = 10, SECOND_NS = 1000000000, PARK_S = 20 };

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 80, .u.ip = {10, 0, 0, 1}};

static const char config[] =
    "timeouts: {header: 20s, idle: 30s, write: 20s}\n"
    "sites: {'*.t.test': {tunnels: {insecure_clear: on, park: 20s, ports: 20000-20099}}}\n";

struct wish {
    const char *fields;
    int status; // that it deserves
    bool name;  // the name is "shared": one at a time gets it
};

static const struct wish wishes[] = {
    {"Authorization: Bearer " GRANTS_ALICE "\r\n", 101, false},
    // Nobody opens public ports here.
    {"Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Kind: tcp\r\n", 403, false},
    {"Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Name: shared\r\n", 101, true},
    {"Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Name: admin\r\n", 403, false},
    {"Authorization: Bearer " GRANTS_ALICE "\r\nAdit-Name: shop\r\n", 409, false},
    {"Authorization: Bearer " GRANTS_LATE "\r\n", 401, false},
    {"Authorization: Bearer adit_u_unknown\r\n", 401, false},
    {"", 401, false},
    {"Adit-Slot: 1\r\nAdit-Kind: x\r\n", 400, false},
};

struct agent {
    struct sim_case *c;
    struct sim *s;
    uint32_t id;
    uint32_t sequence;
    const struct wish *wish;
    struct sim_end *end;
    struct wire wire;
    char out[4096];
    size_t out_len, out_pos;
    size_t piece;
    bool leaves; // once its request is out
    bool early;
    bool answered;
    bool gone;
    size_t behind; // bytes that came behind the 101
    char name[64];
    char secret[64];
    char ticket[700];
};

static struct agent agents[AGENTS_MAX];
static uint32_t agent_count;
static bool rough;

static void keep(char *to, size_t room, struct slice value)
{
    ensure(value.len < room);
    memcpy(to, value.ptr, value.len);
    to[value.len] = '\0';
}

static void take_answer(struct agent *a)
{
    a->answered = true;
    int want = a->wish->status;
    int got = a->wire.status;
    bool other = a->wish->name && got == 409; // somebody else was first
    if (got != want && !other && got != 429) {
        struct slice reason = wire_field(&a->wire, "adit-reason");
        sim_fail(a->c, "agent %u: status %d (%.*s), not %d", a->id, got, SLICE_ARG(reason), want);
    }
    if (got != 101) {
        return;
    }
    struct slice name = wire_field(&a->wire, "adit-name");
    if (a->sequence > 1 && a->name[0] != '\0' && !slice_eq(name, slice_str(a->name))) {
        sim_fail(a->c, "agent %u: came back as %.*s, not %s", a->id, SLICE_ARG(name), a->name);
    }
    keep(a->name, sizeof(a->name), name);
    keep(a->secret, sizeof(a->secret), wire_field(&a->wire, "adit-secret"));
    keep(a->ticket, sizeof(a->ticket), wire_field(&a->wire, "adit-ticket"));
}

static void receive(struct agent *a)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    char byte;
    while (sim_recv(a->end, &byte, 1) == 1) {
        if (a->answered && a->wire.status == 101) {
            if (a->behind < sizeof(preface) - 1 && byte != preface[a->behind]) {
                sim_fail(a->c, "agent %u: no preface behind the 101", a->id);
            }
            a->behind++;
            continue;
        }
        bool head = false;
        (void)wire_feed(&a->wire, slice_of(&byte, 1), &head);
        if (a->wire.state == WIRE_BAD) {
            sim_fail(a->c, "agent %u: %s", a->id, a->wire.wrong);
            return;
        }
        if (head) {
            take_answer(a);
        }
    }
}

static void close_agent(struct agent *a)
{
    if (!a->gone) {
        a->gone = true;
        sim_close(a->end);
    }
}

static void on_agent(struct sim_end *e, unsigned events, void *user)
{
    struct agent *a = user;
    (void)events;
    while (a->out_pos < a->out_len) {
        struct slice left = slice_of(a->out + a->out_pos, a->out_len - a->out_pos);
        size_t n = sim_send(e, slice_sub(left, 0, a->piece));
        a->out_pos += n;
        if (n == 0) {
            break;
        }
    }
    if (a->leaves && a->out_pos == a->out_len) {
        close_agent(a);
        return;
    }
    receive(a);
    if (sim_is_reset(e) || sim_at_eof(e)) {
        close_agent(a);
    }
}

static void write_request(struct agent *a)
{
    bool back = a->secret[0] != '\0';
    bool web = back && a->ticket[0] != '\0';
    a->out_len = (size_t)snprintf(
        a->out, sizeof(a->out),
        "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: t.test\r\nConnection: Upgrade\r\n"
        "Upgrade: adit-tunnel/1\r\nAdit-Instance: AAAAAAAAAAAAAAAAAAAA%cA\r\n"
        "Adit-Connection: slot=0, sequence=%u\r\n%s%s%s%s%s%s%s\r\n%s",
        'A' + (int)a->id, a->sequence, a->wish->fields, back ? "Adit-Secret: " : "", a->secret,
        back ? "\r\n" : "", web ? "Adit-Ticket: " : "", web ? a->ticket : "", web ? "\r\n" : "",
        a->early ? "PRI * HTTP/2.0\r\n" : "");
    ensure(a->out_len < sizeof(a->out));
}

static void begin(void *user)
{
    struct agent *a = user;
    a->end = sim_connect(a->s, &edge_at, on_agent, a);
}

static void open_agent(struct agent *a)
{
    struct rng *r = sim_rng(a->s);
    a->sequence++;
    a->out_pos = 0;
    a->behind = 0;
    a->answered = false;
    a->gone = false;
    a->piece = 1 + (size_t)rng_below(r, 3000);
    a->leaves = rng_chance(r, 0.15);
    a->early = !a->leaves && rng_chance(r, 0.1);
    wire_reset(&a->wire);
    write_request(a);
    sim_after(a->s, rng_below(r, 300000000), begin, a);
}

/** All that stayed were answered, and nobody shares what is one's. */
static void judge(struct sim_case *c)
{
    uint32_t holders = 0;
    for (uint32_t i = 0; i < agent_count; i++) {
        const struct agent *a = &agents[i];
        bool stayed = !a->leaves && !a->early && !rough;
        if (stayed && !a->answered) {
            sim_fail(c, "agent %u got no answer", a->id);
        }
        if (stayed && a->answered && a->wire.status == 101 && a->behind < 24) {
            sim_fail(c, "agent %u: the edge did not begin", a->id);
        }
        holders += a->answered && a->wire.status == 101 && a->wish->name && !a->gone;
    }
    if (holders > 1) {
        sim_fail(c, "%u agents have one name", holders);
    }
}

static void run(struct sim_case *c, const struct sim_faults *faults)
{
    struct sim *s = sim_new(c->seed, faults);
    struct edge_limits limits = {.cores = 2, .chunks_max = 10000, .connections_max = 100};
    rough = faults->reset > 0;
    struct edge *e = edge_open(c, s, &edge_at, config, &limits);
    struct access *grants = grants_new();
    edge_set_access(e, grants);
    access_unref(grants);
    agent_count = 1 + (uint32_t)rng_below(sim_rng(s), AGENTS_MAX);
    for (uint32_t i = 0; i < agent_count; i++) {
        agents[i] = (struct agent){.c = c, .s = s, .id = i};
        agents[i].wish = &wishes[rng_below(sim_rng(s), array_len(wishes))];
        open_agent(&agents[i]);
    }
    (void)edge_run(e, 5 * (uint64_t)SECOND_NS, NULL, NULL);
    judge(c);
    for (uint32_t i = 0; i < agent_count; i++) { // and again, within the time of parking
        close_agent(&agents[i]);
        open_agent(&agents[i]);
    }
    (void)edge_run(e, 5 * (uint64_t)SECOND_NS, NULL, NULL);
    judge(c);
    for (uint32_t i = 0; i < agent_count; i++) {
        close_agent(&agents[i]);
    }
    edge_settle(c, e);
    edge_close(c, e);
    sim_free(s);
}

static void agents_are_let_in_or_told_why(struct sim_case *c)
{
    run(c, &sim_calm_network);
}

static void the_same_on_a_rough_network(struct sim_case *c)
{
    run(c, &sim_rough_network);
}

static void bears_resets(struct sim_case *c)
{
    run(c, &sim_resetting_network);
}

static const struct sim_scenario scenarios[] = {
    {"agents_are_let_in_or_told_why", agents_are_let_in_or_told_why, 100},
    {"the_same_on_a_rough_network", the_same_on_a_rough_network, 100},
    {"bears_resets", bears_resets, 100},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}
