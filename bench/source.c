// SPDX-License-Identifier: Apache-2.0
//
// One turn of the epoll loop of bench-ends; see source.h. A source may close and free itself in
// its own on_event, for a batch names each descriptor once; it must not free another.
#include "source.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "common.h"

enum { EVENTS_MAX = 256 };

void source_open(struct source *source, int epoll, int fd, uint32_t events,
                 void (*on_event)(struct source *source, uint32_t events))
{
    source->magic = SOURCE_MAGIC;
    source->on_event = on_event;
    bench_watch(epoll, fd, events, source);
}

int source_turn(int epoll, uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000U),
                               .tv_nsec = (long)(timeout_ns % 1000000000U)};
    int count = epoll_pwait2(epoll, events, EVENTS_MAX, &timeout, NULL);
    if (count < 0 && errno != EINTR) {
        bench_die("epoll_pwait2");
    }
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        if (source->magic != SOURCE_MAGIC) {
            errno = 0;
            bench_die("event for an unknown source");
        }
        source->on_event(source, events[i].events);
    }
    return count;
}
