// SPDX-License-Identifier: Apache-2.0
//
// Lists of networks as `allow` and `deny` have them: "10.0.0.0/8", an address, `unix`, and exceptions with
// `not` in front, which hold wherever in the list they stand. A list of exceptions alone means all others.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/ensure.h"
#include "conf/diag.h"
#include "conf/doc.h"
#include "conf/schema.h"
#include "os/addr.h"

struct network {
    bool negated;
    struct os_cidr cidr;
};

struct network_list {
    bool positive; // some network is not negated
    uint32_t count;
    struct network *networks;
};

/** What rows of such lists say of their values. */
#define NETWORK_LIST                                                                               \
    .type = CONF_TYPE_CIDR, .list = true, .off_ok = true, .not_ok = true,                          \
    .words = (const char *const[]){"unix", NULL}, .check = network_list_check
void network_list_check(struct conf_diags *d, struct conf_node list);

/** Compiles a checked list, not `off`. 0, E_CONFIG (reported), E_NO_MEMORY. */
int network_list_compile(struct network_list *out, struct conf_node list, struct arena *a,
                         struct conf_diags *d) must_check;
/** Who is not known (OS_ADDR_NONE) must not be asked about. */
bool network_list_has(const struct network_list *list, const struct os_addr *a);
