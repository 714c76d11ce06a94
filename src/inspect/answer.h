// SPDX-License-Identifier: Apache-2.0
//
// What the inspector's own site answers (inspect/inspect.h): the page, JSON, and requests to send one once
// more, which become that request and go on to its tunnel's target.

#pragma once

#include "proxy/module.h"

#include "inspect/ring.h"

struct exchange;

struct answer_place {
    struct ring *ring;
    unsigned slot; // the module's
};

/** As a module's on_request. */
enum stage_result answer_request(const struct answer_place *p, struct exchange *x);
/** Takes out of a repeat's answer what a browser would act upon: it is the service's, and comes from the
 * inspector's address. */
void answer_defuse(struct exchange *x);
