// SPDX-License-Identifier: Apache-2.0
//
// Answers to ACME's HTTP-01 challenges (RFC 8555 8.3): reserved requests, because the CA asks for names
// that no site may serve yet, and never by https.

#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "proxy/reserved.h"

/** True for what a CA may ask for: such a path is not sent to https. */
bool challenge_is_path(struct slice path);

/** Challenges of ours. Others (an origin with an ACME client of its own) go their usual way. */
extern const struct reserved challenge_reserved;
