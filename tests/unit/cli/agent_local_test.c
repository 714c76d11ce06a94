// SPDX-License-Identifier: Apache-2.0
//
// Whether something listens at a local port, on either loopback address.

#include "cli/agent_local.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#include "tap.h"

static uint16_t listen_on(int family, int *fd)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    bool v6 = family == AF_INET6;
    const struct sockaddr *name = v6 ? (struct sockaddr *)&at : (struct sockaddr *)&at4;
    socklen_t len = v6 ? sizeof(at) : sizeof(at4);
    *fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, name, len) != 0 || listen(*fd, 1) != 0) {
        return 0; // no such family here
    }
    struct sockaddr_storage got;
    len = sizeof(got);
    REQUIRE(getsockname(*fd, (struct sockaddr *)&got, &len) == 0);
    return ntohs(v6 ? ((struct sockaddr_in6 *)&got)->sin6_port
                    : ((struct sockaddr_in *)&got)->sin_port);
}

static bool listens(uint16_t port, struct agent_tunnel t)
{
    char buffer[32];
    struct text target = text_on(buffer, sizeof(buffer));
    text_printf(&target, "127.0.0.1:%u", port);
    t.target = text_slice(&target);
    return agent_local_listens(&t);
}

static void looks_at_both_loopback_addresses(void)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < array_len(families); i++) {
        int fd;
        uint16_t port = listen_on(families[i], &fd);
        if (port == 0) {
            continue;
        }
        CHECK(listens(port, (struct agent_tunnel){.local = true}));
        CHECK(listens(port, (struct agent_tunnel){.local = true, .kind = AGENT_TCP}));
        (void)close(fd);
        CHECK(!listens(port, (struct agent_tunnel){.local = true}));
        CHECK(!listens(port, (struct agent_tunnel){.local = true, .kind = AGENT_TCP}));
        // What cannot be known is not complained of.
        CHECK(listens(port, (struct agent_tunnel){.local = true, .kind = AGENT_UDP}));
        CHECK(listens(port, (struct agent_tunnel){.local = false}));
    }
}

TAP_MAIN(looks_at_both_loopback_addresses)
