// SPDX-License-Identifier: Apache-2.0
//
// Fatal signals. The handler does three things that are safe in it: it fills a static message, sends
// it, and lets the default action happen by returning with the handler gone (SA_RESETHAND): a fault
// happens again at the same instruction, abort() raises again by itself.
//
// Under a sanitizer only SIGABRT is taken: its runtime reports the others better.

#include "worker/death.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "ipc/messages.h"
#include "obs/panic.h"

enum { DEATH_STACK = 64 << 10 };

#ifdef ADIT_SANITIZED
static const int fatal[] = {SIGABRT};
#else
static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
#endif

static int death_channel = -1;
static atomic_flag death_said = ATOMIC_FLAG_INIT;
static struct ipc_message death_message;
static _Thread_local void *death_stack;

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (atomic_flag_test_and_set(&death_said)) {
        return; // another thread is dying as well; one message is enough
    }
    struct ipc_message *m = &death_message;
    m->type = IPC_death;
    m->u.death.signal = number;
    m->u.death.core = panic_core;
    m->u.death.address = number == SIGABRT ? 0 : (uint64_t)(uintptr_t)info->si_addr;
    const char *promise = panic_promise();
    size_t len = strnlen(promise, PANIC_TEXT_MAX - 1);
    memcpy(m->u.death.text, promise, len);
    int ignored = ipc_send(death_channel, m, NULL, 0);
    (void)ignored;
}

void death_install(int channel)
{
    death_channel = channel;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fatal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
    for (size_t i = 0; i < array_len(fatal); i++) {
        ensure(sigaction(fatal[i], &action, NULL) == 0);
    }
}

int death_init_thread(void)
{
    void *stack =
        mmap(NULL, DEATH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        return E_NO_MEMORY;
    }
    stack_t s = {.ss_sp = stack, .ss_size = DEATH_STACK};
    if (sigaltstack(&s, NULL) != 0) {
        (void)munmap(stack, DEATH_STACK);
        return E_INTERNAL;
    }
    death_stack = stack;
    return 0;
}

void death_fini_thread(void)
{
    stack_t off = {.ss_flags = SS_DISABLE};
    if (death_stack != NULL && sigaltstack(&off, NULL) == 0) {
        (void)munmap(death_stack, DEATH_STACK);
        death_stack = NULL;
    }
}
