// SPDX-License-Identifier: Apache-2.0
//
// Typed values out of text: durations, sizes, switches, numbers. Pure functions over a slice, used by
// the check, by the accessors of documents and by the command line. A blank, a sign, a fraction or a
// unit that is not in the list is E_INVALID; too much is E_RANGE.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

/** on, true: true; off, false: false. Lower case only. */
int conf_value_bool(struct slice s, bool *out) must_check;
/** Digits without leading zeros. */
int conf_value_int(struct slice s, int64_t *out) must_check;
/** One or more of NUMBER UNIT with ms, s, m, h, d, from large to small: 1h30m. "0" needs no unit. */
int conf_value_duration(struct slice s, uint64_t *ms) must_check;
/** NUMBER with B, KB, MB, GB, TB (1000) or KiB, MiB, GiB, TiB (1024); bytes without a unit. */
int conf_value_size(struct slice s, uint64_t *bytes) must_check;
/** NUMBER%, whole; 0% and above. */
int conf_value_percent(struct slice s, uint64_t *percent) must_check;
/** 100..599 without `classes`; with it also 1xx..5xx, which gives 1..5. */
int conf_value_status(struct slice s, bool classes, unsigned *out) must_check;
/** A token of RFC 9110 5.6.2: what methods and field names are made of. */
bool conf_is_token(struct slice s);
/** Length of the code point at the front of s (which is not empty), and its value; 0 when it is not
 * UTF-8 (RFC 3629). */
size_t conf_utf8_take(struct slice s, uint32_t *code);
/** Characters that show text in another order than it is read, or break lines unseen. */
bool conf_is_deceptive(uint32_t code);
