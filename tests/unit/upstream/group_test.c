// SPDX-License-Identifier: Apache-2.0
//
// group: requests for which no server has room wait, oldest first whichever core they are on, are not
// overtaken, and are told when the queue is full or their time is over; servers come and go under them.
// Two cores on one thread, origins on the loopback, sessions that only count.

#include "upstream/group.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"
#include "upstream/fake_session.h"

enum { CORES = 2, SESSIONS_MAX = 128, REQUESTS_MAX = 128, ORIGINS = 3 };

struct fake_request {
    struct upstream_request rq;
    struct http_stream *stream;
    int error;
    unsigned order; // of being served
};

struct one_core {
    struct sys *sys;
    struct loop loop;
    struct counters counters;
    struct transport_core transports;
    struct dialer dialer;
    struct up_protocol protocols[2];
    uint64_t next_id;
};

struct world {
    struct one_core cores[CORES];
    struct upstream_registry registry;
    struct group *group;
    struct group_spec spec;
    struct group_entry entries[ORIGINS];
    char texts[ORIGINS][32];
    int listeners[ORIGINS];
    struct fake_session sessions[SESSIONS_MAX];
    uint32_t session_count;
    struct fake_request requests[REQUESTS_MAX];
    uint32_t request_count;
    unsigned served;
    unsigned failed;
    struct fake_request *frees; // at the end of the next choice
    unsigned picks;
};

static struct world w;

static struct up_session *open_fake(void *core, struct transport *t,
                                    const struct up_session_terms *terms, int *error)
{
    (void)core;
    (void)error;
    REQUIRE(w.session_count < SESSIONS_MAX);
    return fake_session_open(&w.sessions[w.session_count++], t, terms, 1);
}

static void on_ready(struct upstream_request *rq, struct http_stream *s)
{
    struct fake_request *r = container_of(rq, struct fake_request, rq);
    r->stream = s;
    r->order = ++w.served;
}

static void on_failed(struct upstream_request *rq, int error)
{
    container_of(rq, struct fake_request, rq)->error = error;
    w.failed++;
}

static int listen_at_any_port(char *text, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE(bind(fd, (struct sockaddr *)&at, len) == 0);
    REQUIRE(listen(fd, SESSIONS_MAX) == 0);
    REQUIRE(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    (void)snprintf(text, size, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static void turn_all(void)
{
    for (unsigned i = 0; i < CORES; i++) {
        loop_turn(&w.cores[i].loop, 1);
    }
}

/** Each origin takes so many requests at once. */
static void setup(uint32_t origins, uint32_t requests_max, uint32_t queue_max, uint32_t queue_ms)
{
    static const struct loop_limits limits = {8, 8};
    memset(&w, 0, sizeof(w));
    upstream_registry_init(&w.registry, CORES);
    for (uint32_t i = 0; i < CORES; i++) {
        struct one_core *c = &w.cores[i];
        c->sys = os_linux_new();
        REQUIRE(c->sys != NULL);
        REQUIRE(loop_init(&c->loop, c->sys, i, &limits) == 0);
        transport_core_init(&c->transports, &c->loop, SESSIONS_MAX);
        c->dialer = (struct dialer){.loop = &c->loop,
                                    .counters = &c->counters,
                                    .transports = &c->transports,
                                    .next_id = &c->next_id};
        dialer_init(&c->dialer, SESSIONS_MAX);
        c->protocols[0] = (struct up_protocol){"http/1.1", open_fake, c};
        const struct upstream_core core = {.loop = &c->loop,
                                           .counters = &c->counters,
                                           .dialer = &c->dialer,
                                           .protocols = c->protocols};
        upstream_registry_attach(&w.registry, i, &core);
    }
    w.spec = (struct group_spec){.balance = {.method = balance_find(SLICE("round-robin"))},
                                 .queue_max = queue_max,
                                 .queue_ms = queue_ms,
                                 .entry_count = origins,
                                 .entries = w.entries};
    for (uint32_t i = 0; i < ORIGINS; i++) {
        w.listeners[i] = listen_at_any_port(w.texts[i], sizeof(w.texts[i]));
        w.entries[i] = (struct group_entry){.type = GROUP_ADDRESS,
                                            .at = slice_str(w.texts[i]),
                                            .kind = {.protocol = SERVER_H1},
                                            .weight = 1,
                                            .limits = {.connections_max = 64,
                                                       .requests_max = requests_max,
                                                       .idle_max = 16,
                                                       .idle_ms = 1000,
                                                       .streams_max = 1}};
    }
    w.group = group_get(&w.registry, SLICE("app"));
    REQUIRE(w.group != NULL);
    for (uint32_t i = 0; i < CORES; i++) {
        group_enter(w.group, &w.cores[i].loop, &w.spec);
    }
    turn_all();
}

/** Every core goes from one snapshot to the next. */
static void reload(const struct group_spec *next, const struct group_spec *before)
{
    for (uint32_t i = 0; i < CORES; i++) {
        group_enter(w.group, &w.cores[i].loop, next);
        group_leave(w.group, &w.cores[i].loop, before);
    }
}

static struct fake_request *ask(uint32_t core)
{
    REQUIRE(w.request_count < REQUESTS_MAX);
    struct fake_request *r = &w.requests[w.request_count++];
    r->rq = (struct upstream_request){.loop = &w.cores[core].loop,
                                      .connect_ms = 1000,
                                      .on_ready = on_ready,
                                      .on_failed = on_failed};
    list_init(&r->rq.link);
    group_acquire(w.group, &r->rq, &w.spec, NULL);
    return r;
}

static void until_served(unsigned n)
{
    for (int i = 0; i < 2000 && w.served + w.failed < n; i++) {
        turn_all();
    }
    CHECK_EQ_INT(w.served + w.failed, n);
}

/** The exchange is over: its place is free, then its connection. */
static void finish(struct fake_request *r)
{
    struct fake_session *f = container_of(r->stream, struct fake_session, stream);
    r->stream = NULL;
    group_release(w.group, &r->rq, &(struct upstream_outcome){.status = 200});
    f->session.streams--;
    f->session.owner->on_room(&f->session, f->session.owner_arg);
}

/** Whichever is being served: which of those that came in one turn is first is not said. */
static void finish_any(void)
{
    for (uint32_t i = 0; i < w.request_count; i++) {
        if (w.requests[i].stream != NULL) {
            finish(&w.requests[i]);
            return;
        }
    }
    CHECK(false);
}

static void end_world(void)
{
    for (uint32_t i = 0; i < CORES; i++) {
        upstream_registry_close(&w.registry, i);
    }
    upstream_registry_fini(&w.registry);
    for (uint32_t i = 0; i < CORES; i++) {
        struct one_core *c = &w.cores[i];
        loop_turn(&c->loop, 0);
        dialer_fini(&c->dialer);
        transport_core_fini(&c->transports);
        loop_fini(&c->loop);
        os_linux_free(c->sys);
    }
    for (uint32_t i = 0; i < ORIGINS; i++) {
        (void)close(w.listeners[i]);
    }
}

static void teardown(void)
{
    for (uint32_t i = 0; i < w.request_count; i++) {
        if (w.requests[i].stream != NULL) {
            finish(&w.requests[i]);
        }
    }
    for (uint32_t i = 0; i < CORES; i++) {
        group_leave(w.group, &w.cores[i].loop, &w.spec);
    }
    group_put(w.group);
    for (int i = 0; i < 10; i++) {
        turn_all();
    }
    CHECK(list_empty(&w.registry.groups));
    CHECK(list_empty(&w.registry.servers));
    end_world();
}

static uint32_t active(void)
{
    uint32_t n = 0;
    const struct roster *r = group_roster(w.group, 0);
    for (uint32_t i = 0; i < r->count; i++) {
        n += vitals_active(&r->entries[i].server->vitals);
    }
    return n;
}

static void a_limit_holds_for_all_cores_together(void)
{
    setup(1, 4, 100, 10000);
    for (uint32_t i = 0; i < 10; i++) {
        (void)ask(i % CORES);
    }
    until_served(4);
    CHECK_EQ_INT(active(), 4);
    CHECK_EQ_INT(atomic_load(&w.group->waiting), 6);
    for (uint32_t i = 0; i < 10; i++) {
        finish_any();
        until_served(i + 5 > 10 ? 10 : i + 5);
        CHECK(active() <= 4);
    }
    CHECK_EQ_INT(w.failed, 0);
    teardown();
}

static void who_waits_longest_is_first_whichever_core_it_is_on(void)
{
    setup(1, 1, 100, 10000);
    struct fake_request *holds = ask(0);
    until_served(1);
    static const uint32_t cores[] = {1, 1, 0, 1, 0, 0, 0, 1, 1, 0};
    struct fake_request *waiting[array_len(cores)];
    for (size_t i = 0; i < array_len(cores); i++) {
        waiting[i] = ask(cores[i]);
        (void)usleep(1000); // their times are told apart by the turn's clock
        turn_all();
    }
    for (size_t i = 0; i < array_len(cores); i++) {
        finish(i == 0 ? holds : waiting[i - 1]);
        until_served((unsigned)i + 2);
        CHECK_EQ_INT(waiting[i]->order, (int)i + 2);
        CHECK(waiting[i]->rq.queued_ns > 0);
    }
    teardown();
}

static void newcomers_do_not_overtake(void)
{
    setup(2, 1, 100, 10000);
    struct fake_request *a = ask(0);
    struct fake_request *b = ask(0);
    until_served(2);
    struct fake_request *first = ask(1);
    turn_all();
    finish(a); // a place is free, and the word of it is on its way to the other core
    struct fake_request *second = ask(0);
    CHECK(second->stream == NULL);
    until_served(3);
    CHECK(first->stream != NULL && second->stream == NULL);
    finish(b);
    until_served(4);
    CHECK(second->stream != NULL);
    teardown();
}

static void the_queue_is_bounded(void)
{
    setup(1, 1, 3, 10000);
    for (uint32_t i = 0; i < 6; i++) {
        (void)ask(i % CORES);
    }
    until_served(3); // one is served, three wait, two are refused at once
    CHECK_EQ_INT(w.failed, 2);
    CHECK_EQ_INT(w.requests[4].error, E_UPSTREAM_FULL);
    CHECK_EQ_INT(w.requests[5].error, E_UPSTREAM_FULL);
    CHECK_EQ_INT(w.requests[5].rq.retry_ms, 1000);
    for (uint32_t i = 0; i < 4; i++) {
        finish_any();
        until_served(w.served + w.failed + (i < 3));
    }
    teardown();
}

static void patience_ends(void)
{
    setup(1, 1, 100, 30);
    (void)ask(0);
    struct fake_request *second = ask(0);
    struct fake_request *third = ask(1);
    until_served(3);
    CHECK_EQ_INT(second->error, E_QUEUE_TIMEOUT);
    CHECK_EQ_INT(third->error, E_QUEUE_TIMEOUT);
    CHECK_EQ_INT(atomic_load(&w.group->waiting), 0);
    teardown();
}

static void one_that_waits_may_leave(void)
{
    setup(1, 1, 100, 10000);
    struct fake_request *a = ask(0);
    struct fake_request *b = ask(1);
    struct fake_request *c = ask(1);
    until_served(1);
    group_cancel(w.group, &b->rq);
    finish(a);
    until_served(2);
    CHECK(c->stream != NULL && b->stream == NULL && b->error == 0);
    teardown();
}

static void a_new_list_makes_room(void)
{
    setup(1, 1, 100, 10000);
    (void)ask(0);
    struct fake_request *b = ask(0);
    struct fake_request *c = ask(1);
    until_served(1);
    struct group_spec more = w.spec;
    more.entry_count = 3;
    reload(&more, &w.spec);
    until_served(3);
    CHECK(b->stream != NULL && c->stream != NULL);
    CHECK(b->rq.place != c->rq.place);
    w.spec = more;
    reload(&w.spec, &more);
    teardown();
}

static void a_server_that_leaves_finishes_what_it_has(void)
{
    setup(2, 0, 100, 10000);
    struct fake_request *a = ask(0);
    struct fake_request *b = ask(0);
    until_served(2);
    struct group_spec fewer = w.spec;
    fewer.entry_count = 1;
    reload(&fewer, &w.spec);
    turn_all();
    turn_all();
    const struct roster *r = group_roster(w.group, 0);
    CHECK_EQ_INT(r->count, 1);
    const void *left = r->entries[0].server;
    struct fake_request *on_gone = a->rq.place == left ? b : a;
    struct fake_session *f = container_of(on_gone->stream, struct fake_session, stream);
    CHECK(!f->closed);
    finish(on_gone);
    CHECK(f->closed); // nobody will ask it again
    for (int i = 0; i < 4; i++) {
        struct fake_request *more = ask((uint32_t)i % CORES);
        until_served(3 + (unsigned)i);
        CHECK(more->rq.place == left);
    }
    w.spec = fewer;
    reload(&w.spec, &fewer);
    teardown();
}

static void an_idle_connection_elsewhere_makes_room(void)
{
    setup(1, 0, 100, 10000);
    w.entries[0].limits.connections_max = 2;
    struct group_spec same = w.spec;
    reload(&same, &w.spec);
    turn_all();
    struct fake_request *a = ask(0);
    struct fake_request *b = ask(0);
    until_served(2);
    finish(a);
    finish(b); // both connections are idle on core 0
    struct fake_request *c = ask(1);
    until_served(3);
    CHECK(c->stream != NULL);
    CHECK_EQ_INT(w.failed, 0);
    w.spec = same;
    teardown();
}

/** A core ends while another one still serves: what the first has let go of is not its own to free. */
static void a_core_that_ends_leaves_servers_to_the_others(void)
{
    setup(2, 0, 100, 10000);
    struct fake_request *a = ask(1);
    struct fake_request *b = ask(1);
    until_served(2);
    struct group_spec fewer = w.spec;
    fewer.entry_count = 1;
    reload(&fewer, &w.spec);
    turn_all();
    turn_all();
    const struct server *stays = group_roster(w.group, 0)->entries[0].server;
    struct fake_request *on_gone = a->rq.place == stays ? b : a;
    const struct server *gone = on_gone->rq.place;
    CHECK_EQ_INT(gone->cores[0].holds, 0);
    upstream_registry_close(&w.registry, 0);
    CHECK_EQ_INT(atomic_load(&gone->holders), 1);
    finish(a);
    finish(b);
    group_put(w.group); // the registry is closing: it goes with that
    end_world();
}

static int pick_as_another_core_frees(const struct balance_choice *c)
{
    int i = balance_find(SLICE("round-robin"))->pick(c);
    if (w.frees != NULL &&
        ++w.picks == 2) { // also those to which a connect has failed: there is none
        CHECK_EQ_INT(i, -1);
        finish(w.frees);
        w.frees = NULL;
    }
    return i;
}

/** Between finding no room and asking why, room appears: that is no reason to fail. */
static void a_place_that_is_freed_during_the_choice_is_waited_for(void)
{
    setup(1, 1, 100, 10000);
    struct balance_method method = *balance_find(SLICE("round-robin"));
    method.pick = pick_as_another_core_frees;
    struct group_spec spec = w.spec;
    spec.balance.method = &method;
    reload(&spec, &w.spec);
    turn_all();
    struct fake_request *first = ask(0);
    until_served(1);
    w.frees = first;
    struct fake_request *second = ask(1);
    CHECK(w.frees == NULL);
    until_served(2);
    CHECK(second->stream != NULL && second->error == 0);
    reload(&w.spec, &spec);
    teardown();
}

/** Its core may have left the group when it arrives, and whoever sent it too. */
static void word_of_a_free_place_keeps_the_group(void)
{
    setup(1, 1, 100, 10000);
    struct fake_request *first = ask(0);
    until_served(1);
    struct fake_request *second = ask(1);
    turn_all();
    unsigned before = atomic_load(&w.group->holders);
    finish(first);
    CHECK(atomic_load(&w.group->cores[1].woken));
    CHECK_EQ_INT(atomic_load(&w.group->holders), before + 1);
    until_served(2);
    CHECK(second->stream != NULL);
    turn_all();
    CHECK_EQ_INT(atomic_load(&w.group->holders), before);
    teardown();
}

/** Requests wait for one connection that is to carry them all; it carries one, and no other may be
 * opened. */
static void those_that_a_connection_cannot_carry_wait_on(void)
{
    setup(1, 0, 100, 10000);
    w.entries[0].limits.connections_max = 1;
    w.entries[0].limits.streams_max = 10;
    w.entries[0].kind.protocol = SERVER_H2;
    for (uint32_t i = 0; i < CORES; i++) {
        w.cores[i].protocols[0].alpn = "h2";
    }
    struct group_spec same = w.spec;
    reload(&same, &w.spec);
    turn_all();
    for (unsigned i = 0; i < 3; i++) {
        (void)ask(0);
    }
    for (unsigned i = 1; i <= 3; i++) {
        until_served(i);
        CHECK_EQ_INT(active(), 1);
        finish_any();
    }
    CHECK_EQ_INT(w.failed, 0);
    w.spec = same;
    teardown();
}

static void on_address(struct upstream_request *rq, struct transport *t)
{
    (void)rq;
    CHECK(t == NULL);
    w.served++;
}

static void datagrams_are_not_sent_in_clear_where_tls_is_meant(void)
{
    setup(2, 0, 100, 10000);
    w.entries[0].kind.tls_hash = 1;
    struct group_spec same = w.spec;
    reload(&same, &w.spec);
    turn_all();
    for (unsigned i = 0; i < 4; i++) {
        struct fake_request *r = &w.requests[w.request_count++];
        r->rq = (struct upstream_request){.loop = &w.cores[0].loop,
                                          .raw = true,
                                          .datagram = true,
                                          .on_transport = on_address,
                                          .on_failed = on_failed};
        list_init(&r->rq.link);
        group_acquire(w.group, &r->rq, &w.spec, NULL);
        CHECK_EQ_INT(w.served, i + 1);
        const struct server *s = r->rq.place;
        CHECK(s != NULL && s->kind.tls_hash == 0);
        group_release(w.group, &r->rq, &(struct upstream_outcome){.error = 0});
    }
    CHECK_EQ_INT(active(), 0);
    w.spec = same;
    teardown();
}

TAP_MAIN(a_limit_holds_for_all_cores_together, who_waits_longest_is_first_whichever_core_it_is_on,
         newcomers_do_not_overtake, the_queue_is_bounded, patience_ends, one_that_waits_may_leave,
         a_new_list_makes_room, a_server_that_leaves_finishes_what_it_has,
         an_idle_connection_elsewhere_makes_room, a_core_that_ends_leaves_servers_to_the_others,
         a_place_that_is_freed_during_the_choice_is_waited_for,
         word_of_a_free_place_keeps_the_group, those_that_a_connection_cannot_carry_wait_on,
         datagrams_are_not_sent_in_clear_where_tls_is_meant)
