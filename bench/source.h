// SPDX-License-Identifier: Apache-2.0
//
// What bench-ends waits for: every descriptor in its one epoll is a source that knows what to do.
// Origin and load share one thread so that they never wait for each other to be scheduled.
#pragma once

#include <stdint.h>

enum { SOURCE_MAGIC = 0x736f7572 };

struct source {
    uint32_t magic;
    void (*on_event)(struct source *source, uint32_t events);
};

// Sets a source up and adds its descriptor to epoll.
void source_open(struct source *source, int epoll, int fd, uint32_t events,
                 void (*on_event)(struct source *source, uint32_t events));

// Waits at most timeout_ns and serves what has come. Returns how many events that were.
int source_turn(int epoll, uint64_t timeout_ns);
