// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets of HTTP/2 share: the whole proxy on the simulated kernel, between two clients
// and an origin, of which one side speaks HTTP/2 as the fuzzer wants it and the other HTTP/1.1 or
// HTTP/2 that is well behaved. Included by h2_down_fuzz.c and h2_up_fuzz.c.

#pragma once

#include <stddef.h>
#include <stdint.h>

enum h2_world_side {
    H2_WORLD_DOWN, // the clients are the fuzzer's
    H2_WORLD_UP,   // the origin is
};

/** Runs one input to its end and checks that nothing is left. */
void h2_world_run(enum h2_world_side side, const uint8_t *data, size_t size);
