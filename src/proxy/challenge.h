// SPDX-License-Identifier: Apache-2.0
//
// Answers to ACME's HTTP-01 challenges (RFC 8555 8.3). They come before routing, on every listener and
// for every host, because the CA asks for names that no site may serve yet, and never by https.

#pragma once

#include <stdbool.h>

#include "base/slice.h"

struct exchange;

/** True for what a CA may ask for: such a path is not sent to https. */
bool challenge_is_path(struct slice path);
/** Answers when it is a challenge of ours; false: it is not, nothing was done. Others (an origin with
 * an ACME client of its own) go their usual way. */
bool challenge_answer(struct exchange *x);
