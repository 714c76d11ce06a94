// SPDX-License-Identifier: Apache-2.0
//
// Rows of the exchange's own directives (proxy/directives.h). Defaults are said here for the pages;
// who compiles a directive has the same value as its fallback.

#include "proxy/directives.h"

#include "base/arena.h"
#include "conf/diag.h"
#include "os/addr.h"
#include "proxy/split.h"

// ---- limits and time-outs -----------------------------------------------------------------------

static const struct conf_directive limits_rows[] = {
    {.name = "header_size",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_SIZE,
     .min = 1024,
     .max = 64 * 1024,
     .fallback = "32KiB",
     .aka = "large_client_header_buffers client_header_buffer_size",
     .text = "Most bytes of a request head, request line included; beyond it 431."},
    {.name = "header_count",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000,
     .unit = "fields",
     .fallback = "100",
     .text = "Most fields in a request head; beyond it 431."},
    {.name = "target_size",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_SIZE,
     .min = 256,
     .max = 64 * 1024,
     .fallback = "8KiB",
     .text = "Most bytes of a request target; beyond it 414."},
    {.name = "body_size",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_SIZE,
     .off_ok = true,
     .fallback = "off",
     .aka = "client_max_body_size max_body_size",
     .text = "Most bytes of a request body; beyond it 413. Bodies are never held whole, so "
             "there is no limit unless you want one."},
    {.name = "requests_per_connection",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_INT,
     .off_ok = true,
     .min = 1,
     .max = 1000000000,
     .unit = "requests",
     .fallback = "off",
     .aka = "keepalive_requests",
     .text = "Requests after which a client's connection is closed."},
    {.name = "streams",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000,
     .unit = "requests",
     .fallback = "128",
     .aka = "http2_max_concurrent_streams max_concurrent_streams",
     .text = "Requests at once on one HTTP/2 connection of a client."},
    {.name = "connection_size",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_SIZE,
     .min = 256 * 1024,
     .max = 1 << 30,
     .fallback = "4MiB",
     .text = "Most bytes that one HTTP/2 connection of a client may have under way: what its "
             "streams' first windows promise and what waits to be sent."},
    {.name = "window_size",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_SIZE,
     .min = 256 * 1024,
     .max = 256 << 20,
     .fallback = "16MiB",
     .aka = "http2_window_size initial_stream_window_size",
     .text =
         "Most bytes to which the window of one HTTP/2 stream grows while a long path needs it, on "
         "either side. It begins with 256KiB; what is more is taken from a quarter of `memory`."},
    CONF_END,
};

#define DAY_MS 86400000

static const struct conf_directive timeouts_rows[] = {
    {.name = "handshake",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "10s",
     .aka = "ssl_handshake_timeout tls",
     .text = "Time for a client's PROXY header and TLS handshake; then the connection is "
             "closed."},
    {.name = "header",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "10s",
     .aka = "client_header_timeout",
     .text = "Time for a whole request head from its first byte; then 408."},
    {.name = "idle",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "60s",
     .aka = "keepalive_timeout keep_alive",
     .text = "How long a client's connection may wait for its next request."},
    {.name = "body",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "30s",
     .aka = "client_body_timeout",
     .text = "Time without a byte of a request body; then 408."},
    {.name = "body_rate",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_SIZE,
     .max = 1 << 30,
     .unit = "bytes per second",
     .fallback = "512",
     .text = "Least bytes per second of a request body, on average after its first ten seconds; "
             "below it 408. 0: any."},
    {.name = "write",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "30s",
     .aka = "send_timeout",
     .text = "Time in which the other side takes no byte of what is sent to it; then the "
             "connection is closed."},
    {.name = "connect",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = DAY_MS,
     .fallback = "5s",
     .aka = "proxy_connect_timeout dial",
     .text = "Time for a connection to an origin; then the next server, or 504."},
    {.name = "response",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = DAY_MS,
     .fallback = "60s",
     .aka = "proxy_read_timeout server",
     .text = "Time for the head of an origin's answer; then 504."},
    {.name = "read",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = DAY_MS,
     .fallback = "60s",
     .text = "Time without a byte of an origin's body; then the answer is cut. Raise it for "
             "events that come rarely."},
    {.name = "upstream_idle",
     .contexts = CONF_IN_OBJECT,
     .top_only = true,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = DAY_MS,
     .fallback = "50s",
     .text = "How long an unused connection to an origin is kept: shorter than the origin keeps "
             "it."},
    {.name = "tunnel",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 1000,
     .max = 30LL * DAY_MS,
     .fallback = "1h",
     .aka = "websocket",
     .text = "Time without a byte in either direction of an upgraded connection (WebSocket); "
             "then it is closed."},
    CONF_END,
};

// ---- matches ------------------------------------------------------------------------------------

static const struct conf_directive value_rows[] = {
    {.name = "NAME",
     .type = CONF_TYPE_PATTERN,
     .text = "Exact text, `~ REGEX`, `on` (there at all) or `off` (not there)."},
    CONF_END,
};

#define IN_MATCH (CONF_IN_ROUTE | CONF_IN_OBJECT)

const struct conf_directive proxy_matches[] = {
    {.name = "path",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_PATH,
     .list = true,
     .condition = true,
     .aka = "location url uri path_prefix",
     .text = "The path, decoded: `/exact`, `/dir/*` for all below a directory, other `*` within "
             "a part and `**` across parts, or `~ REGEX`. What `*` and groups caught is "
             "$match(1) and so on.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: [/api/*, /v2/*], proxy: 3000}\n"
                "      - {path: '~ ^/users/(\\d+)$', redirect: /u/$match(1)}\n"
                "      - {proxy: 8000}\n"},
    {.name = "method",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_METHOD,
     .list = true,
     .condition = true,
     .aka = "methods",
     .text = "The method of the request.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {method: [GET, HEAD], proxy: 3000}\n"
                "      - {respond: 405}\n"},
    {.name = "header",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_FIELD,
     .rows = value_rows,
     .condition = true,
     .text = "Fields of the request; all that are named must hold.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {header: {x-beta: on, user-agent: '~ Firefox'}, proxy: 3001}\n"
                "      - {proxy: 3000}\n"},
    {.name = "cookie",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_STRING,
     .rows = value_rows,
     .condition = true,
     .text = "Cookies of the request, as sent; all that are named must hold.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {cookie: {beta: '1'}, proxy: 3001}\n"
                "      - {proxy: 3000}\n"},
    {.name = "query",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_STRING,
     .rows = value_rows,
     .condition = true,
     .text = "Parameters of the query, decoded; all that are named must hold.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {query: {preview: on}, proxy: 3001}\n"
                "      - {proxy: 3000}\n"},
    {.name = "client",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_CIDR,
     .list = true,
     .condition = true,
     .aka = "remote_ip remote_addr ip",
     .text = "The client's address: within one of the networks and within none that has `not` in "
             "front.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /admin/*, client: [10.0.0.0/8, not 10.9.0.0/16], proxy: 3000}\n"
                "      - {respond: 403}\n"},
    {.name = "host",
     .contexts = IN_MATCH,
     .type = CONF_TYPE_HOST,
     .list = true,
     .condition = true,
     .text = "The host, within a site that answers to several.",
     .example = "sites:\n"
                "  \"*.example.com\":\n"
                "    routes:\n"
                "      - {host: api.example.com, proxy: 3001}\n"
                "      - {proxy: 3000}\n"},
    {.name = "any",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = proxy_matches,
     .condition = true,
     .aka = "or",
     .text = "At least one of these holds."},
    {.name = "all",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .rows = proxy_matches,
     .condition = true,
     .aka = "and",
     .text = "Each of these holds."},
    {.name = "not",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_OBJECT,
     .rows = proxy_matches,
     .condition = true,
     .text = "What is in it does not hold."},
    CONF_END,
};

// ---- error pages --------------------------------------------------------------------------------

static void check_error_page(struct conf_diags *d, struct conf_node page)
{
    bool body = conf_exists(conf_get(page, "body"));
    bool file = conf_exists(conf_get(page, "file"));
    if (body == file) {
        conf_error(d, page,
                   body ? "`body` and `file` in one error page"
                        : "an error page needs `body` or `file`");
    }
}

static const struct conf_directive error_page_rows[] = {
    {.name = "body",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_TEMPLATE,
     .text = "What is sent; variables are escaped for HTML."},
    {.name = "file",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE,
     .text = "A file with what is sent, read with the configuration; at most 1 MiB."},
    {.name = "type",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 200,
     .fallback = "text/html; charset=utf-8",
     .text = "Its media type."},
    CONF_END,
};

static const struct conf_directive errors_rows[] = {
    {.name = "STATUS",
     .type = CONF_TYPE_OBJECT,
     .rows = error_page_rows,
     .shorthand = "body",
     .check = check_error_page,
     .text = "A page for a status or a class."},
    CONF_END,
};

// ---- sites --------------------------------------------------------------------------------------

static const struct conf_directive mirror_rows[] = {
    {.name = "to",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_UPSTREAM,
     .required = true,
     .text = "Who gets the copies: an upstream's name, an address, or a list of addresses."},
    {.name = "share",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 1,
     .max = 100,
     .fallback = "100%",
     .aka = "percent percentage fraction",
     .text = "How many of the requests, drawn at random."},
    CONF_END,
};

static const struct conf_directive site_rows[] = {
    {.name = "HOST", .type = CONF_TYPE_OBJECT, .inner = CONF_IN_SITE, .text = "A site."},
    CONF_END,
};

static const char *const forwarded_words[] = {"x-forwarded", "rfc7239", "both", NULL};

static void check_resolver(struct conf_diags *d, struct conf_node list)
{
    conf_each(at, list)
    {
        struct os_addr a;
        if ((os_addr_parse(conf_text(at), &a) != 0 &&
             os_addr_parse_ip(conf_text(at), 53, &a) != 0) ||
            a.kind == OS_ADDR_UNIX) {
            conf_error(d, at, "`%.*s` is no address of a name server", SLICE_ARG(conf_text(at)));
            conf_hint(d, "an IP address, or IP:PORT");
        }
    }
}

const struct conf_directive proxy_directives[] = {
    {.name = "sites",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_HOST,
     .rows = site_rows,
     .merge = CONF_MERGE_ADD,
     .aka = "server servers site virtual_hosts vhosts hosts",
     .text = "The sites by host: a name, \"*.name\" for all names below one, or `default` for any "
             "other host. The most specific one takes a request, whatever the order.",
     .example = "sites:\n"
                "  example.com: {proxy: 3000}\n"
                "  \"*.example.com\": {proxy: 3001}\n"
                "  default: {respond: 404}\n"},
    {.name = "names",
     .contexts = CONF_IN_SITE,
     .type = CONF_TYPE_HOST,
     .list = true,
     .aka = "server_name server_names",
     .text = "Further hosts of the site that are redirected (308) to its name, path and query "
             "kept.",
     .example = "sites:\n"
                "  example.com: {names: [www.example.com], proxy: 3000}\n"},
    {.name = "aliases",
     .contexts = CONF_IN_SITE,
     .type = CONF_TYPE_HOST,
     .list = true,
     .aka = "alias",
     .text = "Further hosts that are served just like the site's name.",
     .example = "sites:\n"
                "  example.com: {aliases: [example.net], proxy: 3000}\n"},
    {.name = "routes",
     .contexts = CONF_IN_SITE,
     .type = CONF_TYPE_OBJECT,
     .inner = CONF_IN_ROUTE,
     .list = true,
     .aka = "route locations location handle",
     .text = "What happens to which requests: the first route whose matches all hold, as listed. "
             "What none takes gets the action that stands on the site itself, or 404.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /api/*, proxy: 3000}\n"
                "      - {proxy: 8000}\n"},
    {.name = "match",
     .contexts = CONF_IN_ROUTE,
     .type = CONF_TYPE_OBJECT,
     .rows = proxy_matches,
     .condition = true,
     .text = "Matches in one object, for any, all and not.",
     .example = "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - match: {any: [{path: /api/*}, {not: {method: [GET, HEAD]}}]}\n"
                "        proxy: 3001\n"
                "      - {proxy: 3000}\n"},
    {.name = "proxy",
     .contexts = CONF_IN_ROUTING,
     .type = CONF_TYPE_UPSTREAM,
     .rows = split_rows,
     .action = true,
     .aka = "proxy_pass reverse_proxy backend upstream",
     .text = "Passes the request to an upstream by name, to an address, to a list of addresses, "
             "to an upstream described in place, or to one of several (`split`).",
     .example = "upstreams:\n"
                "  app: {servers: [10.0.0.1:8080, 10.0.0.2:8080]}\n"
                "sites:\n"
                "  a.example.com: {proxy: app}\n"
                "  b.example.com: {proxy: 3000}\n"
                "  c.example.com: {proxy: [10.0.0.3:80, 'unix:/run/app.sock']}\n"
                "  d.example.com: {proxy: {to: 'https://app.internal', retry: {attempts: 1}}}\n"
                "  e.example.com: {proxy: {split: [{to: 3001, share: 5%}, {to: app}]}}\n"},
    {.name = "mirror",
     .contexts = CONF_IN_ROUTING,
     .type = CONF_TYPE_OBJECT,
     .rows = mirror_rows,
     .shorthand = "to",
     .off_ok = true,
     .fallback = "off",
     .aka = "request_mirror shadow shadowing traffic_mirroring",
     .text =
         "Sends a copy of each request, or of some, to another upstream and throws its answer "
         "away. The client's answer never waits for it: a mirror that is too slow loses copies. "
         "The copy is what the origin gets, its Host too; upgrades are not copied.",
     .example = "upstreams:\n"
                "  app: {servers: 3000}\n"
                "  next: {servers: 3001}\n"
                "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /api/*, mirror: {to: next, share: 10%}, proxy: app}\n"
                "      - {proxy: app}\n"},
    {.name = "errors",
     .contexts = CONF_IN_ALL,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_STATUS,
     .rows = errors_rows,
     .merge = CONF_MERGE_REPLACE,
     .aka = "error_page error_pages handle_errors",
     .text = "Pages for errors that adit itself answers, by status or class (4xx, 5xx).",
     .example = "errors:\n"
                "  404: {body: '<h1>Not here</h1><p>$path</p>'}\n"
                "  5xx: {body: 'Sorry. Please name this: $id', type: text/plain}\n"
                "sites:\n"
                "  example.com: {proxy: 3000}\n"},
    {.name = "limits",
     .contexts = CONF_IN_ALL,
     .type = CONF_TYPE_OBJECT,
     .rows = limits_rows,
     .aka = "limit",
     .text = "How much a request may be. Each key is taken from the nearest level that has it; "
             "those of the head and the connection count at the top level only.",
     .example = "limits: {header_size: 16KiB, body_size: 100MiB}\n"
                "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /upload, limits: {body_size: off}, proxy: 3000}\n"
                "      - {proxy: 3000}\n"},
    {.name = "timeouts",
     .contexts = CONF_IN_ALL,
     .type = CONF_TYPE_OBJECT,
     .rows = timeouts_rows,
     .aka = "timeout",
     .text = "How long each step may take. Each key is taken from the nearest level that has it.",
     .example = "timeouts: {connect: 2s}\n"
                "sites:\n"
                "  example.com:\n"
                "    routes:\n"
                "      - {path: /events, timeouts: {read: 1h}, proxy: 3000}\n"
                "      - {proxy: 3000}\n"},
    {.name = "trusted_proxies",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_CIDR,
     .list = true,
     .off_ok = true,
     .words = (const char *const[]){"unix", NULL},
     .fallback = "off",
     .aka = "set_real_ip_from real_ip trust_proxy",
     .text = "Whose Forwarded and X-Forwarded-* fields are believed: networks, and `unix` for "
             "Unix sockets. From anyone else they are dropped.",
     .example = "trusted_proxies: [10.0.0.0/8, \"fd00::/8\"]\n"
                "sites:\n"
                "  example.com: {proxy: 3000}\n"},
    {.name = "forwarded",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_ENUM,
     .words = forwarded_words,
     .off_ok = true,
     .fallback = "x-forwarded",
     .text = "Which fields tell the origin about the client: X-Forwarded-For, -Proto and -Host, "
             "or Forwarded (RFC 7239), or both.",
     .example = "forwarded: both\n"
                "sites:\n"
                "  example.com: {proxy: 3000}\n"},
    {.name = "resolver",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_STRING,
     .list = true,
     .aka = "resolvers nameserver nameservers dns",
     .text = "Name servers for origins given by name, IP or IP:PORT. By default those of "
             "/etc/resolv.conf; names in /etc/hosts need none.",
     .example = "resolver: [10.0.0.2, 10.0.0.3:5353]\n"
                "sites:\n"
                "  example.com: {proxy: app.internal:3000}\n",
     .check = check_resolver},
    {.name = "via",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_BOOL,
     .fallback = "on",
     .text = "Adds a Via field to requests and answers (RFC 9110 7.6.3).",
     .example = "via: off\n"
                "sites:\n"
                "  example.com: {proxy: 3000}\n"},
    CONF_END,
};
