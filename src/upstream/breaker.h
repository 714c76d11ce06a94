// SPDX-License-Identifier: Apache-2.0
//
// The circuit breaker of an upstream. While requests go well it is closed and only counts. When the
// share of failures in its window reaches the limit it opens: for a while no request is sent, each fails
// at once, and the servers have time to recover. Then it is half open: a few requests go through as
// probes. When all of these go well it closes; the first that fails opens it again.
//
//     closed --- share of failures ---> open --- time ---> half open --- probes went well ---> closed
//                                        ^                     |
//                                        +---- a probe failed -+
//
// One word holds the state, when it began and the probes, so that every change is one atomic exchange
// and just one core makes it. A probe that lasts (a WebSocket) holds nothing up: when half open brings
// no verdict within the time of being open, further probes are let through.

#pragma once

#include <stdbool.h>

#include "base/ensure.h"
#include "upstream/verdict.h"
#include "upstream/window.h"

enum { BREAKER_PROBES_MAX = 200 };

struct breaker_settings {
    uint32_t percent; // of failures that open it; 0: there is no breaker
    uint32_t least;   // requests in the window below which nothing is decided
    uint32_t window_ms;
    uint32_t open_ms;
    uint32_t probes; // 1..BREAKER_PROBES_MAX
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/** Zero is a closed one. Outlives reloads. */
struct breaker {
    struct window window;
    _Atomic uint64_t word;
    _Atomic uint64_t opened; // times, for the status
};

/** What a request carries from breaker_enter() to breaker_leave(). */
enum breaker_pass { BREAKER_REFUSED, BREAKER_PASSED, BREAKER_PROBE };

/** May a request be sent? After anything but BREAKER_REFUSED breaker_leave() is called once. */
enum breaker_pass breaker_enter(struct breaker *b, const struct breaker_settings *settings,
                                uint64_t now_ms) must_check;
/** How it went. True: this changed the state, for one line of log. Any core. */
bool breaker_leave(struct breaker *b, const struct breaker_settings *settings,
                   enum breaker_pass pass, enum verdict verdict, uint64_t now_ms);
enum breaker_state breaker_state(const struct breaker *b);
/** After BREAKER_REFUSED: ms until a request may be let through; 1 when probes are under way and what
 * they bring decides, or when another core was quicker. */
uint64_t breaker_left_ms(const struct breaker *b, const struct breaker_settings *settings,
                         uint64_t now_ms);

struct conf_node;
/** Of a checked `breaker` node, which may not exist. */
void breaker_compile(struct breaker_settings *settings, struct conf_node n);
