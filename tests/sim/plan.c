// SPDX-License-Identifier: Apache-2.0
//
// Bodies of planned requests: made, and checked.

#include "plan.h"

#include "base/num.h"

void plan_fill(const struct plan *p, bool response, uint64_t at, char *buffer, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buffer[i] = plan_byte(p->id, response, at + i);
    }
}

void plan_check(struct world *w, const struct plan *p, bool response, struct slice bytes,
                uint64_t at)
{
    uint64_t total = response ? p->response_bytes : p->request_bytes;
    if (at + bytes.len > total) {
        sim_fail(w->c, "request %u: more %s bytes than there are", p->id,
                 response ? "response" : "request");
        return;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != plan_byte(p->id, response, at + i)) {
            sim_fail(w->c, "request %u: a wrong %s byte at %llu", p->id,
                     response ? "response" : "request", (unsigned long long)(at + i));
            return;
        }
    }
}

struct plan *plan_of_path(struct world *w, struct slice path)
{
    uint64_t id;
    if (!slice_starts(path, SLICE("/r/")) ||
        num_parse_u64(slice_from(path, 3), w->plan_count - 1, &id) != 0) {
        return NULL;
    }
    return &w->plans[id];
}
