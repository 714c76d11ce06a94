// SPDX-License-Identifier: Apache-2.0
//
// What the service manager hears of the edge (os/notify.h): when it serves, that it is changing and
// when that is over, that it stops, and that it is alive. For systemd that is Type=notify: `start`
// returns when connections are served, `reload` when the new configuration is in force or refused.
//
// Nothing tells us of changes: once a turn the supervisor's state is compared with what was said last.
// So a program that took over, or came back, says by itself how things are.

#include <unistd.h>

#include "base/text.h"
#include "os/clock.h"
#include "os/notify.h"
#include "super/super_int.h"

enum { SAY_MAX = 512, US_PER_MS = 1000, BEATS = 2 }; // within the patience of the manager

static enum manager_state state_of(const struct super *s)
{
    if (!s->served) {
        return MANAGER_STARTING;
    }
    if (s->draining) {
        return MANAGER_STOPPING;
    }
    bool changing = s->loading || s->applying || s->upgrade.step != UPGRADE_NONE;
    return changing ? MANAGER_CHANGING : MANAGER_SERVING;
}

/** What is said once; `drain_ms` may be longer than the manager would wait by itself. */
static void put_state(const struct super *s, enum manager_state state, uint64_t now_ms,
                      struct text *out)
{
    switch (state) {
    case MANAGER_STARTING:
        text_str(out, "STATUS=starting\n");
        break;
    case MANAGER_SERVING:
        text_printf(out, "READY=1\nMAINPID=%d\nSTATUS=adit %s, serving generation %u with %u %s\n",
                    getpid(), ADIT_VERSION, s->now.generation, s->cores,
                    s->cores == 1 ? "thread" : "threads");
        break;
    case MANAGER_CHANGING:
        text_printf(out, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=%s\n",
                    (unsigned long long)now_ms * US_PER_MS,
                    s->upgrade.step != UPGRADE_NONE ? "upgrading" : "reloading");
        break;
    case MANAGER_STOPPING:
        text_printf(out,
                    "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\n"
                    "STATUS=stopping when what is under way has ended\n",
                    (unsigned long long)(s->drain_end_ms > now_ms ? s->drain_end_ms - now_ms : 0) *
                        US_PER_MS);
        break;
    }
}

uint64_t manager_tell(struct super *s, uint64_t now_ms)
{
    struct manager *m = &s->manager;
    char buffer[SAY_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    enum manager_state state = state_of(s);
    if (!m->said || state != m->state || s->now.generation != m->generation) {
        put_state(s, state, now_ms, &t);
        m->said = os_notify(text_slice(&t));
        m->state = state;
        m->generation = s->now.generation;
    }
    if (m->beat_ms == 0) {
        return UINT64_MAX;
    }
    if (now_ms >= m->next_beat_ms) {
        (void)os_notify(SLICE("WATCHDOG=1"));
        m->next_beat_ms = now_ms + m->beat_ms;
    }
    return m->next_beat_ms;
}

void manager_begin(struct manager *m)
{
    *m = (struct manager){.beat_ms = os_notify_patience_ms() / BEATS};
}
