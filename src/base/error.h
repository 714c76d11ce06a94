// SPDX-License-Identifier: Apache-2.0
//
// The one table of errors: code, text, HTTP status for the client, class.
//
// Functions that can fail return 0 or one of these negative codes. Three kinds are kept apart: an
// error of the programmer is an assert and never here; a broken or hostile peer is class PEER; a
// limit that is reached is class LIMIT (load is shed); LOCAL is everything else that went wrong on
// our side or in the kernel. The text names the rule that was broken, with its RFC section, and is
// what the log prints.

#pragma once

enum error_class {
    ERROR_CLASS_FLOW,  // not an error: would block, end of input
    ERROR_CLASS_PEER,  // the other side broke a rule
    ERROR_CLASS_LIMIT, // a limit of ours was reached
    ERROR_CLASS_LOCAL, // configuration, kernel, our own
};

// X(name, status, class, text). The status is what a client gets when its request fails with this
// code; the same code from an origin is a 502.
#define ERROR_TABLE(X)                                                                             \
    X(AGAIN, 0, FLOW, "would block")                                                               \
    X(EOF, 0, FLOW, "end of stream")                                                               \
    X(RESET, 502, PEER, "connection reset by peer")                                                \
    X(REFUSED, 502, PEER, "connection refused")                                                    \
    X(UNREACHABLE, 502, PEER, "no route to host")                                                  \
    X(EARLY_CLOSE, 502, PEER, "connection closed before the message was complete")                 \
    X(STALE, 502, PEER, "pooled connection was closed before the request was taken")               \
    X(CONNECT_TIMEOUT, 504, PEER, "connect timed out")                                             \
    X(RESPONSE_TIMEOUT, 504, PEER, "no response head within the time allowed")                     \
    X(READ_TIMEOUT, 504, PEER, "no byte of the body within the time allowed")                      \
    X(WRITE_TIMEOUT, 0, PEER, "peer took no byte within the time allowed")                         \
    X(PEER_SILENT, 502, PEER, "peer said nothing for too long, PING included")                     \
    X(TOTAL_TIMEOUT, 0, PEER, "lasted as long as it may")                                          \
    X(IDLE_TIMEOUT, 0, PEER, "idle for too long")                                                  \
    X(HEADER_TIMEOUT, 408, PEER, "request head not complete within the time allowed")              \
    X(BODY_TIMEOUT, 408, PEER, "request body too slow")                                            \
    X(MALFORMED_LINE, 400, PEER, "malformed request line (RFC 9112 3)")                            \
    X(BAD_METHOD, 400, PEER, "method is not a token (RFC 9110 9.1)")                               \
    X(METHOD_REFUSED, 405, PEER, "method not allowed here")                                        \
    X(METHOD_UNKNOWN, 501, PEER, "method not implemented")                                         \
    X(BAD_TARGET, 400, PEER, "bad request target (RFC 9112 3.2)")                                  \
    X(TARGET_TOO_LONG, 414, LIMIT, "request target too long")                                      \
    X(BAD_VERSION, 400, PEER, "bad HTTP version (RFC 9112 2.3)")                                   \
    X(VERSION_UNSUPPORTED, 505, PEER, "HTTP version not supported")                                \
    X(BAD_HOST, 400, PEER, "bad Host or authority (RFC 9112 3.2)")                                 \
    X(NO_HOST, 400, PEER, "HTTP/1.1 request without Host (RFC 9112 3.2)")                          \
    X(REPEATED_HOST, 400, PEER, "more than one Host (RFC 9112 3.2)")                               \
    X(BARE_CR, 400, PEER, "bare CR (RFC 9112 2.2)")                                                \
    X(BARE_LF, 400, PEER, "bare LF (RFC 9112 2.2)")                                                \
    X(CONTROL_BYTE, 400, PEER, "control byte in the head (RFC 9110 5.5)")                          \
    X(OBS_FOLD, 400, PEER, "obsolete line folding (RFC 9112 5.2)")                                 \
    X(BAD_FIELD_NAME, 400, PEER, "field name is not a token (RFC 9110 5.1)")                       \
    X(FIELD_NAME_SPACE, 400, PEER, "space before the colon of a field (RFC 9112 5.1)")             \
    X(FIELD_NAME_LOOKALIKE, 400, PEER, "field name imitates a framing field")                      \
    X(BAD_FIELD_VALUE, 400, PEER, "bad byte in a field value (RFC 9110 5.5)")                      \
    X(HEAD_TOO_LARGE, 431, LIMIT, "head too large")                                                \
    X(TOO_MANY_FIELDS, 431, LIMIT, "too many fields")                                              \
    X(BAD_LENGTH, 400, PEER, "bad Content-Length (RFC 9112 6.3)")                                  \
    X(REPEATED_LENGTH, 400, PEER, "more than one Content-Length (RFC 9112 6.3)")                   \
    X(LENGTH_AND_CODING, 400, PEER, "Content-Length with Transfer-Encoding (RFC 9112 6.1)")        \
    X(BAD_CODING, 400, PEER, "bad Transfer-Encoding (RFC 9112 6.1)")                               \
    X(CODING_UNKNOWN, 501, PEER, "transfer coding not implemented (RFC 9112 6.1)")                 \
    X(CODING_IN_1_0, 400, PEER, "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)")                    \
    X(LENGTH_REQUIRED, 411, PEER, "a length is required")                                          \
    X(BAD_CHUNK_SIZE, 400, PEER, "bad chunk size (RFC 9112 7.1)")                                  \
    X(BAD_CHUNK_EXT, 400, PEER, "bad or oversized chunk extension (RFC 9112 7.1.1)")               \
    X(BAD_CHUNK_END, 400, PEER, "chunk data not followed by CRLF (RFC 9112 7.1)")                  \
    X(BAD_TRAILER, 400, PEER, "bad trailer section (RFC 9112 7.1.2)")                              \
    X(BODY_TOO_LARGE, 413, LIMIT, "request body larger than allowed")                              \
    X(BAD_EXPECT, 417, PEER, "unknown expectation (RFC 9110 10.1.1)")                              \
    X(BAD_CONNECTION, 400, PEER, "Connection names a field that it may not (RFC 9110 7.6.1)")      \
    X(BAD_UPGRADE, 400, PEER, "bad Upgrade (RFC 9110 7.8)")                                        \
    X(UPGRADE_REQUIRED, 426, PEER, "another protocol is required (RFC 9110 15.5.22)")              \
    X(MISDIRECTED, 421, PEER, "this connection does not serve that host (RFC 9110 15.5.20)")       \
    X(BAD_STATUS_LINE, 502, PEER, "bad status line (RFC 9112 4)")                                  \
    X(BAD_INTERIM, 502, PEER, "bad or too many interim responses (RFC 9110 15.2)")                 \
    X(EXTRA_BYTES, 502, PEER, "bytes after the end of the response")                               \
    X(PROTOCOL, 400, PEER, "the peer broke a rule of its protocol (RFC 9113 5.4)")                 \
    X(FLOW_CONTROL, 400, PEER, "the peer sent more than its window (RFC 9113 5.2)")                \
    X(BAD_COMPRESSION, 400, PEER, "header block cannot be decoded (RFC 7541)")                     \
    X(BAD_PSEUDO, 400, PEER, "bad pseudo-header fields (RFC 9113 8.3)")                            \
    X(CONNECTION_FIELD, 400, PEER, "field of a connection in HTTP/2 (RFC 9113 8.2.2)")             \
    X(LENGTH_MISMATCH, 400, PEER, "body does not have its Content-Length (RFC 9113 8.1.1)")        \
    X(STREAM_RESET, 502, PEER, "the peer reset the stream (RFC 9113 6.4)")                         \
    X(NOT_PROCESSED, 503, PEER, "the peer did not take the request (RFC 9113 8.7)")                \
    X(HTTP_1_1_REQUIRED, 502, PEER, "the peer wants HTTP/1.1 for this (RFC 9113 7)")               \
    X(WRONG_PROTOCOL, 502, PEER, "the origin does not speak the protocol that was asked for")      \
    X(GLITCHES, 502, LIMIT, "the peer did too many odd things")                                    \
    X(TLS_HANDSHAKE, 502, PEER, "TLS handshake failed")                                            \
    X(TLS_TIMEOUT, 504, PEER, "TLS handshake not complete within the time allowed")                \
    X(TLS_NOT_TLS, 0, PEER, "what came is not TLS")                                                \
    X(TLS_VERSION, 502, PEER, "no TLS version in common")                                          \
    X(TLS_CIPHER, 502, PEER, "no TLS cipher in common")                                            \
    X(TLS_ALERT, 502, PEER, "the peer ended TLS with an alert")                                    \
    X(TLS_NO_CERTIFICATE, 0, LOCAL, "no certificate for that name")                                \
    X(TLS_UNTRUSTED, 502, PEER, "the peer's certificate is not trusted")                           \
    X(TLS_EXPIRED, 502, PEER, "the peer's certificate has expired or is not valid yet")            \
    X(TLS_WRONG_NAME, 502, PEER, "the peer's certificate is for another name")                     \
    X(TLS_CLIENT_CERTIFICATE, 0, PEER, "the client showed no acceptable certificate")              \
    X(TLS_CERTIFICATE, 0, LOCAL, "certificate that cannot be used")                                \
    X(TLS_KEY, 0, LOCAL, "key that cannot be used")                                                \
    X(PROXY_MISSING, 0, PEER, "what came is no PROXY header")                                      \
    X(PROXY_MALFORMED, 0, PEER, "malformed PROXY header")                                          \
    X(PROXY_CHECKSUM, 0, PEER, "PROXY header with a wrong checksum")                               \
    X(PROXY_UNSUPPORTED, 0, PEER, "PROXY header of an unknown kind, or too long")                  \
    X(OUTBOUND_REFUSED, 502, PEER, "the proxy on the way out refused")                             \
    X(OUTBOUND_LOGIN, 502, PEER, "the proxy on the way out wants a login, or another one")         \
    X(OUTBOUND_UNREACHABLE, 502, PEER, "the proxy on the way out could not reach the target")      \
    X(OUTBOUND_MALFORMED, 502, PEER, "what the proxy on the way out answered is no such protocol") \
    X(OUTBOUND_CLOSED, 502, PEER, "the proxy on the way out closed the connection")                \
    X(BAD_WEBSOCKET, 400, PEER, "bad WebSocket frame (RFC 6455 5)")                                \
    X(LOOP, 508, PEER, "the request came through here too often (RFC 9110 7.6.3)")                 \
    X(ADDRESS_REFUSED, 403, LOCAL, "the client's address may not ask here")                        \
    X(NO_LOGIN, 401, LOCAL, "no user's name and password, or wrong ones")                          \
    X(NO_SITE, 421, LOCAL, "no site for this host")                                                \
    X(NO_ROUTE, 404, LOCAL, "no route matches")                                                    \
    X(NO_TUNNEL, 404, LOCAL, "no tunnel has this name")                                            \
    X(TUNNEL_TAKEN, 409, LOCAL, "another agent has this name")                                     \
    X(TUNNEL_SEQUENCE, 409, LOCAL, "a newer connection of this agent is here already")             \
    X(TUNNEL_PORT, 403, LOCAL, "that public port is not for tunnels")                              \
    X(TUNNEL_LIMIT, 429, LIMIT, "as many tunnels as there may be")                                 \
    X(TUNNEL_RATE, 503, LIMIT, "more requests in a second than the tunnel's token allows")         \
    X(NO_SERVER, 503, LIMIT, "no server is available")                                             \
    X(UPSTREAM_FULL, 503, LIMIT, "every connection to the upstream is in use")                     \
    X(QUEUE_TIMEOUT, 503, LIMIT, "no server had room in time")                                     \
    X(BREAKER_OPEN, 503, LIMIT, "the upstream's circuit breaker is open")                          \
    X(NOT_RESOLVED, 503, LOCAL, "the origin's name does not resolve")                              \
    X(NO_MEMORY, 503, LIMIT, "out of memory or over its budget")                                   \
    X(NO_DESCRIPTORS, 503, LIMIT, "out of file descriptors")                                       \
    X(NO_PORTS, 503, LIMIT, "out of local ports")                                                  \
    X(SOURCE_UNKNOWN, 503, LOCAL, "the source address is not this machine's")                      \
    X(OVERLOADED, 503, LIMIT, "overloaded")                                                        \
    X(DRAINING, 503, LOCAL, "shutting down")                                                       \
    X(CLIENT_GONE, 499, PEER, "client closed the connection")                                      \
    X(TOO_LARGE, 0, LIMIT, "larger than its limit")                                                \
    X(INVALID, 0, LOCAL, "invalid value")                                                          \
    X(RANGE, 0, LOCAL, "value out of range")                                                       \
    X(NOT_FOUND, 0, LOCAL, "not found")                                                            \
    X(EXISTS, 0, LOCAL, "already exists")                                                          \
    X(DENIED, 0, LOCAL, "permission denied")                                                       \
    X(IN_USE, 0, LOCAL, "address already in use")                                                  \
    X(UNSUPPORTED, 0, LOCAL, "not supported here")                                                 \
    X(CONFIG, 0, LOCAL, "configuration error")                                                     \
    X(IO, 502, LOCAL, "input/output error")                                                        \
    X(INTERNAL, 500, LOCAL, "internal error")

enum error_index {
#define ERROR_INDEX(name, status, class, text) ERROR_INDEX_##name,
    ERROR_INDEX_OK,
    ERROR_TABLE(ERROR_INDEX)
#undef ERROR_INDEX
        ERROR_COUNT
};

enum error {
#define ERROR_CODE(name, status, class, text) E_##name = -ERROR_INDEX_##name,
    E_OK = 0,
    ERROR_TABLE(ERROR_CODE)
#undef ERROR_CODE
};

/** All of these take 0 or a negative code; anything else is an assert. Any thread. */
const char *error_text(int code);
/** The enum name in lower case with dashes: "bad-chunk-size"; stable, for logs and JSON. */
const char *error_name(int code);
/** HTTP status for a client whose request failed so; 0 when the code has none. */
int error_status(int code);
enum error_class error_class_of(int code);
/** The nearest code for an errno value of a socket or file call. */
int error_from_errno(int errnum);
