// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648): the ordinary alphabet with padding (section 4), and the one for URLs without
// (section 5). Reading is strict: no blanks, no padding too much or too little, and no bits set behind
// the last byte, so that one value has one text.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"

enum base64_kind { BASE64_PADDED, BASE64_URL };

/** Bytes of text that n bytes need, at most. */
#define BASE64_MAX(n) (((n) + 2) / 3 * 4)

void base64_put(struct text *out, struct slice bytes, enum base64_kind kind);
/** Reads all of `text` into `out`. E_INVALID, or E_TOO_LARGE when `room` is not enough. */
int base64_read(struct slice text, enum base64_kind kind, void *out, size_t room, size_t *len)
    must_check;
