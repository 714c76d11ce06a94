// SPDX-License-Identifier: Apache-2.0
//
// The inspector's port: on 127.0.0.1 alone, so that nobody but this machine reaches it, and for a site of
// its own, which no tunnel leads to (inspect/inspect.h). The first port that was not asked for may be
// taken, by another agent: then it is one of the next.

#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "inspect/inspect.h"
#include "os/listen.h"

#include "agent/agent_int.h"

enum { FIRST_PORT = 4040, PORTS = 10, BACKLOG = 16 };

static int try_port(struct agent *a, uint16_t port)
{
    struct os_addr addr;
    int e = os_addr_parse(SLICE("127.0.0.1:1"), &addr);
    ensure(e == 0);
    addr.port = port;
    const struct os_listen how = {.addr = addr, .backlog = BACKLOG};
    int fd = os_listen_open(&how);
    if (fd < 0) {
        return fd;
    }
    const struct traffic_listener what = {.addr = addr, .site = SLICE("inspect")};
    e = traffic_core_listen(a->core, fd, &what);
    if (e != 0) {
        (void)close(fd);
        return e;
    }
    a->inspect_fd = fd;
    a->inspect_port = port;
    return 0;
}

int agent_inspect_open(struct agent *a, struct text *why)
{
    uint16_t wanted = a->plan->inspect_port;
    if (!a->plan->inspect) {
        return 0;
    }
    int e = E_IN_USE;
    unsigned first = wanted != 0 ? wanted : FIRST_PORT;
    for (unsigned i = 0; e == E_IN_USE && i < (wanted != 0 ? 1 : PORTS); i++) {
        e = try_port(a, (uint16_t)(first + i));
    }
    if (e != 0) {
        text_printf(why, "the inspector's port, 127.0.0.1:%u: %s\n", first, error_text(e));
    }
    return e;
}

uint16_t agent_inspect_port(const struct agent *a)
{
    ensure_magic(a, AGENT_MAGIC);
    return a->inspect_port;
}

void agent_inspect_close(struct agent *a)
{
    if (a->inspect_fd >= 0) {
        (void)close(a->inspect_fd);
        a->inspect_fd = -1;
    }
    inspect_close();
}
