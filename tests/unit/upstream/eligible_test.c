// SPDX-License-Identifier: Apache-2.0
//
// eligible: tables of groups and who of them is asked. A server is a letter: u usable, d down, e ejected,
// D drained, m in maintenance, 0 without weight. Tiers are separated by blanks, the backup tier begins
// with !.

#include "upstream/eligible.h"

#include "tap.h"

enum { SERVERS_MAX = 32 };

static struct vitals vitals[SERVERS_MAX];

static unsigned bits_of(char c)
{
    switch (c) {
    case 'd':
        return VITALS_DOWN;
    case 'e':
        return VITALS_EJECTED;
    case 'D':
        return VITALS_DRAIN;
    case 'm':
        return VITALS_MAINTENANCE | VITALS_DOWN;
    default:
        return 0;
    }
}

/** The group with those that are not asked as '.', whether it is a panic, and how many follow. */
static const char *asked(const char *group, uint32_t panic_percent)
{
    static char out[64];
    struct balance_server servers[SERVERS_MAX];
    uint8_t tiers[SERVERS_MAX];
    uint16_t list[SERVERS_MAX];
    size_t place[SERVERS_MAX];
    uint32_t n = 0;
    uint8_t tier = 0;
    (void)snprintf(out, sizeof out, "%s", group);
    for (size_t i = 0; group[i] != '\0'; i++) {
        if (group[i] == ' ') {
            tier++;
        } else if (group[i] == '!') {
            tier = ELIGIBLE_TIER_BACKUP;
        } else {
            vitals[n].bits = bits_of(group[i]);
            servers[n] = (struct balance_server){.vitals = &vitals[n], .weight = group[i] != '0'};
            tiers[n] = tier;
            place[n] = i;
            out[i] = '.';
            n++;
        }
    }
    struct eligible e = {.list = list};
    eligible_fill(&e, servers, tiers, n, panic_percent);
    for (uint32_t i = 0; i < e.first; i++) {
        CHECK(i == 0 || list[i] > list[i - 1]);
        out[place[list[i]]] = group[place[list[i]]];
    }
    for (uint32_t i = e.first; i < e.count; i++) {
        CHECK(out[place[list[i]]] == '.' && tiers[list[i]] >= tiers[list[i > 0 ? i - 1 : 0]]);
    }
    if (e.panic) {
        strcat(out, " panic");
    }
    if (e.count > e.first) {
        size_t used = strlen(out);
        (void)snprintf(out + used, sizeof out - used, " +%u", e.count - e.first);
    }
    return out;
}

static void the_usable_ones(void)
{
    CHECK_STR(asked("uuuu", 50), "uuuu");
    CHECK_STR(asked("udue", 50), "u.u.");
    CHECK_STR(asked("uDm0", 50), "u...");
    CHECK_STR(asked("", 50), "");
    CHECK_STR(asked("Dm0", 50), "...");
    CHECK_STR(asked("Dm0", 0), "...");
}

static void panic(void)
{
    CHECK_STR(asked("uddd", 50), "uddd panic");
    CHECK_STR(asked("uudd", 50), "uu..");
    CHECK_STR(asked("uuded", 50), "uuded panic");
    CHECK_STR(asked("uuded", 40), "uu...");
    CHECK_STR(asked("dddd", 50), "dddd panic");
    CHECK_STR(asked("dddd", 1), "dddd panic");
    CHECK_STR(asked("dddd", 0), "....");
    CHECK_STR(asked("uddd", 0), "u...");
    CHECK_STR(asked("dDdm0", 50), "d.d.. panic"); // nobody who was taken out comes back by it
    CHECK_STR(asked("uDDDd", 50), "u....");       // nor does he count
}

static void tiers_help_each_other(void)
{
    CHECK_STR(asked("uu uu", 50), "uu .. +2");
    CHECK_STR(asked("ud uu", 50), "u. .. +2");
    CHECK_STR(asked("udd uu", 50), "u.. uu");
    CHECK_STR(asked("ddd uu", 50), "... uu");
    CHECK_STR(asked("ddd uu", 0), "... uu");
    CHECK_STR(asked("udd uu", 0), "u.. .. +2");
    CHECK_STR(asked("ddd ddu uu", 50), "... ..u uu");
    CHECK_STR(asked("udd udd", 50), "udd u.. panic");
    CHECK_STR(asked("DDD ud", 50), "... u.");
    CHECK_STR(asked("DDD udd", 50), "... udd panic");
    CHECK_STR(asked("u uu uud", 50), "u .. ... +4");
}

static void backups_replace(void)
{
    CHECK_STR(asked("uu !u", 50), "uu !. +1");
    CHECK_STR(asked("dd !u", 50), ".. !u");
    CHECK_STR(asked("dd !u", 0), ".. !u");
    CHECK_STR(asked("uddd !u", 50), "uddd !. panic +1"); // it helps nobody
    CHECK_STR(asked("uddd !u", 0), "u... !. +1");
    CHECK_STR(asked("dd !d", 50), "dd !. panic");
    CHECK_STR(asked("DD !d", 50), ".. !d panic");
    CHECK_STR(asked("dd dd !uu", 50), ".. .. !uu");
}

TAP_MAIN(the_usable_ones, panic, tiers_help_each_other, backups_replace)
