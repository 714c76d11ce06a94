// SPDX-License-Identifier: Apache-2.0
//
// Names that clients ask for and that lack a certificate, on their way from the cores to the
// supervisor. Clients choose the names, so what passes is little: each name once in a while, few names
// in a second, and nothing is waited for. What is dropped comes again with the client's next attempt.

#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "ipc/messages.h"
#include "tls/store.h"

enum {
    WANTED_MAX = 64,         // names that are remembered
    WANTED_AGAIN_MS = 10000, // until a name is passed on again
    WANTED_PER_S = 20,
    WANTED_MAGIC = 0x57414e54,
};

struct wanted_name {
    uint64_t at_ms; // when it was asked for; 0: free
    bool waiting;   // to be passed on
    char name[IPC_NAME_MAX];
};

struct wanted {
    struct tls_wanted base;
    uint32_t magic;
    int wake; // eventfd of the steward
    pthread_mutex_t lock;
    uint64_t second; // that the count is of
    uint32_t count;
    struct wanted_name at[WANTED_MAX];
};

/** 0 or E_NO_DESCRIPTORS. */
int wanted_init(struct wanted *w) must_check;
void wanted_fini(struct wanted *w);
/** A core asks. True: it will be passed on. Any thread; never waits. */
bool wanted_add(struct wanted *w, struct slice name, uint64_t now_ms);
/** Wakes the steward for something else. Any thread. */
void wanted_wake(const struct wanted *w);
/** The next name to pass on; false: none. Steward's thread. */
bool wanted_take(struct wanted *w, char name[IPC_NAME_MAX]);
