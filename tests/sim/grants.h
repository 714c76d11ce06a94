// SPDX-License-Identifier: Apache-2.0
//
// Who may have tunnels in a scenario: tokens of two owners, and keys of the edge's own.

#pragma once

#include "tunnel/access.h"

#define GRANTS_ALICE "adit_aaaaaaaa_alice" // any name, ports 20000 to 20009
#define GRANTS_BOB   "adit_bbbbbbbb_bob"   // bob-* and shared, two tunnels
#define GRANTS_LATE  "adit_llllllll_late"  // expired long ago

/** The caller's reference. `shop` is reserved for bob. */
struct access *grants_new(void);
/** The same after a token was revoked. */
struct access *grants_new_without_bob(void);
struct access *grants_new_without_alice(void);
