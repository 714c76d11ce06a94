// SPDX-License-Identifier: Apache-2.0
//
// One HTTP exchange after the other with an authority, an OCSP responder or an `ask` service. What
// comes back is hostile: its size and time are bounded, the server's certificate is always verified,
// and only the fields that ACME knows are kept, each checked. Blocks; one thread per handle.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"

enum {
    ACME_URL_MAX = 2048,
    ACME_NONCE_MAX = 256,
    // An order of 100 names with long URLs has 30 KiB; a chain of ten certificates less.
    ACME_BODY_MAX = 128 << 10,
    ACME_CALL_TIME_MS = 30000,
};

struct acme_http;

/** `ca`: PEM that alone is trusted; empty: the system's. `cancel` may be NULL. E_UNSUPPORTED (no
 * libcurl) or E_NO_MEMORY, with `why`. */
int acme_http_open(struct slice ca, const atomic_bool *cancel, struct acme_http **out,
                   struct text *why) must_check;
/** NULL is fine. */
void acme_http_close(struct acme_http *h);

enum acme_method { ACME_GET, ACME_HEAD, ACME_POST };

struct acme_call {
    enum acme_method method;
    struct slice url;
    struct slice body;        // POST
    const char *content_type; // POST
    const char *accept;       // NULL: anything
    uint32_t time_max_ms;     // 0: ACME_CALL_TIME_MS
    uint32_t redirects_max;
    bool clear_allowed; // http:// as well as https://
    bool direct;        // no proxy from the environment
};

struct acme_answer {
    int status;
    struct slice body;
    struct slice location; // a URL that acme_url_ok(), or empty
    struct slice nonce;    // base64url, or empty
    uint64_t retry_after_ms;
};

/** Asks and waits. 0 whatever the status is; else E_DRAINING (cancelled), E_TOO_LARGE, E_INVALID (URL)
 * or why there was no answer, with `why` in plain words. The answer is on `a`. */
int acme_http_call(struct acme_http *h, const struct acme_call *c, struct arena *a,
                   struct acme_answer *out, struct text *why) must_check;

/** Makes all calls of the process end within a second, for its end. */
void acme_http_stop(void);
/** True when calls should not go on. */
bool acme_http_cancelled(const atomic_bool *cancel);
/** Sleeps; E_DRAINING within a tenth of a second when cancelled meanwhile. */
int acme_http_sleep(const atomic_bool *cancel, uint64_t ms) must_check;

/** An https URL (or http, when `clear` is allowed) of printable ASCII that is not too long. */
bool acme_url_ok(struct slice url, bool clear);
/** Retry-After, seconds or a date (RFC 9110 10.2.3), in milliseconds from now; 0: none or not
 * readable. Never more than 30 days. */
uint64_t acme_retry_after_ms(struct slice value, uint64_t now_s);
