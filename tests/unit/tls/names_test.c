// SPDX-License-Identifier: Apache-2.0
//
// What may be a name of a certificate that we make or ask for: a table.

#include "tls/names_int.h"

#include "base/error.h"
#include "tap.h"

static const struct {
    const char *name;
    int error;
    int type;
} rows[] = {
    {"a.test", 0, GEN_DNS},     {"*.a.test", 0, GEN_DNS},   {"a_b.Test", 0, GEN_DNS},
    {"10.0.0.1", 0, GEN_IPADD}, {"::1", 0, GEN_IPADD},      {"[::1]", 0, GEN_IPADD},
    {"", E_INVALID, 0},         {"*.", E_INVALID, 0},       {"a b", E_INVALID, 0},
    {"a/../b", E_INVALID, 0},   {"[a.test]", E_INVALID, 0}, {"a.*.test", E_INVALID, 0},
};

static void names_are_taken_or_not(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice name = slice_str(rows[i].name);
        GENERAL_NAMES *all = NULL;
        CHECK_EQ_INT(names_make(&name, 1, &all), rows[i].error);
        CHECK_EQ_INT(sk_GENERAL_NAME_num(all), rows[i].error == 0 ? 1 : -1);
        if (all != NULL) {
            CHECK_EQ_INT(sk_GENERAL_NAME_value(all, 0)->type, rows[i].type);
        }
        GENERAL_NAMES_free(all);
    }
}

static void their_number_and_length_have_ends(void)
{
    struct slice many[NAMES_MAX + 1];
    static char longest[NAMES_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    for (size_t i = 0; i <= NAMES_MAX; i++) {
        many[i] = SLICE("a.test");
    }
    GENERAL_NAMES *all = NULL;
    CHECK_EQ_INT(names_make(many, NAMES_MAX + 1, &all), E_INVALID);
    CHECK_EQ_INT(names_make(many, 0, &all), E_INVALID);
    many[0] = slice_of(longest, NAMES_BYTES_MAX + 1);
    CHECK_EQ_INT(names_make(many, 1, &all), E_INVALID);
    many[0] = slice_of("10.0.0.1\0x", 10);
    CHECK_EQ_INT(names_make(many, 1, &all), E_INVALID);
    many[0] = slice_of(longest, NAMES_BYTES_MAX);
    CHECK_EQ_INT(names_make(many, NAMES_MAX, &all), 0);
    CHECK_EQ_INT(sk_GENERAL_NAME_num(all), NAMES_MAX);
    GENERAL_NAMES_free(all);
}

TAP_MAIN(names_are_taken_or_not, their_number_and_length_have_ends)
