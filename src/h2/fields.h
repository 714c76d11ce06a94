// SPDX-License-Identifier: Apache-2.0
//
// Heads and trailers between HTTP/2 and struct http_head (RFC 9113 8): pure functions, no connection.
//
// Both directions go through the parsed form, so nothing that HTTP/1.1 could read differently gets
// from one side to the other: no name that is not a lower-case token, no byte that ends a line, no
// field of a connection, no second opinion about host or length. What the exchange sees is what it
// would have seen of the same message in HTTP/1.1.

#pragma once

#include <stdint.h>

#include "http/head.h"

#include "h2/hpack.h"

struct h2_limits {
    uint32_t head_bytes; // names, values, and 32 for each field (RFC 9113 6.5.2)
    uint32_t target_bytes;
    uint16_t fields; // cookie crumbs counted one by one
    bool switches;   // CONNECT with any protocol is taken, not WebSocket alone
};

enum h2_section {
    H2_SECTION_REQUEST,
    H2_SECTION_RESPONSE,
    H2_SECTION_TRAILERS,
    H2_SECTION_IGNORED
};

enum { H2_FIELD_COST = 32 };

/** A section on its way in. Zero and h2_in_begin() is the start. */
struct h2_in {
    struct http_head *head; // NULL in trailers
    struct fields *fields;
    struct h2_limits limits;
    uint64_t bytes; // decoded so far, dropped ones counted as well
    uint32_t count;
    uint32_t cookies;
    int error;       // the first rule that was broken
    uint8_t section; // enum h2_section
    uint8_t seen;    // pseudo-fields, a bit each
    bool regular;    // a field that is none has come: no further pseudo-fields
    bool has_host;   // a Host field
    bool priority;   // `urgency` and `incremental` were told (RFC 9218 5)
    uint8_t urgency;
    bool incremental;
    struct slice authority; // of :authority, as sent
    struct slice host;      // of Host, as sent
    struct slice protocol;
};

void h2_in_begin(struct h2_in *in, enum h2_section section, struct http_head *head,
                 struct fields *fields, const struct h2_limits *limits);
/** A section that nobody wants: it is counted only. */
static inline void h2_in_ignore(struct h2_in *in)
{
    in->section = H2_SECTION_IGNORED;
    in->bytes = 0;
    in->count = 0;
}
/** Takes one field; copies what is kept. What is wrong is remembered in in->error, and nothing more is
 * stored then. */
void h2_in_field(struct h2_in *in, struct slice name, struct slice value, bool secret);

/** The request is complete in its head; `ended`: it has no body. Fills in all of *head. 0 or the rule
 * that was broken; then the head may be half filled but is safe to read. */
int h2_in_request(struct h2_in *in, bool ended) must_check;
/** The same of a response. `head_only`: the request was HEAD; `switching`: it was an extended CONNECT,
 * whose 2xx becomes a 101. */
int h2_in_response(struct h2_in *in, bool ended, bool head_only, bool switching) must_check;
/** The same of trailers. */
int h2_in_trailers(const struct h2_in *in) must_check;

/** Puts a request for an origin into a block; a GET whose upgrade has "websocket" becomes an extended
 * CONNECT (RFC 8441 4), and so does a CONNECT with any upgrade; one without is plain (RFC 9113 8.5). `secure`: the connection's scheme. */
void h2_out_request(struct h2_block *b, const struct http_head *head, bool secure);
/** Puts a response into a block. A 101 is written as 200. `date` is added when the head has none;
 * empty: none is. `bodiless`: neither length nor body follows (interim). */
void h2_out_response(struct h2_block *b, const struct http_head *head, struct slice date);
void h2_out_trailers(struct h2_block *b, const struct fields *trailers);

/** The known name in lower case. id is not HTTP_OTHER. */
struct slice h2_name_text(enum http_name id);

/** A Priority field's value, or that of a PRIORITY_UPDATE (RFC 9218 4): unknown and bad members leave
 * the defaults, 3 and not incremental. */
void h2_priority_parse(struct slice value, uint8_t *urgency, bool *incremental);
