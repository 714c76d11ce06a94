// SPDX-License-Identifier: Apache-2.0
//
// A budget of repeats: of the requests of the last ten seconds only a share may be asked a second
// time. When a whole group fails, repeating every request several times multiplies the load just when
// there is least to carry it with; with a budget of 20% it grows by a fifth at most. A floor per second
// keeps repeats possible where there is little traffic. One budget serves retries, another hedges.
//
// Any core takes from it without a lock. It is never exceeded; where several cores ask for the last
// place in the same moment, all of them may be refused.

#pragma once

#include <stdbool.h>

#include "base/ensure.h"
#include "upstream/window.h"

enum { BUDGET_WINDOW_MS = 10000, BUDGET_RETRIES_FLOOR = 3 };

struct budget_settings {
    uint32_t percent; // of the requests
    uint32_t floor;   // repeats per second that are always allowed
    bool unlimited;
};

/** Zero is a new one. Outlives reloads. */
struct budget {
    struct window window;
};

/** A request begins (its first attempt). Any core. */
void budget_request(struct budget *b, uint64_t now_ms);
/** May a request be asked once more? Then it is counted as such. Any core. */
bool budget_take(struct budget *b, const struct budget_settings *settings, uint64_t now_ms)
    must_check;
