// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor opens for others: files of the configuration for the keeper, the access log,
// the control socket. It looks at what kind of file it has opened, never at what is in it.

#pragma once

#include "base/ensure.h"
#include "base/slice.h"
#include "ipc/messages.h"

struct text;

/** Answers a keeper's request: a descriptor for reading, or a negative code with the reason in `why`.
 * Only regular files of at most IPC_FILE_MAX bytes, or the names in a directory. */
int files_open(const struct ipc_file_request *request, struct text *why) must_check;
/** A built-in text as such a descriptor. */
int files_text(struct slice text) must_check;
/** The access log of a plan: *fd is -1 when it is off, 1 or 2, or a descriptor that is the caller's.
 * 0, or a negative code with the reason in `why`. */
int files_open_access(const struct ipc_plan *plan, int *fd, struct text *why) must_check;
/** Binds the control socket of a plan: *fd is -1 when there is none, `path` gets where it is. 0, or a
 * negative code with the reason in `why`. */
int files_open_control(const struct ipc_plan *plan, char path[OS_ADDR_PATH_MAX], int *fd,
                       struct text *why) must_check;
