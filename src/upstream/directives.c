// SPDX-License-Identifier: Apache-2.0
//
// Rows of `upstreams` (upstream/directives.h).

#include "upstream/directives.h"

#include "conf/diag.h"
#include "upstream/balance_plan.h"
#include "upstream/directives_health.h"
#include "upstream/pool.h"
#include "upstream/servers.h"

static const char *const retry_words[] = {"connect", "timeout", "reset", NULL};

static const struct conf_directive retry_rows[] = {
    {.name = "attempts",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 0,
     .max = 10,
     .fallback = "3",
     .aka = "tries proxy_next_upstream_tries",
     .text = "Further attempts after the first one failed. Only what may be repeated is: requests "
             "that reached no server, and idempotent ones (RFC 9110 9.2.2) without an answer."},
    {.name = "on",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STATUS,
     .list = true,
     .words = retry_words,
     .classes_ok = true,
     .min = 400,
     .max = 599,
     .fallback = "[connect, timeout, reset]",
     .aka = "retry_on conditions status_codes",
     .text =
         "What is repeated: `connect` (no server was reached), `timeout` (no answer within "
         "`timeout`), `reset` (the server left before its answer), and statuses: such an answer "
         "is thrown away when another attempt may be made, and passed on when not."},
    {.name = "timeout",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = 3600 * 1000,
     .aka = "per_try_timeout try_timeout proxy_next_upstream_timeout",
     .text = "Time of one attempt: for connecting, and for the head of its answer from when the "
             "request was sent. Without it only `timeouts` counts, and a request that takes too "
             "long is not repeated."},
    {.name = "backoff",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 0,
     .max = 10000,
     .fallback = "50ms",
     .text = "How long to wait before an attempt when every server has failed, and up to half as "
             "long again; three times as long each further time."},
    {.name = "budget",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 0,
     .max = 1000,
     .off_ok = true,
     .fallback = "20%",
     .aka = "retry_budget budget_percent",
     .text = "How many attempts beyond the first there may be, against the requests of the last 10 "
             "seconds; 3 a second are always allowed. `off`: as many as `attempts` says."},
    {.name = "body",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_SIZE,
     .min = 0,
     .max = 1 << 20,
     .fallback = "64KiB",
     .text = "How much of a request body is kept for another attempt; a longer one is not "
             "repeated."},
    CONF_END,
};

static void check_retry(struct conf_diags *d, struct conf_node retry)
{
    struct conf_node on = conf_get(retry, "on");
    bool timeouts = false;
    conf_each(a, on)
    {
        timeouts = timeouts || slice_eq(conf_text(a), SLICE("timeout"));
        if (slice_eq(conf_text(a), SLICE("500"))) {
            conf_warning(d, a,
                         "500 mostly is a mistake in the answer, which another server repeats");
            conf_hint(d, "502, 503 and 504 say that a server could not answer now");
        }
    }
    struct conf_node timeout = conf_get(retry, "timeout");
    if (conf_exists(on) && timeouts && !conf_exists(timeout)) {
        conf_warning(d, on, "`timeout` is in `on`, but an attempt has no time-out of its own");
        conf_hint(d, "retry: {on: [connect, timeout], timeout: 2s}");
    } else if (conf_exists(on) && !timeouts && conf_exists(timeout)) {
        conf_warning(d, timeout, "an attempt that takes so long fails and is not repeated");
        conf_hint(d, "put `timeout` into `on`, or use `timeouts: {response: ...}` of the route");
    }
}

static const struct conf_directive hedge_rows[] = {
    {.name = "after",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .required = true,
     .min = 1,
     .max = 60 * 1000,
     .aka = "delay hedge_delay",
     .text = "How long the first server may take for the head of its answer: a little more than "
             "what 95 of 100 answers need."},
    {.name = "at_most",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 1,
     .max = 100,
     .fallback = "5%",
     .text = "Most of all requests that may be sent twice; so an upstream that is slow as a whole "
             "is not loaded twice."},
    CONF_END,
};

static const char *const version_words[] = {"1.2", "1.3", NULL};

static void check_origin_tls(struct conf_diags *d, struct conf_node tls)
{
    bool cert = conf_exists(conf_get(tls, "cert"));
    bool key = conf_exists(conf_get(tls, "key"));
    if (cert != key) {
        conf_error(d, conf_get(tls, cert ? "cert" : "key"), "`%s` without `%s`",
                   cert ? "cert" : "key", cert ? "key" : "cert");
        conf_hint(d, "tls: {cert: client.pem, key: client.key}");
    }
    bool verify = conf_bool(conf_get(tls, "verify"), true);
    if (!verify && conf_exists(conf_get(tls, "ca"))) {
        conf_error(d, conf_get(tls, "ca"), "`ca` has no effect with `verify: off`");
        conf_hint(d, "with `ca` the origin is verified by your own CA: leave `verify` out");
    } else if (!verify) {
        conf_warning(d, conf_get(tls, "verify"),
                     "with `verify: off` anybody on the way can pose as the origin");
        conf_hint(d, "trust its CA instead: tls: {ca: /etc/ssl/my-ca.pem}");
    }
}

static const struct conf_directive tls_rows[] = {
    {.name = "verify",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "on",
     .aka = "proxy_ssl_verify insecure_skip_verify tls_insecure_skip_verify",
     .text = "Whether the origin's certificate is verified: by whom, for which name, until when."},
    {.name = "name",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_HOST,
     .aka = "sni server_name proxy_ssl_name tls_server_name",
     .text = "The name that is asked for (SNI) and that the certificate must have; the host of the "
             "address unless said. An IP address is verified as such and not asked for."},
    {.name = "ca",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "proxy_ssl_trusted_certificate ca_file cafile tls_trusted_ca_certs",
     .text = "A file of PEM certificates that may stand for the origin, in place of the system's."},
    {.name = "cert",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "proxy_ssl_certificate certificate tls_client_auth",
     .text = "The certificate that adit shows to the origin, PEM, with its chain."},
    {.name = "key",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_FILE_PATH,
     .aka = "proxy_ssl_certificate_key",
     .text = "The key of `cert`, PEM."},
    {.name = "min_version",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = version_words,
     .fallback = "1.2",
     .aka = "proxy_ssl_protocols",
     .text = "The oldest version of TLS that is spoken with the origin."},
    CONF_END,
};

static void check_from(struct conf_diags *d, struct conf_node list)
{
    if (conf_count(list) > SERVER_SOURCES_MAX) {
        conf_error(d, list, "more than %d addresses to connect from", SERVER_SOURCES_MAX);
        return;
    }
    conf_each(from, list)
    {
        struct os_addr addr;
        if (os_addr_parse_ip(conf_text(from), 0, &addr) != 0) {
            conf_error(d, from, "`from` is an IP address of this machine, without a port");
            conf_hint(d, "from: [10.0.0.20, 10.0.0.21]");
        }
    }
}

// `pass`, `server`, or the text to send.
static void check_host(struct conf_diags *d, struct conf_node host)
{
    struct slice text = conf_text(host);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '/' || c == '@') {
            conf_error(d, host, "`host` is `pass`, `server` or a host name");
            return;
        }
    }
}

static const char *const protocol_words[] = {"auto", "http/1.1", "h2", NULL};
static const char *const header_words[] = {"v1", "v2", NULL};
static const char *const host_words[] = {"pass", "server", NULL};

static const struct conf_directive queue_rows[] = {
    {.name = "length",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .unit = "requests",
     .fallback = "1024",
     .text = "How many wait at most, on all cores together."},
    {.name = "timeout",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 1,
     .max = 3600000,
     .fallback = "10s",
     .text = "How long each waits at most."},
    CONF_END,
};

static const struct conf_directive upstream_rows[] = {
    {.name = "NAME", .type = CONF_TYPE_OBJECT, .inner = CONF_IN_UPSTREAM, .text = "An upstream."},
    CONF_END,
};

const struct conf_directive upstream_directives[] = {
    {.name = "upstreams",
     .contexts = CONF_IN_TOP,
     .type = CONF_TYPE_MAP,
     .key_type = CONF_TYPE_NAME,
     .rows = upstream_rows,
     .merge = CONF_MERGE_ADD,
     .aka = "upstream backends backend pools clusters",
     .text = "Groups of origin servers by name.",
     .example = "upstreams:\n"
                "  app:\n"
                "    servers: [10.0.0.1:8080, {at: 10.0.0.2:8080, weight: 2}]\n"
                "    retry: {attempts: 1}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "servers",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_OBJECT,
     .list = true,
     .required = true,
     .rows = servers_rows,
     .shorthand = "at",
     .check = servers_check,
     .aka = "server to addresses targets",
     .text = "The servers: addresses, or objects with `at`. `to` in `proxy` is the same.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 10.0.0.2:8080, 'unix:/run/app.sock']}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "balance",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = balance_rows,
     .shorthand = "method",
     .check = balance_check,
     .fallback = "two-choices",
     .aka = "lb_policy algorithm load_balancing policy lb",
     .text =
         "How a server is chosen for a request: by a method, or by a hash of something that the "
         "request has.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], balance: least-conn}\n"
                "  cache: {servers: [4000, 4001], balance: {hash: path, bound: 150%}}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "slow_start",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_DURATION,
     .off_ok = true,
     .min = 1000,
     .max = 3600000,
     .fallback = "off",
     .aka = "slowstart slow-start warmup",
     .text = "How long a server that has come back, or is new, takes to get its full share: from a "
             "tenth of its weight, in a straight line.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], slow_start: 30s}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "connections",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .fallback = "1024",
     .aka = "max_conns maxconn",
     .text = "Most connections to each server, of all cores together; beyond it requests wait "
             "(`queue`).",
     .example = "upstreams:\n"
                "  app: {servers: 3000, connections: 100}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "requests",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .off_ok = true,
     .fallback = "off",
     .aka = "max_requests max_concurrency maxqueue",
     .text = "Most requests at once on each server, of all cores together; beyond it requests wait "
             "(`queue`).",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], requests: 50}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "queue",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = queue_rows,
     .off_ok = true,
     .shorthand = "length",
     .aka = "max_pending maxqueue timeout_queue",
     .text =
         "Requests for which no server has room wait in the order they came. Beyond its length, or "
         "when one has waited too long, the answer is 503 with a Retry-After of a second.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], requests: 50, queue: {length: 200, timeout: 3s}}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "idle_connections",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_INT,
     .min = 0,
     .max = 65536,
     .fallback = "64",
     .aka = "keepalive",
     .text = "Most unused connections that are kept open to each server by each core.",
     .example = "upstreams:\n"
                "  app: {servers: 3000, idle_connections: 8}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "retry",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = retry_rows,
     .check = check_retry,
     .off_ok = true,
     .shorthand = "attempts",
     .aka = "proxy_next_upstream retries",
     .text = "When another server, or the same one again, gets a request that failed.",
     .example = "upstreams:\n"
                "  app:\n"
                "    servers: [3000, 3001]\n"
                "    retry: {attempts: 1, on: [connect, timeout, reset, 503], timeout: 2s}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "hedge",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = hedge_rows,
     .off_ok = true,
     .shorthand = "after",
     .fallback = "off",
     .aka = "hedge_on_per_try_timeout speculative",
     .text = "Asks a second server when the first is slow; the first answer counts. Only for "
             "idempotent requests whose body is here and small (`retry: {body}`), never for "
             "upgrades and gRPC.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], hedge: {after: 200ms, at_most: 5%}}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "host",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_STRING,
     .words = host_words,
     .min = 1,
     .max = 255,
     .fallback = "pass",
     .aka = "header_up proxy_set_header",
     .check = check_host,
     .text = "The Host that the origin sees: the client's (`pass`), the server's own address "
             "(`server`), or a fixed text.",
     .example = "upstreams:\n"
                "  app: {servers: 'app.internal:8080', host: server}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "tls",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_OBJECT,
     .rows = tls_rows,
     .check = check_origin_tls,
     .aka = "ssl transport",
     .text = "TLS to the servers that are written with https://. They are verified by the system's "
             "CAs unless something else is said.",
     .example = "upstreams:\n"
                "  app:\n"
                "    servers: 'https://10.0.0.1:8443'\n"
                "    tls: {name: app.internal, ca: /etc/ssl/internal.pem}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "protocol",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_ENUM,
     .words = protocol_words,
     .fallback = "auto",
     .aka = "proxy_http_version versions http_version",
     .text =
         "What is spoken with the servers: over TLS `auto` offers h2 and http/1.1 and the server "
         "chooses, without TLS it is http/1.1, or h2 for those written with h2c://.",
     .example = "upstreams:\n"
                "  grpc: {servers: 10.0.0.1:50051, protocol: h2}\n"
                "sites:\n"
                "  example.com: {proxy: grpc}\n"},
    {.name = "from",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_STRING,
     .list = true,
     .min = 1,
     .max = 64,
     .check = check_from,
     .aka = "proxy_bind source source_address bind_address",
     .text = "Addresses of this machine to connect from, in turn. From each there are some 28,000 "
             "ports to one server; more connections than that need more addresses.",
     .example = "upstreams:\n"
                "  chat: {servers: '10.0.0.1:8080', from: [10.0.0.20, 10.0.0.21], connections: "
                "100000}\n"
                "sites:\n"
                "  example.com: {proxy: chat}\n"},
    {.name = "proxy_protocol",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_ENUM,
     .words = header_words,
     .off_ok = true,
     .fallback = "off",
     .aka = "send_proxy send-proxy send-proxy-v2",
     .text = "Begin each connection with a PROXY header, version 1 or 2, that tells the server the "
             "client's address. A connection then belongs to one client's connection and is never "
             "used for another's, so more of them are opened than otherwise. Of UDP each datagram "
             "begins with one, of version 2.",
     .example = "upstreams:\n"
                "  mail: {servers: '10.0.0.1:8025', proxy_protocol: v2}\n"
                "sites:\n"
                "  example.com: {proxy: mail}\n"},
    {.name = "streams",
     .contexts = CONF_IN_UPSTREAM,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000,
     .unit = "requests",
     .fallback = "128",
     .text = "Most requests at once on one HTTP/2 connection; the server may allow fewer.",
     .example = "upstreams:\n"
                "  grpc: {servers: 'h2c://10.0.0.1:50051', streams: 32}\n"
                "sites:\n"
                "  example.com: {proxy: grpc}\n"},
    {.name = "health",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = health_rows,
     .off_ok = true,
     .shorthand = "path",
     .check = health_check,
     .fallback = "off",
     .aka = "health_check healthcheck health_checks check httpchk active_health_check",
     .text =
         "Asks each server on a connection of its own whether it is well, and gives requests only "
         "to those that are. A server counts as well until its first check, which comes at once. "
         "Agents of tunnels are asked (`http` or `grpc`) over their own connections, for the name "
         "that they share, while there are several.",
     .example =
         "upstreams:\n"
         "  app: {servers: [3000, 3001], health: /healthz}\n"
         "  rpc: {servers: 'h2c://10.0.0.1:50051', health: {type: grpc, service: shop.Cart}}\n"
         "  api:\n"
         "    servers: [10.0.0.1:8080, 10.0.0.2:8080]\n"
         "    health: {path: /ready, every: 2s, status: 2xx, body: ok, rise: 3}\n"
         "sites:\n"
         "  example.com: {proxy: app}\n"},
    {.name = "eject",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = eject_rows,
     .off_ok = true,
     .shorthand = "failures",
     .aka = "outlier_detection passive_health max_fails observe",
     .text = "Takes a server that fails requests out for a while, whatever its health checks say.",
     .example = "upstreams:\n"
                "  app:\n"
                "    servers: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]\n"
                "    eject: {failures: 3, for: 10s, at_most: 34%}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "panic",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_PERCENT,
     .min = 1,
     .max = 100,
     .off_ok = true,
     .fallback = "50%",
     .aka = "healthy_panic_threshold panic_threshold",
     .text =
         "When fewer than so many servers are well, in every tier, health is ignored: then it is "
         "the checks that are wrong, or the few that are left would be crushed. Drained servers "
         "and those in maintenance stay out.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001, 3002], health: /healthz, panic: 30%}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "breaker",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = breaker_rows,
     .off_ok = true,
     .on_ok = true,
     .shorthand = "failures",
     .fallback = "off",
     .aka = "circuit_breaker circuit_breakers circuitbreaker",
     .text =
         "When too many requests to the upstream fail, sends none for a while: they fail at once, "
         "with 503 and a Retry-After of the time that is left.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], breaker: {failures: 50%, open: 10s}}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    {.name = "concurrency",
     .contexts = CONF_IN_UPSTREAM | CONF_IN_TUNNELS,
     .type = CONF_TYPE_OBJECT,
     .rows = concurrency_rows,
     .off_ok = true,
     .shorthand = "target",
     .fallback = "off",
     .aka = "adaptive_concurrency max_conn_adaptive inflight",
     .text = "Finds how many requests at once each server can take so that it answers in about the "
             "target's time; the others wait in the queue.",
     .example = "upstreams:\n"
                "  app: {servers: [3000, 3001], concurrency: {target: 100ms}}\n"
                "sites:\n"
                "  example.com: {proxy: app}\n"},
    CONF_END,
};
