// SPDX-License-Identifier: Apache-2.0
//
// The words that name things of an agent on a command line and in its file: targets, edges, names.
// Pure but for a look at whether a folder is there.

#pragma once

#include "agent/agent.h"
#include "base/arena.h"
#include "conf/address.h"

/** PORT, HOST:PORT, http://, https://, h2c://, unix:/path, or a folder ("./dist", "/srv/www", "."). 0,
 * or E_INVALID with `problem` set. What is kept is in `arena`. */
int agent_word_target(struct slice word, struct arena *arena, struct agent_tunnel *out,
                      struct conf_problem *problem) must_check;
/** Whether it is nothing but a host and a port: what TCP and UDP can be for. */
bool agent_target_is_plain(const struct agent_tunnel *t);
/** A Host for the target: an authority, or `pass`, or `server`. */
bool agent_word_is_host(struct slice word);
/** Whether all that was said of a tunnel can be kept. A rule that nobody keeps would let in whom it was to
 * keep out. */
bool agent_words_fit(const struct agent_tunnel *t, struct conf_problem *problem);
/** Whether a first word of the command line means a target rather than a command. */
bool agent_word_is_target(struct slice word);
/** HOST, HOST:PORT, https://HOST[:PORT] or http://HOST[:PORT]. */
int agent_word_edge(struct slice word, struct arena *arena, struct agent_edge *out,
                    struct conf_problem *problem) must_check;
/** An edge on this machine, to which a token may go in clear. */
bool agent_edge_is_local(const struct agent_edge *e);
/** A name to ask for: one label, or a domain; lower case is made. */
int agent_word_name(struct slice word, struct arena *arena, struct slice *out,
                    struct conf_problem *problem) must_check;
/** A network or an address; copied. */
int agent_word_network(struct slice word, struct arena *arena, struct slice *out,
                       struct conf_problem *problem) must_check;
/** USER:PASSWORD. */
int agent_word_user(struct slice word, struct arena *arena, struct slice *out,
                    struct conf_problem *problem) must_check;
/** A token as it may stand in a field: printable, without blanks. */
bool agent_word_is_token(struct slice word);
