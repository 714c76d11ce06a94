// SPDX-License-Identifier: Apache-2.0
//
// Checks passwords on a core without holding it up. What was right once is remembered, as a digest under
// a key that the core drew, so that a user's next request costs one HMAC. What is not known is computed
// in small steps between the turns of the loop, at most half of the core's time for all of them together,
// in the order they came, so many at once and no more: who guesses passwords makes others who guess
// wait, not those who are known.

#pragma once

#include <stdint.h>

#include "base/list.h"
#include "loop/loop.h"
#include "os/addr.h"

#include "access/password.h"

enum {
    CHECKER_JOBS_MAX = 64,             // of a core: ten seconds of their work
    CHECKER_JOBS_PER_CLIENT = 4,       // so that one address cannot take all of them
    CHECKER_REMEMBERED = 512,          // credentials of a core, 16 KiB
    CHECKER_TICK_MS = 1,               // between two steps
    CHECKER_ITERATIONS_PER_STEP = 1000 // 0.3 to 1 ms
};

enum checker_verdict {
    CHECKER_RIGHT,
    CHECKER_WRONG,
    CHECKER_LATER, // checker_begin() finds out
    CHECKER_FULL,  // too many are waiting
};

struct checker_claim {
    struct slice user;
    struct slice password;
    const struct password *stored;
    bool exists; // false: nobody has that name; `stored` is another's, and the same work is done
};

/** Embedded in its owner, which must stay where it is until `done` or checker_cancel(). */
struct checker_job {
    struct list link;
    struct checker_claim claim; // what it points to lives as long
    struct os_addr client;
    struct digest_chain chain;
    uint8_t tag[DIGEST_BYTES];
    /** Called once from a timer; the job may be gone inside. */
    void (*done)(struct checker_job *job, bool right);
};

/** What is known at once. Core. */
enum checker_verdict checker_ask(const struct checker_claim *claim);
/** Begins to find out: job->claim, client and done are set. CHECKER_LATER, or CHECKER_FULL. */
enum checker_verdict checker_begin(struct loop *l, struct checker_job *job);
void checker_cancel(struct loop *l, struct checker_job *job);
