// SPDX-License-Identifier: Apache-2.0
//
// The scripted CA of the end-to-end tests (tests/e2e/harness/acme.py) as a child of a unit test. It
// verifies every signature and nonce; the name of a plan in the URL says how it behaves.

#pragma once

#include "acme/acme.h"

struct test_ca {
    char origin[128];
    char pem[4096];
    size_t pem_len;
};

/** False: there is no Python with what it needs, or the test runs with failing allocations. */
bool test_ca_start(struct test_ca *ca);
void test_ca_stop(void);
/** The issuer of a plan; valid until the next call. */
struct acme_issuer test_ca_issuer(const struct test_ca *ca, const char *plan);
