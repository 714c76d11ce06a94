// SPDX-License-Identifier: Apache-2.0
//
// Files of the state directory. Paths are relative to it ("certificates/example.com/key.pem"). A file
// is replaced whole or not at all: written beside its place, synced, renamed. Keys have mode 0600,
// the rest 0644. Any thread.

#pragma once

#include <stddef.h>

#include "base/ensure.h"
#include "base/slice.h"

struct arena;

enum { SHELF_PATH_MAX = 512, SHELF_KEY = 0600, SHELF_PUBLIC = 0644 };

/** The bytes of a file, on `a`. `dir`: the state directory, -1: nothing is ever found. 0,
 * E_NOT_FOUND, E_TOO_LARGE, ... */
int shelf_read(int dir, const char *path, size_t max, struct arena *a, struct slice *out)
    must_check;
/** Writes a file, with the folders above it. 0, or why it could not be kept. */
int shelf_write(int dir, const char *path, struct slice bytes, unsigned mode) must_check;
/** Puts a file in the place of another one of its folder. */
int shelf_replace(int dir, const char *from, const char *to) must_check;
/** Removes a file; one that is not there is no error. */
void shelf_remove(int dir, const char *path);
/** Calls `each` for every name in a folder. */
void shelf_names(int dir, const char *path, void (*each)(void *arg, const char *name), void *arg);
/** A host name, or an issuer's, as a folder's: "*.x" becomes "_wildcard.x", ":" becomes "_". False:
 * it cannot be one. */
bool shelf_folder(struct slice name, char *out, size_t size);
