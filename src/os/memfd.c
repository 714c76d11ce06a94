// SPDX-License-Identifier: Apache-2.0
//
// Sealed memory files.
//
// The seals are what makes a mapping safe to parse in place: nobody can write to the file, not even
// its maker, and nobody can cut it short, which would turn a read into SIGBUS. They are set after the
// bytes are written and checked by the receiver before it maps. Start-up and keeper code; any thread.

#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "os/file.h"

static const int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

static int fill(int fd, struct slice bytes)
{
    int rc = os_file_write(fd, bytes);
    if (rc != 0) {
        return rc;
    }
    return fcntl(fd, F_ADD_SEALS, all_seals) == 0 ? 0 : error_from_errno(errno);
}

int os_memfd_make(const char *name, struct slice bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    int rc = fill(fd, bytes);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int os_memfd_map(int fd, size_t max, struct slice *out)
{
    *out = slice_of(NULL, 0);
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & all_seals) != all_seals || fstat(fd, &st) != 0 || st.st_size < 0) {
        return E_INVALID;
    }
    if ((uint64_t)st.st_size > max) {
        return E_TOO_LARGE;
    }
    if (st.st_size == 0) {
        return 0;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        return error_from_errno(errno);
    }
    (void)madvise(p, (size_t)st.st_size, MADV_DONTDUMP); // it may hold secrets
    *out = slice_of(p, (size_t)st.st_size);
    return 0;
}

void os_memfd_unmap(struct slice mapped)
{
    if (mapped.len > 0) {
        // munmap takes a plain pointer; the mapping itself is read-only.
        (void)munmap((void *)(uintptr_t)mapped.ptr, mapped.len);
    }
}
