// SPDX-License-Identifier: Apache-2.0
//
// When to renew and when to try again (acme.h). Pure functions.

#include "acme/acme.h"

enum {
    DAY_S = 24 * 3600,
    SHORT_LIVED_S = 10 * DAY_S,
    BACKOFF_FIRST_S = 60,
    BACKOFF_MAX_S = DAY_S,
    // Certificates that are about to expire are tried for more often, yet not more often than CAs
    // allow failures: Let's Encrypt counts five an hour for a name.
    BACKOFF_URGENT_S = 900,
    URGENT_LEFT_S = DAY_S,
};

static uint64_t within(uint64_t from, uint64_t to, double spread)
{
    double part = spread < 0 ? 0 : spread > 1 ? 1 : spread;
    return from + (uint64_t)((double)(to - from) * part);
}

uint64_t acme_renew_at(uint64_t not_before, uint64_t not_after, const struct acme_window *window,
                       double spread)
{
    if (window != NULL && window->start > 0 && window->end > window->start) {
        return within(window->start, window->end, spread);
    }
    if (not_after <= not_before) {
        return not_before;
    }
    uint64_t life = not_after - not_before;
    uint64_t left = life < SHORT_LIVED_S ? life / 2 : life / 3;
    // Up to a twentieth of its life earlier.
    uint64_t latest = not_after - left;
    return within(latest - life / 20, latest, spread);
}

uint64_t acme_backoff_s(uint32_t failures, uint64_t retry_after_ms, uint64_t left_s)
{
    uint64_t pause = BACKOFF_FIRST_S;
    for (uint32_t i = 1; i < failures && pause < BACKOFF_MAX_S; i++) {
        pause *= 2;
    }
    pause = pause < BACKOFF_MAX_S ? pause : BACKOFF_MAX_S;
    if (left_s < URGENT_LEFT_S && pause > BACKOFF_URGENT_S) {
        pause = BACKOFF_URGENT_S;
    }
    uint64_t asked = retry_after_ms / 1000 + (retry_after_ms % 1000 > 0);
    return asked > pause ? asked : pause;
}
