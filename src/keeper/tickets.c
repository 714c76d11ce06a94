// SPDX-License-Identifier: Apache-2.0
//
// Session ticket keys (keeper/tickets.h).

#include "keeper/tickets.h"

#include <string.h>
#include <sys/random.h>

#include "base/num.h"

bool tickets_rotate(struct tickets *t, uint64_t now)
{
    if (t->count > 0 && now < t->at[0].made + TICKETS_LIFE_S) {
        return false;
    }
    struct ticket_key fresh = {.made = now};
    if (getrandom(fresh.bytes, sizeof fresh.bytes, 0) != (ssize_t)sizeof fresh.bytes) {
        return false;
    }
    uint32_t kept = t->count < TICKETS_MAX ? t->count : TICKETS_MAX - 1;
    memmove(&t->at[1], &t->at[0], kept * sizeof t->at[0]);
    t->at[0] = fresh;
    t->count = kept + 1;
    explicit_bzero(&fresh, sizeof fresh);
    return true;
}

uint64_t tickets_due(const struct tickets *t)
{
    return t->count > 0 ? t->at[0].made + TICKETS_LIFE_S : 0;
}

void tickets_recover(struct tickets *t, struct slice id, struct slice bytes)
{
    uint64_t made = 0;
    bool ordered = num_parse_u64(id, UINT64_MAX, &made) == 0;
    if (!ordered || bytes.len != CREDENTIAL_TICKET_KEY_BYTES || t->count == TICKETS_MAX) {
        return;
    }
    t->at[t->count].made = made;
    memcpy(t->at[t->count].bytes, bytes.ptr, bytes.len);
    t->count++;
}

void ticket_id(const struct ticket_key *k, struct text *out)
{
    text_u64(out, k->made);
}
