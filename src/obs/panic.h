// SPDX-License-Identifier: Apache-2.0
//
// The panic dump: what is written to stderr when a promise (ensure) is broken: the promise, the
// thread, the objects it was working on, and its last trace events. It runs in a broken process, so
// it allocates nothing, takes no lock and writes from a static buffer.
//
// Who works on an object worth showing puts a panic_object on its stack around the work; the dump
// prints the innermost first. The scopes of a thread nest.

#pragma once

#include <stdint.h>

struct text;

enum { PANIC_TEXT_MAX = 160 };

struct panic_object {
    struct panic_object *outer;
    const void *object;
    /** Writes a line or a few about the object; must bear an object that is half broken. */
    void (*print)(const void *object, struct text *out);
};

extern _Thread_local struct panic_object *panic_innermost;
/** How the dump calls this thread; the core's number for a core, else -1. */
extern _Thread_local int panic_core;

static inline void panic_enter(struct panic_object *scope, const void *object,
                               void (*print)(const void *object, struct text *out))
{
    *scope = (struct panic_object){panic_innermost, object, print};
    panic_innermost = scope;
}

static inline void panic_leave(struct panic_object *scope)
{
    panic_innermost = scope->outer;
}

/** Makes ensure() dump before it aborts. `role` ("worker") heads the dump and must be static. */
void panic_install(const char *role);

/** The promise that was broken, "x > 0 at file.c:12 in f", or "" when none was: for the message that
 * tells the supervisor. Safe in a signal handler. */
const char *panic_promise(void);

/** The dump as text, without ending anything: for tests and for a look at a running thread. */
void panic_describe(struct text *out);
