// SPDX-License-Identifier: Apache-2.0
//
// The direct source of configuration bytes (conf/source.h): the file system as this process sees it.
// Not for the sandboxed keeper, which asks the supervisor.

#include "conf/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "os/file.h"

static int error_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return E_NOT_FOUND;
    case EACCES:
    case EPERM:
        return E_DENIED;
    case ENOMEM:
        return E_NO_MEMORY;
    default:
        return E_IO;
    }
}

static int files_read(struct conf_source *s, const char *path, size_t max, struct arena *a,
                      struct slice *out)
{
    (void)s;
    // Not blocking: a named pipe in the place of a file must not hang the check.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return error_of_errno(errno);
    }
    int rc = os_file_read(fd, max, a, out);
    (void)close(fd);
    return rc;
}

static int files_glob(struct conf_source *s, const char *pattern, struct arena *a,
                      struct slice *paths, uint32_t paths_max, uint32_t *count)
{
    (void)s;
    glob_t found;
    *count = 0;
    int rc = glob(pattern, 0, NULL, &found);
    if (rc == GLOB_NOMATCH) {
        return 0;
    }
    if (rc != 0) {
        return rc == GLOB_NOSPACE ? E_NO_MEMORY : E_IO;
    }
    int result = found.gl_pathc > paths_max ? E_TOO_LARGE : 0;
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
        paths[i] = arena_dup(a, slice_str(found.gl_pathv[i]));
        result = paths[i].ptr != NULL ? 0 : E_NO_MEMORY;
        *count = (uint32_t)i + 1;
    }
    globfree(&found);
    return result;
}

static const char *files_env(struct conf_source *s, const char *name)
{
    (void)s;
    return getenv(name);
}

struct conf_source *conf_source_files(void)
{
    static struct conf_source files = {files_read, files_glob, files_env};
    return &files;
}
