// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing files of the state directory (keeper/shelf.h). The sandbox lets the keeper reach
// nothing else for writing; what is opened here is opened beneath the directory's descriptor and must
// be a regular file.

#include "keeper/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "os/file.h"

enum { FOLDER_MODE = 0755 };

int shelf_read(int dir, const char *path, size_t max, struct arena *a, struct slice *out)
{
    *out = SLICE("");
    if (dir < 0) {
        return E_NOT_FOUND;
    }
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int error = os_file_read(fd, max, a, out);
    (void)close(fd);
    return error;
}

// Opens the folder that a file is in, making those that are missing; *name is what comes after.
static int open_folder(int dir, const char *path, const char **name)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *slash = strchr(path, '/');
    for (; fd >= 0 && slash != NULL; slash = strchr(path, '/')) {
        char part[SHELF_PATH_MAX];
        size_t len = (size_t)(slash - path);
        ensure(len < sizeof part);
        memcpy(part, path, len);
        part[len] = '\0';
        (void)mkdirat(fd, part, FOLDER_MODE);
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        int error = errno;
        (void)close(fd);
        errno = error;
        fd = next;
        path = slash + 1;
    }
    *name = path;
    return fd < 0 ? error_from_errno(errno) : fd;
}

static int write_whole(int fd, struct slice bytes)
{
    int error = os_file_write(fd, bytes);
    if (error != 0) {
        return error;
    }
    return fsync(fd) == 0 ? 0 : error_from_errno(errno);
}

static int write_in(int folder, const char *name, struct slice bytes, unsigned mode)
{
    char beside[SHELF_PATH_MAX];
    (void)snprintf(beside, sizeof beside, ".%s.new", name);
    (void)unlinkat(folder, beside, 0);
    int fd = openat(folder, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int error = fchmod(fd, mode) == 0 ? write_whole(fd, bytes) : error_from_errno(errno);
    (void)close(fd);
    if (error == 0 && renameat(folder, beside, folder, name) != 0) {
        error = error_from_errno(errno);
    }
    if (error != 0) {
        (void)unlinkat(folder, beside, 0);
        return error;
    }
    return fsync(folder) == 0 ? 0 : error_from_errno(errno);
}

int shelf_write(int dir, const char *path, struct slice bytes, unsigned mode)
{
    if (dir < 0) {
        return E_UNSUPPORTED;
    }
    const char *name = NULL;
    int folder = open_folder(dir, path, &name);
    if (folder < 0) {
        return folder;
    }
    int error = write_in(folder, name, bytes, mode);
    (void)close(folder);
    return error;
}

int shelf_replace(int dir, const char *from, const char *to)
{
    if (dir < 0) {
        return E_UNSUPPORTED;
    }
    return renameat(dir, from, dir, to) == 0 ? 0 : error_from_errno(errno);
}

void shelf_remove(int dir, const char *path)
{
    if (dir >= 0) {
        (void)unlinkat(dir, path, 0);
    }
}

void shelf_names(int dir, const char *path, void (*each)(void *arg, const char *name), void *arg)
{
    int fd = dir >= 0 ? openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    for (const struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (e->d_name[0] != '.') {
            each(arg, e->d_name);
        }
    }
    (void)closedir(folder);
}

bool shelf_folder(struct slice name, char *out, size_t size)
{
    struct text t = text_on(out, size - 1);
    if (slice_starts(name, SLICE("*."))) {
        text_str(&t, "_wildcard");
        name = slice_from(name, 1);
    }
    if (name.len == 0 || (t.len == 0 && name.ptr[0] == '.')) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!plain && c != ':' && c != '[' && c != ']') {
            return false;
        }
        if (c != '[' && c != ']') { // around an IPv6 address
            text_char(&t, c == ':' ? '_' : c);
        }
    }
    out[t.overflow ? 0 : t.len] = '\0';
    return !t.overflow;
}
