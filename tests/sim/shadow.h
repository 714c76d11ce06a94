// SPDX-License-Identifier: Apache-2.0
//
// A mirror's end as an actor: it takes requests and answers well, slowly, wrongly or never. No client
// waits for it, so there is nothing to be compared but that requests are whole and nobody else's.

#pragma once

#include "plan.h"

void shadow_open(struct world *w, const struct os_addr *at);
/** After sim_free(). */
void shadow_free_all(void);
