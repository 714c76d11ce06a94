// SPDX-License-Identifier: Apache-2.0
//
// The key of sticky cookies (keeper/sticky_key.h). The one in the state directory counts; one that was
// recovered from credentials is written there when there is none.

#include "keeper/sticky_key.h"

#include <sys/random.h>

#include "base/arena.h"
#include "base/error.h"
#include "obs/log.h"

#include "keeper/shelf.h"

static bool read_key(struct vault *v, int dir)
{
    char first[256];
    struct arena a;
    struct slice bytes;
    arena_init(&a, first, sizeof first, NULL, 4096);
    int e = shelf_read(dir, STICKY_KEY_FILE, sizeof v->sticky_key, &a, &bytes);
    bool good = e == 0 && bytes.len == sizeof v->sticky_key;
    if (good) {
        memcpy(v->sticky_key, bytes.ptr, bytes.len);
        v->has_sticky_key = true;
    }
    arena_fini(&a);
    explicit_bzero(first, sizeof first);
    return good;
}

void sticky_key_recover(struct vault *v, struct slice bytes)
{
    if (!v->has_sticky_key && bytes.len == sizeof v->sticky_key) {
        memcpy(v->sticky_key, bytes.ptr, bytes.len);
        v->has_sticky_key = true;
    }
}

void sticky_key_ready(struct vault *v, int dir)
{
    if (v->sticky_key_kept) {
        return;
    }
    bool was_there = read_key(v, dir);
    if (!v->has_sticky_key) {
        ssize_t n = getrandom(v->sticky_key, sizeof v->sticky_key, 0);
        v->has_sticky_key = n == (ssize_t)sizeof v->sticky_key;
    }
    v->sticky_key_kept = v->has_sticky_key;
    if (was_there || dir < 0 || !v->has_sticky_key) {
        return;
    }
    struct slice bytes = slice_of(v->sticky_key, sizeof v->sticky_key);
    int e = shelf_write(dir, STICKY_KEY_FILE, bytes, SHELF_KEY);
    if (e < 0) {
        log_line(LOG_WARN, "the key of sticky cookies cannot be kept: %s", error_text(e));
    }
}
