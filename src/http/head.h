// SPDX-License-Identifier: Apache-2.0
//
// The head of a message, request or response, in the terms of RFC 9110 and free of any wire format.
//
// What belongs to one connection never enters the field block: a codec takes Host, Content-Length,
// Transfer-Encoding, Connection and what it lists, Keep-Alive, Proxy-Connection, TE, Upgrade and
// Expect out while it parses and puts their meaning into members here; the writer of the other side
// makes its own. So nothing hop-by-hop can slip through, whatever the protocols on the two sides.

#pragma once

#include <stdint.h>

#include "http/fields.h"

#define HTTP_METHOD_TABLE(X)                                                                       \
    X(GET)                                                                                         \
    X(HEAD)                                                                                        \
    X(POST)                                                                                        \
    X(PUT)                                                                                         \
    X(DELETE)                                                                                      \
    X(OPTIONS)                                                                                     \
    X(PATCH)                                                                                       \
    X(TRACE)                                                                                       \
    X(CONNECT)                                                                                     \
    X(QUERY)                                                                                       \
    X(PROPFIND)

enum http_method {
    HTTP_METHOD_OTHER = 0,
#define HTTP_METHOD_ID(name) HTTP_METHOD_##name,
    HTTP_METHOD_TABLE(HTTP_METHOD_ID)
#undef HTTP_METHOD_ID
        HTTP_METHOD_COUNT
};

enum http_body_kind {
    HTTP_BODY_NONE,   // no body at all (also HEAD answers, 204, 304)
    HTTP_BODY_LENGTH, // content_length bytes
    HTTP_BODY_STREAM, // until its end, length not known (chunked, close-delimited, h2 DATA)
    HTTP_BODY_TUNNEL, // after an upgrade: bytes both ways with half-close
};

struct http_head {
    // request
    uint8_t method;       // enum http_method
    bool expect_continue; // Expect: 100-continue
    bool te_trailers;     // the sender takes trailers
    // response
    uint16_t status;     // 100..599; 0 in a request
    struct slice reason; // may be empty
    // both
    uint8_t version_minor; // of HTTP/1; 1 for everything newer
    uint8_t body;          // enum http_body_kind
    bool keep_alive;       // the sender lets the connection live on
    bool has_length;       // content_length was given (HEAD answers and 304 as well)
    int64_t content_length;
    struct slice method_text; // as sent; a token
    struct slice scheme;      // "http", "https"
    struct slice authority;   // host[:port], normalised to lower case, userinfo refused
    struct slice host;        // without port, brackets kept, lower case, no trailing dot
    struct slice target;      // origin-form path?query, or "*"
    struct slice path;        // part of target before '?', as sent (not decoded)
    struct slice query;       // after '?', without it; .ptr NULL when there is none
    struct slice upgrade;     // protocols asked for or switched to; empty: none
    struct fields fields;     // end-to-end fields only
};

/** Empty head with its field block on `arena`. */
void http_head_init(struct http_head *h, struct arena *arena, uint32_t bytes_max,
                    uint16_t count_max);
enum http_method http_method_of(struct slice text);
struct slice http_method_text(enum http_method m);
/** RFC 9110 9.2.1, 9.2.2. An unknown method is neither. QUERY is both (RFC 10008 draft). */
bool http_method_is_safe(enum http_method m);
bool http_method_is_idempotent(enum http_method m);
/** RFC 9110 15.2: further heads follow. 101 is the last one of its kind. */
static inline bool http_status_is_interim(unsigned status)
{
    return status < 200 && status != 101;
}
/** RFC 9110 section 15; "Unknown" for codes without one. */
struct slice http_status_reason(unsigned status);

/** Checks and normalises an authority (RFC 9110 4.2.3, RFC 3986 3.2): no userinfo, reg-name of LDH,
 * dots, underscore, or IP literal, port 0..65535 or empty. `out` must have room for len bytes.
 * Sets *authority and *host to views of `out`. E_BAD_HOST. */
int http_authority_parse(struct slice in, char *out, struct slice *authority, struct slice *host)
    must_check;
/** IMF-fixdate (RFC 9110 5.6.7) of a time in seconds since 1970; `out` has room for 29 bytes. */
void http_date_format(char out[29], uint64_t unix_seconds);

/** The path with percent-encoding decoded where it is unreserved, dot segments removed and repeated
 * slashes kept, for matching routes only (what is forwarded stays as sent). E_BAD_TARGET: encoded
 * NUL or slash ambiguities that climb above the root. `out` has room for path.len bytes. */
int http_path_normalise(struct slice path, char *out, struct slice *normal) must_check;
