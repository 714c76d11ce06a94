// SPDX-License-Identifier: Apache-2.0
//
// Entity tags (RFC 9110 8.8.3) and the lists of them in If-Match and If-None-Match.

#pragma once

#include "base/slice.h"

/** True when s is one well-formed entity tag: "..." or W/"...". */
bool http_etag_ok(struct slice s);
bool http_etag_is_weak(struct slice s);
/** RFC 9110 8.8.3.2; two malformed tags never match. */
bool http_etag_match_strong(struct slice a, struct slice b);
bool http_etag_match_weak(struct slice a, struct slice b);
/** True when the list ("*" or tags with commas) names `tag` by weak or strong comparison. "*" matches any
 * tag that is there. */
bool http_etag_listed(struct slice list, struct slice tag, bool strong);
