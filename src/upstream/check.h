// SPDX-License-Identifier: Apache-2.0
//
// A check: one question to one server, on a connection of its own, and a verdict with its reason in
// words. It knows no schedule and remembers nothing; that is health.h.
//
//     http  a request; the status, and if wanted a field and a text in the body, decide
//     tcp   the connection stands
//     tls   the handshake succeeds, by the upstream's TLS settings
//     grpc  grpc.health.v1.Health/Check over HTTP/2 answers SERVING
//
// A server that calls in is asked over a connection that it has to this core; when there is none just now,
// or it is lost, that says nothing of the server, which is away by then.
//
// What is our own trouble (out of ports, descriptors, memory) gives no verdict.

#pragma once

#include <stdint.h>

#include "os/addr.h"
#include "upstream/server.h"
#include "upstream/verdict.h"

enum check_type { CHECK_NONE, CHECK_HTTP, CHECK_TCP, CHECK_TLS, CHECK_GRPC };

enum {
    CHECK_TEXT_MAX = 200,
    CHECK_BODY_MAX = 255,     // of the text looked for
    CHECK_READ_MAX = 1 << 20, // of a body in which it is looked for
    CHECK_AT_ONCE_MAX = 256,  // of one core
};

/** Lives as long as a check that was made of it. */
struct check_settings {
    uint8_t type;  // enum check_type
    uint16_t port; // in place of the server's; 0: that one
    uint32_t timeout_ms;
    struct slice method;
    struct slice target;
    struct slice host; // empty: the server's, as it was written
    struct slice body; // empty: not looked at
    struct slice field_name;
    struct slice field_value;
    struct slice service; // of grpc; empty: the server as a whole
    struct status_set status;
    uint8_t body_fail[CHECK_BODY_MAX + 1]; // check_settings_init()
};

struct check_order {
    const struct check_settings *settings;
    struct upstream_core *core;
    struct os_addr addr;
    struct slice host;              // "name:80", for the Host field; lives until the check is over
    const struct server_kind *kind; // its protocol, TLS, PROXY header, addresses to connect from
    struct server *called;          // one that calls in; lives as long as the check. NULL: dial
};

struct check_result {
    enum verdict verdict;
    uint64_t took_ns;
    char text[CHECK_TEXT_MAX]; // "HTTP 503 (want 200-399)"
};

struct check;

/** Fills what is made of the other members. */
void check_settings_init(struct check_settings *s);
/** Begins one; `done` is called once, never inside this call, and the check is over then. NULL: it
 * cannot begin, which says nothing of the server. Core of order->core, as all of these. */
struct check *check_begin(const struct check_order *order,
                          void (*done)(void *arg, const struct check_result *r), void *arg)
    must_check;
/** Ends one without a call. */
void check_cancel(struct check *c);
