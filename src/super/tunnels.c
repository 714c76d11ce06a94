// SPDX-License-Identifier: Apache-2.0
//
// The rows of tunnels (obs/tunnel_rows.h): a table for each worker, which the supervisor makes and
// never reads. The next worker gets it to read, whether this one died or serves on beside it after an
// upgrade, so that it keeps free the names of agents that will be back. A worker that died before it
// was ready has told nothing in its own, so the next one is given those that it was given. The first
// worker of an edge is given what the keeper has kept of the edge before.

#include <unistd.h>

#include "base/error.h"
#include "obs/log.h"
#include "obs/tunnel_rows.h"
#include "os/shared.h"
#include "super/super_int.h"

static void forget(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

void tunnels_begin(struct super *s, bool was_ready)
{
    if (was_ready) {
        forget(&s->tunnels_before);
        s->tunnels_before = s->tunnels;
    } else {
        forget(&s->tunnels);
    }
    s->tunnels = os_shared_make("adit-tunnels", tunnel_rows_bytes());
    if (s->tunnels < 0) {
        log_line(LOG_ERROR, "no memory for the rows of tunnels: %s", error_text(s->tunnels));
        s->tunnels = -1;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_tunnels);
    int fds[2] = {s->tunnels, s->tunnels_before};
    unsigned count = s->tunnels < 0 ? 0 : s->tunnels_before < 0 ? 1 : 2;
    child_send(&s->worker, &m, fds, count);
}

void tunnels_tell(struct super *s)
{
    struct ipc_message m;
    ipc_init(&m, IPC_tunnels);
    if (s->worker.ready && s->tunnels >= 0) {
        child_send(&s->keeper, &m, &s->tunnels, 1);
    }
}

void tunnels_keep(struct super *s, struct ipc_fds *fds)
{
    if (s->tunnels < 0 && s->tunnels_before < 0) {
        s->tunnels_before = fds->fd[0];
        fds->count = 0;
    }
}

void tunnels_close(struct super *s)
{
    forget(&s->tunnels);
    forget(&s->tunnels_before);
}
