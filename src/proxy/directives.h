// SPDX-License-Identifier: Apache-2.0
//
// The directives of the exchange itself: sites, routes and their matches, limits and time-outs, what
// is told to origins about clients. Stages bring their own with their modules.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive proxy_directives[];
/** The matches of a route: also what `match` and its any, all and not hold. */
extern const struct conf_directive proxy_matches[];
