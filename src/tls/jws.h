// SPDX-License-Identifier: Apache-2.0
//
// Signed messages as ACME sends them: flattened JSON Web Signatures (RFC 7515), the public key as a
// JSON Web Key (RFC 7517) with its thumbprint (RFC 7638). ES256 for P-256 keys, RS256 for RSA, HS256
// for external account binding. Any thread, one key in one thread at a time.

#pragma once

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

enum { JWS_THUMBPRINT_BYTES = 43, JWS_SHA256_BYTES = 32 };

struct jws_key;

/** The account key; lives on the arena and ends with it. E_TLS_KEY when it is none of P-256 or RSA,
 * E_NO_MEMORY. */
int jws_key_open(struct slice pem, struct arena *a, struct jws_key **out) must_check;
/** "ES256" or "RS256". */
struct slice jws_algorithm(const struct jws_key *k);
/** The public key as a JSON object with its members in order and without blanks (RFC 7638 3.2). */
struct slice jws_public_key(const struct jws_key *k);
/** base64url of the SHA-256 of the public key: JWS_THUMBPRINT_BYTES bytes. */
struct slice jws_thumbprint(const struct jws_key *k);

/** A whole message: {"protected":..., "payload":..., "signature":...} on `a`. */
int jws_sign(const struct jws_key *k, struct slice protected_json, struct slice payload,
             struct arena *a, struct slice *out) must_check;
/** The same under a shared secret (HS256). */
int jws_sign_hmac(struct slice secret, struct slice protected_json, struct slice payload,
                  struct arena *a, struct slice *out) must_check;

void jws_base64url(struct text *out, struct slice bytes);
/** Strict but for padding, which some authorities print. E_INVALID, E_NO_MEMORY. */
int jws_base64url_read(struct slice text, struct arena *a, struct slice *out) must_check;
/** 0 or E_NO_MEMORY. */
int jws_sha256(struct slice bytes, unsigned char out[JWS_SHA256_BYTES]) must_check;
