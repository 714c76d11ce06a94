// SPDX-License-Identifier: Apache-2.0
//
// Who may have tunnels, as workers see it: an immutable table of grants (tokens, keys, certificates),
// of names and domains that belong to owners, and of the secrets that seal tickets and prove instances.
// The keeper writes it as a document (the rows below) whenever something has changed, the supervisor
// keeps it for the next worker, a worker makes this table of it, and its cores swap it between two
// turns. Nothing in it is a token: only their SHA-256, so who reads it cannot call as anybody.
//
// Every function is read-only after access_load() and may be called by any core that holds a
// reference. There may be no table yet: then nobody knows who may do what, and who asks is told to
// come again (503), never refused (401), for an agent that was refused stops.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/doc.h"
#include "conf/schema.h"

enum {
    ACCESS_GRANTS_MAX = 16384,
    ACCESS_NAMES_MAX = 16384, // reserved names, and as many domains
    ACCESS_PATTERNS_MAX = 64, // names of one grant
    ACCESS_PORTS_MAX = 16,    // ranges of one grant
    ACCESS_ID_MAX = 32,       // with the NUL
    ACCESS_OWNER_MAX = 64,    // with the NUL
    ACCESS_NAME_MAX = 254,    // with the NUL
    ACCESS_NOTE_MAX = 128,
    ACCESS_PROOF_BYTES = 32,  // a SHA-256, or an Ed25519 public key
    ACCESS_SECRET_BYTES = 64, // 32 that seal tickets, 32 that prove instances
    ACCESS_SECRETS_MAX = 2,   // the current ones and those before
    ACCESS_TUNNELS_MAX = 100000,
    ACCESS_RATE_MAX = 1000000,
    ACCESS_DOC_BYTES_MAX = 32 << 20,
};

// What every token begins with: adit_ID_SECRET, both of base62 characters. ID is public.
#define ACCESS_TOKEN_PREFIX "adit_"

enum access_kind { ACCESS_TOKEN, ACCESS_KEY, ACCESS_CERTIFICATE };

/** What a grant allows at once; copied out by whoever outlives the table. 0: as the zone says. */
struct access_limits {
    uint32_t tunnels;
    uint32_t rate; // requests in a second, to all its tunnels together
};

struct access_ports {
    uint16_t first;
    uint16_t last;
};

struct access_grant {
    const char *id; // public; stays the same as long as the grant is there
    const char *owner;
    enum access_kind kind;
    uint64_t expires_ms; // wall clock; 0: never
    struct access_limits limits;
    uint32_t name_count; // 0: any name
    uint32_t port_count; // 0: no public ports
    const struct slice *names;
    const struct access_ports *ports;
};

/** Keys of the edge's own. What was made with them is good for as long as they are among the secrets:
 * thirty days at least. */
struct access_secret {
    uint64_t made_ms;                          // wall clock
    uint8_t seal[ACCESS_SECRET_BYTES / 2];     // of tickets
    uint8_t instance[ACCESS_SECRET_BYTES / 2]; // of what proves instances
};

struct access;

/** The document as text before it is checked: JSON,
 *
 *     {"grants": [{"id": "k3Xz9q", "kind": "token", "proof": "<hex>", "owner": "alice",
 *                  "names": ["myapp", "*-dev"], "ports": ["20000-20010"], "tunnels": 3, "rate": 100,
 *                  "expires": 1790000000000, "created": 1780000000000, "used": 0, "note": "laptop"}],
 *      "names": [{"name": "myapp", "owner": "alice", "created": 1780000000000}],
 *      "domains": [{"name": "app.customer.com", "owner": "alice", "value": "...",
 *                   "proved": 1780000000000, "asked": 0, "failures": 0, "created": 1780000000000, "why": ""}],
 *      "secrets": [{"made": 1780000000000, "bytes": "<hex>"}]}
 *
 * Times are wall-clock milliseconds, 0 is never. Only what concerns workers is in the table. */
extern const struct conf_directive *const access_doc_tables[];

/** A table from a checked document, which is not needed any more afterwards; the caller's reference.
 * 0, E_INVALID (a proof that is none, two of one kind), E_NO_MEMORY. */
int access_load(const struct conf_doc *doc, struct access **out) must_check;
/** Any thread. */
struct access *access_ref(struct access *a);
/** NULL is nothing. Frees it with the last one; grants are gone then. */
void access_unref(struct access *a);

/** A table that was loaded later has a greater one. */
uint64_t access_number(const struct access *a);

/** NULL: there is none. It may have expired: access_expired() says so, for there is a reason to tell. */
/** `sha256`: of the whole token, "adit_" and all. */
const struct access_grant *access_token(const struct access *a,
                                        const uint8_t sha256[ACCESS_PROOF_BYTES]);
const struct access_grant *access_key(const struct access *a,
                                      const uint8_t public[ACCESS_PROOF_BYTES]);
/** `fingerprint_hex`: the SHA-256 of the certificate's DER, in either case, with or without colons. */
const struct access_grant *access_certificate(const struct access *a, struct slice fingerprint_hex);
/** With which live tunnels are judged again. */
const struct access_grant *access_grant_by_id(const struct access *a, struct slice id);

bool access_expired(const struct access_grant *g, uint64_t wall_ms);
/** Does the grant's scope have that name (lower case: one label, or a domain)? '*' in a pattern stands
 * for any characters but a dot. */
bool access_may_name(const struct access_grant *g, struct slice name);
/** May it have a name that it did not choose? Not when its names are listed. */
bool access_may_random(const struct access_grant *g);
bool access_may_port(const struct access_grant *g, uint16_t port);
/** Whose a name is: it is reserved, or a proven domain, or below one. False: nobody's. */
bool access_owner_of(const struct access *a, struct slice name, struct slice *owner);
/** Whose a reserved name is that looks like this one (tunnel/names.h), or is it. False: nobody's. */
bool access_owner_of_alike(const struct access *a, struct slice name, struct slice *owner);
/** All of it about a name: the scope of the grant (NULL: of who is anonymous) has it, it belongs to
 * nobody else, and a name with a dot belongs to the grant's owner. */
bool access_allows(const struct access *a, const struct access_grant *g, struct slice name);

/** Newest first: the first one makes, all open. There may be none. */
uint32_t access_secrets(const struct access *a, const struct access_secret **out);

/** The pattern `text` as the scope of a grant: at most 63 characters a label, LDH and '*', lower case.
 * For the keeper, before it is written. */
bool access_pattern_ok(struct slice text);
bool access_pattern_takes(struct slice pattern, struct slice name);
/** "20000" or "20000-20010". */
bool access_ports_parse(struct slice text, struct access_ports *out);
/** A label or a domain name in lower case, LDH. */
bool access_name_ok(struct slice name);
/** Letters, digits and "-_.@", not empty, below ACCESS_OWNER_MAX. */
bool access_owner_ok(struct slice owner);
