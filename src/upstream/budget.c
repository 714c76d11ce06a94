// SPDX-License-Identifier: Apache-2.0
//
// The budget of repeats (upstream/budget.h): takes first and looks afterwards, so that two cores that
// ask at once see each other.

#include "upstream/budget.h"

void budget_request(struct budget *b, uint64_t now_ms)
{
    window_add(&b->window, BUDGET_WINDOW_MS, now_ms, (struct window_sum){.total = 1});
}

bool budget_take(struct budget *b, const struct budget_settings *settings, uint64_t now_ms)
{
    window_add(&b->window, BUDGET_WINDOW_MS, now_ms, (struct window_sum){.marked = 1});
    if (settings->unlimited) {
        return true;
    }
    struct window_sum sum = window_read(&b->window, BUDGET_WINDOW_MS, now_ms);
    uint64_t share = (uint64_t)sum.total * settings->percent / 100;
    uint64_t floor = (uint64_t)settings->floor * (BUDGET_WINDOW_MS / 1000);
    if (sum.marked <= (share > floor ? share : floor)) {
        return true;
    }
    window_unmark(&b->window, BUDGET_WINDOW_MS, now_ms);
    return false;
}
