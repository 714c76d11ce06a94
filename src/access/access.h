// SPDX-License-Identifier: Apache-2.0
//
// The modules of this folder, which say who may ask: `networks` by the client's address (the directives
// `allow` and `deny`), `basic` by name and password (`basic_auth`). What a site says and what its routes
// say must all be satisfied; `off` takes away what the levels around it said.

#pragma once

#include "proxy/module.h"

extern const struct conf_directive networks_directives[];
extern const struct conf_directive basic_directives[];

extern const struct module networks_module;
extern const struct module basic_module;

/** Up to which level of a scope a directive of the kind "all apply" holds: to the first, from the
 * nearest, that says `off`. The number of levels to look at. */
static inline size_t access_levels(const struct conf_scope *scope, const char *directive)
{
    size_t i = 0;
    while (i < array_len(scope->level) && !conf_is_off(conf_get(scope->level[i], directive))) {
        i++;
    }
    return i;
}
