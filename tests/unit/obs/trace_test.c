// SPDX-License-Identifier: Apache-2.0
//
// Trace rings keep the last events, in order.

#include "obs/trace.h"

#include "base/slice.h"
#include "base/text.h"
#include "tap.h"

static void without_a_ring_nothing_happens(void)
{
    trace_ring = NULL;
    trace(TRACE_accept, 1, 2);
    CHECK(trace_ring == NULL);
}

static void the_last_events_are_kept(void)
{
    static struct trace_ring ring;
    static char buffer[8192];
    trace_ring = &ring;
    for (uint64_t i = 0; i < TRACE_EVENTS + 5; i++) {
        trace(TRACE_request, i, 0);
    }
    trace_ring = NULL;
    struct text t = text_on(buffer, sizeof buffer);
    trace_print(&ring, &t);
    CHECK(slice_starts(text_slice(&t), SLICE("  5 request exchange=5 connection=0\n")));
    CHECK(slice_ends(text_slice(&t), SLICE("  68 request exchange=68 connection=0\n")));
}

static void odd_events_are_printed_all_the_same(void)
{
    static struct trace_ring ring;
    char buffer[256];
    ring.events[0] = (struct trace_event){999, 7, UINT64_C(0xffff0000aaaa)};
    ring.next = 1;
    struct text t = text_on(buffer, sizeof buffer);
    trace_print(&ring, &t);
    CHECK_TEXT(t.ptr, t.len, "  0 unknown a=7 b=0xffff0000aaaa\n");
}

TAP_MAIN(without_a_ring_nothing_happens, the_last_events_are_kept,
         odd_events_are_printed_all_the_same)
