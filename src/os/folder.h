// SPDX-License-Identifier: Apache-2.0
//
// Files below a folder, and nothing outside of it: a path is resolved by the kernel with openat2() and
// RESOLVE_BENEATH, so no `..`, no absolute path and no symbolic link leads out. For processes that may
// open files and may block for a disk.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"

/** An opened file or folder. */
struct os_found {
    int fd;
    bool folder; // else a regular file
    uint64_t size;
    uint64_t modified_ns; // since 1970
    uint64_t inode;
};

/** The folder itself; what os_folder_find() begins at. A descriptor, or what the kernel says. */
int os_folder_open(const char *path) must_check;
/** Opens what is at a relative path ("" is the folder itself), for reading. 0, E_NOT_FOUND (also what is
 * neither a file nor a folder, and what leads out), E_DENIED, E_UNSUPPORTED (a kernel before 5.6), ... */
int os_folder_find(int root, const char *path, struct os_found *out) must_check;
/** Reads at a place. How many bytes, 0 at the end, or what the kernel says. */
ptrdiff_t os_folder_read(int fd, void *to, size_t len, uint64_t at) must_check;
/** Calls fn for each entry but `.` and `..`, in no order, until it says false. The descriptor stays the
 * caller's. */
int os_folder_list(int fd, bool (*fn)(void *arg, const char *name, bool folder), void *arg)
    must_check;
void os_folder_close(int fd);
