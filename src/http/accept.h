// SPDX-License-Identifier: Apache-2.0
//
// What the client would like: Accept and Accept-Encoding with their weights (RFC 9110 12.4, 12.5).
// Malformed elements count as absent: preferences never make a request fail.

#pragma once

#include "http/fields.h"

enum http_page {
    HTTP_PAGE_TEXT, // no preference that adit can meet: programs, old tools
    HTTP_PAGE_HTML,
    HTTP_PAGE_JSON,
};

/** The weight in thousandths (0..1000) of `coding`, for instance "gzip"; 0 means: do not send it. A
 * request without Accept-Encoding gets 0 for everything but "identity": who asks for nothing, gets
 * nothing unusual. "identity" is 1000 unless it was weighted. */
unsigned http_coding_weight(const struct fields *request, struct slice coding);
/** The form for an error page: whichever of HTML and JSON weighs more; HTML wins a draw that names
 * both; a wildcard alone or no Accept at all is text. */
enum http_page http_page_wanted(const struct fields *request);
