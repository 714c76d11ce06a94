// SPDX-License-Identifier: Apache-2.0
//
// PEM in memory, to and from OpenSSL's objects, for the side that gets certificates (issue, jws,
// ocsp). Nothing here asks for a passphrase: an encrypted key is an error.

#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/slice.h"

enum { PEM_BYTES_MAX = 1 << 20, PEM_CHAIN_MAX = 10 };

/** NULL: no private key there, or out of memory. The caller frees it. */
EVP_PKEY *pem_read_key(struct slice pem) must_check;
/** PKCS #8 on `a`. 0 or E_NO_MEMORY. */
int pem_write_key(EVP_PKEY *key, struct arena *a, struct slice *out) must_check;
/** All certificates, 1 to PEM_CHAIN_MAX, and nothing else between the markers. 0, E_TLS_CERTIFICATE
 * or E_NO_MEMORY. The caller frees the stack with its certificates. */
int pem_read_chain(struct slice pem, STACK_OF(X509) * *out) must_check;
/** Writes the certificates anew, so that nothing but certificates is in there. */
int pem_write_chain(const STACK_OF(X509) * chain, struct arena *a, struct slice *out) must_check;
/** What a memory BIO holds, on `a`; .ptr is NULL when there is no memory. */
struct slice pem_bio_text(BIO *bio, struct arena *a) must_check;
