// SPDX-License-Identifier: Apache-2.0
//
// What the issuer's parts share: its threads' state, and what an order asks of its host. All of it is
// under the vault's lock.

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "acme/acme.h"
#include "base/ensure.h"
#include "ipc/messages.h"
#include "keeper/needs.h"
#include "keeper/vault.h"

struct keeper;

enum {
    ISSUER_MAGIC = 0x49535355,
    ISSUER_RUN_MAGIC = 0x52554e20,
    ISSUER_THREADS = 4, // orders wait for their CA most of the time
    ISSUER_DENIED_MAX = 256,
};

enum hook_state { HOOK_QUEUED, HOOK_SENT, HOOK_DONE };

// One run of a hook; lives on the stack of the thread that waits for it.
struct hook_call {
    struct hook_call *next;
    enum hook_state state;
    struct ipc_hook_request request;
    struct ipc_hook answer;
};

// An account as it is known in this process, for when there is no disk to keep it on.
struct known_account {
    struct slice directory;
    struct slice key;
    struct slice url;
};

// A name that may not have a certificate on demand, for a while.
struct denied_name {
    uint64_t hash;
    uint64_t until; // seconds since 1970
};

struct issuer {
    uint32_t magic;
    struct keeper *keeper;
    atomic_bool cancel;
    uint32_t threads; // that were started
    uint32_t working; // that are not waiting for work
    uint32_t orders;  // that are under way
    const struct holding *ordered[ISSUER_THREADS];
    bool registered; // an account is known: orders may run beside each other
    pthread_t thread[ISSUER_THREADS];
    struct hook_call *hooks;
    uint64_t hook_number;
    struct known_account accounts[NEEDS_ISSUERS_MAX];
    struct denied_name denied[ISSUER_DENIED_MAX];
    uint32_t denied_next;
    double tokens; // new names on demand that may come now
    uint64_t tokens_at_ms;
};

// The host of one order.
struct issuer_run {
    struct acme_host base;
    uint32_t magic;
    struct issuer *issuer;
    struct slice hook; // command; empty: none
};

/** Makes the host of an order (issuer_host.c). */
void issuer_run_init(struct issuer_run *run, struct issuer *i, struct slice hook);
struct vault *issuer_vault(const struct issuer *i);
