// SPDX-License-Identifier: Apache-2.0
//
// The block of counters that the processes share: one struct counters per core. The
// supervisor makes it, the worker writes its cores' rows, the keeper reads and sums; a last row is the
// supervisor's, for what was counted by workers that have ended. A reader trusts
// nothing in it but the numbers: sizes come from its own arithmetic.

#include "obs/counters.h"

#include "base/ensure.h"

struct counter_row {
    const char *name;
    const char *text;
};

static const struct counter_row counter_rows[] = {
#define COUNTER_ROW(name, text) [COUNTER_##name] = {#name, text},
    COUNTER_TABLE(COUNTER_ROW)
#undef COUNTER_ROW
};

static_assert(array_len(counter_rows) == COUNTER_COUNT, "one row per counter");
static_assert(sizeof(struct counters) % 64 == 0, "rows of two cores share no cache line");

const char *counter_name(enum counter id)
{
    ensure(id < COUNTER_COUNT);
    return counter_rows[id].name;
}

const char *counter_text(enum counter id)
{
    ensure(id < COUNTER_COUNT);
    return counter_rows[id].text;
}

bool counter_is_gauge(enum counter id)
{
    return id == COUNTER_connections_open || id == COUNTER_requests_active ||
           id == COUNTER_upstream_open || id == COUNTER_h2_sessions_open ||
           id == COUNTER_h2_up_sessions_open || id == COUNTER_tcp_sessions_open ||
           id == COUNTER_udp_sessions_open || id == COUNTER_tunnel_handshakes_pending ||
           id == COUNTER_tunnel_agents || id == COUNTER_tunnels_live ||
           id == COUNTER_tunnels_parked || id == COUNTER_tunnel_visitors_waiting ||
           id == COUNTER_bridges_open || id == COUNTER_bridge_streams_open;
}

size_t counters_block_bytes(uint32_t cores)
{
    ensure(cores > 0);
    return ((size_t)cores + 1) * sizeof(struct counters);
}

uint64_t counters_total(const struct counters *block, uint32_t cores, enum counter id)
{
    return counters_sum(block, cores + 1, id);
}

void counters_retire(struct counters *to, uint32_t to_cores, const struct counters *from,
                     uint32_t from_cores)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        if (!counter_is_gauge((enum counter)id)) {
            counter_add(&to[to_cores], (enum counter)id,
                        counters_total(from, from_cores, (enum counter)id));
        }
    }
}

uint64_t counters_fingerprint(void)
{
    static const uint64_t basis = UINT64_C(0xcbf29ce484222325); // FNV-1a
    static const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t hash = basis;
    for (size_t id = 0; id < COUNTER_COUNT; id++) {
        const char *c = counter_rows[id].name;
        do { // the end of a name counts too
            hash = (hash ^ (unsigned char)*c) * prime;
        } while (*c++ != '\0');
    }
    return hash;
}

uint64_t counters_sum(const struct counters *rows, uint32_t cores, enum counter id)
{
    ensure(id < COUNTER_COUNT);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < cores; i++) {
        sum += atomic_load_explicit(&rows[i].v[id], memory_order_relaxed);
    }
    return sum;
}

void counters_restart(struct counters *rows, uint32_t cores)
{
    for (uint32_t i = 0; i < cores; i++) {
        for (unsigned id = 0; id < COUNTER_COUNT; id++) {
            if (counter_is_gauge((enum counter)id)) {
                atomic_store_explicit(&rows[i].v[id], 0, memory_order_relaxed);
            }
        }
    }
}
