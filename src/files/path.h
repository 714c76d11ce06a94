// SPDX-License-Identifier: Apache-2.0
//
// From the path of a request to one below a folder, and from a file's name to its type. Pure.

#pragma once

#include <stddef.h>

#include "base/ensure.h"
#include "base/slice.h"

enum { FILES_PATH_MAX = 4096 };

/** Decodes a request's path to one that is relative, without a slash at its end, and ends with a NUL;
 * "" is the folder itself. E_NOT_FOUND: it names nothing that is served: a segment begins with a dot, a
 * slash, NUL or another control byte is encoded in it, an escape is broken, or it is too long. */
int files_path_read(struct slice path, char out[FILES_PATH_MAX]) must_check;
/** By the extension; "application/octet-stream" when that is not known. */
struct slice files_type_of(struct slice name);
