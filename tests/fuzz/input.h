// SPDX-License-Identifier: Apache-2.0
//
// A fuzzer's bytes, taken from the front by the targets that read acts from them. Beyond the end there
// are zeros, so every input is a whole story.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct input {
    const uint8_t *p;
    size_t left;
};

static inline uint8_t next_byte(struct input *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->p++;
}

/** At most n, fewer at the end. */
static inline struct slice next_bytes(struct input *in, size_t n)
{
    n = n < in->left ? n : in->left;
    struct slice s = slice_of((const char *)in->p, n);
    in->p += n;
    in->left -= n;
    return s;
}
