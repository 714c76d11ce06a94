// SPDX-License-Identifier: Apache-2.0
//
// What must outlast a restart and is no file of its own: who may have tunnels, whose names and domains
// are, the keys of the edge's own. One file in the state directory, state.db; only the keeper has it
// open, only this folder knows that it is SQLite. What is said here are verbs and structs, so another
// engine could stand behind them.
//
// Nothing is ever lost silently. A file that is damaged, or that a newer adit wrote, is left as it is
// and said to be so; nobody makes an empty one in its place. A change that was answered with 0 is on
// the disk. One thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

struct state;
struct text;

enum {
    STATE_PROOF_BYTES = 32,
    STATE_SECRET_BYTES = 64,
    STATE_TEXT_MAX = 16 << 10, // of one value
};

#define STATE_FILE "state.db"

struct state_grant {
    struct slice id;
    uint32_t kind; // enum access_kind
    uint8_t proof[STATE_PROOF_BYTES];
    struct slice owner;
    struct slice names; // patterns and ranges, each list separated by blanks
    struct slice ports;
    uint32_t tunnels;
    uint32_t rate;
    uint64_t created_ms; // all times: wall clock, 0: never
    uint64_t expires_ms;
    uint64_t used_ms;
    struct slice note;
};

struct state_name {
    struct slice name;
    struct slice owner;
    uint64_t created_ms;
};

struct state_domain {
    struct slice name;
    struct slice owner;
    struct slice value; // what the DNS record has to say
    uint64_t created_ms;
    uint64_t proved_ms; // the last time that it was there
    uint64_t asked_ms;
    uint32_t failures; // in a row, of asking
    struct slice why;  // it is not proved, or the last question failed
};

/** A tunnel that lives, as its worker's rows tell of it (obs/tunnel_rows.h). */
struct state_tunnel {
    uint32_t row;
    struct slice zone; // name of its site
    struct slice name;
    struct slice owner; // empty: nobody's
    uint32_t kind;      // enum tunnel_row_kind
    uint32_t bits;      // enum tunnel_row_bits
    uint32_t port;
    uint64_t since_ms;
};

struct state_secret {
    uint64_t made_ms;
    uint8_t bytes[STATE_SECRET_BYTES];
};

/** Opens the file in the directory `dir`, makes it when there is none. `dir` -1: nothing is kept, all
 * of it lies in memory. On failure `why` says what is wrong with the file, for people: E_INVALID (it is
 * damaged), E_UNSUPPORTED (a newer adit wrote it), E_IO, E_DENIED, E_NO_MEMORY. The descriptor stays
 * the caller's, and open as long as the state is. */
int state_open(int dir, struct state **out, struct text *why) must_check;
/** True when the directory has one, whatever is in it. */
bool state_exists(int dir);
/** NULL is nothing. */
void state_close(struct state *s);
/** Of the call before that failed, for people. */
const char *state_trouble(const struct state *s);

// Changes: 0, or E_EXISTS, E_NOT_FOUND, E_INVALID (the file is damaged), E_IO (it cannot be written),
// E_NO_MEMORY; then nothing has changed.

/** What follows is one change: all of it, or with an error nothing. */
int state_begin(struct state *s) must_check;
/** `error` not 0: nothing of it. Returns that, or how the end went. */
int state_end(struct state *s, int error) must_check;

/** E_EXISTS: that id, or another grant of the same proof. */
int state_grant_add(struct state *s, const struct state_grant *g) must_check;
int state_grant_remove(struct state *s, struct slice id) must_check;
/** It was in use at `ms`. A grant that is not there is no error. */
int state_grant_used(struct state *s, struct slice id, uint64_t ms) must_check;
int state_name_add(struct state *s, const struct state_name *n) must_check;
int state_name_remove(struct state *s, struct slice name) must_check;
/** Adds it, or puts it in the place of the one of that name. */
int state_domain_put(struct state *s, const struct state_domain *d) must_check;
int state_domain_remove(struct state *s, struct slice name) must_check;
/** Adds one; of all only the newest `keep` stay. */
int state_secret_add(struct state *s, const struct state_secret *one, uint32_t keep) must_check;

/** Adds it, or puts it in the place of the one of that row. */
int state_tunnel_put(struct state *s, const struct state_tunnel *t) must_check;
/** The tunnel of that row is gone; none that is not there is missed. */
int state_tunnel_remove(struct state *s, uint32_t row) must_check;
int state_tunnels_clear(struct state *s) must_check;

// Reading: calls each() in order, with slices that live until it returns. It may not change anything.
// 0 or as above.

typedef void state_grant_fn(void *arg, const struct state_grant *g);
typedef void state_name_fn(void *arg, const struct state_name *n);
typedef void state_domain_fn(void *arg, const struct state_domain *d);
typedef void state_tunnel_fn(void *arg, const struct state_tunnel *t);
typedef void state_secret_fn(void *arg, const struct state_secret *s);

/** Oldest first. */
int state_grants_each(struct state *s, state_grant_fn *each, void *arg) must_check;
/** By name. */
int state_names_each(struct state *s, state_name_fn *each, void *arg) must_check;
int state_domains_each(struct state *s, state_domain_fn *each, void *arg) must_check;
/** By row. */
int state_tunnels_each(struct state *s, state_tunnel_fn *each, void *arg) must_check;
/** Newest first. */
int state_secrets_each(struct state *s, state_secret_fn *each, void *arg) must_check;
