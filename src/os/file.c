// SPDX-License-Identifier: Apache-2.0
//
// Whole files by descriptor (os/file.h). A signal in the middle begins the call anew; a file that grows
// meanwhile is read up to the size that was looked at, so that the limit holds.

#include "os/file.h"

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

int os_file_read(int fd, size_t max, struct arena *a, struct slice *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return error_from_errno(errno);
    }
    if (!S_ISREG(st.st_mode)) {
        return E_INVALID;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size > max) {
        return E_TOO_LARGE;
    }
    size_t size = (size_t)st.st_size;
    char *bytes = arena_bytes(a, size + 1);
    if (bytes == NULL) {
        return E_NO_MEMORY;
    }
    size_t have = 0;
    while (have < size) {
        ssize_t n = pread(fd, bytes + have, size - have, (off_t)have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_from_errno(errno);
        }
        if (n == 0) {
            break; // became shorter meanwhile
        }
        have += (size_t)n;
    }
    *out = slice_of(bytes, have);
    return 0;
}

int os_file_write(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? E_IO : error_from_errno(errno);
        }
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}
