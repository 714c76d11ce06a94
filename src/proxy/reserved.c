// SPDX-License-Identifier: Apache-2.0
//
// The list of a core's reserved requests (proxy/reserved.h), asked in the order in which its members
// joined. It is short and every question is a comparison of a few bytes, so it costs a request that is
// none of theirs next to nothing.

#include "proxy/reserved.h"

#include "proxy/core.h"

void reserved_add(struct core *c, const struct reserved *r)
{
    ensure(c->reserved_count < RESERVED_MAX);
    ensure(r->is != NULL && r->answer != NULL);
    c->reserved[c->reserved_count++] = r;
}

const struct reserved *reserved_of(const struct exchange *x)
{
    const struct core *c = x->core;
    for (uint32_t i = 0; i < c->reserved_count; i++) {
        if (c->reserved[i]->is(c->reserved[i], x)) {
            return c->reserved[i];
        }
    }
    return NULL;
}

// An exchange may be over when its handler returns; nothing of it is looked at unless it waits.
static void note(struct exchange *x, enum stage_result result)
{
    ensure(result != STAGE_CONTINUE);
    if (result == STAGE_WAIT) {
        ensure(x->reserved->resume != NULL);
        x->waiting = true;
    }
}

void reserved_answer(struct exchange *x)
{
    note(x, x->reserved->answer(x->reserved, x));
}

void reserved_resume(struct exchange *x)
{
    note(x, x->reserved->resume(x->reserved, x));
}
