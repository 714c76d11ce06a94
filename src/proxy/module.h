// SPDX-License-Identifier: Apache-2.0
//
// The module contract. A module is one const struct; src/main/modules.c lists them and their order
// there is their order on the wire: requests pass them first to last, responses last to first.
//
// A module's configuration for a route is compiled once per snapshot into `void *conf`, immutable
// and shared by all cores; NULL means that the module has nothing to do on that route and none of
// its hooks is called. Per-exchange state is allocated from the exchange's arena and kept in
// exchange_slot(). Modules of one level never include each other.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "conf/doc.h"
#include "conf/schema.h"

struct exchange;
struct http_head;
struct arena;
struct snapshot;

enum { MODULES_MAX = 16 };

enum stage_result {
    STAGE_CONTINUE, // go on with the next module
    STAGE_WAIT,     // exchange_resume() will be called later, on this core
    STAGE_ANSWER,   // the module has produced the response (exchange_answer, exchange_fail)
};

struct module_compile {
    struct arena *arena; // lives as long as the snapshot
    struct snapshot *snapshot;
    const struct conf_scope *scope;
    struct conf_diags *diags; // for what only compiling finds (a regular expression)
};

struct module {
    const char *name;
    const struct conf_directive *directives; // ended by CONF_END; may be NULL
    /** Builds the route's conf. *conf NULL: nothing to do here. 0, E_CONFIG (reported), E_NO_MEMORY.
     * Helper thread. */
    int (*compile)(const struct module_compile *c, void **conf);
    /** Gives back what is not in the arena (compiled patterns). May be NULL. */
    void (*dispose)(void *conf);
    /** The request head is complete and the route chosen. x->request may be changed. */
    enum stage_result (*on_request)(struct exchange *x, const void *conf);
    /** A final response head is about to be sent (an answer of ours as well). x->response may be
     * changed, and a body filter be put in with exchange_filter_response(). */
    enum stage_result (*on_response)(struct exchange *x, const void *conf);
    /** Another head of the origin is about to be sent: an interim one, or the 101 of a switch. Fields may
     * be removed. NULL: they pass as they are. */
    void (*on_interim)(struct exchange *x, struct http_head *head, const void *conf);
    /** The exchange is over: logs, counters. Must not fail. */
    void (*on_done)(struct exchange *x, const void *conf);
};

extern const struct module *const modules[]; // NULL-terminated; src/main/modules.c

/** Which slot of an exchange is the module's: its place in modules[], which it must be in. For
 * compile(), which keeps it in its conf. */
static inline unsigned module_index(const struct module *m)
{
    unsigned i = 0;
    while (modules[i] != m) {
        ensure(modules[i] != NULL);
        i++;
    }
    return i;
}
