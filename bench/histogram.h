// SPDX-License-Identifier: Apache-2.0
//
// A histogram of times with logarithmic buckets, each power of two cut into 128 steps: a quantile
// is right to better than 1 %, in constant memory, whatever the range.
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS,
};

struct histogram {
    uint64_t count;
    uint64_t max;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

// Counts one value.
void histogram_add(struct histogram *histogram, uint64_t value);

// The smallest bucket bound that at least the given share (0 to 1) of all values is below; 0 when
// nothing was counted.
uint64_t histogram_quantile(const struct histogram *histogram, double share);
