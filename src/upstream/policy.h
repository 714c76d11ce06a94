// SPDX-License-Identifier: Apache-2.0
//
// When a request is sent again: what `retry` and `hedge` of an upstream say, compiled into the members
// of struct upstream that the exchange reads (proxy/upstream.h). What it costs is the budget's matter.

#pragma once

#include "base/arena.h"
#include "conf/doc.h"
#include "proxy/upstream.h"

/** `n`: the checked node of an upstream; its keys may be missing. 0 or E_NO_MEMORY. Helper thread. */
int policy_compile(struct conf_node n, struct arena *arena, struct upstream *u) must_check;
