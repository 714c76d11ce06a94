// SPDX-License-Identifier: Apache-2.0
//
// Active health checks of a group: one checker for all cores, on the group's home core. Each server is
// asked at its own time: the first checks are spread out, later ones come every `every_ms` give or take
// a tenth, sooner while a change is under way (the first failure of a server that is up, the first
// success of one that is down).
//
// A server that nobody has asked yet counts as usable, so a start or a reload never begins with an
// empty group; its first check decides alone and comes at once. After that it takes `fall` failures in
// a row to go down and `rise` successes to come back.
//
// Servers that call in are asked over the connections that they have made, and only while there are
// several: of one that is alone no check tells anything that its own answers do not, and somebody's laptop
// would be asked for ever.
//
// The result is the bit VITALS_DOWN, so it outlives rosters and reloads as the server does. Settings
// that have not changed leave everything as it is; new ones begin anew, and servers keep the state they
// had until their next check.

#pragma once

#include "upstream/check.h"

struct health;

/** What is asked, and how often. Of a snapshot. */
struct health_settings {
    uint64_t hash; // of the node it was made from
    struct check_settings check;
    uint32_t every_ms;
    uint32_t rise;
    uint32_t fall;
};

struct health_order {
    const char *name;  // of the group, for logs; lives as long
    bool calls;        // its servers call in
    struct slice host; // then: for which they are asked; lives while there are servers
    struct upstream_core *core;
    /** The state of a server has changed. Home core. */
    void (*on_change)(void *arg);
    void *arg;
};

/** NULL: out of memory. Nothing is checked yet. */
struct health *health_new(const struct health_order *o) must_check;
/** Ends every check; servers that were down by them are not any more. */
void health_free(struct health *h);
/** From now on by these (copied); NULL or CHECK_NONE: no checks. 0 or E_NO_MEMORY (none then). */
int health_set(struct health *h, const struct health_settings *settings) must_check;
/** The servers that are to be checked: new ones are begun with, those that are not among them any more
 * are left in peace. They live until they are not in this list. */
void health_follow(struct health *h, struct server *const *servers, uint32_t count);
/** Why a server is in the state it is in: "down: HTTP 503 (want 200-399)", "up: connected",
 * "not checked yet"; empty when it is not checked. Good until the next turn. Home core. */
struct slice health_text(const struct health *h, const struct server *s);

struct conf_node;
/** Of a checked `health` node, which may not exist; the texts stay the node's. */
void health_compile(struct health_settings *settings, struct conf_node n);
