// SPDX-License-Identifier: Apache-2.0
//
// UDP of streams on one core: listeners that this core reads, and their sessions. Private to src/l4;
// docs/design/l4.md says why one core reads a listener.

#pragma once

#include "l4/core_int.h"

struct l4_udp;

/** NULL: out of memory. */
struct l4_udp *l4_udp_new(struct l4_core *c) must_check;
/** Sessions and listeners end at once. */
void l4_udp_abort(struct l4_udp *u);
/** After l4_udp_abort(). */
void l4_udp_free(struct l4_udp *u);
/** Reads the socket from now on; it stays the caller's. 0 or why not. */
int l4_udp_listen(struct l4_udp *u, const struct l4_listener *l) must_check;
/** Reads it no more: its sessions may go on answering for as long as `drain_ms`. */
void l4_udp_unlisten(struct l4_udp *u, uint32_t index);
/** The same for all of them. */
void l4_udp_drain(struct l4_udp *u);
/** Sessions that there are. */
uint32_t l4_udp_count(const struct l4_udp *u);
