// SPDX-License-Identifier: Apache-2.0
//
// How an upstream is balanced, as its configuration says: the method with its settings, what a key is
// made of, and sticky sessions. A plan refers to nothing outside, so whoever keeps one may copy it.

#pragma once

#include "conf/doc.h"
#include "conf/schema.h"
#include "proxy/key.h"
#include "upstream/balance.h"
#include "upstream/sticky.h"

struct balance_plan {
    const struct balance_method *method;
    struct balance_settings settings;
    struct key_plan key; // KEY_NONE: the method needs none
    struct sticky_plan sticky;
};

/** From the checked rows of an upstream (`balance`, `slow_start`); what is not there is by default.
 * `name` is the upstream's, for its cookie. A sticky plan has a key only when the configuration gives
 * one: else it is the caller's to set. */
void balance_compile(struct conf_node upstream, struct slice name, struct balance_plan *out);

/** The rows of `balance`, and what they cannot say by themselves. */
extern const struct conf_directive balance_rows[];
void balance_check(struct conf_diags *d, struct conf_node balance);
