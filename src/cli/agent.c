// SPDX-License-Identifier: Apache-2.0
//
// adit 3000, adit tcp 22, adit udp 53, adit start: tunnels from here to an edge. The command line
// becomes a plan (cli/agent_plan.h), the agent runs it (agent/agent.h), and its events are shown
// (cli/agent_show.h).

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"

#include "cli/agent_manager.h"
#include "cli/agent_plan.h"
#include "cli/agent_show.h"
#include "cli/cli.h"

enum { WHY_MAX = 4096 };

struct listeners {
    struct agent_show show;
    struct agent_manager manager;
};

static void on_event(void *arg, const struct agent_event *e)
{
    struct listeners *l = arg;
    agent_show_event(&l->show, e);
    agent_manager_event(&l->manager, e);
}

static int run_plan(const struct agent_words *w)
{
    static struct listeners listeners;
    char buffer[WHY_MAX];
    struct text why = text_on(buffer, sizeof buffer);
    (void)signal(SIGPIPE, SIG_IGN); // who reads the events may go
    log_set_level(LOG_ERROR);
    agent_show_init(&listeners.show, &w->plan, w->json, w->quiet, w->qr);
    agent_manager_init(&listeners.manager, &w->plan);
    struct agent *a = NULL;
    int error = agent_new(&w->plan, on_event, &listeners, &why, &a);
    if (error != 0) {
        (void)fprintf(stderr, "adit: the tunnel cannot be started: %s\n%.*s", error_text(error),
                      (int)why.len, why.ptr);
        return CLI_FAILURE;
    }
    static const uint8_t codes[] = {[AGENT_END_ASKED] = CLI_OK,
                                    [AGENT_END_DISMISSED] = CLI_DISMISSED,
                                    [AGENT_END_FAILED] = CLI_FAILURE};
    listeners.show.inspect_port = agent_inspect_port(a);
    enum agent_end end = agent_run(a);
    agent_free(a);
    return codes[end];
}

static int run_kind(const struct cli_parsed *p, enum agent_kind kind)
{
    static struct agent_words w; // its plan is larger than a stack should hold
    agent_words_init(&w);
    int rc = agent_words_tunnel(&w, p, kind);
    if (rc == CLI_OK) {
        rc = agent_words_common(&w, p);
    }
    rc = rc == CLI_OK ? run_plan(&w) : rc;
    agent_words_fini(&w);
    return rc;
}

static int run_http(const struct cli_parsed *p)
{
    return run_kind(p, AGENT_HTTP);
}

static int run_tcp(const struct cli_parsed *p)
{
    return run_kind(p, AGENT_TCP);
}

static int run_udp(const struct cli_parsed *p)
{
    return run_kind(p, AGENT_UDP);
}

static const char *default_file(void)
{
    static const char *const paths[] = {"./adit-agent.yaml", "/etc/adit/agent.yaml"};
    for (size_t i = 0; i < array_len(paths); i++) {
        if (access(paths[i], F_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

static int run_start(const struct cli_parsed *p)
{
    static struct agent_words w;
    const char *path = cli_given(p, "config") ? cli_value(p, "config")
                       : p->count > 0         ? p->arguments[0]
                                              : default_file();
    if (path == NULL) {
        return cli_usage_error(p->command, "which file? There is no ./adit-agent.yaml and no "
                                           "/etc/adit/agent.yaml");
    }
    agent_words_init(&w);
    w.insecure_clear = cli_given(p, "insecure-clear");
    int rc = agent_words_file(&w, path);
    if (rc == CLI_OK) {
        rc = agent_words_common(&w, p);
    }
    rc = rc == CLI_OK ? run_plan(&w) : rc;
    agent_words_fini(&w);
    return rc;
}

const struct cli_command cli_http = {
    .name = "http",
    .arguments = "TARGET [as NAME]",
    .text = "a public URL for a local service; in short: adit 3000",
    .more = "TARGET is PORT (on this machine), HOST:PORT, https://HOST:PORT, unix:/path\n"
            "or ./folder.\n"
            "NAME asks for a name at the edge; without it any free one is given.\n"
            "The edge is --server, $ADIT_SERVER or that of `adit login`; the token --token,\n"
            "$ADIT_TOKEN or that of `adit login`. SIGHUP calls the edge anew.\n"
            "Exit code 0: told to end; 4: the edge has ended the tunnel, or does not know or\n"
            "allow you (401, 403); 1: anything else, such as a name that is taken.\n",
    .options = agent_http_options,
    .min = 1,
    .max = 3,
    .run = run_http,
};

const struct cli_command cli_tcp = {
    .name = "tcp",
    .arguments = "TARGET [as PORT]",
    .text = "a public TCP port for a local one: adit tcp 22",
    .more = "TARGET is PORT (on this machine) or HOST:PORT; PORT the public one wanted.\n",
    .options = agent_tcp_options,
    .kin = &cli_http,
    .min = 1,
    .max = 3,
    .run = run_tcp,
};

const struct cli_command cli_udp = {
    .name = "udp",
    .arguments = "TARGET [as PORT]",
    .text = "a public UDP port for a local one: adit udp 53",
    .more = "TARGET is PORT (on this machine) or HOST:PORT; PORT the public one wanted.\n",
    .options = agent_udp_options,
    .kin = &cli_http,
    .min = 1,
    .max = 3,
    .run = run_udp,
};

const struct cli_command cli_start = {
    .name = "start",
    .arguments = "[FILE]",
    .text = "the tunnels of a file: adit start adit-agent.yaml",
    .more =
        "Without FILE it is ./adit-agent.yaml, else /etc/adit/agent.yaml:\n\n"
        "  server: tunnel.example.com\n"
        "  token: $env(ADIT_TOKEN)\n"
        "  tunnels:\n"
        "    web: {http: 3000, name: myapp}\n"
        "    ssh: {tcp: 22, port: 20022}\n\n"
        "In place of the token there may be a key, or a cert with its key: files.\n"
        "A tunnel has http, tcp or udp, and may have name, port, join, wildcard, host, insecure,\n"
        "proxy_protocol, basic_auth (user: password), allow and deny.\n"
        "Exit code 0: told to end; 3: the file is wrong; 4: the edge has ended each tunnel, or\n"
        "does not know or allow you (401, 403); 1: anything else, such as a name that is taken.\n",
    .options = agent_start_options,
    .max = 1,
    .run = run_start,
};
