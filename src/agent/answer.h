// SPDX-License-Identifier: Apache-2.0
//
// What an edge says to the handshake (docs/design/tunnel.md). The bytes are an edge's, or of whoever
// answers in its place, so everything is bounded and checked: names, URLs and words hold printable
// ASCII only, fit to be shown. A pure function; fuzzed (tests/fuzz/agent_answer_fuzz.c).

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

#define AGENT_PROTOCOL    "adit-tunnel/1"
#define AGENT_SUBPROTOCOL "adit-tunnel.1" // in WebSocket messages

enum {
    ANSWER_HEAD_MAX = 8192,
    ANSWER_FIELDS_MAX = 64,
    ANSWER_BODY_MAX = 1024, // of a refusal: as much is read to be shown
    ANSWER_URLS_MAX = 4,
    ANSWER_URL_MAX = 320,
    ANSWER_NAME_MAX = 254,
    ANSWER_SECRET_MAX = 256,
    ANSWER_TICKET_MAX = 2048,
    ANSWER_WORD_MAX = 64,
    ANSWER_NONCE_MAX = 128,
    ANSWER_WITHIN_MAX_MS = 600000, // a window beyond ten minutes is cut to that
    ANSWER_RETRY_AFTER_MAX_S = 3600,
};

struct agent_answer {
    unsigned status;
    // of a 101; texts end with a NUL
    char name[ANSWER_NAME_MAX];
    uint32_t url_count;
    char urls[ANSWER_URLS_MAX][ANSWER_URL_MAX];
    char secret[ANSWER_SECRET_MAX];
    char ticket[ANSWER_TICKET_MAX];
    uint64_t connection_id;
    bool has_within;
    uint32_t within_ms;
    bool has_expiry;
    uint64_t expires_s;
    // of a refusal
    char reason[ANSWER_WORD_MAX];     // Adit-Reason
    char suggestion[ANSWER_NAME_MAX]; // Adit-Suggestion
    char nonce[ANSWER_NONCE_MAX];     // of WWW-Authenticate: Adit-Key
    bool keep_alive;                  // the connection can be asked once more
    bool has_retry_after;
    uint32_t retry_after_s;
    int64_t body_bytes;             // that follow; -1: until the end of the connection, or chunked
    char text[ANSWER_BODY_MAX + 1]; // the body as far as it was read: agent_answer_text()
};

/** Reads a complete head that h1_scan_head() found. 0, or which rule was broken; E_BAD_UPGRADE: a 101
 * that is not for this protocol, or lacks what it must say. */
int agent_answer_parse(const char *p, size_t head_len, struct agent_answer *out) must_check;
/** The same where it was asked for in WebSocket messages with that key (RFC 6455 4.1). */
int agent_answer_parse_websocket(const char *p, size_t head_len, struct slice key,
                                 struct agent_answer *out) must_check;
/** Whether an answer looks like that of somebody on the way who does not know what was asked: it is worth
 * asking in WebSocket messages, which many pass. */
bool agent_answer_is_foreign(const struct agent_answer *a);
/** Keeps a refusal's body: one line of what can be shown. */
void agent_answer_text(struct agent_answer *a, struct slice body);
/** What follows the GOAWAY of an edge: "reconnect within=MS", "end TEXT", or anything else. */
struct agent_farewell {
    bool end;           // for good
    bool reconnect;     // an orderly restart
    uint32_t within_ms; // of a reconnect
    char text[256];     // of an end; printable
};
void agent_farewell_parse(struct slice debug, struct agent_farewell *out);
