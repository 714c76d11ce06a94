// SPDX-License-Identifier: Apache-2.0
//
// The one URL of a site: clients that come without TLS are sent to https, those that come by one of
// its further names (`names:`) to its own.

#pragma once

#include <stdbool.h>

struct exchange;

/** Redirects when it is due (x->site says where to); false: the request is where it belongs. To https
 * first, so that each name can tell browsers to stay there (RFC 6797). */
bool canonical_redirect(struct exchange *x);
