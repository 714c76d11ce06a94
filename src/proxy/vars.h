// SPDX-License-Identifier: Apache-2.0
//
// Texts with variables ($host, $path, $header(x), $match(1)...): compiled once per snapshot, filled in
// for an exchange. A value that holds CR, LF or NUL is refused, so nothing that a peer sent can end a
// line of a head.

#pragma once

#include "base/arena.h"
#include "conf/doc.h"

struct conf_diags;
struct exchange;
struct vars_text;

enum { VARS_VALUE_MAX = 16 * 1024 }; // bytes that variables bring into one text

/** Compiles a checked template. `n` must exist. E_CONFIG (reported), E_NO_MEMORY. */
int vars_compile(struct conf_node n, struct arena *arena, struct conf_diags *diags,
                 const struct vars_text **out) must_check;
/** True when its constant parts hold no CR, LF or NUL: what goes into a head has to be so. */
bool vars_is_line(const struct vars_text *t);
/** The text for this exchange, in its arena (or borrowed from the snapshot when it is constant).
 * E_INVALID (CR, LF or NUL in a value), E_TOO_LARGE, E_NO_MEMORY. */
int vars_expand(const struct vars_text *t, struct exchange *x, struct slice *out) must_check;
/** The same, for bodies: any byte is fine. `html`: values are escaped, constant text is not. */
int vars_expand_body(const struct vars_text *t, struct exchange *x, bool html, struct slice *out)
    must_check;
