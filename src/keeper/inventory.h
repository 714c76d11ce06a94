// SPDX-License-Identifier: Apache-2.0
//
// The certificates as people ask about them over the control socket: a list of all, and the wish to
// have one renewed now.

#pragma once

#include <jansson.h>

#include "base/ensure.h"
#include "base/slice.h"

struct keeper;

/** {ok, certificates: [{name, source, issuer, expires, ...}], local_root}; NULL when out of memory. */
json_t *inventory_list(struct keeper *k);
/** Renews what is served for a name, now. */
json_t *inventory_renew(struct keeper *k, struct slice name);
