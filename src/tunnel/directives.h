// SPDX-License-Identifier: Apache-2.0
//
// The directive of zones, `tunnels`, and what holds for them.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive tunnel_directives[];

/** What holds between `tunnels` and its site. */
void tunnel_check(struct conf_diags *d, struct conf_node root);
