// SPDX-License-Identifier: Apache-2.0
//
// Parameters of a query string as forms write them (application/x-www-form-urlencoded): pairs joined
// by '&', '+' for a blank, percent-encoding. Nothing is decoded unless somebody needs the bytes.

#pragma once

#include "base/arena.h"
#include "base/slice.h"

/** Finds the next parameter of that (decoded) name; *value is its text as sent, empty without '='.
 * Moves *rest on; false at the end. */
bool query_next(struct slice *rest, struct slice name, struct slice *value);
/** True when the text as sent decodes to `plain`. A broken escape stands for itself. */
bool query_eq(struct slice encoded, struct slice plain);
/** The decoded bytes; memory from the arena only when something had to be decoded. E_NO_MEMORY. */
int query_decode(struct slice encoded, struct arena *arena, struct slice *plain) must_check;
