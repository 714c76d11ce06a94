// SPDX-License-Identifier: Apache-2.0
//
// The panic dump: what a broken promise leaves on stderr.

#include "obs/panic.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/text.h"
#include "obs/trace.h"
#include "tap.h"

static void print_number(const void *object, struct text *out)
{
    text_printf(out, "number %d\n", *(const int *)object);
}

static void objects_are_told_innermost_first(void)
{
    int outer = 1;
    int inner = 2;
    struct panic_object a;
    struct panic_object b;
    panic_enter(&a, &outer, print_number);
    panic_enter(&b, &inner, print_number);
    char buffer[256];
    struct text t = text_on(buffer, sizeof buffer);
    panic_describe(&t);
    CHECK_TEXT(t.ptr, t.len, "number 2\nnumber 1\n");
    panic_leave(&b);
    panic_leave(&a);
    t.len = 0;
    panic_describe(&t);
    CHECK_EQ_INT(t.len, 0);
}

static void a_broken_promise_is_dumped(void)
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)dup2(ends[1], STDERR_FILENO);
        static struct trace_ring ring;
        trace_ring = &ring;
        panic_install("worker");
        panic_core = 3;
        trace(TRACE_accept, 12, 0);
        int number = 42;
        struct panic_object scope;
        panic_enter(&scope, &number, print_number);
        ensure(number == 43);
        _exit(0);
    }
    (void)close(ends[1]);
    char buffer[4096];
    size_t have = 0;
    ssize_t n;
    while ((n = read(ends[0], buffer + have, sizeof buffer - 1 - have)) > 0) {
        have += (size_t)n;
    }
    buffer[have] = '\0';
    (void)close(ends[0]);
    CHECK(tap_aborted(child));
    CHECK(strstr(buffer, "panic: worker core 3: promise broken: number == 43 at ") != NULL);
    CHECK(strstr(buffer, "number 42\n") != NULL);
    CHECK(strstr(buffer, "accept connection=12 fd=0") != NULL);
}

TAP_MAIN(objects_are_told_innermost_first, a_broken_promise_is_dumped)
