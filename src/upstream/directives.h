// SPDX-License-Identifier: Apache-2.0
//
// The directives of upstreams: groups of origin servers and how they are used.

#pragma once

#include "conf/schema.h"

extern const struct conf_directive upstream_directives[];
