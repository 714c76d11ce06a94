// SPDX-License-Identifier: Apache-2.0
//
// Looking at a local port (cli/agent_local.h). No connection is made: it would be a visitor, whom some
// services count, log, or mind. Ports that need a privilege are not known, and count as listened on.

#include "cli/agent_local.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "os/addr.h"

/** With SO_REUSEADDR a bind fails only where somebody listens, and hinders nobody who is about to. */
static bool is_free(const struct os_addr *at)
{
    struct sockaddr_storage to;
    socklen_t len = (socklen_t)os_addr_to_sockaddr(at, &to);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno == EAFNOSUPPORT; // an address family that this machine does not have
    }
    int on = 1;
    bool ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
              (bind(fd, (const struct sockaddr *)&to, len) == 0 || errno == EADDRNOTAVAIL);
    (void)close(fd);
    return ok;
}

bool agent_local_listens(const struct agent_tunnel *t)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]"};
    if (!t->local || t->kind == AGENT_UDP) {
        return true;
    }
    ptrdiff_t colon = slice_find_char(t->target, ':');
    for (size_t i = 0; colon >= 0 && i < array_len(hosts); i++) {
        char buffer[32];
        struct text at = text_on(buffer, sizeof(buffer));
        text_str(&at, hosts[i]);
        text_put(&at, slice_from(t->target, (size_t)colon));
        struct os_addr addr;
        if (at.overflow || os_addr_parse(text_slice(&at), &addr) != 0 || !is_free(&addr)) {
            return true;
        }
    }
    return colon < 0;
}
