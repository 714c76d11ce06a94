// SPDX-License-Identifier: Apache-2.0
//
// With --bridged every session to an origin is opened on another core than the one that asked for it
// (or, with one core, beside it), and reached over a bridge. The scenarios and what they promise stay
// the same: an exchange must not notice.

#pragma once

#include <stdint.h>

struct traffic_core;

/** Before any traffic. Nothing happens without --bridged. */
void bridged_open(struct traffic_core **cores, uint32_t count);
/** Before the cores are freed. */
void bridged_close(struct traffic_core **cores, uint32_t count);
