// SPDX-License-Identifier: Apache-2.0
//
// Intrusive lock-free queue, many producers and one consumer: a stack that the consumer takes whole
// and turns round (Treiber 1986 with batch take). push tells whether the queue was empty, which is
// when the consumer has to be woken.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct mpsc_node {
    struct mpsc_node *next;
};

struct mpsc {
    _Atomic(struct mpsc_node *) head;
};

void mpsc_init(struct mpsc *q);
/** Any thread. True when the queue was empty before. */
bool mpsc_push(struct mpsc *q, struct mpsc_node *n);
/** The consumer: everything there is, oldest first, linked by next; NULL when empty. */
struct mpsc_node *mpsc_take_all(struct mpsc *q);
