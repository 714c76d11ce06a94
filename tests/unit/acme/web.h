// SPDX-License-Identifier: Apache-2.0
//
// A web server in a thread that says what it is told, byte for byte, to whoever asks.

#pragma once

#include <stdint.h>

#include "base/slice.h"

/** Starts it on a free port. */
uint16_t web_start(void);
void web_stop(void);
/** What is answered from now on; the bytes stay the caller's. An empty answer: none, until the end. */
void web_answer(struct slice bytes);
/** The last request, whole. */
struct slice web_asked(void);
