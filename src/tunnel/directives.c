// SPDX-License-Identifier: Apache-2.0
//
// Rows of `tunnels` (tunnel/directives.h).

#include "tunnel/directives.h"

#include "conf/diag.h"
#include "conf/doc.h"
#include "tls/plan.h"
#include "tunnel/ports.h"
#include "tunnel/zone.h"

static void check_ports(struct conf_diags *d, struct conf_node value)
{
    struct tunnel_port_range range;
    if (!tunnel_ports_parse(conf_text(value), &range)) {
        conf_error(d, value,
                   "`ports` is a port or a range of them, behind an IP address if wanted");
        conf_hint(d, "ports: 20000-20099, or 203.0.113.5:20000-20099, or "
                     "\"[2001:db8::5]:20000-20099\"");
    }
}

static const char *const name_words[] = {"random", "ip", NULL};

#define EXAMPLE(inside)                                                                            \
    "sites:\n  \"*.tunnel.example.com\":\n    tls: {dns: /etc/adit/dns-hook}\n    "                \
    "tunnels: " inside "\n"

const struct conf_directive tunnel_directives[] = {
    {.name = "tunnels",
     .contexts = CONF_IN_ROUTING,
     .type = CONF_TYPE_OBJECT,
     .inner = CONF_IN_TUNNELS,
     .on_ok = true,
     .action = true,
     .aka = "tunnel ngrok frp subdomains",
     .text = "Names of this site are given to agents (`adit 3000`), and requests for a name go to "
             "its agents. The site is a wildcard, or `default` for whole domains of others. A "
             "route may have the same action; the settings are those of the site.",
     .example = EXAMPLE("on")},
    {.name = "at",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_HOST,
     .aka = "server edge subDomainHost",
     .text = "The edge's own name, where agents call. The wildcard's parent unless said: "
             "tunnel.example.com of *.tunnel.example.com.",
     .example = EXAMPLE("{at: edge.example.com}")},
    {.name = "names",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_ENUM,
     .words = name_words,
     .fallback = "random",
     .aka = "name_style",
     .text = "What a name looks like that nobody asked for: `random`, which cannot be guessed, or "
             "`ip`, which has the agent's address in it (cqcu2t-ip-49-185-26-79) and can.",
     .example = EXAMPLE("{names: ip}")},
    {.name = "anonymous",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .aka = "public open",
     .text = "Whether agents without a token, a key or a certificate get a name, a random one.",
     .example = "sites:\n  \"*.localhost\": {tunnels: {anonymous: on}}\n"},
    {.name = "insecure_clear",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .text = "Whether agents may call without TLS from anywhere: tokens and traffic can then be "
             "read on the way. Without it only from this machine.",
     .example = EXAMPLE("{insecure_clear: on}")},
    {.name = "park",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_DURATION,
     .min = 1000,
     .max = 3600 * 1000,
     .fallback = "60s",
     .aka = "grace resume",
     .text = "How long a name is kept for agents that were lost; visitors wait meanwhile as "
             "`queue` says.",
     .example = EXAMPLE("{park: 5m}")},
    {.name = "ports",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 64,
     .check = check_ports,
     .aka = "allowPorts port_range",
     .text =
         "Public ports for `adit tcp` and `adit udp`: a port or a range, on every address or "
         "behind the IP address to bind. Each is bound while a tunnel has it, 4,096 at once. None "
         "unless said.",
     .example = EXAMPLE("{ports: 203.0.113.5:20000-20099}")},
    {.name = "banned",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_STRING,
     .list = true,
     .min = 1,
     .max = 63,
     .aka = "bannedHostnames forbidden",
     .text = "Names that no agent gets, beside those that always are (www, admin, login, mail, "
             "...); `*` stands for any characters.",
     .example = EXAMPLE("{banned: [paypal, \"*bank*\"]}")},
    {.name = "per_owner",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 100000,
     .fallback = "100",
     .aka = "maxPortsPerClient",
     .text = "Most tunnels of one owner at once; a token may allow fewer.",
     .example = EXAMPLE("{per_owner: 10}")},
    {.name = "per_address",
     .contexts = CONF_IN_TUNNELS,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .fallback = "50",
     .text = "Most connections of agents from one address at once (IPv6: from one /64).",
     .example = EXAMPLE("{per_address: 200}")},
    CONF_END,
};

// What keeps a random name to itself is that nobody can guess it; a certificate of its own would tell
// everybody (RFC 9162).
static void check_secrecy(struct conf_diags *d, struct conf_node site, struct conf_node own)
{
    struct slice name = conf_key(site);
    struct conf_node root = conf_root(site.doc);
    bool map = conf_kind_of(own) == CONF_MAP;
    bool random = !map || slice_eq(conf_string(conf_get(own, "names"), "random"), SLICE("random"));
    if (random && tls_plan_source(root, site, name) == TLS_SOURCE_ON_DEMAND) {
        conf_error(d, own,
                   "random names would be published: `on_demand` gets a certificate for each, "
                   "and those are in public logs");
        conf_hint(d, "a wildcard certificate (tls: {dns: /etc/adit/dns-hook} or files), or "
                     "tunnels: {names: ip}");
    }
}

// What is asked of an agent's service goes through its tunnel.
static void check_health(struct conf_diags *d, struct conf_node health)
{
    struct slice type = conf_string(conf_get(health, "type"), "http");
    struct conf_node port = conf_get(health, "port");
    if (slice_eq(type, SLICE("tcp")) || slice_eq(type, SLICE("tls"))) {
        conf_error(d, conf_get(health, "type"),
                   "agents are asked through their tunnels: `http` or `grpc`");
    }
    if (conf_exists(port)) {
        conf_error(d, port, "an agent has the one service that it was told; no port is asked for");
    }
}

static void check_site(struct conf_diags *d, struct conf_node site)
{
    struct slice name = conf_key(site);
    struct conf_node own = conf_get(site, "tunnels");
    bool wildcard = name.len > 2 && name.ptr[0] == '*';
    bool has = conf_exists(own);
    conf_each(route, conf_get(site, "routes"))
    {
        if (!has && conf_exists(conf_get(route, "tunnels"))) {
            own = conf_get(route, "tunnels");
            has = true;
        }
    }
    if (!has) {
        return;
    }
    if (!wildcard && !slice_eq(name, SLICE("default"))) {
        conf_error(d, own, "`tunnels` needs names to give away: a site like \"*.%.*s\"",
                   SLICE_ARG(name));
    } else if (!wildcard && !conf_exists(conf_get(own, "at"))) {
        conf_error(d, own, "tunnels of the default site need `at`: where agents call");
        conf_hint(d, "tunnels: {at: edge.example.com}");
    } else if (name.len >= ZONE_SUFFIX_MAX) {
        conf_error(d, own, "the site's name is too long");
    } else if (wildcard) {
        check_secrecy(d, site, own);
    }
    if (conf_kind_of(own) == CONF_MAP) {
        check_health(d, conf_get(own, "health"));
    }
}

void tunnel_check(struct conf_diags *d, struct conf_node root)
{
    conf_each(site, conf_get(root, "sites"))
    {
        check_site(d, site);
    }
}
