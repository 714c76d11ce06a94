// SPDX-License-Identifier: Apache-2.0
//
// The table of wanted names (worker/wanted.h). It is small enough to be looked through; a core that
// finds it locked drops its name rather than wait.

#include "worker/wanted.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "os/clock.h"

static void on_wanted(struct tls_wanted *base, struct slice name)
{
    struct wanted *w = container_of(base, struct wanted, base);
    ensure_magic(w, WANTED_MAGIC);
    (void)wanted_add(w, name, os_clock_ms());
}

int wanted_init(struct wanted *w)
{
    *w = (struct wanted){.base = {on_wanted}, .magic = WANTED_MAGIC};
    ensure(pthread_mutex_init(&w->lock, NULL) == 0);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->wake >= 0 ? 0 : E_NO_DESCRIPTORS;
}

void wanted_fini(struct wanted *w)
{
    ensure_magic(w, WANTED_MAGIC);
    (void)close(w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    w->magic = 0;
}

// The place for a name: a free one, else the oldest that was passed on. NULL: it is there already and
// still fresh, or all wait.
static struct wanted_name *place_for(struct wanted *w, struct slice name, uint64_t now_ms)
{
    struct wanted_name *best = NULL;
    for (size_t i = 0; i < WANTED_MAX; i++) {
        struct wanted_name *one = &w->at[i];
        bool same = one->at_ms != 0 && slice_eq(slice_str(one->name), name);
        if (same && (one->waiting || now_ms < one->at_ms + WANTED_AGAIN_MS)) {
            return NULL;
        }
        if (same) {
            return one;
        }
        if (!one->waiting && (best == NULL || one->at_ms < best->at_ms)) {
            best = one;
        }
    }
    return best;
}

static bool within_rate(struct wanted *w, uint64_t now_ms)
{
    if (w->second != now_ms / 1000) {
        w->second = now_ms / 1000;
        w->count = 0;
    }
    return w->count++ < WANTED_PER_S;
}

void wanted_wake(const struct wanted *w)
{
    static const uint64_t one = 1;
    ssize_t ignored = write(w->wake, &one, sizeof one); // a full one has woken it already
    (void)ignored;
}

bool wanted_add(struct wanted *w, struct slice name, uint64_t now_ms)
{
    if (name.len == 0 || name.len >= IPC_NAME_MAX || memchr(name.ptr, '\0', name.len) != NULL ||
        pthread_mutex_trylock(&w->lock) != 0) {
        return false;
    }
    struct wanted_name *place = place_for(w, name, now_ms);
    bool passed = place != NULL && within_rate(w, now_ms);
    if (passed) {
        place->at_ms = now_ms;
        place->waiting = true;
        ipc_set_text(place->name, sizeof place->name, name);
    }
    ensure(pthread_mutex_unlock(&w->lock) == 0);
    if (passed) {
        wanted_wake(w);
    }
    return passed;
}

bool wanted_take(struct wanted *w, char name[IPC_NAME_MAX])
{
    bool found = false;
    ensure(pthread_mutex_lock(&w->lock) == 0);
    for (size_t i = 0; i < WANTED_MAX && !found; i++) {
        if (w->at[i].waiting) {
            w->at[i].waiting = false;
            memcpy(name, w->at[i].name, IPC_NAME_MAX);
            found = true;
        }
    }
    uint64_t ignored = 0;
    if (!found && read(w->wake, &ignored, sizeof ignored) < 0) {
        ignored = 0; // it was not set
    }
    ensure(pthread_mutex_unlock(&w->lock) == 0);
    return found;
}
