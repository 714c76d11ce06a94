// SPDX-License-Identifier: Apache-2.0
//
// Between the files of a group: group.c (life, the list of servers), place.c (requests). Private to
// src/upstream.

#pragma once

#include "upstream/group.h"

enum { GROUP_MAGIC = 0x67727570 };

/** Keeps its memory: of a server, or of mail on its way that lies in it. Any core that knows it to be
 * there. */
void group_hold(struct group *g);
/** The last one frees it. */
void group_let_go(struct group *g);

void place_core_init(struct group *g, struct group_core *gc);
/** The core has nothing more to do with the group. */
void place_core_end(struct group_core *gc);
/** The core's list has changed: those that wait are looked at again. */
void place_look_again(struct group_core *gc);
/** There may be room for many: every core with requests that wait hears of it. */
void place_tell_all(struct group *g);

// group_care.c: what is learned of servers.

void care_init(struct group *g);
/** Of g->spec, which may be NULL: the group is in no snapshot any more. Home core. */
void care_apply(struct group *g);
/** The servers that the next roster will have. Before those that leave may be gone. Home core. */
void care_follow(struct group *g, struct server *const *servers, uint32_t count);
/** Looks at the servers of the newest roster. Home core. */
void care_look(struct group *g);
void care_server_init(struct group *g, struct server *s);
/** The group or the core ends. Home core. */
void care_end(struct group *g);
/** May this request be sent? After true care_settle() is called once. */
bool care_admit(struct group *g, struct upstream_request *rq);
/** How the request (this attempt of it) ended; nothing the second time. */
void care_settle(struct group *g, struct upstream_request *rq, const struct upstream_outcome *o);
/** An attempt at a server ended; its place is not given back yet. */
void care_observe(struct server *s, const struct upstream_request *rq,
                  const struct upstream_outcome *o);

/** Of struct server_owner. */
void place_on_failed(struct server *s, struct upstream_request *rq, int error);
void place_on_room(struct server *s, uint32_t core);

// How the servers are, for `adit server list` (group_rows.c). Home core.

void group_rows_init(struct group *g);
/** The list has changed: tells at once, and again every second. */
void group_rows_begin(struct group *g);
void group_rows_end(struct group *g);
/** It is in no list any more. */
void group_rows_forget(const struct group *g, struct server *s);
