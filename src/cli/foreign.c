// SPDX-License-Identifier: Apache-2.0
//
// Words of other programs (cli/foreign.h).

#include "cli/foreign.h"

#include <stddef.h>
#include <string.h>

#include "base/ensure.h"

struct word {
    const char *theirs;
    const char *ours;
};

static const char a_name[] = "a name stands behind the target: adit 3000 as NAME";
static const char a_target[] = "the target comes first: adit 3000, adit tcp 22, adit ./folder";
static const char a_tunnel[] = "a public URL for port 3000 is: adit 3000";
static const char a_token[] = "`adit login tunnel.example.com` keeps a token, --token gives one";

static const struct word commands[] = {
    {"add-authtoken", a_token},
    {"auth", a_token},
    {"authtoken", a_token},
    {"config", "a token is kept by `adit login`, a file is checked by `adit check`"},
    {"configtest", "adit check"},
    {"expose", a_tunnel},
    {"file-server", "adit ./folder gives a folder a public URL"},
    {"frpc", "adit start -c adit-agent.yaml"},
    {"frps", "adit serve"},
    {"hash-password", "adit password"},
    {"list", "`adit tunnels`, `adit token list`, `adit server list`"},
    {"ls", "`adit tunnels`, `adit token list`, `adit server list`"},
    {"ps", "`adit tunnels` or `adit status`"},
    {"restart", "`adit reload` takes over a changed configuration, `adit upgrade` another program"},
    {"reverse-proxy", "adit proxy :8080 3000"},
    {"run", "`adit serve` runs the edge, `adit start` the tunnels of a file"},
    {"share", a_tunnel},
    {"stop", "adit drain"},
    {"test", "adit check"},
    {"tls", "a proxy for TLS passed on as it is: adit tcp 443"},
    {"trust", "adit cert trust"},
    {"tunnel", "a public URL for port 3000 is `adit 3000`; `adit tunnels` lists those of the edge"},
    {"validate", "adit check"},
};

static const struct word options[] = {
    {"auth", "visitors are asked by --basic-auth USER:PASS, the edge is given --token"},
    {"authtoken", a_token},
    {"cidr-allow", "--allow"},
    {"cidr-deny", "--deny"},
    {"config", "tunnels of a file: adit start -c FILE"},
    {"domain", a_name},
    {"host", "the target comes first: adit HOST:PORT; the Host that it sees is --host-header"},
    {"hostname", a_name},
    {"local-port", a_target},
    {"name", a_name},
    {"port", a_target},
    {"region", "the edge is --server"},
    {"remote-port", "the public port stands behind the target: adit tcp 22 as PORT"},
    {"server-addr", "--server"},
    {"subdomain", a_name},
    {"to", "--server"},
    {"url", "the target comes first, a name behind it: adit 3000 as NAME"},
};

static const char *find(const struct word *words, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].theirs, name) == 0) {
            return words[i].ours;
        }
    }
    return NULL;
}

const char *cli_foreign_command(const char *name)
{
    return find(commands, array_len(commands), name);
}

const char *cli_foreign_option(const char *name)
{
    return find(options, array_len(options), name);
}
