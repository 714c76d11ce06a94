// SPDX-License-Identifier: Apache-2.0
//
// Listeners of streams (l4/plan.h). A stream is known again by where it listens; of several that let
// the kernel choose a port, by which of them it is.

#include "l4/plan.h"

#include "base/hash.h"

enum { DEFAULT_BACKLOG = 4096 };

// The same in every process and edition; nobody hostile chooses the addresses.
static const struct hash_key hash_key = {{0x61646974, 0x73747265}};

static bool same_text(const struct l4_plan_listener *a, const struct l4_plan_listener *b)
{
    return a->datagram == b->datagram && slice_eq(a->address, b->address);
}

uint32_t l4_plan_listeners(struct conf_node root,
                           struct l4_plan_listener out[L4_PLAN_LISTENERS_MAX])
{
    uint32_t count = 0;
    conf_each(stream, conf_get(root, "streams"))
    {
        struct conf_node listen = conf_get(stream, "listen");
        if (count == L4_PLAN_LISTENERS_MAX || !conf_exists(listen)) {
            continue;
        }
        struct l4_plan_listener *l = &out[count];
        *l = (struct l4_plan_listener){.at = conf_get(listen, "at"), .stream = stream};
        struct slice text = conf_text(l->at);
        l->datagram = slice_starts(text, SLICE("udp://"));
        l->address = l->datagram ? slice_from(text, 6) : text;
        l->backlog = (uint32_t)conf_int(conf_get(listen, "backlog"), DEFAULT_BACKLOG);
        uint64_t before = 0;
        for (uint32_t i = 0; i < count; i++) {
            before += same_text(l, &out[i]);
        }
        l->key = (hash_bytes(&hash_key, text) + 2 * before) | 1;
        count++;
    }
    return count;
}
