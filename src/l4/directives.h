// SPDX-License-Identifier: Apache-2.0
//
// The directives of layer 4: `streams`, and what must hold between them and the rest.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive l4_directives[];

/** Addresses that two of `listen` and `streams` want, routes that can never be taken. */
void l4_check(struct conf_diags *d, struct conf_node root);
