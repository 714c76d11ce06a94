// SPDX-License-Identifier: Apache-2.0
//
// Making and opening the state directory (super/state.h). Each part of the path is opened from the
// one before, and only the last one is given away, so that whoever owns what is beneath cannot lead
// the supervisor elsewhere.

#include "super/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

enum { STATE_MODE = 0755 }; // certificates are public; keys are files of mode 0600

void super_state_default(char path[STATE_PATH_MAX])
{
    struct text t = text_on(path, STATE_PATH_MAX - 1);
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (geteuid() == 0) {
        text_str(&t, "/var/lib/adit");
    } else if (state != NULL && state[0] == '/') {
        text_printf(&t, "%s/adit", state);
    } else if (home != NULL && home[0] == '/') {
        text_printf(&t, "%s/.local/state/adit", home);
    }
    path[t.overflow ? 0 : t.len] = '\0';
}

// Goes one part down, making it when it is missing. The descriptor above is closed.
static int step(int above, const char *name)
{
    bool made = mkdirat(above, name, STATE_MODE) == 0;
    int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? error_from_errno(errno) : 0;
    if (made && fd >= 0) {
        (void)fchmod(fd, STATE_MODE); // whatever the umask
    }
    (void)close(above);
    return fd < 0 ? error : fd;
}

static int walk(const char *path)
{
    char part[STATE_PATH_MAX];
    int fd = open(path[0] == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = fd < 0 ? error_from_errno(errno) : fd;
    while (fd >= 0 && *path != '\0') {
        size_t len = strcspn(path, "/");
        if (len > 0) {
            memcpy(part, path, len);
            part[len] = '\0';
            fd = step(fd, part);
        }
        path += len;
        path += *path == '/';
    }
    return fd;
}

int super_state_open(const char *path, const struct os_identity *who, struct text *why)
{
    int fd = strlen(path) < STATE_PATH_MAX ? walk(path) : E_TOO_LARGE;
    if (fd < 0) {
        text_printf(why, "%s: %s", path, error_text(fd));
        return fd;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        (void)close(fd);
        return E_IO;
    }
    // Only what is root's or new is given away, never what a third party owns.
    if (who->change && st.st_uid == 0 && fchown(fd, who->uid, who->gid) == 0) {
        st.st_uid = who->uid;
    }
    uid_t user = who->change ? who->uid : geteuid();
    if (st.st_uid != user || (st.st_mode & S_IRWXU) != S_IRWXU) {
        text_printf(why, "%s: belongs to user %u, but the keeper runs as user %u", path,
                    (unsigned)st.st_uid, (unsigned)user);
        (void)close(fd);
        return E_DENIED;
    }
    return fd;
}
