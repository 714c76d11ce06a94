// SPDX-License-Identifier: Apache-2.0
//
// How the commands that serve begin: they make sure that the file is there, then the process becomes
// the supervisor of an edge and does not come back before its end.

#include "cli/edge.h"

#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "os/listen.h"
#include "super/super.h"

#include "cli/demo.h"

enum { DEMO_PORT = 8080, DEMO_PORT_LAST = 8099, DEMO_TEXT_MAX = 2048 };

int edge_run_file(const char *path, const char *state)
{
    struct super_options options = {.path = path, .state = state};
    return super_run(&options);
}

int edge_run_text(const char *name, struct slice text, void (*on_serving)(void))
{
    struct super_options options = {
        .path = name, .text = text, .state = "", .on_serving = on_serving};
    return super_run(&options);
}

// The first port that can be bound now; somebody may take it before we do, then the start says so.
static unsigned find_port(void)
{
    for (unsigned port = DEMO_PORT; port <= DEMO_PORT_LAST; port++) {
        struct os_listen how = {
            .addr = {.kind = OS_ADDR_V4, .port = (uint16_t)port, .u.ip = {127, 0, 0, 1}},
        };
        int fd = os_listen_open(&how);
        if (fd >= 0) {
            (void)close(fd);
            return port;
        }
    }
    return DEMO_PORT;
}

static unsigned demo_port;

static void explain_demo(void)
{
    (void)fprintf(
        stderr,
        "\nThis is adit's demo: a reverse proxy before a small origin of its own. Try\n\n"
        "  http://127.0.0.1:%u/            a page from the origin, through the proxy\n"
        "  http://127.0.0.1:%u/headers     the request as the origin saw it\n"
        "  http://127.0.0.1:%u/events      server-sent events: curl -N\n"
        "  http://127.0.0.1:%u/hello       answered by adit itself\n"
        "  http://127.0.0.1:%u/old/hello   redirected by adit\n"
        "  adit 3000 --server http://localhost:%u\n"
        "                                    a name for what listens on port 3000 here\n\n"
        "Ctrl-C ends it. A proxy for something of yours: adit proxy :8080 3000\n"
        "With a file: adit serve -c adit.yaml; adit help shows what can stand in it.\n\n",
        demo_port, demo_port, demo_port, demo_port, demo_port, demo_port);
}

int edge_run_demo(void)
{
    unsigned origin = 0;
    int error = demo_start(&origin);
    if (error != 0) {
        (void)fprintf(stderr, "adit: the demo's origin cannot start: %s\n", error_text(error));
        return SUPER_EXIT_FAILURE;
    }
    demo_port = find_port();
    static char buffer[DEMO_TEXT_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_printf(&t,
                "listen: \"127.0.0.1:%u\"\n"
                "access_log: {to: stdout, format: combined}\n"
                "sites:\n"
                "  default:\n"
                "    compress: on\n"
                "    routes:\n"
                "      - {path: /hello, respond: \"hello from adit\\n\"}\n"
                "      - {path: /old/*, redirect: /$match(1)}\n"
                "      - {proxy: \"127.0.0.1:%u\"}\n"
                "  \"*.localhost\": {tls: off, tunnels: {anonymous: on}}\n",
                demo_port, origin);
    return edge_run_text("(demo)", text_slice(&t), explain_demo);
}
