// SPDX-License-Identifier: Apache-2.0
//
// Words to the service manager (os/notify.h). The socket is made for each of them: they are rare, and
// a descriptor that stays open would have to be explained to every program that takes over.

#include "os/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/num.h"

/** A path, or a name without one ("@name"). */
static bool address_of(const char *name, struct sockaddr_un *out, socklen_t *len)
{
    size_t n = strlen(name);
    if (n < 2 || n >= sizeof(out->sun_path) || (name[0] != '/' && name[0] != '@')) {
        return false;
    }
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, name, n);
    if (name[0] == '@') {
        out->sun_path[0] = '\0';
    }
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

bool os_notify(struct slice text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;
    socklen_t len;
    if (name == NULL || !address_of(name, &to, &len)) {
        return true;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    ssize_t n = sendto(fd, text.ptr, text.len, MSG_NOSIGNAL | MSG_DONTWAIT,
                       (const struct sockaddr *)&to, len);
    (void)close(fd);
    return n == (ssize_t)text.len;
}

uint64_t os_notify_patience_ms(void)
{
    const char *patience = getenv("WATCHDOG_USEC");
    const char *whom = getenv("WATCHDOG_PID");
    uint64_t us = 0;
    uint64_t pid = 0;
    if (patience == NULL || num_parse_u64(slice_str(patience), INT64_MAX, &us) != 0) {
        return 0;
    }
    if (whom != NULL &&
        (num_parse_u64(slice_str(whom), INT32_MAX, &pid) != 0 || (pid_t)pid != getpid())) {
        return 0;
    }
    return us / 1000;
}
