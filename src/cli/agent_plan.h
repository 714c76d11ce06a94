// SPDX-License-Identifier: Apache-2.0
//
// From words to a plan: what the command line, the environment, the file of `adit login` and an agent's
// own file say is gathered here, checked, and kept on one arena.

#pragma once

#include "agent/agent.h"
#include "base/arena.h"
#include "conf/address.h"

#include "cli/options.h"

struct agent_words {
    struct arena arena;
    struct agent_plan plan;
    const char *cert; // paths that a file says; NULL: none
    const char *key;
    bool insecure_clear;
    bool json;
    bool quiet;
    bool qr;
};

void agent_words_init(struct agent_words *w);
void agent_words_fini(struct agent_words *w);
/** The options that all commands of an agent share: edges, token, output. Also what the environment and
 * the login file say. CLI_OK, or the exit code after the reason was printed. */
int agent_words_common(struct agent_words *w, const struct cli_parsed *p);
/** One tunnel of the command line: [TARGET [as NAME]] and its options. */
int agent_words_tunnel(struct agent_words *w, const struct cli_parsed *p, enum agent_kind kind);
/** The tunnels, the edge and the token of a file; before the rest, which goes before what it says. */
int agent_words_file(struct agent_words *w, const char *path);

struct conf_diags;
/** Whether a file is an agent's rather than an edge's. `text` as of a struct conf_load. */
bool agent_file_is_one(const char *path, struct slice text);
/** Reports all that is wrong in an agent's file, also files that it names and that cannot be read. 0 with
 * the number of its tunnels, or E_CONFIG. */
int agent_file_check(const char *path, struct slice text, struct conf_diags *diags,
                     uint32_t *tunnels);
/** Adds what `list` holds, comma-separated. 0 or E_INVALID with the problem. */
typedef int agent_word_fn(struct slice word, struct arena *arena, struct slice *out,
                          struct conf_problem *problem);
int agent_words_add(struct agent_words *w, struct agent_list *to, struct slice word,
                    agent_word_fn *read, struct conf_problem *problem);
/** Adds an edge. */
int agent_words_edge(struct agent_words *w, struct slice word, struct conf_problem *problem);

/** Whether there is an inspector, and on which port: "", `on`, `off`, a port. */
int agent_words_inspect(struct agent_words *w, struct slice word, struct conf_problem *problem);

/** What each command takes, and its help lists. */
extern const struct cli_option agent_http_options[];
extern const struct cli_option agent_tcp_options[];
extern const struct cli_option agent_udp_options[];
extern const struct cli_option agent_start_options[];
extern const struct cli_option agent_diagnose_options[];
