// SPDX-License-Identifier: Apache-2.0
//
// The mailbox queue. Producers push onto a stack with one compare-and-swap; the consumer swaps the
// whole stack for an empty one and turns it round, so a node is never popped singly and the ABA
// question does not come up. Release on push pairs with acquire on take: what a producer wrote
// before posting is seen by the consumer.

#include "base/mpsc.h"

#include <stddef.h>

void mpsc_init(struct mpsc *q)
{
    atomic_init(&q->head, NULL);
}

bool mpsc_push(struct mpsc *q, struct mpsc_node *n)
{
    struct mpsc_node *head = atomic_load_explicit(&q->head, memory_order_relaxed);
    do {
        n->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&q->head, &head, n, memory_order_release,
                                                    memory_order_relaxed));
    return head == NULL;
}

struct mpsc_node *mpsc_take_all(struct mpsc *q)
{
    // The plain load keeps an empty mailbox's cache line shared.
    if (atomic_load_explicit(&q->head, memory_order_relaxed) == NULL) {
        return NULL;
    }
    struct mpsc_node *newest = atomic_exchange_explicit(&q->head, NULL, memory_order_acquire);
    struct mpsc_node *oldest = NULL;
    while (newest != NULL) {
        struct mpsc_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
