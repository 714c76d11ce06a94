// SPDX-License-Identifier: Apache-2.0
//
// Names of a certificate that is being made: host names, "*.x" and IP addresses (RFC 5280 4.2.1.6).
// Any thread.

#pragma once

#include <openssl/x509v3.h>

#include "base/ensure.h"
#include "base/slice.h"

enum { NAMES_MAX = 100, NAMES_BYTES_MAX = 253 };

/** The bytes of an address, 4 or 16; 0: it is none. */
size_t names_ip(struct slice name, unsigned char out[16]);
/** The list of `count` names, 1 to NAMES_MAX; an IPv6 address may be in brackets. 0, E_INVALID (a name)
 * or E_NO_MEMORY; then *out is NULL. The caller frees it. */
int names_make(const struct slice *names, uint32_t count, GENERAL_NAMES **out) must_check;
