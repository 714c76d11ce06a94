// SPDX-License-Identifier: Apache-2.0
//
// adit diagnose: which step on the way to an edge fails, how long each took, and what to do about it.

#include <signal.h>
#include <stdio.h>

#include "agent/probe.h"
#include "base/error.h"
#include "base/text.h"
#include "obs/log.h"

#include "cli/agent_plan.h"
#include "cli/cli.h"

enum { LINE_MAX_BYTES = 4096 };

struct showing {
    bool json;
    bool colour;
    unsigned told;
};

static void show(void *arg, const struct agent_step *s)
{
    struct showing *w = arg;
    char buffer[LINE_MAX_BYTES];
    struct text t = text_on(buffer, sizeof buffer);
    double ms = (double)s->took_us / 1000;
    w->told++;
    if (w->json) {
        text_printf(&t, "{\"step\":\"%s\",\"ok\":%s,\"ms\":%.1f", s->name, s->ok ? "true" : "false",
                    ms);
        text_json_string(&t, "text", s->text);
        if (s->advice[0] != '\0') {
            text_json_string(&t, "advice", slice_str(s->advice));
        }
        text_str(&t, "}");
    } else {
        const char *colour = s->ok ? "\033[32m" : "\033[31m";
        text_printf(&t, "%s%-6s%s %-8s %7.1f ms  ", w->colour ? colour : "",
                    s->ok ? "ok" : "FAILED", w->colour ? "\033[0m" : "", s->name, ms);
        text_put(&t, s->text);
        if (s->advice[0] != '\0') {
            text_printf(&t, "\n       %s", s->advice);
        }
    }
    printf("%.*s\n", (int)t.len, t.ptr);
    (void)fflush(stdout);
}

static int run(const struct cli_parsed *p)
{
    static struct agent_words w;
    agent_words_init(&w);
    int rc = agent_words_common(&w, p);
    if (rc == CLI_OK) {
        struct showing showing = {.json = w.json, .colour = cli_colour_stdout()};
        char buffer[LINE_MAX_BYTES];
        struct text why = text_on(buffer, sizeof buffer);
        // Any tunnel will do: it is given up as soon as it is there.
        w.plan.tunnels[0] = (struct agent_tunnel){
            .kind = AGENT_HTTP, .target = SLICE("127.0.0.1:9"), .shown = SLICE("diagnose")};
        w.plan.tunnel_count = 1;
        w.plan.watch_network = false;
        (void)signal(SIGPIPE, SIG_IGN);
        log_set_level(LOG_ERROR);
        int error = agent_probe(&w.plan, show, &showing, &why);
        if (error != 0 && showing.told == 0) {
            (void)fprintf(stderr, "adit: %s\n%.*s", error_text(error), (int)why.len, why.ptr);
        }
        rc = error == 0 ? CLI_OK : CLI_FAILURE;
    }
    agent_words_fini(&w);
    return rc;
}

const struct cli_command cli_diagnose = {
    .name = "diagnose",
    .text = "says which step on the way to an edge fails: DNS, TCP, TLS, upgrade, token",
    .more =
        "It goes the way of `adit 3000` with the same options, and says how long each step takes.\n"
        "The handshake asks for a tunnel of any name and gives it up at once.\n",
    .options = agent_diagnose_options,
    .max = 0,
    .run = run,
};
