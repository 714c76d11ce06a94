// SPDX-License-Identifier: Apache-2.0
//
// The SIMD scans against the scalar reference: the same result and the same state after every piece.
// The first bytes choose limits, the kind of section, and how the rest is cut.

#include "base/ensure.h"
#include "base/error.h"
#include "h1/codec_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct plan {
    struct h1_limits limits;
    bool trailers;
    size_t first;
    size_t step;
};

static void compare(const struct plan *plan, enum h1_scan_way way, const uint8_t *p, size_t n)
{
    struct h1_scan want_scan = {0};
    struct h1_scan got_scan = {0};
    size_t have = plan->first < n ? plan->first : n;
    for (;;) {
        char *copy = malloc(have > 0 ? have : 1);
        ensure(copy != NULL);
        memcpy(copy, p, have);
        size_t want_len = 0;
        size_t got_len = 0;
        int want = h1_scan_with((struct h1_scan_mode){H1_SCAN_SCALAR, plan->trailers}, &want_scan,
                                &plan->limits, copy, have, &want_len);
        int got = h1_scan_with((struct h1_scan_mode){way, plan->trailers}, &got_scan, &plan->limits,
                               copy, have, &got_len);
        free(copy);
        ensure(got == want);
        ensure(got_len == want_len);
        ensure(got != E_AGAIN || got_scan.pos == want_scan.pos);
        ensure(got != E_AGAIN || got_scan.state == want_scan.state);
        if (got != E_AGAIN || have == n) {
            break;
        }
        have = plan->step < n - have ? have + plan->step : n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) {
        return 0;
    }
    struct plan plan = {
        .limits = {.head_bytes = 8u + data[0] * 8u, .target_bytes = data[1], .fields = 10},
        .trailers = (data[2] & 1) != 0,
        .first = data[3],
        .step = 1u + data[4],
    };
    for (int way = 0; way < H1_SCAN_WAYS; way++) {
        if (h1_scan_has((enum h1_scan_way)way)) {
            compare(&plan, (enum h1_scan_way)way, data + 5, size - 5);
        }
    }
    return 0;
}
