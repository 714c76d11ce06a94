// SPDX-License-Identifier: Apache-2.0
//
// Making text that configuration and captures were joined to fit for a request line or a Location.

#pragma once

#include "base/arena.h"
#include "base/slice.h"

/** Percent-encodes what may not stand in a URI (RFC 3986 2): controls, blanks, bytes above 0x7e and
 * "<>\^`{|} and, when `fragment` is false, '#'. An escape that is there stays. Memory from the arena
 * only when something had to be changed. E_NO_MEMORY. */
int target_encode(struct slice s, bool fragment, struct arena *arena, struct slice *out) must_check;
