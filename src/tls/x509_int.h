// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys between PEM, OpenSSL's objects and text, for all of this folder.
//
// OpenSSL keeps what went wrong in a queue of the thread, and SSL_get_error() looks into it. So that an
// old failure is never taken for a new one, everything in this folder leaves the queue empty.

#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/text.h"

enum {
    X509_CHAIN_MAX = 16,         // certificates of one chain
    X509_AUTHORITIES_MAX = 4096, // certificates of one file of trusted ones
    X509_PEM_BYTES_MAX = 8 << 20,
};

/** Makes the library ready, once per process: no configuration file of the machine's is read, since a
 * worker may not open files. Any thread. */
void x509_library_init(void);

/** All certificates of a PEM text, other blocks passed over: 1 to `max`. 0, E_TLS_CERTIFICATE with
 * `why` filled, or E_NO_MEMORY. The caller frees the stack with what is in it. */
int x509_read_chain(struct slice pem, int max, STACK_OF(X509) * *out, struct text *why) must_check;
/** The private key of a PEM text. 0, E_TLS_KEY with `why` filled, or E_NO_MEMORY. */
int x509_read_key(struct slice pem, EVP_PKEY **out, struct text *why) must_check;

/** "ECDSA P-256", "RSA 2048", "Ed25519". */
void x509_key_type(EVP_PKEY *key, struct text *out);
/** RFC 4514. */
void x509_name_text(const X509_NAME *name, struct text *out);
/** Organisation, else common name, else the whole. */
void x509_short_name(const X509_NAME *name, struct text *out);
/** The first value of a kind (NID_commonName); false when there is none. */
bool x509_name_entry(const X509_NAME *name, int nid, struct text *out);
/** Hexadecimal, upper case. */
void x509_serial(const X509 *x, struct text *out);
/** SHA-256 of the certificate, hexadecimal. */
void x509_fingerprint(const X509 *x, struct text *out);
/** Seconds since 1970; a time before that, or none that can be read, is 0. */
uint64_t x509_seconds(const ASN1_TIME *t);
/** "2026-11-23 09:30 UTC". */
void x509_date(uint64_t seconds, struct text *out);
/** DNS names and IP addresses of the certificate, lower case, at most `max`, in `a`. How many, or
 * E_NO_MEMORY. */
int x509_names(const X509 *x, struct arena *a, struct slice *names, int max) must_check;
/** True when one of `names` covers `name`: the same, or "*.rest" with one label before the rest. */
bool x509_names_cover(const struct slice *names, uint32_t count, struct slice name);
