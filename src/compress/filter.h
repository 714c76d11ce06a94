// SPDX-License-Identifier: Apache-2.0
//
// The gzip filter between two body pipes of an exchange.

#pragma once

#include "base/ensure.h"

struct exchange;

/** Puts the filter into the response's body, compresses what is there already and sets the framing of
 * x->response: the exact length when all of the body was there, else a stream. The other fields of the
 * head are the caller's. Only in on_response. False: no deflate state (compress/deflate.h) or no
 * memory; then nothing has been changed. */
bool gzip_filter_install(struct exchange *x, int level) must_check;
