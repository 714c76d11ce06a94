// SPDX-License-Identifier: Apache-2.0
//
// What the crypto library of this machine knows of what a configuration may name, for the check of
// configurations and for the policies made of them.

#pragma once

#include <stdbool.h>

#include "base/slice.h"

/** Whether at least one cipher of TLS 1.2 in the list (in OpenSSL's syntax) may be used. */
bool tls_knows_ciphers(struct slice list);
/** A group of the key exchange by name (X25519, P-256, secp384r1): its number in the library, 0 when
 * it is none. */
int tls_curve(struct slice name);
