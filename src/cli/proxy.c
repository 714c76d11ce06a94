// SPDX-License-Identifier: Apache-2.0
//
// adit proxy: a reverse proxy in one line. The arguments become a configuration in memory, which then
// takes the same way as a file.

#include "base/text.h"
#include "conf/address.h"

#include "cli/cli.h"
#include "cli/edge.h"

enum { PROXY_TEXT_MAX = 64 << 10, PROXY_ADDRESS_MAX = 512 };

typedef int address_fn(struct slice s, struct text *out, struct conf_problem *problem);

// Says what is wrong with an argument. 0, or CLI_USAGE.
static int check_address(const struct cli_parsed *p, const char *argument, address_fn *parse)
{
    char buffer[PROXY_ADDRESS_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    struct conf_problem problem = {"", ""};
    if (parse(slice_str(argument), &t, &problem) == 0 && !t.overflow) {
        return 0;
    }
    bool hinted = problem.hint != NULL && problem.hint[0] != '\0';
    return cli_usage_error(p->command, "`%s`: %s%s%s", argument, problem.what, hinted ? "; " : "",
                           hinted ? problem.hint : "");
}

static void put_quoted(struct text *t, const char *argument)
{
    text_char(t, '"');
    text_json(t, slice_str(argument));
    text_char(t, '"');
}

static int run(const struct cli_parsed *p)
{
    int wrong = check_address(p, p->arguments[0], conf_address_listen);
    for (int i = 1; wrong == 0 && i < p->count; i++) {
        wrong = check_address(p, p->arguments[i], conf_address_origin);
    }
    if (wrong != 0) {
        return wrong;
    }
    static char buffer[PROXY_TEXT_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_str(&t, "{\"listen\": ");
    put_quoted(&t, p->arguments[0]);
    text_str(&t, ", \"access_log\": ");
    text_str(&t,
             cli_given(p, "log") ? "{\"to\": \"stdout\", \"format\": \"combined\"}" : "\"off\"");
    const char *control = cli_value(p, "control");
    text_str(&t, control != NULL ? ", \"control\": " : "");
    if (control != NULL) {
        put_quoted(&t, control);
    }
    text_str(&t, ", \"sites\": {\"default\": {\"proxy\": [");
    for (int i = 1; i < p->count; i++) {
        text_str(&t, i > 1 ? ", " : "");
        put_quoted(&t, p->arguments[i]);
    }
    text_str(&t, "]}}}");
    if (t.overflow) {
        return cli_usage_error(p->command, "too many targets");
    }
    return edge_run_text("(arguments)", text_slice(&t), NULL);
}

static const struct cli_option options[] = {
    {.name = "log", .letter = 'l', .text = "a line on stdout for each request"},
    {.name = "control", .value = "PATH", .text = "where the control socket is to be"},
    {.name = NULL},
};

const struct cli_command cli_proxy = {
    .name = "proxy",
    .arguments = "LISTEN TARGET...",
    .text = "a reverse proxy in one line: adit proxy :8080 3000",
    .more =
        "LISTEN is PORT, \":PORT\", IP:PORT, \"[v6]:PORT\" or unix:/path. A TARGET is PORT (on "
        "this\n"
        "machine), HOST:PORT, unix:/path, or SCHEME://HOST[:PORT] with http, https or h2c;\n"
        "several share the requests. A LISTEN of port 443 speaks TLS with a certificate of the\n"
        "local CA.\n",
    .options = options,
    .min = 2,
    .max = CLI_ARGUMENTS_MAX,
    .run = run,
};
