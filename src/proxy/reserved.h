// SPDX-License-Identifier: Apache-2.0
//
// Reserved requests: those that adit answers itself before any site is looked for. A CA's challenge, an
// agent that calls its edge, an edge that speaks to its agent. They are recognised on every listener, for
// every host, also one that no site serves, and no route can stand in front of them.
//
// What is recognised belongs to its handler: it passes no stage of a route (only the top level's
// settings hold) and goes nowhere else. A handler that does not want a request must not recognise it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proxy/module.h"

struct core;
struct exchange;

enum { RESERVED_MAX = 4 }; // handlers of a core: they are few, and every request asks all of them

/** A handler; it lives as long as the core. Everything is called on the core's thread. */
struct reserved {
    /** Whether a request is the handler's: a pure question, to be answered fast. The head is complete,
     * x->client and x->client_secure are set, there is neither a site nor a route. */
    bool (*is)(const struct reserved *r, const struct exchange *x);
    /** Answers: exchange_answer(), exchange_fail() or exchange_hand_over() was called when it returns
     * STAGE_ANSWER. After STAGE_WAIT exchange_resume() brings it to resume(). The body, if there is one,
     * is in x->request_body. STAGE_CONTINUE is not an answer. */
    enum stage_result (*answer)(const struct reserved *r, struct exchange *x);
    /** The same after a wait; not called when the client has gone meanwhile (x->down is NULL: who
     * waits sees it before it resumes). NULL: it never waits. */
    enum stage_result (*resume)(const struct reserved *r, struct exchange *x);
};

/** Joins the core's list, before any request comes. */
void reserved_add(struct core *c, const struct reserved *r);
/** Whose request it is; NULL: nobody's. */
const struct reserved *reserved_of(const struct exchange *x);
/** Has x->reserved answer, or go on after a wait. */
void reserved_answer(struct exchange *x);
void reserved_resume(struct exchange *x);
