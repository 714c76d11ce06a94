// SPDX-License-Identifier: Apache-2.0
//
// Shared, writable memory files of a fixed size: the counters of the cores lie in one.
//
// The seals say that the file never shrinks, and whoever maps it checks them first, so a process
// cannot be made to fault by another one that cuts the file under it. The content is not trusted: who
// reads it must bear any bytes.

#include "os/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { SHARED_SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

int os_shared_make(const char *name, size_t len)
{
    ensure(len > 0);
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    bool sized = ftruncate(fd, (off_t)len) == 0;
    if (!sized || fcntl(fd, F_ADD_SEALS, SHARED_SEALS | F_SEAL_SEAL) != 0) {
        int error = error_from_errno(errno);
        (void)close(fd);
        return error;
    }
    return fd;
}

int os_shared_map(int fd, size_t len, bool writable, void **out)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    if (seals < 0 || (seals & SHARED_SEALS) != SHARED_SEALS || fstat(fd, &st) != 0 ||
        (uint64_t)st.st_size != len) {
        return E_INVALID;
    }
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *at = mmap(NULL, len, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return error_from_errno(errno);
    }
    *out = at;
    return 0;
}

void os_shared_unmap(void *at, size_t len)
{
    ensure(munmap(at, len) == 0);
}
