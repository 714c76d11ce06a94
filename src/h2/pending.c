// SPDX-License-Identifier: Apache-2.0
//
// Stands in for the sessions until they are there. Whoever brings them deletes this file.

#include "base/error.h"
#include "h2/session.h"

int h2_core_new(struct loop *l, struct counters *counters, struct down_core *down,
                uint32_t sessions_max, struct h2_core **out)
{
    (void)l;
    (void)counters;
    (void)down;
    (void)sessions_max;
    *out = NULL;
    return 0;
}

void h2_core_free(struct h2_core *c)
{
    (void)c;
}

int h2_down_open(struct h2_core *c, struct transport *t, const struct http_peer *peer,
                 struct chunk *first, uint32_t first_pos)
{
    (void)c;
    (void)peer;
    (void)first_pos;
    if (first != NULL) {
        chunk_unref(first);
    }
    transport_close(t, false);
    return E_UNSUPPORTED;
}

struct up_session *h2_up_open(void *core, struct transport *t, const struct up_session_terms *terms,
                              int *error)
{
    (void)core;
    (void)terms;
    transport_close(t, false);
    *error = E_UNSUPPORTED;
    return NULL;
}
