// SPDX-License-Identifier: Apache-2.0
//
// SHA-1 (RFC 3174) of short messages in one call: for the handshake of WebSocket, which asks for this
// function and no other. It protects nothing.

#pragma once

#include <stdint.h>

#include "base/slice.h"

enum { SHA1_BYTES = 20 };

void sha1(struct slice message, uint8_t out[SHA1_BYTES]);
