// SPDX-License-Identifier: Apache-2.0
//
// The list of modules: within its bound, each named once, each one's directives in the tables.

#include "tap.h"

#include "proxy/module.h"

static void modules_are_few_and_named(void)
{
    unsigned count = 0;
    while (modules[count] != NULL) {
        CHECK(modules[count]->name != NULL);
        for (unsigned i = 0; i < count; i++) {
            CHECK(strcmp(modules[i]->name, modules[count]->name) != 0);
        }
        count++;
    }
    CHECK(count > 0 && count <= MODULES_MAX);
}

static void their_directives_are_known(void)
{
    for (unsigned i = 0; modules[i] != NULL; i++) {
        const struct conf_directive *row = modules[i]->directives;
        for (; row != NULL && row->name != NULL; row++) {
            if (!CHECK(conf_row_find(conf_tables, row->contexts, slice_str(row->name)) == row)) {
                printf("#   %s of %s is not in conf_tables\n", row->name, modules[i]->name);
            }
        }
    }
}

TAP_MAIN(modules_are_few_and_named, their_directives_are_known)
