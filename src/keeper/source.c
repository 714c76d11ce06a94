// SPDX-License-Identifier: Apache-2.0
//
// Configuration bytes by way of the supervisor: files as descriptors, directories as lists of names.
// Patterns of `include:` are resolved here, component by component, so that the supervisor never sees
// one.

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "os/file.h"
#include "os/memfd.h"

#include "keeper/keeper_int.h"

enum { GLOB_DEPTH_MAX = 16, GLOB_NAMES_MAX = 1 << 20 };

static struct keeper *keeper_of(struct conf_source *s)
{
    struct keeper *k = container_of(s, struct keeper, source);
    ensure_magic(k, KEEPER_MAGIC);
    return k;
}

// A descriptor or a negative code.
static int ask(struct keeper *k, enum ipc_file_kind kind, const char *path)
{
    struct ipc_message m;
    struct ipc_fds fds;
    ipc_init(&m, IPC_file_request);
    if (strlen(path) >= IPC_PATH_MAX) {
        return E_TOO_LARGE;
    }
    m.u.file_request.kind = kind;
    ipc_set_text(m.u.file_request.path, IPC_PATH_MAX, slice_str(path));
    int error = keeper_send(k, &m, NULL, 0);
    if (error == 0) {
        error = keeper_await(k, IPC_file, &m, &fds);
    }
    if (error != 0) {
        return error;
    }
    if (m.u.file.error < 0 || fds.count != 1) {
        ipc_drop(&fds);
        return m.u.file.error < 0 ? m.u.file.error : E_INTERNAL;
    }
    return fds.fd[0];
}

int keeper_open_file(struct keeper *k, const char *path)
{
    return ask(k, IPC_FILE_CONTENT, path);
}

static int source_read(struct conf_source *s, const char *path, size_t max, struct arena *a,
                       struct slice *out)
{
    int fd = ask(keeper_of(s), IPC_FILE_CONTENT, path);
    if (fd < 0) {
        return fd;
    }
    int error = os_file_read(fd, max, a, out);
    (void)close(fd);
    return error;
}

static const char *source_env(struct conf_source *s, const char *name)
{
    (void)s;
    return getenv(name);
}

// ---- patterns -----------------------------------------------------------------------------------

struct glob_run {
    struct keeper *keeper;
    struct arena *arena;
    struct slice *paths;
    uint32_t max;
    uint32_t count;
};

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a;
    const struct slice *y = b;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->ptr, y->ptr, common);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

// One level: matches the first component of `pattern` against the names in `dir` and goes on with the
// rest. `dir` is "" (here), "/" or ends in a slash.
static int glob_level(struct glob_run *g, const char *dir, const char *pattern, int depth)
{
    const char *slash = strchr(pattern, '/');
    size_t len = slash != NULL ? (size_t)(slash - pattern) : strlen(pattern);
    char component[IPC_PATH_MAX];
    if (depth > GLOB_DEPTH_MAX || len >= sizeof component) {
        return E_TOO_LARGE;
    }
    ipc_set_text(component, sizeof component, slice_of(pattern, len));
    int fd = ask(g->keeper, IPC_FILE_NAMES, dir[0] != '\0' ? dir : ".");
    if (fd < 0) { // what cannot be looked into matches nothing
        return fd == E_EOF || fd == E_NO_MEMORY ? fd : 0;
    }
    struct slice names = {0};
    int error = os_memfd_map(fd, GLOB_NAMES_MAX, &names);
    (void)close(fd);
    if (error != 0) {
        return error;
    }
    for (size_t at = 0; error == 0 && at < names.len;) {
        const char *name = names.ptr + at;
        size_t name_len = strnlen(name, names.len - at);
        at += name_len + 1;
        if (at > names.len || fnmatch(component, name, FNM_PERIOD) != 0) {
            continue;
        }
        char path[IPC_PATH_MAX];
        struct text t = text_on(path, sizeof path - 1);
        text_str(&t, dir);
        text_put(&t, slice_of(name, name_len));
        text_str(&t, slash != NULL ? "/" : "");
        path[t.len] = '\0';
        if (t.overflow || g->count == g->max) {
            error = E_TOO_LARGE;
        } else if (slash != NULL) {
            error = glob_level(g, path, slash + 1, depth + 1);
        } else {
            struct slice kept = arena_dup(g->arena, text_slice(&t));
            error = kept.ptr != NULL ? 0 : E_NO_MEMORY;
            g->paths[g->count++] = kept;
        }
    }
    os_memfd_unmap(names);
    return error;
}

static int source_glob(struct conf_source *s, const char *pattern, struct arena *a,
                       struct slice *paths, uint32_t paths_max, uint32_t *count)
{
    struct glob_run g = {keeper_of(s), a, paths, paths_max, 0};
    // The directories before the first wildcard need not be looked through.
    size_t fixed = strcspn(pattern, "*?[");
    while (fixed > 0 && pattern[fixed - 1] != '/') {
        fixed--;
    }
    char dir[IPC_PATH_MAX];
    if (fixed >= sizeof dir) {
        return E_TOO_LARGE;
    }
    ipc_set_text(dir, sizeof dir, slice_of(pattern, fixed));
    int error = glob_level(&g, dir, pattern + fixed, 0);
    if (error == 0 && g.count > 1) {
        qsort(paths, g.count, sizeof *paths, by_bytes);
    }
    *count = g.count;
    return error;
}

void keeper_source_init(struct conf_source *s)
{
    *s = (struct conf_source){source_read, source_glob, source_env};
}
