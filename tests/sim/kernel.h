// SPDX-License-Identifier: Apache-2.0
//
// The simulated kernel: sockets, listeners, pipes and time in memory, behind the same struct sys as
// the real one. The proxy's code runs on it unchanged; the other ends of its connections are actors,
// small state machines of a scenario that are called when something happens on their end.
//
// Everything random comes from one seed: latencies, buffer sizes, how much a read or write moves,
// the order of events, faults. So a seed is a whole history, and running it again repeats it.
// Virtual time moves only when nobody has anything to do now.
//
// What is modelled of TCP, because proxies trip over it: bytes arrive later than they are sent, in
// order; the window closes when the other side does not read; FIN closes one direction; closing with
// unread bytes, or bytes that come after closing, answer with RST; an RST may overtake unread bytes.
// A pipe has slots as well as bytes, so splice may find it full long before its capacity.
//
// Of datagrams there are only sockets that are connected: whoever is talked to gives each one back, and
// one that begins with "refuse" meets nobody. A short write is a datagram that is lost.

#pragma once

#include <stdint.h>

#include "base/rng.h"
#include "base/slice.h"
#include "loop/loop.h"
#include "os/sys.h"

/** Probabilities are per call or per connection, 0..1. Zero is a calm network. */
struct sim_faults {
    double short_read;      // a read gives fewer bytes than there are
    double short_write;     // a write takes fewer bytes than there is room
    double write_again;     // a write finds no room though there is; an edge follows
    double spurious_event;  // per wait: an event without a change
    double late_event;      // an event of this wait is left for the next
    double accept_fails;    // accept is out of descriptors
    double connect_fails;   // connect is out of descriptors or ports
    double connect_refused; // the other side refuses
    double connect_silent;  // the other side never answers
    double reset;           // a connection of the proxy is reset at a random moment
    double no_splice;       // there are no kernel pipes in this run
    uint64_t latency_max_ns;
    uint32_t buffer_min; // bytes that fit one direction of a connection (0: default)
    uint32_t buffer_max;
};

/** Networks of many scenarios: one that only takes its time; one on which everything comes in pieces,
 * late and too often; one that resets every other connection. */
extern const struct sim_faults sim_calm_network;
extern const struct sim_faults sim_rough_network;
extern const struct sim_faults sim_resetting_network;

struct sim;
struct sim_end;

/** What an actor hears: events as in enum sys_events, level: what is so now. */
typedef void sim_actor_fn(struct sim_end *e, unsigned events, void *user);
/** A new connection to an actor's listener: set its actor with sim_set_actor(). */
typedef void sim_accept_fn(struct sim_end *e, void *user);
typedef void sim_timer_fn(void *user);

// ---- the world ---------------------------------------------------------------------------------------

struct sim *sim_new(uint64_t seed, const struct sim_faults *faults);
/** Everything of the world, actors' ends included, is gone afterwards. */
void sim_free(struct sim *s);
struct rng *sim_rng(struct sim *s);
uint64_t sim_now_ns(const struct sim *s);
/** Faults may be changed while it runs (to end a scenario calmly). */
struct sim_faults *sim_faults(struct sim *s);
/** Calls fn(user) after delay_ns. There is no cancelling: whoever is called checks what is still so. */
void sim_after(struct sim *s, uint64_t delay_ns, sim_timer_fn *fn, void *user);
/** A fingerprint of all that has happened: equal seeds give equal ones. */
uint64_t sim_trace_hash(const struct sim *s);

// ---- the proxy's side --------------------------------------------------------------------------------

/** A sys for one core; sim_free() frees it. */
struct sys *sim_sys(struct sim *s);
/** A listening descriptor for the proxy. */
int sim_listen_fd(struct sim *s, const struct os_addr *at);
/** Descriptors that the proxy has open (listeners of sim_listen_fd included). */
uint32_t sim_fds_open(const struct sim *s);
/** Cuts the connections that this core has made to `to`, each with that probability. How many. */
enum sim_cut {
    SIM_CUT_RESET,  // both ends see it broken
    SIM_CUT_FIN,    // both ends see an orderly end, and nothing comes through any more
    SIM_CUT_SILENT, // nothing comes through any more, and nobody says so
    SIM_CUT_NEAR,   // this core's end sees it broken, the other one nothing
    SIM_CUT_FAR,    // the other way round
    SIM_CUT_STALL,  // what is sent from now on comes after `ns`
};
uint32_t sim_cut(struct sys *of, const struct os_addr *to, enum sim_cut how, double p, uint64_t ns);
/** The next connection that this core makes is cut as by SIM_CUT_NEAR when so many bytes have come to it. */
void sim_doom(struct sys *of, size_t bytes);
/** At most so many; above, everything that makes one fails with E_NO_DESCRIPTORS. */
void sim_fds_max(struct sim *s, uint32_t max);

/** Lets every loop have its turns and the time pass until `done(user)` says so, nothing can happen any
 * more, or the virtual time is over. */
enum sim_outcome { SIM_DONE, SIM_QUIET, SIM_TIME_OVER };
enum sim_outcome sim_run(struct sim *s, struct loop **loops, uint32_t loop_count, uint64_t until_ns,
                         bool (*done)(void *user), void *user);

// ---- the actors' side --------------------------------------------------------------------------------

void sim_listen(struct sim *s, const struct os_addr *at, sim_accept_fn *on_accept, void *user);
/** Nobody listens there any more: connecting is refused. */
void sim_unlisten(struct sim *s, const struct os_addr *at);
/** Begins a connection; the actor hears SYS_WRITE when it stands, SYS_ERROR when it does not. */
struct sim_end *sim_connect(struct sim *s, const struct os_addr *to, sim_actor_fn *fn, void *user);
void sim_set_actor(struct sim_end *e, sim_actor_fn *fn, void *user);
/** How many bytes were taken; when fewer than all, SYS_WRITE follows. */
size_t sim_send(struct sim_end *e, struct slice bytes);
/** How many bytes sim_send() would take now. */
size_t sim_room(const struct sim_end *e);
/** How many bytes were copied; 0: none are there now. */
size_t sim_recv(struct sim_end *e, void *buffer, size_t size);
/** The other side's FIN has come and all bytes before it were taken. */
bool sim_at_eof(const struct sim_end *e);
/** The connection was reset, refused, or never came to be. */
bool sim_is_reset(const struct sim_end *e);
/** Bytes that are there to be received now. */
size_t sim_readable(const struct sim_end *e);
void sim_shutdown(struct sim_end *e);
/** No further calls of the actor. */
void sim_close(struct sim_end *e);
void sim_reset(struct sim_end *e);
