// SPDX-License-Identifier: Apache-2.0
//
// The account at a CA (RFC 8555 7.3): a key and a URL, kept by the host between runs.

#pragma once

#include "acme/acme.h"
#include "acme/client.h"

/** Loads the account or makes one: afterwards the client signs with it. With `anew` its URL is
 * forgotten and asked for by the same key, for a CA that lost it. 0, or `failure` is set. */
int acme_account_open(struct acme_client *c, struct acme_host *host, bool anew) must_check;
