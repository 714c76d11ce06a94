// SPDX-License-Identifier: Apache-2.0
//
// Where a configuration's bytes come from. The keeper asks the supervisor for them over its socket
// pair; `adit check` and the tests read files themselves (conf_source_files).

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct arena;

enum {
    CONF_FILE_BYTES_MAX = 4 << 20, // of one configuration file
};

struct conf_source {
    /** The bytes of a file, at most `max`, in the arena. 0, E_NOT_FOUND, E_DENIED, E_TOO_LARGE, E_IO,
     * E_INVALID (not a regular file), E_NO_MEMORY. */
    int (*read)(struct conf_source *s, const char *path, size_t max, struct arena *a,
                struct slice *out);
    /** The paths that match a pattern of the shell, sorted, at most `paths_max`, in the arena. 0 (none
     * matches is no error), E_TOO_LARGE when there are more, E_NO_MEMORY, E_IO. */
    int (*glob)(struct conf_source *s, const char *pattern, struct arena *a, struct slice *paths,
                uint32_t paths_max, uint32_t *count);
    /** The value of an environment variable, or NULL. */
    const char *(*env)(struct conf_source *s, const char *name);
};

/** Reads the file system and the environment of this process. */
struct conf_source *conf_source_files(void);
