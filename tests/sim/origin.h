// SPDX-License-Identifier: Apache-2.0
//
// Origin servers as actors: they answer each request as its plan says, well or badly.

#pragma once

#include "plan.h"

/** An origin at that address from now on. */
void origin_open(struct world *w, const struct os_addr *at);
/** Gives back what the origins of all worlds have allocated; after sim_free(). */
void origin_free_all(void);
