// SPDX-License-Identifier: Apache-2.0
//
// Keys of session tickets: when they change, which ones stay, and the way through credentials.

#include "keeper/tickets.h"

#include "tap.h"

static void a_new_one_every_twelve_hours(void)
{
    struct tickets t = {0};
    CHECK_EQ_INT(tickets_due(&t), 0);
    CHECK(tickets_rotate(&t, 1000));
    CHECK(!tickets_rotate(&t, 1000));
    CHECK(!tickets_rotate(&t, 1000 + TICKETS_LIFE_S - 1));
    CHECK_EQ_INT(tickets_due(&t), 1000 + TICKETS_LIFE_S);
    struct ticket_key first = t.at[0];
    for (uint64_t i = 1; i < 5; i++) {
        CHECK(tickets_rotate(&t, 1000 + i * TICKETS_LIFE_S));
        uint64_t kept = i < 2 ? i + 1 : 3;
        CHECK_EQ_INT(t.count, kept);
        bool there = memcmp(t.at[t.count - 1].bytes, first.bytes, sizeof first.bytes) == 0;
        CHECK(there == (i <= 2));
        CHECK(memcmp(t.at[0].bytes, t.at[1].bytes, sizeof first.bytes) != 0);
    }
}

static void they_come_back_from_credentials(void)
{
    struct tickets t = {0};
    struct tickets back = {0};
    CHECK(tickets_rotate(&t, 5000));
    CHECK(tickets_rotate(&t, 5000 + TICKETS_LIFE_S));
    for (uint32_t i = 0; i < t.count; i++) {
        char buffer[TICKET_ID_MAX];
        struct text id = text_on(buffer, sizeof buffer);
        ticket_id(&t.at[i], &id);
        tickets_recover(&back, text_slice(&id), slice_of(t.at[i].bytes, sizeof t.at[i].bytes));
    }
    CHECK_EQ_INT(back.count, 2);
    CHECK(memcmp(&back, &t, sizeof t) == 0);
    tickets_recover(&back, SLICE("x"), slice_of(t.at[0].bytes, sizeof t.at[0].bytes));
    tickets_recover(&back, SLICE("7"), SLICE("short"));
    CHECK_EQ_INT(back.count, 2);
}

TAP_MAIN(a_new_one_every_twelve_hours, they_come_back_from_credentials)
