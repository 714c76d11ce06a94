// SPDX-License-Identifier: Apache-2.0
//
// Certificates for the keeper's tests, made by the local CA, and a place in /tmp.

#pragma once

#include <fcntl.h>
#include <unistd.h>

#include "base/arena.h"
#include "os/clock.h"
#include "tls/local_ca.h"

struct made {
    struct arena arena;
    struct slice root;
    struct slice root_key;
    struct slice chain;
    struct slice key;
};

static inline uint64_t made_now(void)
{
    return os_clock_wall_ms() / 1000;
}

/** A certificate for `name` that lasts so many seconds from now, and began `age_s` ago. */
static inline void made_old(struct made *m, const char *name, uint64_t age_s, uint64_t life_s)
{
    struct slice names[1] = {slice_str(name)};
    arena_init(&m->arena, NULL, 0, NULL, 1 << 20);
    REQUIRE(local_ca_new(SLICE("test"), made_now(), &m->arena, &m->root, &m->root_key) == 0);
    uint64_t now = made_now();
    struct local_ca_request r = {m->root, m->root_key, names, 1, now - age_s, now + life_s};
    REQUIRE(local_ca_issue(&r, &m->arena, &m->chain, &m->key) == 0);
}

static inline void made_new(struct made *m, const char *name, uint64_t life_s)
{
    made_old(m, name, 0, life_s);
}

static inline void made_free(struct made *m)
{
    arena_fini(&m->arena);
}

static inline void made_file(const char *path, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
    (void)close(fd);
}

/** A new directory; its descriptor. `path` ends in XXXXXX. */
static inline int made_dir(char *path)
{
    REQUIRE(mkdtemp(path) != NULL);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    return fd;
}

/** Removes it with what is in it. */
static inline void made_remove(const char *path, int fd)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    (void)close(fd);
    CHECK(system(command) == 0);
}
