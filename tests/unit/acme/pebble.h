// SPDX-License-Identifier: Apache-2.0
//
// Debian's pebble as the CA of unit tests, with a DNS server that sends every name to 127.0.0.1, on free
// ports, ended with the program. Without pebble on the machine the tests that need it are skipped.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct pebble {
    struct slice directory; // URL
    struct slice ca;        // PEM that its web server is trusted by
    uint16_t http_port;     // where it looks for HTTP-01
    uint16_t tls_port;      // and for TLS-ALPN-01
    uint16_t dns_control;   // where TXT records are set
};

enum { PEBBLE_EAB = 1, PEBBLE_SECRETIVE = 2 };

/** False: there is none, or the test runs with failing allocations. */
bool pebble_start(struct pebble *p, unsigned flags);
/** Ends what was started last. */
void pebble_stop(void);
/** A port that was free a moment ago. */
uint16_t free_port(void);
/** Sets or clears a TXT record. */
bool pebble_set_txt(const struct pebble *p, const char *name, struct slice value);
bool pebble_clear_txt(const struct pebble *p, const char *name);
