// SPDX-License-Identifier: Apache-2.0
//
// Files below a folder (os/folder.h).

#include "os/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

int os_folder_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : error_from_errno(errno);
}

static int error_of(int errnum)
{
    switch (errnum) {
    case EXDEV: // it leads out
    case ELOOP:
    case ENOTDIR:
    case ENXIO:
    case ENAMETOOLONG:
        return E_NOT_FOUND;
    case ENOSYS:
        return E_UNSUPPORTED;
    default:
        return error_from_errno(errnum);
    }
}

int os_folder_find(int root, const char *path, struct os_found *out)
{
    // Without waiting: a pipe or a device would be opened before it can be told from a file.
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    const char *at = path[0] != '\0' ? path : ".";
    long fd = syscall(SYS_openat2, root, at, &how, sizeof(how));
    struct stat st;
    if (fd < 0) {
        return error_of(errno);
    }
    if (fstat((int)fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        (void)close((int)fd);
        return E_NOT_FOUND;
    }
    *out = (struct os_found){
        .fd = (int)fd,
        .folder = S_ISDIR(st.st_mode),
        .size = (uint64_t)st.st_size,
        .modified_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
        .inode = (uint64_t)st.st_ino,
    };
    return 0;
}

ptrdiff_t os_folder_read(int fd, void *to, size_t len, uint64_t at)
{
    ssize_t n;
    do {
        n = pread(fd, to, len, (off_t)at);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : error_from_errno(errno);
}

int os_folder_list(int fd, bool (*fn)(void *arg, const char *name, bool folder), void *arg)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        int e = error_from_errno(errno);
        if (copy >= 0) {
            (void)close(copy);
        }
        return e;
    }
    const struct dirent *entry;
    bool more = true;
    while (more && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            more = fn(arg, entry->d_name, entry->d_type == DT_DIR);
        }
    }
    (void)closedir(dir);
    return 0;
}

void os_folder_close(int fd)
{
    (void)close(fd);
}
