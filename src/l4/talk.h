// SPDX-License-Identifier: Apache-2.0
//
// Talks of datagrams: what a session of a listener (l4/udp.h) and a flow of a tunnel (l4/flow.h) have in
// common. A talk is one client's, with one server: it asks for the server, has a socket to it, counts
// what is passed on, and writes a line at its end. Where the client's datagrams come from is its owner's.
// All talks of a kind have a pool, whose slab they are of. Private to src/l4.

#pragma once

#include "base/arena.h"
#include "l4/core_int.h"

enum {
    TALK_BATCH = 16, // datagrams of one call of the system
    TALK_ARENA_FIRST = 128,
};

/** A kind of talks, on a core. */
struct l4_talks {
    uint32_t magic;
    struct l4_core *core;
    struct loop *loop;
    struct slab slab; // of what begins with a struct l4_talk
    struct list dead;
    struct task reap;
    char *bytes; // of a batch, and of one with its header; NULL: no talk was begun yet
};

/** The first member of its owner. */
struct l4_talk {
    uint32_t magic; // the owner's; taken back with its memory
    bool waiting;   // for its server
    bool dead;
    struct l4_talks *all;
    struct list link; // all->dead
    struct io up;     // the socket to the server; fd -1: there is none
    struct snapshot *snapshot;
    const struct l4_stream *stream;
    uint64_t started_ms;
    uint64_t active_ms;
    uint64_t bytes_in; // from the client
    uint64_t bytes_out;
    uint64_t datagrams_in;
    uint64_t datagrams_out;
    struct upstream_request rq;
    struct upstream_subject subject;
    struct os_addr client;
    struct http_peer peer;
    struct arena arena;
    _Alignas(16) char first[TALK_ARENA_FIRST];
};

/** `size`: of an owner; `most` of them at once. */
void l4_talks_init(struct l4_talks *all, struct l4_core *c, const char *name, size_t size,
                   uint32_t most);
/** All of them must have ended. */
void l4_talks_fini(struct l4_talks *all);
/** The memory that datagrams are received in. 0, E_NO_MEMORY. */
int l4_talks_make_room(struct l4_talks *all) must_check;
/** The datagrams that have come to a socket, good until the next call: how many, or why there are none
 * (E_AGAIN, E_REFUSED ...). There may be more when all places are taken. */
int l4_talks_receive(struct l4_talks *all, int fd, struct sys_datagram d[TALK_BATCH]) must_check;
/** Adds to a counter of the core. */
void l4_talks_count(struct l4_talks *all, enum counter id, uint64_t n);

/** Begins one whose `magic`, `client` and `peer` are filled in and all else is zero. */
void l4_talk_begin(struct l4_talk *k, struct l4_talks *all, const struct l4_stream *stream);
/** Asks for the server, with k->subject.asked_at; one of the callbacks gets k->rq, possibly before this
 * returns. They set `waiting` to false first. */
void l4_talk_ask(struct l4_talk *k, struct upstream *u,
                 void (*on_transport)(struct upstream_request *rq, struct transport *t),
                 void (*on_failed)(struct upstream_request *rq, int error));
/** Opens the socket to the server that was given. 0, or what the system says. */
int l4_talk_connect(struct l4_talk *k, void (*on_up)(struct io *io, unsigned events)) must_check;
/** Sends one to the server. 0, E_REFUSED (an earlier one met nobody), or why it was lost. */
int l4_talk_send(struct l4_talk *k, const void *bytes, size_t len) must_check;
/** Notes one that was passed on to the server. */
void l4_talk_sent(struct l4_talk *k, size_t len);
/** Writes the line, gives up the server and its socket; the memory goes back after this turn. `side`: as
 * in struct l4_line. The owner has nothing that points to it any more. */
void l4_talk_end(struct l4_talk *k, int error, const char *side);
