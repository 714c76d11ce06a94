// SPDX-License-Identifier: Apache-2.0
//
// Credentials: everything secret or perishable that TLS needs at run time, in one sealed memory file
// beside the configuration document. The keeper writes it (from files, from ACME, from its own local
// CA), the supervisor only holds its descriptor, the workers read it. It changes more often than the
// configuration does: a renewed certificate, a fresh OCSP answer or the next ticket key is a new one,
// and nothing else.
//
// A configuration names what is in here by id:
//   "file:CERT|KEY"    a certificate and its key, from these paths as the configuration writes them
//   "acme:NAME"        one that ACME got, for a host name or "*.name"
//   "local:NAME"       one of the local CA
//   "ca:PATH"          certificates that may stand for clients or origins
// Format: a magic number, a count, and records of (kind, id, parts), each length-prefixed. Pure
// functions over bytes; whatever reads it trusts nothing.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum credential_kind {
    CREDENTIAL_CERTIFICATE = 1, // chain, key, ocsp
    CREDENTIAL_AUTHORITY,       // chain: trusted certificates
    CREDENTIAL_TICKET_KEY,      // key: 80 bytes (name 16, HMAC 32, AES 32); the first one encrypts
    CREDENTIAL_HTTP_01,         // id: token; key: the key authorisation to answer with
    CREDENTIAL_TLS_ALPN_01,     // id: host name; chain, key: the self-signed challenge certificate
    CREDENTIAL_STICKY_KEY,      // key: 16 bytes that sticky cookies are signed with
};

enum {
    CREDENTIALS_BYTES_MAX = 64 << 20,
    CREDENTIALS_RECORDS_MAX = 65536,
    CREDENTIAL_TICKET_KEY_BYTES = 80,
    CREDENTIAL_STICKY_KEY_BYTES = 16,
};

struct credential {
    uint32_t kind; // enum credential_kind
    struct slice id;
    struct slice chain; // PEM, leaf first
    struct slice key;   // PEM (certificates), bytes else
    struct slice ocsp;  // DER, or empty
};

/** Goes through records. */
struct credential_reader {
    struct slice rest;
    uint32_t left;
};

/** Checks the magic number and the whole structure: 0 or E_INVALID. */
int credentials_open(struct slice bytes, struct credential_reader *r) must_check;
/** The next record, viewing the bytes; false at the end. */
bool credentials_next(struct credential_reader *r, struct credential *out);

/** Bytes a record will take, for whoever sizes the buffer. */
size_t credential_bytes(const struct credential *c);
struct credential_writer {
    char *ptr;
    size_t capacity;
    size_t len;
    uint32_t count;
};
/** The room must hold CREDENTIALS_HEAD_BYTES and every record. */
enum { CREDENTIALS_HEAD_BYTES = 16 };
void credentials_begin(struct credential_writer *w, void *room, size_t capacity);
/** E_TOO_LARGE when it does not fit. */
int credentials_add(struct credential_writer *w, const struct credential *c) must_check;
/** All that was written. */
struct slice credentials_end(struct credential_writer *w);
