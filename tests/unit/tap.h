// SPDX-License-Identifier: Apache-2.0
//
// A test program in one header. Cases are plain functions that call CHECK macros; TAP_MAIN lists them:
//
//     static void trims_blanks(void)
//     {
//         CHECK_STR(trim("  a "), "a");
//         CHECK_ABORTS(trim(NULL));
//     }
//
//     TAP_MAIN(trims_blanks, keeps_inner_blanks)
//
// One case is one TAP result. A failed check prints what differs and the case goes on; REQUIRE ends
// the program when going on makes no sense. With arguments only the cases so named are run.
//
// With TAP_ALLOC_FAIL=N in the environment each case is run up to N times, each time in a child in
// which one more allocation succeeds before one fails. A failed check then ends the child quietly: the
// code has reported what happened. Only a crash, a broken assert or a sanitizer's report fails. Where
// the cases build on a first one called setup, the child runs that before it, with all its memory.

#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/slab.h"

typedef void tap_case_fn(void);

struct tap_case {
    const char *name;
    tap_case_fn *run;
};

enum {
    TAP_EXIT_REACHED = 0,  // the failing allocation was met
    TAP_EXIT_COMPLETE = 3, // the case made fewer allocations
};

// Failed checks of the case that is running.
static int tap_failures;
// An allocation is made to fail in this process.
static bool tap_starved;

// Each check is an expression with the value of its condition, so a test may say
// `if (!CHECK(x)) { return; }`.
#define CHECK(cond) tap_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ_INT(got, want)                                                                    \
    tap_check_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, #got)
#define CHECK_STR(got, want) tap_check_str((got), (want), __FILE__, __LINE__, #got)
// Compares `got_len` bytes with a string literal or any C string.
#define CHECK_TEXT(got, got_len, want)                                                             \
    tap_check_text((got), (got_len), (want), __FILE__, __LINE__, #got)
#define CHECK_BYTES(got, got_len, want, want_len)                                                  \
    tap_check_bytes((got), (got_len), (want), (want_len), __FILE__, __LINE__, #got)
#define REQUIRE(cond) tap_require((cond), __FILE__, __LINE__, #cond)

// Evaluates `expr` in a child and demands that it aborts: for asserts that must fire.
#define CHECK_ABORTS(expr)                                                                         \
    do {                                                                                           \
        pid_t tap_child = tap_fork();                                                              \
        if (tap_child == 0) {                                                                      \
            (void)(expr);                                                                          \
            _exit(0);                                                                              \
        }                                                                                          \
        tap_check(tap_aborted(tap_child), __FILE__, __LINE__, "aborts: " #expr);                   \
    } while (0)

// Out of line, so that the compiler does not reason about the constants of one call, and unused
// without a warning.
#define TAP_FN __attribute__((unused, noinline))

// ---- what the macros call -----------------------------------------------------------------------

TAP_FN static bool tap_check(bool ok, const char *file, int line, const char *text)
{
    if (!ok && tap_starved) {
        _exit(TAP_EXIT_REACHED);
    }
    if (!ok) {
        tap_failures++;
        printf("# %s:%d: failed: %s\n", file, line, text);
    }
    return ok;
}

TAP_FN static bool tap_check_int(intmax_t got, intmax_t want, const char *file, int line,
                                 const char *text)
{
    bool ok = tap_check(got == want, file, line, text);
    if (!ok) {
        printf("#   got  %" PRIdMAX "\n#   want %" PRIdMAX "\n", got, want);
    }
    return ok;
}

// Prints bytes so that they fit on one TAP line: what is not plain ASCII as \xNN.
static void tap_print_bytes(const char *label, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    size_t shown = size < 400 ? size : 400;
    printf("#   %s \"", label);
    for (size_t i = 0; i < shown; i++) {
        if (bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\') {
            putchar(bytes[i]);
        } else {
            printf("\\x%02x", bytes[i]);
        }
    }
    printf("\"%s (%zu bytes)\n", shown < size ? "..." : "", size);
}

TAP_FN static bool tap_check_bytes(const void *got, size_t got_len, const void *want,
                                   size_t want_len, const char *file, int line, const char *text)
{
    bool same = got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0);
    bool ok = tap_check(same, file, line, text);
    if (!ok) {
        tap_print_bytes("got ", got, got_len);
        tap_print_bytes("want", want, want_len);
    }
    return ok;
}

TAP_FN static bool tap_check_text(const void *got, size_t got_len, const char *want,
                                  const char *file, int line, const char *text)
{
    size_t want_len = want != NULL ? strlen(want) : 0;
    return tap_check_bytes(got, got_len, want, want_len, file, line, text);
}

TAP_FN static bool tap_check_str(const char *got, const char *want, const char *file, int line,
                                 const char *text)
{
    if (got == NULL || want == NULL) {
        return tap_check(got == want, file, line, text);
    }
    return tap_check_bytes(got, strlen(got), want, strlen(want), file, line, text);
}

TAP_FN static void tap_require(bool ok, const char *file, int line, const char *text)
{
    if (!tap_check(ok, file, line, text)) {
        printf("Bail out! %s:%d: %s\n", file, line, text);
        exit(1);
    }
}

// The child says nothing and leaves no core file: its death is the expected outcome.
TAP_FN static pid_t tap_fork(void)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        bool silent = freopen("/dev/null", "w", stderr) && freopen("/dev/null", "w", stdout);
        if (!silent) {
            _exit(0);
        }
    }
    return pid;
}

TAP_FN static bool tap_aborted(pid_t pid)
{
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

static bool tap_selected(const char *name, int argc, char **argv)
{
    bool selected = argc < 2;
    for (int i = 1; i < argc; i++) {
        selected = selected || strcmp(name, argv[i]) == 0;
    }
    return selected;
}

// One child in which allocation `nth` of the case fails. Its exit status, or -1 when it was killed.
static int tap_run_starved(const struct tap_case *setup, const struct tap_case *c, uint64_t nth)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool silent = freopen("/dev/null", "w", stdout) != NULL;
        if (setup != NULL) {
            setup->run();
        }
        tap_starved = true;
        alloc_fail_nth(nth);
        c->run();
        bool pending = alloc_fail_pending();
        _exit(pending || !silent ? TAP_EXIT_COMPLETE : TAP_EXIT_REACHED);
    }
    int status = 0;
    bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    return ended ? WEXITSTATUS(status) : -1;
}

static bool tap_survives_starving(const struct tap_case *setup, const struct tap_case *c,
                                  uint64_t nth_max)
{
    for (uint64_t nth = 1; nth <= nth_max; nth++) {
        int status = tap_run_starved(setup, c, nth);
        if (status == TAP_EXIT_COMPLETE) {
            break;
        }
        if (status != TAP_EXIT_REACHED) {
            printf("# does not survive the failure of allocation %" PRIu64 "\n", nth);
            return false;
        }
    }
    return true;
}

TAP_FN static int tap_run(const struct tap_case *cases, size_t count, int argc, char **argv)
{
    const char *starve = getenv("TAP_ALLOC_FAIL");
    uint64_t nth_max = starve != NULL ? strtoull(starve, NULL, 10) : 0;
    bool has_setup = strcmp(cases[0].name, "setup") == 0;
    int failed = 0;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        if (!tap_selected(cases[i].name, argc, argv)) {
            printf("ok %zu - %s # SKIP not selected\n", i + 1, cases[i].name);
            continue;
        }
        (void)fflush(stdout);
        tap_failures = 0;
        if (nth_max > 0) {
            const struct tap_case *setup = has_setup && i > 0 ? &cases[0] : NULL;
            tap_failures += !tap_survives_starving(setup, &cases[i], nth_max);
        } else {
            cases[i].run();
        }
        failed += tap_failures > 0;
        printf("%s %zu - %s\n", tap_failures > 0 ? "not ok" : "ok", i + 1, cases[i].name);
    }
    return failed > 0;
}

// ---- the list of cases --------------------------------------------------------------------------

// TAP_MAIN(a, b, c) becomes main() over {"a", a}, {"b", b}, {"c", c}; up to 64 cases.
#define TAP_MAIN(...)                                                                              \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct tap_case cases[] = {TAP_EACH(__VA_ARGS__)};                            \
        return tap_run(cases, sizeof cases / sizeof cases[0], argc, argv);                         \
    }

// clang-format off
#define TAP_PAREN ()
#define TAP_EACH(...) __VA_OPT__(TAP_EXPAND(TAP_NEXT(__VA_ARGS__)))
#define TAP_NEXT(fn, ...) {#fn, fn}, __VA_OPT__(TAP_AGAIN TAP_PAREN(__VA_ARGS__))
#define TAP_AGAIN() TAP_NEXT
#define TAP_EXPAND(...) TAP_EXPAND3(TAP_EXPAND3(TAP_EXPAND3(TAP_EXPAND3(__VA_ARGS__))))
#define TAP_EXPAND3(...) TAP_EXPAND2(TAP_EXPAND2(TAP_EXPAND2(TAP_EXPAND2(__VA_ARGS__))))
#define TAP_EXPAND2(...) TAP_EXPAND1(TAP_EXPAND1(TAP_EXPAND1(TAP_EXPAND1(__VA_ARGS__))))
#define TAP_EXPAND1(...) __VA_ARGS__
// clang-format on
