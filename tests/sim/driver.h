// SPDX-License-Identifier: Apache-2.0
//
// Runs scenarios over seeds and prints TAP, one result per scenario.
//
//     sim_NAME [--seed N] [--count N] [--only SCENARIO] [--verbose] [--bridged]
//
// A scenario is a function of a seed. When one fails, breaks a promise (ensure), crashes or hangs,
// its seed is printed, and `--only SCENARIO --seed N --count 1` repeats it exactly.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sim_case {
    const char *scenario;
    uint64_t seed;
    bool verbose;
    int failures;
};

/** --bridged was given (bridged.h). */
extern bool sim_is_bridged;

struct sim_scenario {
    const char *name;
    void (*run)(struct sim_case *c);
    uint32_t count; // seeds of a normal run
};

/** Notes a failure; the case goes on (the first few are printed). */
void sim_fail(struct sim_case *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Said only with --verbose. */
void sim_note(const struct sim_case *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int sim_main(int argc, char **argv, const struct sim_scenario *scenarios, uint32_t count);
