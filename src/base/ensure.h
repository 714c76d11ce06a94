// SPDX-License-Identifier: Apache-2.0
//
// Assertions that stay on in every build.
//
// ensure() is for errors of the programmer only: a false one ends the process after the panic hook
// has written what it knows. Bytes from a peer and limits that are reached are never asserted, they
// are error codes (base/error.h).
//
// Structs that are reached through a void pointer or a callback begin with a magic word and are
// checked on entry with ensure_magic(); tests/lint keeps the words unique.

#pragma once

#include <assert.h> // static_assert
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/** Must-check attribute for functions whose result carries an error. */
#define must_check __attribute__((warn_unused_result))

#define ensure(x)               (likely(x) ? (void)0 : ensure_failed(#x, __FILE__, __LINE__, __func__))
#define ensure_magic(ptr, word) ensure((ptr) != NULL && (ptr)->magic == (word))
#define unreachable()           ensure_failed("unreachable", __FILE__, __LINE__, __func__)

/** Called once, before abort(), with the broken promise; obs installs the panic dump here. Must not
 * allocate. NULL means: a line on stderr. Set at start-up only. */
extern void (*ensure_hook)(const char *what, const char *file, int line, const char *func);

/** Reports and aborts. Any thread. */
_Noreturn void ensure_failed(const char *what, const char *file, int line, const char *func);

#define array_len(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member)                                                            \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))
