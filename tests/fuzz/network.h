// SPDX-License-Identifier: Apache-2.0
//
// The network of a fuzz target that runs on the simulated kernel, chosen by a byte of its input.

#pragma once

#include "../sim/kernel.h"

/** By the lowest three bits; 0 in them is a calm one. */
static inline struct sim_faults network_of(uint8_t bits)
{
    struct sim_faults f = {.latency_max_ns = 1000000};
    if ((bits & 1) != 0) {
        f.short_read = 0.5;
        f.short_write = 0.5;
    }
    if ((bits & 2) != 0) {
        f.write_again = 0.3;
        f.late_event = 0.3;
        f.spurious_event = 0.3;
    }
    if ((bits & 4) != 0) {
        f.buffer_min = 500;
        f.buffer_max = 5000;
    }
    return f;
}
