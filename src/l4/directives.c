// SPDX-License-Identifier: Apache-2.0
//
// Rows of `streams` (l4/directives.h) and their checks.

#include "l4/directives.h"

#include "conf/address.h"
#include "conf/diag.h"
#include "net/listen_rows.h"
#include "net/networks.h"
#include "tls/plan.h"

#include "l4/plan.h"

static const struct conf_directive listen_rows[] = {
    {.name = "at",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_LISTEN,
     .datagrams_ok = true,
     .required = true,
     .aka = "address addr",
     .text =
         "Where: PORT or \":PORT\" for every address, IP:PORT, \"[v6]:PORT\" or unix:/path; for "
         "UDP with udp:// in front: \"udp://:53\"."},
    LISTEN_ROW_BACKLOG,
    LISTEN_ROW_PROXY_PROTOCOL(
        "As in `listen`: networks whose connections begin with a PROXY header. TCP only."),
    CONF_END,
};

static const struct conf_directive timeouts_rows[] = {
    {.name = "connect",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 1,
     .max = 600000,
     .fallback = "5s",
     .aka = "proxy_connect_timeout",
     .text =
         "How long connecting to a server may take, TLS included, before another one is asked."},
    {.name = "idle",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .off_ok = true,
     .min = 10,
     .max = 604800000,
     .fallback = "10m, for UDP 30s",
     .aka = "proxy_timeout client tunnel",
     .text = "How long a session without a byte either way is kept."},
    {.name = "total",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .off_ok = true,
     .min = 10,
     .max = 2592000000,
     .fallback = "off",
     .text = "How long a session may last, whatever passes."},
    {.name = "hello",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = 600000,
     .fallback = "5s",
     .aka = "preread_timeout inspect-delay",
     .text = "How long a client may take for its first message, where routes look at it."},
    CONF_END,
};

static const struct conf_directive route_rows[] = {
    {.name = "sni",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_HOST,
     .list = true,
     .condition = true,
     .aka = "server_name host hosts ssl_preread_server_name",
     .text = "Names that a TLS client asks for: NAME or \"*.NAME\". TLS is not decrypted."},
    {.name = "alpn",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .list = true,
     .condition = true,
     .min = 1,
     .max = 255,
     .aka = "protocol protocols",
     .text = "Protocols of which a TLS client offers one: h2, http/1.1, postgresql."},
    {.name = "proxy",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_UPSTREAM,
     .aka = "proxy_pass backend upstream to",
     .text = "Where the connection goes."},
    {.name = "sites",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "off",
     .aka = "http",
     .text = "The connection goes to the sites, as if it had come to `listen`: with TLS when the "
             "client speaks TLS."},
    CONF_END,
};

// "exactly one of": which of them stand there.
static unsigned count_keys(struct conf_node at, const char *a, const char *b)
{
    return (unsigned)conf_exists(conf_get(at, a)) + (unsigned)conf_exists(conf_get(at, b));
}

static bool is_datagram(struct conf_node stream)
{
    return slice_starts(conf_string(conf_get(conf_get(stream, "listen"), "at"), ""),
                        SLICE("udp://"));
}

static bool looks_at_tls(struct conf_node route)
{
    return conf_exists(conf_get(route, "sni")) || conf_exists(conf_get(route, "alpn"));
}

static void check_route(struct conf_diags *d, struct conf_node stream, struct conf_node route)
{
    bool sites = conf_bool(conf_get(route, "sites"), false);
    if ((unsigned)conf_exists(conf_get(route, "proxy")) + (unsigned)sites != 1) {
        conf_error(d, route, "a route of a stream has `proxy`, or `sites: on`");
        conf_hint(d, "{sni: db.example.com, proxy: 10.0.0.1:5432}");
    }
    conf_each(sni, conf_get(route, "sni"))
    {
        if (slice_eq(conf_text(sni), SLICE("default"))) {
            conf_error(d, sni, "`default` is no name that a client asks for");
            conf_hint(d, "leave `sni` out: such a route takes what no other does");
        }
    }
    if (is_datagram(stream) && (looks_at_tls(route) || sites)) {
        conf_error(d, route, "UDP has neither `sni` nor `alpn` nor `sites`");
        conf_hint(d, "streams: [{listen: \"udp://:53\", proxy: 10.0.0.1:53}]");
    }
}

static void check_stream(struct conf_diags *d, struct conf_node stream)
{
    struct conf_node routes = conf_get(stream, "routes");
    if (count_keys(stream, "proxy", "routes") != 1) {
        conf_error(d, stream, "a stream has either `proxy` or `routes`");
        conf_hint(d, "{listen: \":5432\", proxy: 10.0.0.1:5432}");
    }
    struct conf_node proxies = conf_get(conf_get(stream, "listen"), "proxy_protocol");
    if (is_datagram(stream) && conf_exists(proxies)) {
        conf_error(d, proxies, "datagrams have no PROXY header here");
    }
    struct conf_node last = {stream.doc, 0};
    conf_each(route, routes)
    {
        check_route(d, stream, route);
        if (conf_exists(last)) {
            conf_error(d, route, "this route is never taken: one before it takes everything");
        }
        last = looks_at_tls(route) || conf_exists(last) ? last : route;
    }
    struct conf_node responses = conf_get(stream, "responses");
    if (conf_exists(responses) && !is_datagram(stream)) {
        conf_error(d, responses, "`responses` counts datagrams, and this is TCP");
    }
}

static void check_streams(struct conf_diags *d, struct conf_node list)
{
    conf_each(stream, list)
    {
        check_stream(d, stream);
    }
}

static const struct conf_directive stream_rows[] = {
    {.name = "listen",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .required = true,
     .rows = listen_rows,
     .shorthand = "at",
     .aka = "bind at port",
     .text = "Where clients connect: an address, or an object with `at`."},
    {.name = "proxy",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_UPSTREAM,
     .aka = "proxy_pass backend upstream to",
     .text =
         "Where connections go: an upstream by name, an address, a list of them, or an upstream "
         "described in place. With tls:// before its address a server gets TLS from adit."},
    {.name = "routes",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = route_rows,
     .text = "In place of `proxy`: by what a TLS client asks for. The first that matches is taken; "
             "where none does the connection is closed."},
    {.name = "allow",
     .contexts = CONF_IN_OBJECT,
     NETWORK_LIST,
     .aka = "allow_ips whitelist allowlist",
     .text = "Only these clients are let in: networks, `unix`, and exceptions with `not` in front. "
             "Connections of others are closed at once, their datagrams dropped."},
    {.name = "deny",
     .contexts = CONF_IN_OBJECT,
     NETWORK_LIST,
     .aka = "deny_ips blacklist blocklist block",
     .text = "These clients are not let in, also when `allow` names them."},
    {.name = "timeouts",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .rows = timeouts_rows,
     .text = "Limits of time."},
    {.name = "responses",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .off_ok = true,
     .min = 1,
     .max = 1000000,
     .unit = "datagrams",
     .fallback = "off",
     .aka = "proxy_responses",
     .text = "UDP: a session ends when each of its datagrams has been answered by so many; 1 for "
             "DNS."},
    {.name = "sessions",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .fallback = "16384",
     .text =
         "UDP: most sessions at once; a further one takes the place of that which has been idle "
         "for longest."},
    {.name = "access_log",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "on",
     .text = "Whether each session has a line in the access log, at its end."},
    CONF_END,
};

const struct conf_directive l4_directives[] = {
    {.name = "streams",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = stream_rows,
     .merge = CONF_MERGE_ADD,
     .check = check_streams,
     .aka = "stream tcp udp l4 layer4",
     .text = "TCP and UDP that is passed on as it is, with the balancing and the health of "
             "`upstreams`.",
     .example =
         "streams:\n"
         "  - {listen: \":5432\", proxy: [10.0.0.5:5432, 10.0.0.6:5432], allow: 10.0.0.0/8}\n"
         "  - {listen: \"udp://:53\", proxy: 10.0.0.2:53, responses: 1}\n"
         "  - listen: \":8443\"\n"
         "    timeouts: {connect: 5s, idle: 10m, total: off}\n"
         "    routes:\n"
         "      - {sni: db.example.com, proxy: 10.0.0.7:443}\n"
         "      - {sni: \"*.example.com\", alpn: h2, proxy: 10.0.0.8:443}\n"
         "      - {proxy: 10.0.0.9:443}\n"},
    CONF_END,
};

// ---- between streams and the rest -----------------------------------------------------------------

static bool same_place(struct slice a, struct slice b)
{
    return slice_eq(a, b) && !slice_ends(a, SLICE(":0"));
}

static void check_clashes(struct conf_diags *d, struct conf_node root)
{
    struct l4_plan_listener l4[L4_PLAN_LISTENERS_MAX];
    struct tls_plan_listener http[TLS_PLAN_LISTENERS_MAX];
    uint32_t count = l4_plan_listeners(root, l4);
    uint32_t others = tls_plan_listeners(root, http);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < others && !l4[i].datagram; j++) {
            if (same_place(l4[i].address, http[j].address)) {
                conf_error(d, l4[i].at, "`listen` has this address already");
                conf_hint(d,
                          "one port serves both when a stream has it: routes: [{sni: NAME, proxy: "
                          "ADDRESS}, {sites: on}]");
            }
        }
        for (uint32_t j = 0; j < i; j++) {
            if (l4[i].datagram == l4[j].datagram && same_place(l4[i].address, l4[j].address)) {
                conf_error(d, l4[i].at, "another stream has this address already");
            }
        }
    }
    if (conf_count(conf_get(root, "streams")) + others > L4_PLAN_LISTENERS_MAX) {
        conf_error(d, conf_get(root, "streams"), "more than %d listeners in all",
                   (int)L4_PLAN_LISTENERS_MAX);
    }
}

/** The upstream that a route means: by its name, or as it stands there. */
static struct conf_node upstream_of(struct conf_node root, struct conf_node proxy)
{
    struct conf_node to = conf_kind_of(proxy) == CONF_MAP ? conf_get(proxy, "servers") : proxy;
    if (conf_exists(to) && conf_kind_of(to) == CONF_LIST && conf_count(to) == 1) {
        to = conf_first(to);
    }
    if (conf_exists(to) && conf_kind_of(to) == CONF_SCALAR) {
        conf_each(named, conf_get(root, "upstreams"))
        {
            if (slice_eq(conf_key(named), conf_text(to))) {
                return named;
            }
        }
    }
    return proxy;
}

/** Datagrams are passed on as they are, from a port of their own. */
static void check_datagrams_to(struct conf_diags *d, struct conf_node root, struct conf_node proxy)
{
    if (!conf_exists(proxy)) {
        return;
    }
    struct conf_node upstream = upstream_of(root, proxy);
    if (conf_kind_of(upstream) != CONF_MAP) {
        return;
    }
    struct conf_node header = conf_get(upstream, "proxy_protocol");
    if (slice_eq(conf_string(header, ""), SLICE("v1"))) {
        conf_error(d, proxy,
                   "a PROXY header of version 1 knows no datagrams, and this upstream "
                   "wants one");
        conf_hint(d, "an upstream of its own for UDP, without `proxy_protocol` or with v2");
    }
    if (conf_exists(conf_get(upstream, "from"))) {
        conf_error(d, proxy, "datagrams are not sent `from` addresses that an upstream names");
        conf_hint(d, "an upstream of its own for UDP, without `from`");
    }
    conf_each(server, conf_get(upstream, "servers"))
    {
        struct slice at = conf_string(conf_get(server, "at"), "");
        struct slice address = at;
        (void)conf_address_take_scheme(&address);
        bool service = slice_starts(at, SLICE("srv://"));
        if ((address.len != at.len && !service) || slice_starts(address, SLICE("unix:"))) {
            conf_error(d, proxy, "datagrams cannot be sent to `%.*s`", SLICE_ARG(at));
            conf_hint(d, "a server of UDP is IP:PORT or NAME:PORT: TLS and sockets of this machine "
                         "are for TCP");
        }
    }
}

static void check_datagrams(struct conf_diags *d, struct conf_node root)
{
    conf_each(stream, conf_get(root, "streams"))
    {
        if (!is_datagram(stream)) {
            continue;
        }
        check_datagrams_to(d, root, conf_get(stream, "proxy"));
        conf_each(route, conf_get(stream, "routes"))
        {
            check_datagrams_to(d, root, conf_get(route, "proxy"));
        }
    }
}

void l4_check(struct conf_diags *d, struct conf_node root)
{
    check_datagrams(d, root);
    if (conf_count(conf_get(root, "streams")) > 0) {
        check_clashes(d, root);
    }
}
