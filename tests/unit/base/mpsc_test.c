// SPDX-License-Identifier: Apache-2.0
//
// mpsc: order per producer, and nothing lost with several threads.

#include "base/mpsc.h"

#include <pthread.h>

#include "tap.h"

enum { PRODUCERS = 3, PER_PRODUCER = 50000 };

struct item {
    struct mpsc_node node;
    int producer;
    int number;
};

static struct mpsc queue;
static struct item items[PRODUCERS][PER_PRODUCER];

static void keeps_order(void)
{
    mpsc_init(&queue);
    struct item a = {.number = 1};
    struct item b = {.number = 2};
    CHECK(mpsc_take_all(&queue) == NULL);
    CHECK(mpsc_push(&queue, &a.node));
    CHECK(!mpsc_push(&queue, &b.node));
    struct mpsc_node *n = mpsc_take_all(&queue);
    CHECK(n == &a.node && n->next == &b.node && b.node.next == NULL);
    CHECK(mpsc_push(&queue, &a.node));
}

static void *produce(void *arg)
{
    struct item *mine = arg;
    for (int i = 0; i < PER_PRODUCER; i++) {
        (void)mpsc_push(&queue, &mine[i].node);
    }
    return NULL;
}

static void loses_nothing(void)
{
    mpsc_init(&queue);
    pthread_t threads[PRODUCERS];
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < PER_PRODUCER; i++) {
            items[p][i] = (struct item){.producer = p, .number = i};
        }
        REQUIRE(pthread_create(&threads[p], NULL, produce, items[p]) == 0);
    }
    int next[PRODUCERS] = {0};
    int total = 0;
    bool in_order = true;
    while (total < PRODUCERS * PER_PRODUCER) {
        for (struct mpsc_node *n = mpsc_take_all(&queue); n != NULL; n = n->next) {
            struct item *x = (struct item *)(void *)n;
            in_order = in_order && x->number == next[x->producer];
            next[x->producer]++;
            total++;
        }
    }
    for (int p = 0; p < PRODUCERS; p++) {
        (void)pthread_join(threads[p], NULL);
    }
    CHECK(in_order);
    CHECK(mpsc_take_all(&queue) == NULL);
}

TAP_MAIN(keeps_order, loses_nothing)
