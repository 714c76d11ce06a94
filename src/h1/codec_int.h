// SPDX-License-Identifier: Apache-2.0
//
// What the files of the codec share. Parsing goes in three steps: the scan finds the end of a head
// and refuses bad bytes (codec_scan.c); the bytes are copied into the field store and cut into lines
// and fields (codec_fields.c); what belongs to the connection is judged per direction
// (codec_request.c, codec_response.c).

#pragma once

#include "h1/codec.h"

enum {
    // What a request line has beside its target: method, two spaces, version.
    H1_METHOD_BYTES_MAX = 64,
    H1_LINE_SLACK = H1_METHOD_BYTES_MAX + 10,
    // Names that Connection may list beside the usual ones; nobody sends more than one or two.
    H1_OPTIONS_MAX = 16,
};

enum h1_scan_way { H1_SCAN_SCALAR, H1_SCAN_SIMD16, H1_SCAN_AVX2, H1_SCAN_WAYS };

/** How to scan: by which implementation, and whether the section is one of trailers, which has no first
 * line and may be empty. */
struct h1_scan_mode {
    enum h1_scan_way way;
    bool trailers;
};

/** h1_scan_head() in a given mode. Every way gives the same result and leaves the same state. */
int h1_scan_with(struct h1_scan_mode mode, struct h1_scan *scan, const struct h1_limits *limits,
                 const char *p, size_t n, size_t *head_len) must_check;
/** False where the machine lacks it. */
bool h1_scan_has(enum h1_scan_way way);
/** The fastest one that is there. */
enum h1_scan_way h1_scan_best(void);

enum h1_section_kind { H1_SECTION_REQUEST, H1_SECTION_RESPONSE, H1_SECTION_TRAILERS };

/** The fields that belong to the connection, as they were found. Slices point into the store. */
struct h1_hop {
    struct slice host;
    struct slice length;
    struct slice coding;
    struct slice upgrade;
    uint16_t hosts;
    uint16_t lengths;
    uint16_t codings;
    uint16_t upgrades;
    bool close;          // Connection: close
    bool keep_alive;     // Connection: keep-alive
    bool upgrade_option; // Connection: upgrade
    bool te_trailers;
    bool expect_continue;
    uint8_t remove_count;
    struct slice remove[H1_OPTIONS_MAX]; // names that Connection lists
};

static inline void h1_hop_init(struct h1_hop *hop)
{
    // All but the names, which are read up to remove_count only.
    memset(hop, 0, offsetof(struct h1_hop, remove));
}

/** A copy of a head or trailer section in the store, on its way through the parser. */
struct h1_section {
    struct fields *fields;
    char *p;      // its first byte
    uint32_t len; // its last four bytes are CRLF CRLF
    uint32_t off; // of p in the store
    uint32_t pos; // where the next line begins
    uint32_t block;
    uint64_t cr_mask; // CRs of the 64 bytes at `block` that were not taken yet
    uint8_t kind;     // enum h1_section_kind
    uint16_t fields_max;
};

/** Copies p[0..len) into the store. 0, E_HEAD_TOO_LARGE, E_NO_MEMORY. */
int h1_section_begin(struct h1_section *s, enum h1_section_kind kind, struct fields *f,
                     const char *p, size_t len, const struct h1_limits *limits) must_check;
/** Bits of the CRs at p[0..64). */
uint64_t h1_section_crs(const char *p);
/** Index of the CR that ends the line at s->pos; the next line begins two bytes on. */
static inline uint32_t h1_section_line(struct h1_section *s)
{
    // The first call finds an empty mask at block 0 without having looked there: blocks are counted
    // from one.
    while (s->cr_mask == 0) {
        ensure(s->block < s->len);
        s->cr_mask = h1_section_crs(s->p + s->block);
        s->block += 64;
    }
    uint32_t cr = s->block - 64 + (uint32_t)__builtin_ctzll(s->cr_mask);
    s->cr_mask &= s->cr_mask - 1;
    // The scan has seen to both; a head that was not scanned ends here.
    ensure(cr >= s->pos && cr + 1 < s->len);
    ensure(s->p[cr + 1] == '\n');
    return cr;
}
/** Parses all lines to the empty one: adds what is end-to-end, collects the rest in `hop`, and
 * removes what Connection lists. */
int h1_section_fields(struct h1_section *s, struct h1_hop *hop) must_check;
/** Where a value that points into the section may be written to. */
static inline char *h1_section_bytes(const struct h1_section *s, struct slice value)
{
    return s->p + (value.ptr - s->p);
}

/** Length of the token at p, which must be followed by a byte that is none (and by FIELDS_PAD that may
 * be read). */
uint32_t h1_token_span(const char *p);

/** Decides between Content-Length and Transfer-Encoding (RFC 9112 6.3, rules 3 to 6, those of the
 * status left out): sets head->content_length and has_length; *chunked. */
int h1_hop_length(const struct h1_hop *hop, struct http_head *head, bool *chunked) must_check;
/** Sets head->upgrade to what is asked for, without the protocols that would smuggle HTTP past adit. */
int h1_hop_upgrade(const struct h1_section *s, const struct h1_hop *hop, struct http_head *head)
    must_check;
/** True when the comma list `offered` names `protocol`, in any case. */
bool h1_protocol_listed(struct slice offered, struct slice protocol);
