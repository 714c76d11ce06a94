// SPDX-License-Identifier: Apache-2.0
//
// Rows of what keeps an upstream well: `health`, `eject`, `breaker`, `concurrency`. directives.c puts
// them into the rows of `upstreams`.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive health_rows[];
extern const struct conf_directive eject_rows[];
extern const struct conf_directive breaker_rows[];
extern const struct conf_directive concurrency_rows[];

/** What the rows of `health` cannot say. */
void health_check(struct conf_diags *d, struct conf_node health);
