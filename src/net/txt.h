// SPDX-License-Identifier: Apache-2.0
//
// TXT records, for who has no loop: several names are asked for at once, and the call waits for all.
// The keeper asks so whether a domain still belongs to who says so, on a thread of its own. Nothing is
// remembered, so what was changed a moment ago is seen as soon as the name servers see it.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"

struct txt_client;

enum { TXT_NAME_MAX = 256, TXT_QUESTIONS_MAX = 64 };

struct txt_question {
    char name[TXT_NAME_MAX]; // "_adit.app.customer.com"
    struct slice wanted;     // the whole text of a record, its parts joined
    bool found;              // out: there is one
    int error; // out: 0; E_NOT_FOUND: there is no such name, or it has no TXT record; E_AGAIN: nobody
               // could say
    const char *why; // out, with E_AGAIN: constant, for people
};

/** 0, E_NO_MEMORY. Before a sandbox closes (c-ares seeds itself from a file). */
int txt_client_new(struct txt_client **out) must_check;
/** NULL is nothing. */
void txt_client_free(struct txt_client *c);
/** Asks at most TXT_QUESTIONS_MAX; waits until all are answered or given up, some ten seconds. `servers`
 * and `resolv_conf` as in struct resolver_config. 0, or E_INVALID, E_NOT_FOUND (there is no name
 * server), E_NO_MEMORY: nothing was asked. Any thread, one at a time. */
int txt_ask(struct txt_client *c, struct slice servers, struct slice resolv_conf,
            struct txt_question *questions, unsigned count) must_check;
