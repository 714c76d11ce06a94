// SPDX-License-Identifier: Apache-2.0
//
// Between the files of a group: group.c (life, the list of servers), place.c (requests). Private to
// src/upstream.

#pragma once

#include "upstream/group.h"

enum { GROUP_MAGIC = 0x67727570 };

void place_core_init(struct group *g, struct group_core *gc);
/** The core has nothing more to do with the group. */
void place_core_end(struct group_core *gc);
/** The core's list has changed: those that wait are looked at again. */
void place_look_again(struct group_core *gc);
/** There may be room for many: every core with requests that wait hears of it. */
void place_tell_all(struct group *g);

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
