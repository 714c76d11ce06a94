// SPDX-License-Identifier: Apache-2.0
//
// The runner of scenarios. What ends the process (a broken promise, a signal, thirty seconds without
// an end) still tells the scenario and the seed, from the hook or the signal handler; the handler
// only writes prepared text.

#include "driver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"
#include "obs/log.h"

enum { CASE_SECONDS = 30, FAILURES_SHOWN = 5 };

bool sim_is_bridged;

static char epitaph[256];
static uint32_t seeds_failed;

static void say_epitaph(void)
{
    ssize_t n = write(STDOUT_FILENO, epitaph, strlen(epitaph));
    (void)n;
}

static void on_broken_promise(const char *what, const char *file, int line, const char *func)
{
    printf("# broken promise: %s (%s:%d, %s)\n", what, file, line, func);
    (void)fflush(stdout);
}

static void on_signal(int number)
{
    say_epitaph();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

void sim_fail(struct sim_case *c, const char *format, ...)
{
    if (c->failures++ >= FAILURES_SHOWN || seeds_failed >= FAILURES_SHOWN) {
        return;
    }
    printf("# %s seed %" PRIu64 ": ", c->scenario, c->seed);
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void sim_note(const struct sim_case *c, const char *format, ...)
{
    if (!c->verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

struct options {
    uint64_t seed;
    uint32_t count; // 0: the scenario's own
    const char *only;
    bool verbose;
};

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.seed = 1};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--seed") == 0 && more) {
            o->seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--count") == 0 && more) {
            o->count = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0 && more) {
            o->only = argv[++i];
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
        } else if (strcmp(argv[i], "--bridged") == 0) {
            sim_is_bridged = true;
        } else {
            (void)fprintf(stderr,
                          "usage: %s [--seed N] [--count N] [--only SCENARIO] [--verbose] "
                          "[--bridged]\n",
                          argv[0]);
            return false;
        }
    }
    return true;
}

// True when all seeds passed.
static bool run_scenario(const struct sim_scenario *s, const struct options *o, const char *program)
{
    uint32_t count = o->count > 0 ? o->count : s->count;
    seeds_failed = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_case c = {.scenario = s->name, .seed = o->seed + i, .verbose = o->verbose};
        (void)snprintf(epitaph, sizeof(epitaph),
                       "# died in %s; again: %s --only %s --seed %" PRIu64 " --count 1%s\n",
                       s->name, program, s->name, c.seed, sim_is_bridged ? " --bridged" : "");
        (void)alarm(CASE_SECONDS);
        s->run(&c);
        if (c.failures > 0 && seeds_failed++ < FAILURES_SHOWN) {
            printf("# again: %s --only %s --seed %" PRIu64 " --count 1%s\n", program, s->name,
                   c.seed, sim_is_bridged ? " --bridged" : "");
        }
    }
    (void)alarm(0);
    if (seeds_failed > 0) {
        printf("# %" PRIu32 " of %" PRIu32 " seeds failed\n", seeds_failed, count);
    }
    return seeds_failed == 0;
}

int sim_main(int argc, char **argv, const struct sim_scenario *scenarios, uint32_t count)
{
    struct options o;
    if (!parse(argc, argv, &o)) {
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); // so that a debugger shows things in their order
    ensure_hook = on_broken_promise;
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGALRM};
    for (size_t i = 0; i < array_len(deadly); i++) {
        (void)signal(deadly[i], on_signal);
    }
    log_set_level(o.verbose ? LOG_DEBUG : LOG_ERROR);
    int status = 0;
    printf("1..%" PRIu32 "\n", count);
    for (uint32_t i = 0; i < count; i++) {
        if (o.only != NULL && strcmp(o.only, scenarios[i].name) != 0) {
            printf("ok %" PRIu32 " - %s # SKIP not selected\n", i + 1, scenarios[i].name);
            continue;
        }
        (void)fflush(stdout);
        bool ok = run_scenario(&scenarios[i], &o, argv[0]);
        printf("%s %" PRIu32 " - %s\n", ok ? "ok" : "not ok", i + 1, scenarios[i].name);
        status |= ok ? 0 : 1;
    }
    return status;
}
