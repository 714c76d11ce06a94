// SPDX-License-Identifier: Apache-2.0
//
// An acme_host for tests: it answers HTTP-01 on a port of its own, TLS-ALPN-01 by OpenSSL's s_server,
// DNS-01 through pebble's DNS server, and keeps one account in memory.

#pragma once

#include "acme/acme.h"
#include "pebble.h"

struct test_host {
    struct acme_host host;
    const struct pebble *pebble; // NULL: challenges are accepted and forgotten
    atomic_bool cancel;
    int presented;
    int withdrawn;
    int saves;
    bool lies;          // shows something else than it should
    bool cancel_inside; // cancels the run while a challenge is shown
    unsigned kinds;     // that were presented
    char key[4096];
    size_t key_len;
    char url[2048];
    size_t url_len;
};

void test_host_init(struct test_host *t, const struct pebble *p);
void test_host_fini(struct test_host *t);
