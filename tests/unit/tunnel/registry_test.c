// SPDX-License-Identifier: Apache-2.0
//
// registry: who gets a name, what visitors meet while an agent is there, lost, replaced or gone. Two cores
// on one thread, agents whose sessions only count.

#include "tunnel/registry.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "http/move.h"
#include "obs/tunnel_rows.h"
#include "tap.h"
#include "tunnel/access.h"
#include "tunnel/ports.h"
#include "tunnel/tunnel_int.h"
#include "upstream/fake_session.h"
#include "upstream/server.h"

enum { CORES = 2, SESSIONS_MAX = 32, VISITORS_MAX = 32 };

struct visitor {
    struct upstream_request rq;
    struct tunnel *tunnel;
    struct http_stream *stream;
    int error;
};

struct one_core {
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct transport_core transports;
    struct conn_door door;
    struct up_protocol protocols[2];
};

struct world {
    struct one_core cores[CORES];
    struct upstream_registry upstreams;
    struct tunnel_registry *tunnels;
    struct tunnel_rows *rows;
    struct zone zone;
    struct fake_session sessions[SESSIONS_MAX];
    uint32_t session_count;
    struct visitor visitors[VISITORS_MAX];
    uint32_t visitor_count;
};

static struct world w;

// ---- agents' sessions -------------------------------------------------------------------------------

static void not_ready(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static struct up_session *open_fake(void *core, struct transport *t,
                                    const struct up_session_terms *terms, int *error)
{
    (void)core;
    (void)error;
    REQUIRE(w.session_count < SESSIONS_MAX);
    return fake_session_open(&w.sessions[w.session_count++], t, terms, 100);
}

static void turn(void)
{
    for (int round = 0; round < 6; round++) {
        for (unsigned i = 0; i < CORES; i++) {
            loop_turn(&w.cores[i].loop, 0);
        }
    }
}

/** The session of an agent's connection is cut. */
static void cut(struct fake_session *f)
{
    f->closed = true;
    f->session.streams = 0;
    transport_close(f->t, true);
    f->session.owner->on_gone(&f->session, f->session.owner_arg, E_RESET);
    turn();
}

/** The agent has read its 101 and speaks. */
static void greet(struct fake_session *f)
{
    f->session.greeted = true;
    f->session.owner->on_room(&f->session, f->session.owner_arg);
}

/** The agent says that it goes, and goes. */
static void leave(struct fake_session *f)
{
    f->session.closing = true;
    f->session.left = true;
    f->session.owner->on_closing(&f->session, f->session.owner_arg);
    cut(f);
}

static struct fake_session *newest(void)
{
    REQUIRE(w.session_count > 0);
    return &w.sessions[w.session_count - 1];
}

// ---- the world --------------------------------------------------------------------------------------

static void open_core(unsigned i)
{
    struct one_core *c = &w.cores[i];
    static const struct loop_limits limits = {64, 16};
    c->sys = os_linux_new();
    REQUIRE(c->sys != NULL);
    REQUIRE(loop_init(&c->loop, c->sys, i, &limits) == 0);
    transport_core_init(&c->transports, &c->loop, 64);
    c->protocols[0] = (struct up_protocol){"h2", open_fake, NULL};
    const struct upstream_core what = {
        .loop = &c->loop, .counters = &c->counters, .protocols = c->protocols};
    upstream_registry_attach(&w.upstreams, i, &what);
    conn_door_init(&c->door, &c->loop, &c->transports);
    tunnel_registry_attach(w.tunnels, &c->loop, &c->counters, &c->door);
}

static void set_zone(void)
{
    struct zone_settings *s = &w.zone.settings;
    s->site = SLICE("*.t.test");
    s->suffix = SLICE(".t.test");
    s->at = SLICE("t.test");
    s->park_ms = 60000;
    s->per_owner = 3;
    w.zone.spec.balance.method = balance_find(SLICE("round-robin"));
    w.zone.spec.queue_max = 8;
    w.zone.spec.queue_ms = 10000;
    w.zone.spec.limits =
        (struct server_limits){.connections_max = 1000, .idle_max = 1000, .streams_max = 100};
    w.zone.runtime = tunnel_zone_get(w.tunnels, s->site);
    REQUIRE(w.zone.runtime != NULL);
}

static void begin_after(const struct tunnel_rows *before)
{
    struct tunnel_rows *rows = w.rows;
    memset(&w, 0, sizeof(w));
    w.rows = rows;
    upstream_registry_init(&w.upstreams, CORES);
    const struct tunnel_registry_order order = {
        .upstreams = &w.upstreams, .cores = CORES, .rows = w.rows, .before = before};
    REQUIRE(tunnel_registry_new(&order, &w.tunnels) == 0);
    for (unsigned i = 0; i < CORES; i++) {
        open_core(i);
    }
    set_zone();
    for (unsigned i = 0; i < CORES; i++) {
        tunnel_zone_enter(w.zone.runtime, i, &w.zone);
    }
}

static void begin(void)
{
    w.rows = NULL;
    begin_after(NULL);
}

static void end(void)
{
    for (uint32_t i = 0; i < w.visitor_count; i++) {
        struct visitor *v = &w.visitors[i];
        if (v->stream != NULL && v->rq.place != NULL) {
            static const struct upstream_outcome well = {.status = 200};
            group_release(tunnel_group(v->tunnel), &v->rq, &well);
        }
        if (v->tunnel != NULL) {
            tunnel_let_go(v->tunnel);
        }
    }
    turn();
    for (unsigned i = 0; i < CORES; i++) {
        conn_door_close(&w.cores[i].door);
        tunnel_registry_close(w.tunnels, i);
        for (uint32_t k = 0; k < w.session_count; k++) {
            w.sessions[k].session.streams = 0;
        }
        upstream_registry_close(&w.upstreams, i);
    }
    turn();
    tunnel_registry_free(w.tunnels);
    upstream_registry_fini(&w.upstreams);
    for (unsigned i = 0; i < CORES; i++) {
        transport_core_fini(&w.cores[i].transports);
        loop_fini(&w.cores[i].loop);
        os_linux_free(w.cores[i].sys);
    }
}

// ---- claims -----------------------------------------------------------------------------------------

static struct tunnel_claim *judged;

static void on_judged(struct tunnel_claim *c)
{
    judged = c;
}

/** A claim of an owner's instance, from a core. */
static struct tunnel_claim *claim_of(const char *name, const char *owner, uint8_t instance)
{
    struct tunnel_claim *c = tunnel_claim_new(w.tunnels, &w.cores[instance % CORES].loop);
    REQUIRE(c != NULL);
    c->zone = w.zone.runtime;
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    c->name_len = (uint32_t)strlen(name);
    (void)snprintf(c->owner, sizeof(c->owner), "%s", owner);
    c->instance[0] = instance;
    c->sequence = 1;
    c->on_judged = on_judged;
    REQUIRE(os_addr_parse(SLICE("203.0.113.7:1"), &c->address) == 0);
    return c;
}

static int judge(struct tunnel_claim *c)
{
    judged = NULL;
    tunnel_claim(c);
    turn();
    REQUIRE(judged == c);
    return c->error;
}

/** Its 101 is out: the connection comes. */
static struct fake_session *arrive(struct tunnel_claim *c)
{
    int pair[2];
    int e = 0;
    struct one_core *core = &w.cores[c->loop->core];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    struct transport *t = transport_new(&core->transports, pair[0], &e);
    REQUIRE(t != NULL);
    (void)close(pair[1]);
    transport_set_owner(t, NULL, not_ready);
    struct http_peer peer = {.connection_id = c->connection_id, .transport = t};
    tunnel_arrive(c, t, &peer);
    turn();
    return newest();
}

/** Refused with this code. */
static int refused(struct tunnel_claim *c)
{
    int e = judge(c);
    tunnel_abandon(c);
    turn();
    return e;
}

static struct fake_session *come(const char *name, const char *owner, uint8_t instance)
{
    struct tunnel_claim *c = claim_of(name, owner, instance);
    REQUIRE(judge(c) == 0);
    return arrive(c);
}

static struct fake_session *come_back(const char *name, const char *owner, uint8_t instance,
                                      uint64_t sequence)
{
    struct tunnel_claim *c = claim_of(name, owner, instance);
    c->proven = true;
    c->sequence = sequence;
    REQUIRE(judge(c) == 0);
    return arrive(c);
}

// ---- visitors ---------------------------------------------------------------------------------------

static void on_ready(struct upstream_request *rq, struct http_stream *s)
{
    container_of(rq, struct visitor, rq)->stream = s;
}

static void on_failed(struct upstream_request *rq, int error)
{
    container_of(rq, struct visitor, rq)->error = error;
}

/** NULL: no tunnel has the name. */
static struct visitor *visit_at(const char *name, unsigned core)
{
    struct tunnel *t = tunnel_find(w.zone.runtime, slice_str(name));
    if (t == NULL) {
        return NULL;
    }
    REQUIRE(w.visitor_count < VISITORS_MAX);
    struct visitor *v = &w.visitors[w.visitor_count++];
    v->tunnel = t;
    list_init(&v->rq.link);
    v->rq.loop = &w.cores[core].loop;
    v->rq.on_ready = on_ready;
    v->rq.on_failed = on_failed;
    group_acquire(tunnel_group(t), &v->rq, &w.zone.spec, NULL);
    turn();
    return v;
}

/** On the core where the name's first connection is. */
static struct visitor *visit(const char *name)
{
    struct tunnel *t = tunnel_find(w.zone.runtime, slice_str(name));
    if (t == NULL) {
        return NULL;
    }
    unsigned home = tunnel_group(t)->home;
    tunnel_let_go(t);
    return visit_at(name, home);
}

static bool served_by(const struct visitor *v, const struct fake_session *f)
{
    return v != NULL && v->stream == &f->stream;
}

static bool waits(const struct visitor *v)
{
    return v != NULL && v->stream == NULL && v->error == 0;
}

// ---- tests ------------------------------------------------------------------------------------------

static void visitors_meet_the_agent_of_the_name(void)
{
    begin();
    CHECK(visit("myapp") == NULL);
    struct fake_session *mine = come("myapp", "alice", 1);
    struct fake_session *other = come("other", "bob", 2);
    CHECK(served_by(visit("myapp"), mine));
    CHECK(served_by(visit("other"), other));
    CHECK(visit("nobody") == NULL);
    CHECK(visit("a.myapp") == NULL); // names below it are not its own
    end();
}

static void names_below_a_wildcard_come_to_it(void)
{
    begin();
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    c->wildcard = true;
    REQUIRE(judge(c) == 0);
    struct fake_session *mine = arrive(c);
    struct fake_session *below = come("b.myapp", "alice", 2);
    CHECK(served_by(visit("a.myapp"), mine));
    CHECK(served_by(visit("x.y.myapp"), mine));
    CHECK(served_by(visit("b.myapp"), below));
    CHECK(visit("notmyapp") == NULL);
    end();
}

static void a_name_is_one_owners(void)
{
    begin();
    greet(come("myapp", "alice", 1));
    CHECK_EQ_INT(refused(claim_of("myapp", "bob", 2)), E_TUNNEL_TAKEN);
    CHECK_EQ_INT(refused(claim_of("myapp", "alice", 3)), E_TUNNEL_TAKEN); // it did not say `join`
    struct tunnel_claim *stranger = claim_of("myapp", "alice", 1);        // without the secret
    stranger->sequence = 9;
    CHECK_EQ_INT(refused(stranger), E_TUNNEL_TAKEN);
    end();
}

static void visitors_wait_for_an_agent_that_was_lost(void)
{
    begin();
    struct fake_session *first = come("myapp", "alice", 1);
    cut(first);
    struct visitor *v = visit("myapp");
    CHECK(waits(v));
    CHECK_EQ_INT(refused(claim_of("myapp", "bob", 2)), E_TUNNEL_TAKEN);
    struct fake_session *again = come_back("myapp", "alice", 1, 2);
    CHECK(served_by(v, again));
    end();
}

static void the_owner_may_come_as_another_instance(void)
{
    begin();
    cut(come("myapp", "alice", 1));
    struct visitor *v = visit("myapp");
    struct fake_session *restarted = come("myapp", "alice", 4);
    CHECK(served_by(v, restarted));
    end();
}

static void nobody_waits_for_one_that_said_goodbye(void)
{
    begin();
    leave(come("myapp", "alice", 1));
    CHECK(visit("myapp") == NULL);
    (void)come("myapp", "bob", 2);
    end();
}

static void what_a_leaving_agent_carries_ends_by_itself(void)
{
    begin();
    struct fake_session *mine = come("myapp", "alice", 1);
    CHECK(served_by(visit("myapp"), mine));
    mine->session.closing = true; // GOAWAY, with a download under way
    mine->session.left = true;
    mine->session.owner->on_closing(&mine->session, mine->session.owner_arg);
    turn();
    CHECK(visit("myapp") == NULL); // told at once, not after the queue's time
    CHECK(!mine->closed);
    end();
}

static void what_the_edge_gives_up_is_waited_for(void)
{
    begin();
    struct fake_session *mine = come("myapp", "alice", 1);
    mine->session.closing = true; // it has had all the streams that a connection can have
    mine->session.owner->on_closing(&mine->session, mine->session.owner_arg);
    turn();
    CHECK(mine->said[0] != '\0' && !slice_starts(slice_str(mine->said), SLICE("end")));
    cut(mine);
    struct visitor *v = visit("myapp");
    struct fake_session *again = come_back("myapp", "alice", 1, 2);
    CHECK(served_by(v, again));
    end();
}

static void a_new_connection_takes_the_place_of_the_old_one(void)
{
    begin();
    struct fake_session *old = come("myapp", "alice", 1);
    struct fake_session *new = come_back("myapp", "alice", 1, 2);
    CHECK(served_by(visit("myapp"), new));
    // It may be read before the 101 of the new one: then it must not keep the agent away.
    CHECK(old->said[0] != '\0' && !slice_starts(slice_str(old->said), SLICE("end")));
    if (!old->closed) {
        cut(old); // its end comes late
    }
    CHECK(served_by(visit("myapp"), new));
    struct tunnel_claim *late = claim_of("myapp", "alice", 1);
    late->proven = true;
    late->sequence = 1;
    CHECK_EQ_INT(refused(late), E_TUNNEL_SEQUENCE);
    CHECK(served_by(visit("myapp"), new));
    end();
}

static void several_agents_share_a_name(void)
{
    begin();
    struct tunnel_claim *c = claim_of("myapp", "alice", 2);
    c->join = true;
    REQUIRE(judge(c) == 0);
    struct fake_session *a = arrive(c);
    c = claim_of("myapp", "alice", 4);
    c->join = true;
    REQUIRE(judge(c) == 0);
    struct fake_session *b = arrive(c);
    for (int i = 0; i < 4; i++) {
        (void)visit("myapp");
    }
    CHECK_EQ_INT(a->session.streams, 2);
    CHECK_EQ_INT(b->session.streams, 2);
    cut(a);
    for (int i = 0; i < 4; i++) {
        CHECK(served_by(visit("myapp"), b));
    }
    end();
}

static void an_owner_has_so_many(void)
{
    begin();
    (void)come("one", "alice", 1);
    (void)come("two", "alice", 2);
    struct fake_session *third = come("three", "alice", 3);
    CHECK_EQ_INT(refused(claim_of("four", "alice", 4)), E_TUNNEL_LIMIT);
    (void)come("four", "bob", 5);
    leave(third);
    (void)come("five", "alice", 6);
    end();
}

static void what_never_came_leaves_nothing(void)
{
    begin();
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    REQUIRE(judge(c) == 0);
    CHECK(waits(visit("myapp"))); // it is about to come
    tunnel_abandon(c);
    turn();
    CHECK_EQ_INT(w.visitors[0].error, E_NO_SERVER);
    CHECK(visit("myapp") == NULL);
    (void)come("myapp", "bob", 2);
    end();
}

/** Two handshakes of a slot, and the connection of the first one is the last to come. */
static void a_late_arrival_does_not_end_a_newer_connection(void)
{
    begin();
    (void)come("myapp", "alice", 1);
    struct tunnel_claim *older = claim_of("myapp", "alice", 1);
    older->proven = true;
    older->sequence = 2;
    REQUIRE(judge(older) == 0);
    struct fake_session *newer = come_back("myapp", "alice", 1, 3);
    CHECK(served_by(visit("myapp"), newer));
    struct fake_session *late = arrive(older);
    CHECK(late->said[0] != '\0');
    CHECK(newer->said[0] == '\0' && !newer->closed);
    CHECK(served_by(visit("myapp"), newer));
    end();
}

/** Its connection was cut before it could read the 101, so it has no secret to come back with. */
static void an_owner_comes_back_without_a_secret_to_what_waits(void)
{
    begin();
    struct fake_session *first = come("myapp", "alice", 1);
    greet(first);
    struct tunnel_claim *again = claim_of("myapp", "alice", 1);
    again->sequence = 2;
    CHECK_EQ_INT(refused(again), E_TUNNEL_TAKEN); // it is live
    cut(first);
    again = claim_of("myapp", "alice", 1);
    again->sequence = 3;
    REQUIRE(judge(again) == 0);
    CHECK(served_by(visit("myapp"), arrive(again)));
    end();
}

/** The edge does not know yet that the connection was lost, but that nobody has answered on it. */
static void the_instance_that_could_not_read_its_answer_comes_again(void)
{
    begin();
    struct fake_session *first = come("myapp", "alice", 1);
    CHECK_EQ_INT(refused(claim_of("myapp", "bob", 1)), E_TUNNEL_TAKEN);
    CHECK_EQ_INT(refused(claim_of("myapp", "alice", 2)), E_TUNNEL_TAKEN);
    CHECK_EQ_INT(refused(claim_of("myapp", "alice", 1)), E_TUNNEL_SEQUENCE); // one that is late
    struct tunnel_claim *again = claim_of("myapp", "alice", 1);
    again->sequence = 2;
    REQUIRE(judge(again) == 0);
    struct fake_session *second = arrive(again);
    CHECK(served_by(visit("myapp"), second));
    CHECK(first->said[0] != '\0' && !slice_starts(slice_str(first->said), SLICE("end ")));
    greet(second);
    again = claim_of("myapp", "alice", 1);
    again->sequence = 3;
    CHECK_EQ_INT(refused(again), E_TUNNEL_TAKEN);
    cut(second); // it has read one: what is parked needs no secret, what lives does
    struct fake_session *third = come_back("myapp", "alice", 1, 4);
    again = claim_of("myapp", "alice", 1);
    again->sequence = 5;
    CHECK_EQ_INT(refused(again), E_TUNNEL_TAKEN);
    CHECK(served_by(visit("myapp"), third));
    end();
}

static void nobody_waits_for_a_name_that_nobody_has_heard(void)
{
    begin();
    struct tunnel_claim *c = claim_of("rnd", "alice", 1);
    c->random = true;
    REQUIRE(judge(c) == 0);
    cut(arrive(c));
    CHECK(visit("rnd") == NULL);
    c = claim_of("rnd", "alice", 1);
    c->random = true;
    REQUIRE(judge(c) == 0);
    struct fake_session *mine = arrive(c);
    greet(mine);
    cut(mine);
    CHECK_EQ_INT(refused(claim_of("rnd", "bob", 2)), E_TUNNEL_TAKEN); // parked
    end();
}

/** A second handshake of a slot is lost on its way: the connection that is there stays the slot's. */
static void a_connection_outlives_one_that_never_came(void)
{
    begin();
    struct fake_session *first = come("myapp", "alice", 1);
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    c->proven = true;
    c->sequence = 2;
    REQUIRE(judge(c) == 0);
    tunnel_abandon(c);
    turn();
    CHECK(served_by(visit("myapp"), first));
    // It is live, not parked: the owner's next instance would have to join.
    CHECK_EQ_INT(refused(claim_of("myapp", "alice", 4)), E_TUNNEL_TAKEN);
    cut(first);
    CHECK(waits(visit("myapp")));
    (void)come_back("myapp", "alice", 1, 3);
    end();
}

#define SOME_PROOF  "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER_PROOF "2222222222222222222222222222222222222222222222222222222222222222"

static struct access *access_of(const char *json)
{
    struct conf_doc *doc = NULL;
    struct access *a = NULL;
    struct conf_diags *d = conf_diags_new();
    struct conf_load in = {.path = "access", .text = slice_str(json), .tables = access_doc_tables};
    REQUIRE(d != NULL && conf_load(&in, d, &doc) == 0 && access_load(doc, &a) == 0);
    conf_doc_free(doc);
    conf_diags_free(d);
    return a;
}

static void set_access(const struct access *a)
{
    for (unsigned i = 0; i < CORES; i++) {
        tunnels_set_access(w.tunnels, i, a);
    }
    turn();
}

static void the_token_that_came_last_is_the_one_that_counts(void)
{
    static const char grant[] = "{\"grants\": [{\"id\": \"old\", \"kind\": \"token\", "
                                "\"owner\": \"alice\", \"proof\": \"" SOME_PROOF "\"}%s]}";
    static const char more[] = ", {\"id\": \"new\", \"kind\": \"token\", \"owner\": "
                               "\"alice\", \"proof\": \"" OTHER_PROOF "\"}";
    char both_text[512];
    char one_text[512];
    (void)snprintf(both_text, sizeof(both_text), grant, more);
    (void)snprintf(one_text, sizeof(one_text), grant, "");
    struct access *both = access_of(both_text);
    struct access *one = access_of(one_text);
    begin();
    set_access(both);
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    (void)snprintf(c->grant, sizeof(c->grant), "old");
    REQUIRE(judge(c) == 0);
    (void)arrive(c);
    c = claim_of("myapp", "alice", 1);
    (void)snprintf(c->grant, sizeof(c->grant), "new");
    c->proven = true;
    c->sequence = 2;
    REQUIRE(judge(c) == 0);
    struct fake_session *mine = arrive(c);
    CHECK(served_by(visit("myapp"), mine));
    set_access(one); // the new one is revoked
    CHECK(visit("myapp") == NULL);
    end();
    access_unref(both);
    access_unref(one);
}

/** It was judged on a core that had not heard of it yet. */
static void a_claim_on_its_way_does_not_outrun_a_revocation(void)
{
    struct access *before = access_of("{\"grants\": [{\"id\": \"old\", \"kind\": \"token\", "
                                      "\"owner\": \"alice\", \"proof\": \"" SOME_PROOF "\"}]}");
    struct access *after = access_of("{\"grants\": []}");
    begin();
    set_access(after);
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    (void)snprintf(c->grant, sizeof(c->grant), "old");
    c->judged_by = access_number(before);
    CHECK_EQ_INT(refused(c), E_AGAIN);
    CHECK(visit("myapp") == NULL);
    // The other way round the table that says so is the newer one: this core hears of it soon.
    set_access(before);
    c = claim_of("myapp", "alice", 2);
    (void)snprintf(c->grant, sizeof(c->grant), "new");
    c->judged_by = access_number(after);
    CHECK_EQ_INT(judge(c), 0);
    CHECK(served_by(visit("myapp"), arrive(c)));
    end();
    access_unref(before);
    access_unref(after);
}

static void what_is_below_a_wildcard_may_be_somebody_elses(void)
{
    struct access *a =
        access_of("{\"domains\": [{\"name\": \"a.test\", \"owner\": \"alice\", \"proved\": 1}, "
                  "{\"name\": \"b.a.test\", \"owner\": \"bob\", \"proved\": 1}]}");
    begin();
    struct tunnel_claim *c = claim_of("a.test", "alice", 1);
    c->random = true; // no grant in this test
    c->wildcard = true;
    REQUIRE(judge(c) == 0);
    (void)arrive(c);
    set_access(a);
    struct tunnel *t = tunnel_find(w.zone.runtime, SLICE("x.b.a.test"));
    REQUIRE(t != NULL);
    CHECK(tunnel_may_answer(t, 0, SLICE("a.test")));
    CHECK(tunnel_may_answer(t, 1, SLICE("c.a.test")));
    CHECK(!tunnel_may_answer(t, 0, SLICE("b.a.test")));
    CHECK(!tunnel_may_answer(t, 1, SLICE("x.b.a.test")));
    tunnel_let_go(t);
    end();
    access_unref(a);
}

static void a_port_that_the_zone_has_no_more_ends_its_tunnel(void)
{
    begin();
    w.zone.settings.port_first = 100;
    w.zone.settings.port_last = 110;
    struct tunnel_claim *c = claim_of("", "alice", 1);
    c->kind = TUNNEL_TCP;
    c->port = 105;
    REQUIRE(judge(c) == 0);
    struct fake_session *mine = arrive(c);
    set_access(NULL);
    const uint64_t key = tunnel_port_key(w.zone.settings.site, false);
    CHECK(tunnels_have_port(w.tunnels, key, TUNNEL_TCP, 105));
    CHECK(!tunnels_have_port(w.tunnels, key + 2, TUNNEL_TCP, 105)); // another zone's
    w.zone.settings.port_last = 104;                                // a reload
    set_access(NULL);
    CHECK(!tunnels_have_port(w.tunnels, key, TUNNEL_TCP, 105));
    CHECK(slice_starts(slice_str(mine->said), SLICE("end ")));
    end();
}

static void agents_without_a_token_have_so_many(void)
{
    begin();
    w.tunnels->anonymous_max = 2;
    struct fake_session *first = come("one", "*01", 1);
    cut(first); // parked: it counts
    struct fake_session *second = come("two", "*02", 2);
    CHECK_EQ_INT(refused(claim_of("three", "*03", 3)), E_TUNNEL_LIMIT);
    (void)come("three", "alice", 4);
    leave(second);
    (void)come("four", "*03", 5);
    end();
}

/** "a", "b", ... at home on the first core, so that all are counted there. */
static const char *name_at_home(unsigned number)
{
    static char name[16];
    for (unsigned i = 0, found = 0;; i++) {
        (void)snprintf(name, sizeof(name), "n%u", i);
        found += tunnel_home(w.tunnels, w.zone.runtime, slice_str(name)) == 0;
        if (found > number) {
            return name;
        }
    }
}

/** Comes without a token from 203.0.113.LAST, and is lost. */
static void wait_from(unsigned number, unsigned last)
{
    char owner[8];
    char address[32];
    (void)snprintf(owner, sizeof(owner), "*%u", number);
    (void)snprintf(address, sizeof(address), "203.0.113.%u:1", last);
    struct tunnel_claim *c = claim_of(name_at_home(number), owner, (uint8_t)(number + 1));
    REQUIRE(os_addr_parse(slice_str(address), &c->address) == 0);
    REQUIRE(judge(c) == 0);
    cut(arrive(c));
}

static bool is_kept(unsigned number)
{
    struct tunnel *t = tunnel_find_exact(w.zone.runtime, slice_str(name_at_home(number)));
    if (t != NULL) {
        tunnel_let_go(t);
    }
    return t != NULL;
}

static void those_without_a_token_that_wait_make_room(void)
{
    begin();
    w.tunnels->parked_per_address = 2;
    w.tunnels->parked_max = 4;
    w.zone.settings.per_address = 1;
    cut(come("token", "alice", 99)); // counts nowhere
    for (unsigned i = 0; i < 3; i++) {
        wait_from(i, 1);
    }
    CHECK(!is_kept(0) && is_kept(1) && is_kept(2)); // of one address
    wait_from(3, 2);
    wait_from(4, 3);
    CHECK(is_kept(1));
    wait_from(5, 4);
    CHECK(!is_kept(1) && is_kept(2) && is_kept(3) && is_kept(4) && is_kept(5)); // of all
    struct tunnel_claim *back = claim_of(name_at_home(2), "*2", 3);
    back->proven = true;
    back->sequence = 2;
    REQUIRE(judge(back) == 0);
    struct fake_session *live = arrive(back); // it waits no more, so there is room again
    wait_from(6, 5);
    CHECK(is_kept(2) && is_kept(3) && is_kept(6));
    cut(live);
    CHECK(is_kept(2) && !is_kept(3) && is_kept(4));
    CHECK_EQ_INT(w.tunnels->cores[0].parked_count, 4);
    CHECK_EQ_INT(refused(claim_of("token", "bob", 98)), E_TUNNEL_TAKEN);
    end();
}

static void a_kick_ends_it(void)
{
    begin();
    struct fake_session *mine = come("myapp", "alice", 1);
    uint32_t count = 0;
    for (unsigned i = 0; i < CORES; i++) {
        count += tunnels_kick(w.tunnels, i, SLICE(""), SLICE("myapp.t.test"), SLICE("abuse"));
    }
    turn();
    CHECK_EQ_INT(count, 1);
    CHECK(slice_starts(slice_str(mine->said), SLICE("end ")));
    CHECK(visit("myapp") == NULL);
    end();
}

/** The other core has left the server by then, which the connection still keeps. */
static void what_arrives_after_the_end_goes_again(void)
{
    begin();
    struct fake_session *first = come("myapp", "alice", 1);
    struct tunnel_claim *c = claim_of("myapp", "alice", 1);
    c->proven = true;
    c->sequence = 2;
    c->slot = 1;
    REQUIRE(judge(c) == 0);
    for (unsigned i = 0; i < CORES; i++) {
        (void)tunnels_kick(w.tunnels, i, SLICE(""), SLICE("myapp"), SLICE("abuse"));
    }
    turn();
    struct fake_session *late = arrive(c);
    CHECK(late != first && late->session.closing);
    CHECK_STR(late->said, "end abuse");
    cut(late); // it ends by itself
    CHECK(visit("myapp") == NULL);
    end();
}

static void a_zone_that_goes_takes_its_tunnels_along(void)
{
    begin();
    struct fake_session *mine = come("myapp", "alice", 1);
    for (unsigned i = 0; i < CORES; i++) {
        tunnel_zone_leave(w.zone.runtime, i, &w.zone);
    }
    turn();
    CHECK(slice_starts(slice_str(mine->said), SLICE("end ")));
    CHECK(visit("myapp") == NULL);
    CHECK_EQ_INT(refused(claim_of("myapp", "alice", 2)), E_NO_TUNNEL);
    end();
}

static void the_next_worker_keeps_the_names(void)
{
    void *block = mem_zalloc_aligned(tunnel_rows_bytes(), 64);
    REQUIRE(block != NULL);
    w.rows = tunnel_rows_begin(block);
    begin_after(NULL);
    (void)come("myapp", "alice", 1);
    turn();
    // It dies: what it has told is all that is left. An end in order would give the rows back.
    void *copy = mem_zalloc_aligned(tunnel_rows_bytes(), 64);
    REQUIRE(copy != NULL);
    memcpy(copy, block, tunnel_rows_bytes());
    end();
    w.rows = NULL;
    begin_after(tunnel_rows_open(copy, tunnel_rows_bytes()));
    struct visitor *v = visit("myapp");
    CHECK(waits(v));
    CHECK_EQ_INT(refused(claim_of("myapp", "bob", 2)), E_TUNNEL_TAKEN);
    struct fake_session *again = come_back("myapp", "alice", 1, 7);
    CHECK(served_by(v, again));
    end();
    mem_free(copy);
    mem_free(block);
}

TAP_MAIN(visitors_meet_the_agent_of_the_name, names_below_a_wildcard_come_to_it,
         a_name_is_one_owners, visitors_wait_for_an_agent_that_was_lost,
         the_owner_may_come_as_another_instance, nobody_waits_for_one_that_said_goodbye,
         what_a_leaving_agent_carries_ends_by_itself, what_the_edge_gives_up_is_waited_for,
         a_new_connection_takes_the_place_of_the_old_one, several_agents_share_a_name,
         an_owner_has_so_many, what_never_came_leaves_nothing,
         a_late_arrival_does_not_end_a_newer_connection,
         an_owner_comes_back_without_a_secret_to_what_waits,
         the_instance_that_could_not_read_its_answer_comes_again,
         nobody_waits_for_a_name_that_nobody_has_heard, a_connection_outlives_one_that_never_came,
         the_token_that_came_last_is_the_one_that_counts,
         a_claim_on_its_way_does_not_outrun_a_revocation,
         what_is_below_a_wildcard_may_be_somebody_elses, agents_without_a_token_have_so_many,
         those_without_a_token_that_wait_make_room,
         a_port_that_the_zone_has_no_more_ends_its_tunnel, a_kick_ends_it,
         what_arrives_after_the_end_goes_again, a_zone_that_goes_takes_its_tunnels_along,
         the_next_worker_keeps_the_names)
