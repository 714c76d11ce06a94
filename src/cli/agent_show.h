// SPDX-License-Identifier: Apache-2.0
//
// What an agent shows: lines for people, or a JSON object per line for programs. What peers wrote
// (methods, paths, reasons) is escaped, so that it can move no cursor and end no line. Nothing here
// waits: where the reader of stdout does not keep up, lines are left out and counted, for a terminal
// that was stopped must not stop the tunnel.

#pragma once

#include <stdint.h>

#include "agent/agent.h"

struct agent_show {
    const struct agent_plan *plan;
    bool json;
    bool quiet; // no requests, no hints
    bool qr;
    bool colour;
    unsigned columns; // of the terminal; 0: it is none
    bool utf8;        // arrows and blocks may be drawn
    uint64_t left_out;
    bool told_help;                    // what to look at when no edge lets us in
    bool told_ready;                   // a URL was shown
    uint16_t inspect_port;             // of the inspector; 0: there is none
    bool said_down[AGENT_TUNNELS_MAX]; // that nothing listens where it leads
    uint64_t said_failed[AGENT_TUNNELS_MAX * AGENT_EDGES_MAX]; // hash of the last reason told
};

/** Looks at the terminal, the environment, and whether anything listens where the tunnels lead. */
void agent_show_init(struct agent_show *s, const struct agent_plan *plan, bool json, bool quiet,
                     bool qr);
/** An agent_event_fn; `arg` is the show. */
void agent_show_event(void *arg, const struct agent_event *e);

// For tests.
void agent_show_text(struct agent_show *s, const struct agent_event *e, struct text *out);
void agent_show_json(struct agent_show *s, const struct agent_event *e, uint64_t wall_ms,
                     struct text *out);
