// SPDX-License-Identifier: Apache-2.0
//
// Rows of what belongs to the processes rather than to a request (super/directives.h).

#include "super/directives.h"

#include "conf/diag.h"
#include "net/listen_rows.h"

#define SITE "sites:\n  example.com: {proxy: 3000}\n"

static const struct conf_directive listen_rows[] = {
    {.name = "at",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_LISTEN,
     .required = true,
     .aka = "address addr",
     .text = "Where: PORT or \":PORT\" for every address, IP:PORT, \"[v6]:PORT\" or unix:/path."},
    {.name = "tls",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .aka = "ssl https secure",
     .text = "Whether clients speak TLS here; `on` for port 443, else `off`, unless said. Which "
             "certificate they see is up to the sites."},
    LISTEN_ROW_BACKLOG,
    LISTEN_ROW_PROXY_PROTOCOL(
        "Networks whose connections begin with a PROXY header, version 1 or 2, and `unix` for "
        "Unix sockets. It says who the client is. From them it is required; connections from "
        "elsewhere are closed."),
    CONF_END,
};

static void check_listen(struct conf_diags *d, struct conf_node list)
{
    if (conf_count(list) == 0) {
        conf_error(d, list, "`listen` has an empty list");
    } else if (conf_count(list) > 64) {
        conf_error(d, list, "more than 64 listeners");
        return;
    }
    conf_each(a, list)
    {
        conf_each(b, list)
        {
            struct slice at = conf_text(conf_get(a, "at"));
            bool any_port = slice_ends(at, SLICE(":0"));
            if (a.index < b.index && !any_port && slice_eq(at, conf_text(conf_get(b, "at")))) {
                conf_error(d, conf_get(b, "at"), "this address is listened on twice");
            }
        }
    }
}

static const char *const format_words[] = {"json", "combined", NULL};

static void check_log_target(struct conf_diags *d, struct conf_node to)
{
    struct slice text = conf_text(to);
    if (!slice_eq(text, SLICE("stdout")) && !slice_eq(text, SLICE("stderr")) &&
        !slice_starts(text, SLICE("/"))) {
        conf_error(d, to, "an access log goes to `stdout`, `stderr`, or a file by its whole path");
        conf_hint(d, "access_log: /var/log/adit/access.log");
    }
}

static const struct conf_directive access_log_rows[] = {
    {.name = "to",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 4000,
     .fallback = "stdout",
     .check = check_log_target,
     .text = "Where it is written: stdout, stderr, or a file by its whole path."},
    {.name = "format",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = format_words,
     .fallback = "json",
     .text = "One JSON object per request, or the combined form of other servers with timings."},
    CONF_END,
};

static const char *const log_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const auto_words[] = {"auto", NULL};

static void check_control(struct conf_diags *d, struct conf_node control)
{
    struct slice path = conf_text(control);
    if (conf_is_off(control)) {
        return;
    }
    if (!slice_starts(path, SLICE("/")) || path.len > 107) {
        conf_error(d, control,
                   "`control` is the whole path of a socket, at most 107 bytes, or `off`");
        conf_hint(d, "control: /run/adit/control.sock");
    }
}

const struct conf_directive super_directives[] = {
    {.name = "listen",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = listen_rows,
     .shorthand = "at",
     .fallback = "[\":80\", \":443\"] when a site has TLS, else \":8080\"",
     .check = check_listen,
     .aka = "bind port ports address addresses",
     .text = "Where clients connect: addresses, or objects with `at`. A reload opens new ones and "
             "closes those that are gone.",
     .example = "listen:\n"
                "  - \":80\"\n"
                "  - {at: \":443\", tls: on, proxy_protocol: [10.0.0.0/8]}\n"
                "  - {at: \"127.0.0.1:8443\", tls: on, backlog: 128}\n" SITE},
    {.name = "workers",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_INT,
     .words = auto_words,
     .min = 1,
     .max = 256,
     .unit = "threads",
     .fallback = "auto",
     .reload = CONF_RELOAD_RESTART,
     .aka = "worker_processes threads nbthread",
     .text = "Threads that carry traffic; `auto` is one for each CPU that adit may use.",
     .example = "workers: 4\n" SITE},
    {.name = "user",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 32,
     .fallback = "adit",
     .reload = CONF_RELOAD_RESTART,
     .text = "As whom the worker and the keeper run when adit is started as root; `nobody` when "
             "there is no user adit.",
     .example = "user: www-data\n" SITE},
    {.name = "control",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .off_ok = true,
     .check = check_control,
     .fallback = "/run/adit/control.sock",
     .reload = CONF_RELOAD_RESTART,
     .text = "The socket for `adit reload` and `adit status`; started by another user than root it "
             "is $XDG_RUNTIME_DIR/adit.sock.",
     .example = "control: /run/adit/control.sock\n" SITE},
    {.name = "drain",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_DURATION,
     .max = 86400000,
     .fallback = "30s",
     .aka = "grace_period shutdown_timeout worker_shutdown_timeout",
     .text = "How long an edge that stops waits for the exchanges that are under way.",
     .example = "drain: 5m\n" SITE},
    {.name = "access_log",
     .contexts = CONF_IN_ALL,
     .type = CONF_TYPE_OBJECT,
     .rows = access_log_rows,
     .off_ok = true,
     .on_ok = true,
     .shorthand = "to",
     .fallback = "stdout",
     .text = "A line for each request. Where and how is said at the top level; a site or route can "
             "switch it `off`, or `on` again.",
     .example = "access_log: {to: /var/log/adit/access.log, format: combined}\n"
                "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /health, access_log: off, respond: ok}\n"
                "      - {proxy: 3000}\n"},
    {.name = "log",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_ENUM,
     .words = log_words,
     .fallback = "info",
     .aka = "error_log log_level loglevel",
     .text = "What adit says about itself, on stderr: this level and those above it.",
     .example = "log: warn\n" SITE},
    {.name = "connections",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_INT,
     .min = 16,
     .max = 10000000,
     .fallback = "65536",
     .aka = "worker_connections max_connections maxconn",
     .text = "Most connections of clients at once; above it the longest idle one is closed, and "
             "when none is idle a new one gets 503.",
     .example = "connections: 20000\n" SITE},
    {.name = "memory",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_SIZE,
     .min = 16 << 20,
     .max = 1LL << 44,
     .fallback = "1GiB",
     .text =
         "Most memory for what is under way, heads and bodies of all connections together; when "
         "it is spent, new work gets 503.",
     .example = "memory: 256MiB\n" SITE},
    CONF_END,
};
