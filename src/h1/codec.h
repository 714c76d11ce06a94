// SPDX-License-Identifier: Apache-2.0
//
// The HTTP/1.1 codec: pure functions over bytes (RFC 9112). No I/O, no time, no allocation but in
// the head's field block. Strict: what is ambiguous is an error with the rule that was broken, and
// what goes out is always written anew from the parsed form.
//
// Two implementations of the byte scans exist, one with SIMD and a scalar reference; they are fuzzed
// against each other (tests/fuzz/h1_scan_fuzz.c).

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/text.h"
#include "http/head.h"

struct h1_limits {
    uint32_t head_bytes; // start line and fields with their CRLFs
    uint32_t target_bytes;
    uint16_t fields;
};

/** Where an incremental search for the end of a head stands. Zero is the start. */
struct h1_scan {
    uint32_t pos;  // bytes known to be good
    uint8_t state; // codec's own
};

/** Searches p[0..n) for the end of a head, resuming where the last call stopped, each byte looked at
 * once; p always begins at the head's first byte. Bad bytes (bare CR or LF, NUL, control bytes) are
 * found at once, before the head is complete. One empty line before a request is skipped by the
 * caller (RFC 9112 2.2). 0: *head_len is set, the final empty line included. E_AGAIN: more bytes are
 * needed. Else the rule that was broken, or E_HEAD_TOO_LARGE / E_TARGET_TOO_LONG (the first line did
 * not end within target_bytes and some). */
int h1_scan_head(struct h1_scan *scan, const struct h1_limits *limits, const char *p, size_t n,
                 size_t *head_len) must_check;

enum h1_framing {
    H1_FRAMING_NONE, // no body
    H1_FRAMING_LENGTH,
    H1_FRAMING_CHUNKED,
    H1_FRAMING_CLOSE, // until the connection closes (response to HTTP/1.0)
    H1_FRAMING_TUNNEL,
};

/** Parses a complete head found by h1_scan_head() (and only such a one: control bytes were refused
 * there). The bytes are copied once into out->fields' store; slices of `out` point there. Fills all of
 * struct http_head but the scheme of an origin-form request: connection-level fields are taken out of
 * the block (http/head.h) and their meaning set; *framing of the body that follows is decided
 * (RFC 9112 6.3). On an error `out` may be half filled but is safe to read: method, target, host,
 * fields hold what was understood before. Rules and codes: tests/unit/h1/codec_request_test.c. */
int h1_parse_request(const char *p, size_t head_len, const struct h1_limits *limits,
                     struct http_head *out, enum h1_framing *framing) must_check;
/** `request` is the one this answers: HEAD and upgrades change the framing. */
int h1_parse_response(const char *p, size_t head_len, const struct h1_limits *limits,
                      const struct http_head *request, struct http_head *out,
                      enum h1_framing *framing) must_check;

/** Decoder of the chunked coding. Zero is the start. */
struct h1_chunked {
    uint64_t left;       // data bytes left of the current chunk
    uint32_t line_bytes; // of the current line's extensions
    uint8_t state;       // codec's own
    uint8_t digits;
    struct h1_scan scan; // of the trailer section
    uint32_t overhead;   // by how many bytes extensions are ahead of the content
};

enum h1_chunked_event {
    H1_CHUNKED_DATA,     // *data is a run of body bytes (never empty)
    H1_CHUNKED_MORE,     // all input was used
    H1_CHUNKED_TRAILERS, // the last chunk was seen: collect the trailer section (h1_chunked_trailers)
    H1_CHUNKED_END,      // the message is complete
};

/** Decodes from p[0..n): sets *used (bytes consumed, data included) and returns the event, or a
 * negative code. After TRAILERS, the caller gathers bytes until h1_parse_trailers() has what it
 * needs. "0\r\n\r\n" in one piece goes straight to END. */
int h1_chunked_next(struct h1_chunked *d, const char *p, size_t n, size_t *used, struct slice *data)
    must_check;
/** The trailer section at p[0..n), its final empty line included. E_AGAIN while it is not complete
 * (resumes by d->scan); 0 with *used. Fields that must not be in trailers (framing, routing,
 * RFC 9110 6.5.1) are dropped, malformed ones are E_BAD_TRAILER. */
int h1_parse_trailers(struct h1_chunked *d, const struct h1_limits *limits, const char *p, size_t n,
                      size_t *used, struct fields *out) must_check;

/** Writes a request head for an origin: always HTTP/1.1, origin-form (or "*"), Host first from
 * head->authority; Content-Length or Transfer-Encoding by `framing`; Connection: Upgrade, TE and
 * Expect from the head's members. Overflow is remembered in `out`. */
void h1_write_request(struct text *out, const struct http_head *head, enum h1_framing framing);
/** Writes a response head. `close`: Connection: close is added; `client_minor` is the version of
 * whom it is for (0: Connection: keep-alive is needed to keep a connection). Date is added when the
 * head has none. The length of a HEAD answer is written when head->has_length. */
void h1_write_response(struct text *out, const struct http_head *head, enum h1_framing framing,
                       bool close, uint8_t client_minor, struct slice date);
/** Size line of a chunk ("1f\r\n"); room for 18 bytes. */
size_t h1_write_chunk_size(char *out, uint64_t size);
/** "0\r\n" trailers "\r\n"; trailers may be NULL. */
void h1_write_last_chunk(struct text *out, const struct fields *trailers);
