// SPDX-License-Identifier: Apache-2.0
//
// Trimming (os/memory.h). Segments that are not writable are never different from their file, so
// dropping their pages loses nothing; writable ones, relocated data among them, are left alone.

#include "os/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ensure.h"

static int drop_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    uintptr_t page = *(const uintptr_t *)arg;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W) != 0) {
            continue;
        }
        // Whole pages only: the last one may be shared with the next segment.
        uintptr_t first = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & ~(page - 1);
        if (end > first) {
            (void)madvise((void *)first, end - first, MADV_DONTNEED);
        }
    }
    return 0;
}

void os_memory_trim(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    ensure(page > 0 && (page & (page - 1)) == 0);
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(drop_segments, &page);
}
