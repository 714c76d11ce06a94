// SPDX-License-Identifier: Apache-2.0
//
// Printing of trace rings. It runs in a panic, so it allocates nothing and trusts nothing: an event
// whose id is out of the table is printed as a number.

#include "obs/trace.h"

#include "base/ensure.h"
#include "base/text.h"

_Thread_local struct trace_ring *trace_ring;

struct trace_name {
    const char *name;
    const char *a;
    const char *b;
};

static const struct trace_name trace_names[] = {
#define TRACE_NAME(name, a, b) [TRACE_##name] = {#name, a, b},
    TRACE_TABLE(TRACE_NAME)
#undef TRACE_NAME
};

static_assert(array_len(trace_names) == TRACE_COUNT, "one name per trace id");

static void print_value(struct text *out, const char *name, uint64_t value)
{
    text_char(out, ' ');
    text_str(out, name);
    text_char(out, '=');
    // Small numbers are counts and descriptors, large ones are addresses.
    if (value < 1000000) {
        text_u64(out, value);
    } else {
        text_str(out, "0x");
        text_hex(out, value);
    }
}

void trace_print(const struct trace_ring *ring, struct text *out)
{
    ensure(ring != NULL);
    uint64_t first = ring->next > TRACE_EVENTS ? ring->next - TRACE_EVENTS : 0;
    for (uint64_t i = first; i < ring->next; i++) {
        const struct trace_event *event = &ring->events[i % TRACE_EVENTS];
        bool known = event->id < TRACE_COUNT;
        text_str(out, "  ");
        text_u64(out, i);
        text_char(out, ' ');
        text_str(out, known ? trace_names[event->id].name : "unknown");
        print_value(out, known ? trace_names[event->id].a : "a", event->a);
        print_value(out, known ? trace_names[event->id].b : "b", event->b);
        text_char(out, '\n');
    }
}
