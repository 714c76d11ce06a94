// SPDX-License-Identifier: Apache-2.0
//
// Opening files on behalf of processes that may not. The keeper may ask for any path, because a
// configuration may name any (keys, error pages, lists of servers); what protects others is that
// requests are counted, few between loads, and never open a device, a pipe or a socket.

#include "super/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "obs/log.h"
#include "os/listen.h"
#include "os/memfd.h"
#include "super/super.h"

enum {
    NAMES_BYTES_MAX = 1 << 20, // of a directory's listing
    ACCESS_MODE = 0640,
    CONTROL_DIR_MODE = 0755,
    CONTROL_MODE = 0600,
    CONTROL_BACKLOG = 16,
};

static int refuse(struct text *why, const char *path, int error)
{
    text_str(why, path);
    text_str(why, ": ");
    text_str(why, error_text(error));
    return error;
}

static int open_regular(const char *path, struct text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return refuse(why, path, error_from_errno(errno));
    }
    struct stat st;
    int error = fstat(fd, &st) != 0         ? error_from_errno(errno)
                : !S_ISREG(st.st_mode)      ? E_INVALID
                : st.st_size > IPC_FILE_MAX ? E_TOO_LARGE
                                            : 0;
    if (error != 0) {
        (void)close(fd);
        return refuse(why, path, error);
    }
    return fd;
}

// Collects names, each ended by a NUL. Returns the bytes used or a negative code.
static ssize_t list_names(DIR *dir, char *names)
{
    size_t used = 0;
    errno = 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        size_t len = strlen(e->d_name) + 1;
        if (used + len > NAMES_BYTES_MAX) {
            return E_TOO_LARGE;
        }
        memcpy(names + used, e->d_name, len);
        used += len;
    }
    return errno == 0 ? (ssize_t)used : error_from_errno(errno);
}

static int open_names(const char *path, struct text *why)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return refuse(why, path, error_from_errno(errno));
    }
    char *names = mem_alloc(NAMES_BYTES_MAX);
    ssize_t used = names != NULL ? list_names(dir, names) : E_NO_MEMORY;
    int fd = used < 0 ? (int)used : os_memfd_make("names", slice_of(names, (size_t)used));
    mem_free(names);
    (void)closedir(dir);
    return fd < 0 ? refuse(why, path, fd) : fd;
}

int files_open(const struct ipc_file_request *request, struct text *why)
{
    switch (request->kind) {
    case IPC_FILE_CONTENT:
        return open_regular(request->path, why);
    case IPC_FILE_NAMES:
        return open_names(request->path, why);
    default:
        return refuse(why, "unknown request", E_INVALID);
    }
}

int files_text(struct slice text)
{
    return os_memfd_make("configuration", text);
}

int files_open_access(const struct ipc_plan *plan, int *fd, struct text *why)
{
    *fd = -1;
    switch (plan->access) {
    case IPC_ACCESS_STDOUT:
        *fd = STDOUT_FILENO;
        return 0;
    case IPC_ACCESS_STDERR:
        *fd = STDERR_FILENO;
        return 0;
    case IPC_ACCESS_FILE:
        break;
    default:
        return 0;
    }
    *fd = open(plan->access_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
               ACCESS_MODE);
    if (*fd < 0) {
        text_str(why, "cannot open the access log ");
        return refuse(why, plan->access_path, error_from_errno(errno));
    }
    return 0;
}

// ---- control socket -----------------------------------------------------------------------------

void super_control_default(char path[SUPER_PATH_MAX])
{
    static_assert((int)SUPER_PATH_MAX == (int)OS_ADDR_PATH_MAX, "a path of a Unix socket");
    struct text t = text_on(path, SUPER_PATH_MAX - 1);
    if (geteuid() == 0) {
        text_str(&t, "/run/adit/control.sock");
    } else {
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        if (runtime != NULL && runtime[0] == '/') {
            text_str(&t, runtime);
            text_str(&t, "/adit.sock");
        }
    }
    path[t.overflow ? 0 : t.len] = '\0';
}

// Somebody else's edge may have the default path; that is no reason not to serve.
static void warn_without_control(const char *path, int error)
{
    log_line(LOG_WARN,
             "no control socket: %s: %s; `adit status` and `adit reload` cannot reach this edge "
             "unless the configuration says `control: PATH`",
             path[0] != '\0' ? path : "XDG_RUNTIME_DIR is not set", error_text(error));
}

static int open_control_at(const char *path)
{
    struct os_listen how = {
        .addr = {.kind = OS_ADDR_UNIX, .path_len = (uint8_t)strlen(path)},
        .backlog = CONTROL_BACKLOG,
        .unix_mode = CONTROL_MODE,
    };
    memcpy(how.addr.u.path, path, how.addr.path_len);
    return os_listen_open(&how);
}

static void open_default_control(char path[OS_ADDR_PATH_MAX], int *fd)
{
    super_control_default(path);
    if (path[0] != '\0' && geteuid() == 0) {
        (void)mkdir("/run/adit", CONTROL_DIR_MODE);
    }
    int error = path[0] != '\0' ? open_control_at(path) : E_NOT_FOUND;
    if (error < 0) {
        warn_without_control(path, error);
        path[0] = '\0';
        return;
    }
    *fd = error;
}

int files_open_control(const struct ipc_plan *plan, char path[OS_ADDR_PATH_MAX], int *fd,
                       struct text *why)
{
    *fd = -1;
    path[0] = '\0';
    if (plan->control == IPC_CONTROL_DEFAULT) {
        open_default_control(path, fd);
    }
    if (plan->control != IPC_CONTROL_PATH) {
        return 0;
    }
    int opened = open_control_at(plan->control_path);
    if (opened < 0) {
        text_str(why, "cannot open the control socket ");
        return refuse(why, plan->control_path, opened);
    }
    memcpy(path, plan->control_path, OS_ADDR_PATH_MAX);
    *fd = opened;
    return 0;
}
