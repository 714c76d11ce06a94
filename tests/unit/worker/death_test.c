// SPDX-License-Identifier: Apache-2.0
//
// Last words: whatever kills a worker, the other end of the channel hears of it first.

#include "worker/death.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "base/error.h"
#include "ipc/messages.h"
#include "obs/panic.h"
#include "os/fdpass.h"

#include "tap.h"

#ifdef ADIT_SANITIZED
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

// Runs `die` in a child and takes its last words; returns the signal it died of.
static int last_words(void (*die)(void), struct ipc_message *m)
{
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    pid_t child = tap_fork();
    if (child == 0) {
        panic_install("worker");
        death_install(ends[1]);
        ensure(death_init_thread() == 0);
        die();
        _exit(0);
    }
    (void)close(ends[1]);
    struct ipc_fds fds;
    memset(m, 0, sizeof *m);
    CHECK_EQ_INT(ipc_recv(ends[0], IPC_WORKER, m, &fds, 10000), 0);
    int status = 0;
    (void)waitpid(child, &status, 0);
    (void)close(ends[0]);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void break_a_promise(void)
{
    panic_core = 2;
    ensure(1 + 1 == 3);
}

static void a_broken_promise_is_named(void)
{
    struct ipc_message m;
    CHECK_EQ_INT(last_words(break_a_promise, &m), SIGABRT);
    CHECK_EQ_INT(m.type, IPC_death);
    CHECK_EQ_INT(m.u.death.signal, SIGABRT);
    CHECK_EQ_INT(m.u.death.core, 2);
    CHECK(strncmp(m.u.death.text, "1 + 1 == 3 at ", 14) == 0);
}

// Volatile: the compiler must not know that it is no address.
static int *volatile nowhere = (int *)16;

static void touch_nothing(void)
{
    *nowhere = 1;
}

static void a_fault_has_its_address(void)
{
    struct ipc_message m;
    if (SANITIZED) {
        return; // the runtime reports faults itself
    }
    CHECK_EQ_INT(last_words(touch_nothing, &m), SIGSEGV);
    CHECK_EQ_INT(m.u.death.signal, SIGSEGV);
    CHECK_EQ_INT(m.u.death.address, 16);
    CHECK_STR(m.u.death.text, "");
}

static int dig(int depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    return depth > 1 << 20 ? page[0] : dig(depth + 1) + page[0];
}

static void *overflow_main(void *arg)
{
    (void)arg;
    if (death_init_thread() != 0) {
        _exit(0);
    }
    return (void *)(intptr_t)dig(0);
}

static void overflow_a_stack(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, overflow_main, NULL) == 0) {
        (void)pthread_join(thread, NULL);
    }
}

static void an_overflow_of_the_stack_is_heard(void)
{
    struct ipc_message m;
    if (SANITIZED) {
        return;
    }
    CHECK_EQ_INT(last_words(overflow_a_stack, &m), SIGSEGV);
    CHECK_EQ_INT(m.u.death.signal, SIGSEGV);
}

TAP_MAIN(a_broken_promise_is_named, a_fault_has_its_address, an_overflow_of_the_stack_is_heard)
