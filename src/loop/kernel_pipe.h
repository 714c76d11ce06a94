// SPDX-License-Identifier: Apache-2.0
//
// Kernel pipes for splice, cached per core. One that goes back is known to be empty, so that nobody can
// ever read what another left behind; one with bytes in it is closed.

#pragma once

#include <stddef.h>

#include "base/ensure.h"

struct loop;

/** Two descriptors and how many bytes fit between them; it may be full earlier. */
struct kernel_pipe {
    struct kernel_pipe *next; // in the cache
    int read_fd;
    int write_fd;
    size_t capacity;
};

/** An empty one, from the core's cache or new; kernel_pipe_give() ends it. E_UNSUPPORTED,
 * E_NO_DESCRIPTORS, E_NO_MEMORY. */
int kernel_pipe_take(struct loop *l, struct kernel_pipe **out) must_check;
/** Back to the cache when it is `empty`, else closed. */
void kernel_pipe_give(struct loop *l, struct kernel_pipe *k, bool empty);
/** Closes the cached ones; before loop_fini(). */
void kernel_pipe_core_fini(struct loop *l);
