// SPDX-License-Identifier: Apache-2.0
//
// What a checked document says of the listeners of streams, worked out in one place for everybody who
// asks: the keeper, who has them opened, and the worker, who recognises its streams by their keys.
// Pure functions; any thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/doc.h"

enum { L4_PLAN_LISTENERS_MAX = 64 };

struct l4_plan_listener {
    uint64_t key;         // of the stream: the same in every document that listens there; not 0
    struct slice address; // IP:PORT, [v6]:PORT or unix:/path; "[::]:PORT" is every address
    uint32_t backlog;
    bool datagram;       // UDP
    struct conf_node at; // for messages
    struct conf_node stream;
};

/** What the streams listen on, one each; how many. */
uint32_t l4_plan_listeners(struct conf_node root,
                           struct l4_plan_listener out[L4_PLAN_LISTENERS_MAX]);
