// SPDX-License-Identifier: Apache-2.0
//
// Who may have tunnels, as the keeper has it: kept in the state (state/state.h), told to the workers as
// one document (tunnel/access.h) whenever something in it changes, by way of the supervisor. The keys
// that seal tickets and prove instances are part of it: a new one every thirty days, the one before it
// still opens.
//
// The state is opened when something wants it: a configuration with tunnels, or a command. While it
// cannot be opened nothing is sent: what workers were told before stays in force, and what is new says
// why it cannot be. Without a state directory all of it lies in memory, and a keeper that takes over
// reads it back from the document that the supervisor holds.

#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "conf/doc.h"

struct domain_asker;
struct keeper;
struct state;
struct txt_client;

enum { GRANTS_TROUBLE_MAX = 512, GRANTS_RESOLVER_MAX = 512 };

struct keeper_grants {
    struct state *state;              // NULL: not opened so far
    char trouble[GRANTS_TROUBLE_MAX]; // why it cannot be; empty: it was not tried, or it is open
    uint64_t number;                  // of the newest document
    uint64_t kicks;
    uint64_t due_ms;     // wall clock: a document is due, since a grant expires; 0: none
    uint64_t look_at_ms; // for grants that are in use
    char resolver[GRANTS_RESOLVER_MAX]; // name servers of the configuration
    struct txt_client *dns;             // made before the sandbox closes; NULL: there was no memory
    struct domain_asker *asker;         // NULL: nobody asks just now
    uint64_t ask_at_ms;                 // wall clock: a domain is due, 0: none
};

void grants_init(struct keeper_grants *g);
/** Before the sandbox closes. */
void grants_prepare(struct keeper_grants *g);
void grants_fini(struct keeper_grants *g);
/** False: a thread still asks name servers; it cannot be waited for. */
bool grants_stop(struct keeper *k);

/** Opens the state when it is not open. 0, or why not; `trouble` says it and the log has it. */
int grants_open(struct keeper *k) must_check;
/** A load has a checked document; what workers need for it is sent before they get it. */
void grants_stage(struct keeper *k, const struct conf_doc *doc);
/** What a keeper before this one sent last. The descriptor stays the caller's. */
void grants_recover(struct keeper *k, uint64_t number, int fd);
/** Sends the document as the state is now. True: every core uses it. */
bool grants_send(struct keeper *k, bool wait);

/** What is due: keys, grants that expire, domains, grants that are in use. */
void grants_tick(struct keeper *k);
/** Milliseconds until then, -1: nothing is. */
int grants_wait_ms(const struct keeper *k);

// ---- domains.c ------------------------------------------------------------------------------------

/** Asks for the domains that are due, takes the answers of those that were asked. */
void domains_tick(struct keeper *k);
bool domains_stop(struct keeper *k);

// ---- commands -------------------------------------------------------------------------------------

/** "token ..." of the control socket, without that word (token_commands.c). */
json_t *token_command(struct keeper *k, struct slice words) must_check;
/** "name ..." (name_commands.c). */
json_t *name_command(struct keeper *k, struct slice words) must_check;
/** "tunnels", "kick ..." (tunnel_commands.c). */
json_t *tunnels_list(const struct keeper *k) must_check;
json_t *tunnels_kick_command(struct keeper *k, struct slice words) must_check;
/** Notes which grants are in use, as the rows of tunnels say. */
void tunnels_note_used(struct keeper *k);

/** {"ok": false, "error": ...} */
json_t *grants_refuse(const char *format, ...) __attribute__((format(printf, 1, 2))) must_check;
/** The answer to a change that could not be written. */
json_t *grants_failed(const struct keeper *k, int error) must_check;
/** {"ok": true, "in_force": ...}: sends the document; a note when nothing outlasts the edge. */
json_t *grants_done(struct keeper *k) must_check;
/** Base62 characters, `len` of them and a NUL; false when the kernel gives no random bytes. */
bool grants_random(char *out, size_t len);
