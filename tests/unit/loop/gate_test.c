// SPDX-License-Identifier: Apache-2.0
//
// gate: what was let in always comes, whenever the core ends; nothing comes after that.

#include "loop/gate.h"

#include <pthread.h>

#include "base/error.h"
#include "tap.h"

enum { SENDERS = 3, SENT_EACH = 5000 };

struct letter {
    struct gate_mail mail;
    uint64_t *opened;
};

static struct sys *sys;
static struct loop loop;
static struct gate gate;
static atomic_uint let_in;
static uint64_t opened; // only the gate's core counts
static atomic_bool go_on;

static void setup_gate(uint32_t inbound_max)
{
    static const struct loop_limits limits = {8, 8};
    sys = os_linux_new();
    REQUIRE(sys != NULL);
    REQUIRE(loop_init(&loop, sys, 0, &limits) == 0);
    gate_init(&gate, &loop, inbound_max);
    atomic_store(&let_in, 0);
    opened = 0;
}

static void teardown(void)
{
    loop_fini(&loop);
    os_linux_free(sys);
}

static void on_letter(struct gate_mail *m)
{
    struct letter *l = container_of(m, struct letter, mail);
    ++*l->opened;
    mem_free(l);
}

static int send(void)
{
    struct letter *l = mem_alloc(sizeof(*l));
    if (l == NULL) {
        return E_NO_MEMORY;
    }
    *l = (struct letter){.mail.fn = on_letter, .opened = &opened};
    int e = gate_enter(&gate);
    if (e < 0) {
        mem_free(l);
        return e;
    }
    atomic_fetch_add(&let_in, 1);
    gate_post(&gate, &l->mail);
    return 0;
}

static void lets_in_while_it_is_open(void)
{
    setup_gate(2);
    CHECK_EQ_INT(gate_enter(&gate), E_DRAINING); // not open yet
    gate_open(&gate);
    CHECK_EQ_INT(send(), 0);
    CHECK_EQ_INT(gate_enter(&gate), 0);
    CHECK_EQ_INT(gate_inbound(&gate), 2);
    CHECK_EQ_INT(gate_enter(&gate), E_OVERLOADED);
    gate_leave(&gate);
    loop_turn(&loop, 0);
    CHECK_EQ_INT(opened, 1);
    CHECK_EQ_INT(gate_inbound(&gate), 0);
    CHECK_EQ_INT(send(), 0);
    gate_close(&gate);
    CHECK_EQ_INT(opened, 2);
    CHECK_EQ_INT(gate_enter(&gate), E_DRAINING);
    CHECK_EQ_INT(gate_inbound(&gate), 0);
    teardown();
}

static void *sender(void *arg)
{
    (void)arg;
    for (int i = 0; i < SENT_EACH && send() != E_DRAINING; i++) {
    }
    atomic_store(&go_on, true);
    return NULL;
}

static void all_that_was_let_in_comes(void)
{
    setup_gate(64);
    gate_open(&gate);
    atomic_store(&go_on, false);
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        REQUIRE(pthread_create(&threads[i], NULL, sender, NULL) == 0);
    }
    while (opened < SENT_EACH / 4 && !atomic_load(&go_on)) {
        loop_turn(&loop, 1);
    }
    gate_close(&gate); // in the middle of it
    uint64_t at_close = opened;
    for (int i = 0; i < SENDERS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ_INT(at_close, atomic_load(&let_in));
    loop_turn(&loop, 0);
    CHECK_EQ_INT(opened, at_close);
    teardown();
}

TAP_MAIN(lets_in_while_it_is_open, all_that_was_let_in_comes)
