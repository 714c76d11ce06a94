// SPDX-License-Identifier: Apache-2.0
//
// OCSP (RFC 6960) for stapling: the question about a chain's leaf, and a hard look at the answer. Who
// carries them over HTTP is the caller. Any thread.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

/** The request (DER) and the responder's URL, on `a`. E_UNSUPPORTED: the leaf names no responder, or
 * the chain lacks its issuer. E_TLS_CERTIFICATE, E_NO_MEMORY. */
int ocsp_request(struct slice chain_pem, struct arena *a, struct slice *der, struct slice *url)
    must_check;
/** Checks an answer: about this leaf, signed by its issuer or for it, in time at `now` (seconds since
 * 1970), and "good". *next_update: seconds since 1970. E_DENIED when the certificate is revoked, else
 * E_INVALID, E_TLS_CERTIFICATE or E_NO_MEMORY, each with `why`. */
int ocsp_verify(struct slice chain_pem, struct slice answer_der, uint64_t now,
                uint64_t *next_update, struct text *why) must_check;
