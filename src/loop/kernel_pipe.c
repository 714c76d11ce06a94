// SPDX-License-Identifier: Apache-2.0
//
// The core's cache of kernel pipes (loop/kernel_pipe.h): last in, first out, while their pages and the
// kernel's structures are warm.

#include "loop/kernel_pipe.h"

#include "base/error.h"
#include "base/slab.h"
#include "loop/loop.h"

enum {
    // Pipes kept per core: more transfers at once than that open theirs anew, which costs a few
    // microseconds for some hundred KiB at least.
    KERNEL_PIPES_KEPT = 32,
};

static void close_pipe(struct loop *l, struct kernel_pipe *k)
{
    l->sys->ops->close(l->sys, k->read_fd, false);
    l->sys->ops->close(l->sys, k->write_fd, false);
    mem_free(k);
}

int kernel_pipe_take(struct loop *l, struct kernel_pipe **out)
{
    struct kernel_pipe *k = l->kernel_pipes;
    if (k != NULL) {
        ensure(l->kernel_pipe_count > 0);
        l->kernel_pipes = k->next;
        l->kernel_pipe_count--;
        k->next = NULL;
        *out = k;
        return 0;
    }
    k = mem_zalloc(sizeof(*k));
    if (k == NULL) {
        return E_NO_MEMORY;
    }
    int fds[2];
    int rc = l->sys->ops->pipe_open(l->sys, fds, &k->capacity);
    if (rc != 0) {
        mem_free(k);
        return rc;
    }
    k->read_fd = fds[0];
    k->write_fd = fds[1];
    *out = k;
    return 0;
}

void kernel_pipe_give(struct loop *l, struct kernel_pipe *k, bool empty)
{
    ensure(k != NULL);
    if (!empty || l->kernel_pipe_count >= KERNEL_PIPES_KEPT) {
        close_pipe(l, k);
        return;
    }
    k->next = l->kernel_pipes;
    l->kernel_pipes = k;
    l->kernel_pipe_count++;
}

void kernel_pipe_core_fini(struct loop *l)
{
    while (l->kernel_pipes != NULL) {
        struct kernel_pipe *k = l->kernel_pipes;
        l->kernel_pipes = k->next;
        l->kernel_pipe_count--;
        close_pipe(l, k);
    }
    ensure(l->kernel_pipe_count == 0);
}
