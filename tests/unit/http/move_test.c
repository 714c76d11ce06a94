// SPDX-License-Identifier: Apache-2.0
//
// conn_move between threads, on real sockets: a connection that is handed from core to core while its
// other end talks loses no byte; a core that ends takes in what is on its way, and what comes later
// stays where it is.

#include "http/move.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/error.h"
#include "tap.h"

enum { CORES = 2, MOVES = 400, TEXT = 64 * 1024 };

struct side {
    struct sys *sys;
    struct loop loop;
    struct transport_core transports;
    struct conn_door door;
    pthread_t thread;
};

/** A connection that reads a little on each core. */
struct wanderer {
    struct conn_move move;
    struct transport *t;
    struct side *at;
    int moves_left;
    int refused;
    uint32_t got;
    bool good;
};

static struct side sides[CORES];
static struct wanderer traveller;
static int peer;
static atomic_bool over;

static void setup_side(struct side *s, uint32_t core)
{
    static const struct loop_limits limits = {8, 8};
    memset(s, 0, sizeof(*s));
    s->sys = os_linux_new();
    REQUIRE(s->sys != NULL);
    REQUIRE(loop_init(&s->loop, s->sys, core, &limits) == 0);
    transport_core_init(&s->transports, &s->loop, 8);
    conn_door_init(&s->door, &s->loop, &s->transports);
}

static void teardown_side(struct side *s)
{
    transport_core_fini(&s->transports);
    loop_fini(&s->loop);
    os_linux_free(s->sys);
}

static struct transport *open_pair(struct side *s)
{
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    int error = 0;
    struct transport *t = transport_new(&s->transports, fds[0], &error);
    REQUIRE(t != NULL);
    peer = fds[1];
    return t;
}

static char text_at(uint32_t i)
{
    return (char)(i * 7 + i / 251);
}

static void on_ready(struct transport *t, unsigned events);

static void end(struct wanderer *w)
{
    transport_close(w->t, false);
    w->t = NULL;
    atomic_store(&over, true);
    for (int i = 0; i < CORES; i++) {
        loop_stop(&sides[i].loop);
    }
}

static void arrived(struct conn_move *m, struct transport *t, int error)
{
    struct wanderer *w = container_of(m, struct wanderer, move);
    CHECK_EQ_INT(error, 0);
    w->at = w->at == &sides[0] ? &sides[1] : &sides[0];
    w->t = t;
    REQUIRE(t != NULL);
    CHECK(t->core == &w->at->transports && m->peer.transport == t);
    CHECK_EQ_INT(m->peer.connection_id, 77);
    transport_set_owner(t, w, on_ready);
    on_ready(t, SYS_READ);
}

static void go(struct wanderer *w)
{
    struct side *to = w->at == &sides[0] ? &sides[1] : &sides[0];
    struct http_peer who = {.connection_id = 77, .transport = w->t};
    w->move.arrived = arrived;
    w->moves_left--;
    struct transport *t = w->t;
    w->t = NULL; // from here on it may be there already
    int e = conn_move(&w->move, &to->door, t, &who);
    if (!CHECK_EQ_INT(e, 0)) {
        w->t = t;
        w->refused++;
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    struct wanderer *w = t->owner;
    (void)events;
    if (!CHECK(w->t == t)) {
        return;
    }
    while (t->readable) {
        char room[512];
        struct iovec iov = {room, sizeof(room)};
        struct io_result r = transport_read(t, &iov, 1);
        for (size_t i = 0; r.status == IO_OK && i < r.n; i++) {
            w->good = w->good && room[i] == text_at(w->got++);
        }
        if (r.status == IO_EOF || r.status == IO_ERROR) {
            end(w);
            return;
        }
        if (w->moves_left > 0 && r.status == IO_OK) {
            go(w);
            return;
        }
    }
}

static void *run_core(void *arg)
{
    struct side *s = arg;
    loop_run(&s->loop);
    return NULL;
}

static void no_byte_is_lost_on_the_way(void)
{
    for (uint32_t i = 0; i < CORES; i++) {
        setup_side(&sides[i], i);
    }
    traveller = (struct wanderer){.at = &sides[0], .moves_left = MOVES, .good = true};
    atomic_store(&over, false);
    traveller.t = open_pair(&sides[0]);
    transport_set_owner(traveller.t, &traveller, on_ready);
    for (int i = 0; i < CORES; i++) {
        REQUIRE(pthread_create(&sides[i].thread, NULL, run_core, &sides[i]) == 0);
    }
    uint32_t sent = 0;
    while (sent < TEXT) {
        char room[100];
        uint32_t n = TEXT - sent < sizeof(room) ? TEXT - sent : sizeof(room);
        for (uint32_t i = 0; i < n; i++) {
            room[i] = text_at(sent + i);
        }
        ssize_t written = write(peer, room, n);
        sent += written > 0 ? (uint32_t)written : 0;
    }
    (void)close(peer);
    for (int i = 0; i < CORES; i++) {
        REQUIRE(pthread_join(sides[i].thread, NULL) == 0);
    }
    CHECK(atomic_load(&over));
    CHECK(traveller.good);
    CHECK_EQ_INT(traveller.got, TEXT);
    CHECK_EQ_INT(traveller.refused, 0);
    CHECK(traveller.moves_left < MOVES);
    for (int i = 0; i < CORES; i++) {
        conn_door_close(&sides[i].door);
        teardown_side(&sides[i]);
    }
}

static int closed_there;

static void closes(struct conn_move *m, struct transport *t, int error)
{
    (void)m;
    CHECK_EQ_INT(error, 0);
    transport_close(t, false);
    closed_there++;
}

static void a_core_that_ends_takes_what_is_on_its_way(void)
{
    for (uint32_t i = 0; i < CORES; i++) {
        setup_side(&sides[i], i);
    }
    closed_there = 0;
    static const struct http_peer who = {.connection_id = 1};
    struct transport *t = open_pair(&sides[0]);
    struct conn_move m = {.arrived = closes};
    CHECK_EQ_INT(conn_move(&m, &sides[1].door, t, &who), 0);
    CHECK_EQ_INT(closed_there, 0);
    conn_door_close(&sides[1].door);
    CHECK_EQ_INT(closed_there, 1);
    (void)close(peer);

    t = open_pair(&sides[0]);
    CHECK_EQ_INT(conn_move(&m, &sides[1].door, t, &who), E_DRAINING);
    CHECK(!t->dead);                                         // still ours
    CHECK_EQ_INT(conn_move(&m, &sides[0].door, t, &who), 0); // its own core will do
    loop_turn(&sides[0].loop, 0);
    CHECK_EQ_INT(closed_there, 2);
    (void)close(peer);
    conn_door_close(&sides[0].door);
    for (int i = 0; i < CORES; i++) {
        teardown_side(&sides[i]);
    }
}

TAP_MAIN(no_byte_is_lost_on_the_way, a_core_that_ends_takes_what_is_on_its_way)
