// SPDX-License-Identifier: Apache-2.0
//
// Which field names are special, whatever the protocol: those that belong to one connection, those that
// a trailer section may not carry, and those that nobody may imitate. Sets are bit masks of enum
// http_name.

#pragma once

#include "http/names.h"

#define HTTP_BIT(id) (UINT64_C(1) << HTTP_##id)

/** What never enters a field block (http/head.h). */
#define HTTP_HOP_IDS                                                                               \
    (HTTP_BIT(CONNECTION) | HTTP_BIT(CONTENT_LENGTH) | HTTP_BIT(EXPECT) | HTTP_BIT(HOST) |         \
     HTTP_BIT(HTTP2_SETTINGS) | HTTP_BIT(KEEP_ALIVE) | HTTP_BIT(PROXY_CONNECTION) | HTTP_BIT(TE) | \
     HTTP_BIT(TRANSFER_ENCODING) | HTTP_BIT(UPGRADE))

/** What Connection may not list: framing and routing, and what origins and adit itself rely on. To
 * let a client strip these would let it choose what the origin believes about it. */
#define HTTP_PROTECTED_IDS                                                                         \
    (HTTP_BIT(AUTHORIZATION) | HTTP_BIT(CACHE_CONTROL) | HTTP_BIT(CONTENT_ENCODING) |              \
     HTTP_BIT(CONTENT_LENGTH) | HTTP_BIT(CONTENT_RANGE) | HTTP_BIT(CONTENT_TYPE) |                 \
     HTTP_BIT(COOKIE) | HTTP_BIT(EXPECT) | HTTP_BIT(FORWARDED) | HTTP_BIT(HOST) |                  \
     HTTP_BIT(ORIGIN) | HTTP_BIT(RANGE) | HTTP_BIT(SET_COOKIE) | HTTP_BIT(TRANSFER_ENCODING) |     \
     HTTP_BIT(VIA) | HTTP_BIT(X_FORWARDED_FOR) | HTTP_BIT(X_FORWARDED_HOST) |                      \
     HTTP_BIT(X_FORWARDED_PROTO) | HTTP_BIT(X_REAL_IP) | HTTP_BIT(X_REQUEST_ID))

/** What a trailer section may not carry: framing, routing, request modifiers, authentication, and what
 * must be known before the content (RFC 9110 6.5.1). Dropped, as 6.5.1 allows. */
#define HTTP_NOT_IN_TRAILERS                                                                       \
    (HTTP_HOP_IDS | HTTP_PROTECTED_IDS | HTTP_BIT(ACCEPT) | HTTP_BIT(ACCEPT_ENCODING) |            \
     HTTP_BIT(ACCEPT_RANGES) | HTTP_BIT(AGE) | HTTP_BIT(ALLOW) | HTTP_BIT(DATE) |                  \
     HTTP_BIT(EXPIRES) | HTTP_BIT(IF_MATCH) | HTTP_BIT(IF_MODIFIED_SINCE) |                        \
     HTTP_BIT(IF_NONE_MATCH) | HTTP_BIT(IF_RANGE) | HTTP_BIT(LOCATION) | HTTP_BIT(MAX_FORWARDS) |  \
     HTTP_BIT(PROXY_AUTHENTICATE) | HTTP_BIT(PROXY_AUTHORIZATION) | HTTP_BIT(REFERER) |            \
     HTTP_BIT(RETRY_AFTER) | HTTP_BIT(SERVER) | HTTP_BIT(TRAILER) | HTTP_BIT(USER_AGENT) |         \
     HTTP_BIT(VARY) | HTTP_BIT(WWW_AUTHENTICATE))

/** Names that nobody may imitate by writing something else for '-'. */
#define HTTP_IMITATED_IDS                                                                          \
    (HTTP_HOP_IDS | HTTP_BIT(FORWARDED) | HTTP_BIT(TRAILER) | HTTP_BIT(VIA) |                      \
     HTTP_BIT(X_FORWARDED_FOR) | HTTP_BIT(X_FORWARDED_HOST) | HTTP_BIT(X_FORWARDED_PROTO) |        \
     HTTP_BIT(X_REAL_IP) | HTTP_BIT(X_REQUEST_ID))

static inline bool http_id_in(uint64_t set, enum http_name id)
{
    return (set >> id & 1) != 0;
}

/** True for names like Content_Length: what some servers between here and the application read as one
 * of those that a codec has judged. */
bool http_name_imitates(struct slice name);
