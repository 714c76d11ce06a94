// SPDX-License-Identifier: Apache-2.0
//
// The verdict on an attempt: whether it speaks for its server, against it, or says nothing. One rule
// for ejection, circuit breaker and concurrency, so that they never disagree about what a failure is.
//
// Against a server speak what it did or failed to do (class PEER of base/error.h: refused, reset, timed
// out, broke a rule), a name that does not resolve, and the statuses that the settings name, by default
// those with which gateways report their own servers: 502, 503, 504. A 500 is the application's answer
// to one request more often than the server's illness. What ran out on our side says nothing.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "proxy/upstream.h"

struct conf_diags;
struct conf_node;
struct text;

/** A set of statuses, 100 to 599. Zero is the empty one. */
struct status_set {
    uint64_t bits[10];
};

static inline bool status_set_has(const struct status_set *s, unsigned status)
{
    return status < 640 && (s->bits[status / 64] >> status % 64 & 1) != 0;
}
void status_set_add(struct status_set *s, unsigned first, unsigned last);
/** "204", "200-399" or "2xx". E_INVALID. */
int status_set_parse(struct status_set *s, struct slice word) must_check;
/** "200-399, 404": for messages. */
void status_set_text(const struct status_set *s, struct text *out);
/** A checked list of words; `fallback` when it does not exist. */
void status_set_compile(struct status_set *s, struct conf_node list, const char *fallback);
/** For the `check` of a directive that takes such a list. */
void status_set_check(struct conf_diags *d, struct conf_node list);

enum verdict { VERDICT_NONE, VERDICT_GOOD, VERDICT_BAD };

/** Of an attempt that failed with `error`. */
enum verdict verdict_of_error(int error);

static inline enum verdict verdict_of(const struct upstream_outcome *o,
                                      const struct status_set *bad)
{
    if (o->abandoned) {
        return VERDICT_NONE;
    }
    if (o->error != 0) {
        return verdict_of_error(o->error);
    }
    return status_set_has(bad, o->status) ? VERDICT_BAD : VERDICT_GOOD;
}
