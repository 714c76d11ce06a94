// SPDX-License-Identifier: Apache-2.0
//
// The answers adit gives itself when a request cannot be served: a small HTML page, problem details
// (RFC 9457) or a line of text, whichever the client prefers; or what the configuration says for that
// status. Each says what happened, on which side, and the request id; never a name or an address from
// inside.

#pragma once

#include "base/arena.h"
#include "conf/doc.h"
#include "http/stream.h"

struct conf_diags;
struct error_pages;
struct exchange;

/** What `errors:` says for one route, nearest level first. *out is NULL when it says nothing.
 * E_CONFIG (reported), E_NO_MEMORY. Helper thread. */
int error_pages_compile(const struct conf_scope *scope, struct arena *arena,
                        struct conf_diags *diags, const struct error_pages **out) must_check;

/** The status a client gets for an error of the table: what an origin broke is a 502. 500 when the
 * code has none. */
unsigned error_page_status(int error, enum http_side side);

/** Answers with the page of a status, through exchange_begin_answer() and exchange_answer_kept(): body,
 * Content-Type, Cache-Control, X-Request-Id and what the status demands (Retry-After, Allow, Upgrade).
 * x->error and x->error_side, when set, choose the words. x->route may be NULL. */
void error_page_answer(struct exchange *x, unsigned status);
