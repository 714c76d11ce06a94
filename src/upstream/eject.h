// SPDX-License-Identifier: Apache-2.0
//
// Passive ejection: a server that fails real requests gets none for a while, whatever its health checks
// say. Three things eject: failures in a row (seen by whichever core meets the last of them, at once),
// and, at the end of each interval on the group's home core, a success rate far below that of the other
// servers, or a latency far above theirs.
//
// An ejection lasts `for_ms` times the number of ejections in a row, at most EJECT_MS_MAX; for each
// interval in which a server is well the number falls by one. Whoever comes back starts slowly, if the
// group does so at all. The number of ejected servers of a group is limited, so a fault of the whole
// group (a broken release, a database that is down) never takes all of it away: a place is reserved
// before a server is ejected, by one atomic word of the group, so that several cores cannot exceed the
// limit together. Of two servers or more one may always be ejected, of one none.
//
// Pure: time is an argument.

#pragma once

#include <stdbool.h>

#include "upstream/verdict.h"
#include "upstream/vitals.h"

enum {
    EJECT_HOSTS_MIN = 5,       // servers with enough requests, below which rates are not compared
    EJECT_LATENCY_HOSTS = 3,   // the same for latencies
    EJECT_LATENCY_LEAST = 20,  // samples of an interval that make a server's latency count
    EJECT_LATENCY_GAP_MS = 10, // a difference that is never held against anybody
    EJECT_MS_MAX = 300000,
};

/** All zero: nothing ejects. */
struct eject_settings {
    uint32_t failures;          // in a row; 0: they do not eject
    bool success_rate;          // compare success rates
    uint32_t least;             // requests to a server in an interval that make its rate count
    uint32_t latency;           // times the median; 0: latencies are not compared
    uint32_t every_ms;          // the interval
    uint32_t for_ms;            // the first ejection
    uint32_t at_most;           // percent of the group
    struct status_set statuses; // that count as failures
};

/** One per group. Zero is a new one: eject_resize() gives it a limit. */
struct eject_group {
    _Alignas(64) atomic_uint ejected; // now
    atomic_uint limit;
    _Atomic uint64_t ejections; // ever
    uint64_t interval_ends_ms;  // home core only
};

/** One per server, beside its vitals, with the same life. */
struct eject_server {
    struct vitals *vitals;
    struct eject_group *group;
    _Alignas(64) atomic_uint total; // of this interval; the next three as well
    atomic_uint failed;
    atomic_uint timed;
    _Atomic uint64_t latency_us; // of the timed ones, added up
};

enum eject_why { EJECT_NOT, EJECT_FAILURES, EJECT_SUCCESS_RATE, EJECT_LATENCY, EJECT_RETURN };

void eject_server_init(struct eject_server *s, struct vitals *v, struct eject_group *g);
/** The group has `servers` servers now. Home core. */
void eject_resize(struct eject_group *g, const struct eject_settings *settings, uint32_t servers);
/** An attempt ended. True: this ejected the server; the caller logs it and has the eligible lists made
 * anew. Any core. */
bool eject_observe(const struct eject_settings *settings, struct eject_server *s,
                   const struct upstream_outcome *o, uint64_t now_ms);
/** To be called when eject_due_ms() says, and may be at any time: lets back in whose time is over (all, when the settings eject
 * no more, and as many as are out beyond the limit) and, at the end of an interval, ejects by
 * comparison. `servers` are all of the group, in any order. `tell` is called for each server whose state
 * changed. Home core. */
void eject_sweep(const struct eject_settings *settings, struct eject_server *const *servers,
                 uint32_t count, uint64_t now_ms,
                 void (*tell)(void *arg, uint32_t index, enum eject_why why), void *arg);
/** The server leaves the group: its place among the ejected is free. Home core. */
void eject_forget(struct eject_server *s);
/** When eject_sweep() has something to do: the end of the first ejection or of the interval; UINT64_MAX:
 * nothing, until further requests have ended. Home core. */
uint64_t eject_due_ms(struct eject_server *const *servers, uint32_t count);
/** "too many failures in a row". Static. */
const char *eject_why_text(enum eject_why why);

struct conf_node;
/** Of a checked `eject` node, which may not exist. */
void eject_compile(struct eject_settings *settings, struct conf_node n);
