// SPDX-License-Identifier: Apache-2.0
//
// What the inspector says of requests: JSON for its page and for programs, and a command of curl. Values of
// secrets are left out (inspect/redact.h). All that visitors and the service wrote stands inside of JSON
// strings or of a shell's single quotes.
//
// A head is kept as pieces, each behind its length: of a request its method, scheme, authority, target and
// protocol, of an answer its reason; then names and values in turn.

#pragma once

#include "base/ensure.h"
#include "inspect/ring.h"

struct fields;

/** Appends a piece of a head. As ring_write(). */
bool show_put(struct ring *r, uint64_t id, enum ring_piece head, struct slice piece);
/** Appends all fields. */
bool show_put_fields(struct ring *r, uint64_t id, enum ring_piece head, const struct fields *f);
/** The next piece of a head whose text is in one place; false: not all of it is there. */
bool show_next(struct slice *rest, struct slice *piece);

/** Why it cannot be sent once more; NULL: it can. */
const char *show_why_not(const struct ring_entry *e);

// Each makes a text in memory of its own, which mem_free() gives back: 0, E_NO_MEMORY, E_TOO_LARGE.

/** The requests that came or changed after a change, newest first. */
int show_list(const struct ring *r, uint64_t after, struct slice *out) must_check;
/** One with all that is known of it. */
int show_entry(const struct ring_entry *e, struct slice *out) must_check;
/** A command of curl that makes the same request, for who has the secrets. */
int show_curl(const struct ring_entry *e, struct slice *out) must_check;
