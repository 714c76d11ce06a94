// SPDX-License-Identifier: Apache-2.0
//
// Rows of `health`, `eject`, `breaker` and `concurrency` (upstream/directives_health.h).

#include "upstream/directives_health.h"

#include "conf/diag.h"
#include "conf/value.h"
#include "http/fields.h"
#include "upstream/check.h"
#include "upstream/verdict.h"

// ---- health -----------------------------------------------------------------------------------------

static const char *const type_words[] = {"http", "tcp", "tls", "grpc", NULL};

static void check_path(struct conf_diags *d, struct conf_node path)
{
    struct slice text = conf_text(path);
    if (text.len == 0 || text.ptr[0] != '/') {
        conf_error(d, path, "a path begins with `/`: `%.*s`", SLICE_ARG(text));
        for (size_t i = 0; type_words[i] != NULL; i++) {
            if (slice_eq(text, slice_str(type_words[i]))) {
                conf_hint(d, "health: {type: %.*s}", SLICE_ARG(text));
            }
        }
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            conf_error(d, path, "`path` has a character that no request may have");
            conf_hint(d, "percent-encode it, as in /a%%20b");
            return;
        }
    }
}

static void check_header(struct conf_diags *d, struct conf_node header)
{
    struct slice text = conf_text(header);
    ptrdiff_t colon = slice_find_char(text, ':');
    struct slice name = slice_trim(slice_sub(text, 0, colon < 0 ? 0 : (size_t)colon));
    struct slice value = slice_trim(slice_from(text, colon < 0 ? 0 : (size_t)colon + 1));
    if (!conf_is_token(name)) {
        conf_error(d, header, "`header` is a field name, a colon and a text: `%.*s`",
                   SLICE_ARG(text));
        conf_hint(d, "header: \"x-ready: yes\"");
    } else if (!http_value_ok(value)) {
        conf_error(d, header, "`header` has a character that no field may have");
    }
}

static void check_host(struct conf_diags *d, struct conf_node host)
{
    struct slice text = conf_text(host);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '/' || c == '@') {
            conf_error(d, host, "`host` is a host name, with a port if need be");
            return;
        }
    }
}

/** A key that says nothing for this type. */
static void check_idle_key(struct conf_diags *d, struct conf_node health, const char *key,
                           struct slice type)
{
    struct conf_node n = conf_get(health, key);
    if (conf_exists(n)) {
        conf_error(d, n, "`%s` has no meaning for a check of type %.*s", key, SLICE_ARG(type));
    }
}

void health_check(struct conf_diags *d, struct conf_node health)
{
    static const char *const http_keys[] = {"path", "method", "status", "body", "header"};
    if (conf_is_off(health)) {
        return;
    }
    struct slice type = conf_string(conf_get(health, "type"), "http");
    bool http = slice_eq(type, SLICE("http"));
    bool grpc = slice_eq(type, SLICE("grpc"));
    for (size_t i = 0; !http && i < array_len(http_keys); i++) {
        check_idle_key(d, health, http_keys[i], type);
    }
    if (!http && !grpc) {
        check_idle_key(d, health, "host", type);
    }
    if (!grpc) {
        check_idle_key(d, health, "service", type);
    }
    struct conf_node body = conf_get(health, "body");
    struct conf_node method = conf_get(health, "method");
    if (conf_exists(body) && slice_eq(conf_string(method, "GET"), SLICE("HEAD"))) {
        conf_error(d, body, "the answer to HEAD has no body");
    }
    uint64_t every = conf_duration_ms(conf_get(health, "every"), 5000);
    uint64_t timeout = conf_duration_ms(conf_get(health, "timeout"), 2000);
    if (timeout > every && conf_exists(conf_get(health, "timeout"))) {
        conf_warning(d, conf_get(health, "timeout"),
                     "a check that may take longer than `every` makes the checks rarer");
    }
}

const struct conf_directive health_rows[] = {
    {.name = "type",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_ENUM,
     .words = type_words,
     .fallback = "http",
     .text =
         "What is asked: a request (`http`), a connection (`tcp`), a handshake by the upstream's "
         "`tls` settings (`tls`, a connection where the server is not written with https://), or "
         "grpc.health.v1 over HTTP/2 (`grpc`)."},
    {.name = "path",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 2000,
     .fallback = "/",
     .check = check_path,
     .aka = "uri health_uri url endpoint",
     .text = "What is requested, with a query if need be."},
    {.name = "every",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 50,
     .max = 86400000,
     .fallback = "5s",
     .aka = "interval inter health_interval",
     .text = "How often each server is asked, give or take a tenth; four times as often while a "
             "change of its state is under way."},
    {.name = "timeout",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 10,
     .max = 600000,
     .fallback = "2s",
     .aka = "health_timeout",
     .text = "How long the whole check may take: connection, handshake, answer."},
    {.name = "rise",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 100,
     .fallback = "2",
     .aka = "passes healthy_threshold health_passes",
     .text = "Successes in a row that bring a server back."},
    {.name = "fall",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 100,
     .fallback = "3",
     .aka = "fails unhealthy_threshold health_fails max_fails",
     .text = "Failures in a row that take a server out. The very first check decides alone."},
    {.name = "method",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_METHOD,
     .fallback = "GET",
     .text = "The method of the request."},
    {.name = "host",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 255,
     .check = check_host,
     .text = "The Host of the request; the server's address unless said."},
    {.name = "status",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .list = true,
     .fallback = "200-399",
     .check = status_set_check,
     .aka = "expect_status health_status match expect",
     .text = "The statuses of a healthy answer: 204, 200-399, 2xx."},
    {.name = "body",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = CHECK_BODY_MAX,
     .aka = "expect_body health_body",
     .text = "A text that the answer's first MiB must have in it."},
    {.name = "header",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 500,
     .check = check_header,
     .text = "A field that the answer must have, with the text that its value must contain: "
             "\"x-ready: yes\"."},
    {.name = "service",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .min = 1,
     .max = 200,
     .text = "The gRPC service that is asked after; the server as a whole unless said."},
    {.name = "port",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 65535,
     .aka = "health_port",
     .text = "Another port than the server's to check."},
    CONF_END,
};

// ---- eject ------------------------------------------------------------------------------------------

const struct conf_directive eject_rows[] = {
    {.name = "failures",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000,
     .off_ok = true,
     .fallback = "5",
     .aka = "max_fails consecutive_5xx error_limit consecutive",
     .text = "Failures in a row that eject a server: no connection, no or a broken answer, or a "
             "status of `on`."},
    {.name = "on",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_STRING,
     .list = true,
     .fallback = "502, 503, 504",
     .check = status_set_check,
     .aka = "statuses unhealthy_status",
     .text = "Statuses that count as failures, also for the circuit breaker: 503, 500-599, 5xx."},
    {.name = "success_rate",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_BOOL,
     .fallback = "on",
     .text =
         "Whether a server is ejected whose share of successes lies 1.9 standard deviations and "
         "5 points below the mean; with five servers or more."},
    {.name = "least",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .unit = "requests",
     .fallback = "100",
     .text = "Requests to a server in an interval below which its success rate says nothing."},
    {.name = "latency",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 2,
     .max = 100,
     .off_ok = true,
     .unit = "times",
     .fallback = "off",
     .text =
         "Ejects a server whose mean latency in an interval is so many times the group's median; "
         "with three servers or more."},
    {.name = "every",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = 3600000,
     .fallback = "10s",
     .aka = "interval",
     .text = "The interval after which servers are compared."},
    {.name = "for",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = 3600000,
     .fallback = "30s",
     .aka = "base_ejection_time fail_timeout fail_duration",
     .text = "How long a server is out; each further time as much longer, up to 5 minutes, and "
             "shorter again with each interval that goes well."},
    {.name = "at_most",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 1,
     .max = 100,
     .fallback = "50%",
     .aka = "max_ejection_percent",
     .text = "The share of the servers that may be out at once; one may always be, where there are "
             "two."},
    CONF_END,
};

// ---- breaker, concurrency ---------------------------------------------------------------------------

const struct conf_directive breaker_rows[] = {
    {.name = "failures",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_PERCENT,
     .min = 1,
     .max = 100,
     .fallback = "50%",
     .text = "The share of failed requests in the window that opens the breaker."},
    {.name = "least",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 1000000,
     .unit = "requests",
     .fallback = "20",
     .text = "Requests in the window below which it stays closed."},
    {.name = "window",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 1000,
     .max = 600000,
     .fallback = "10s",
     .text = "The time that is looked back on."},
    {.name = "open",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 100,
     .max = 600000,
     .fallback = "5s",
     .text = "How long an open breaker sends nothing; then it tries a few requests."},
    {.name = "probes",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 1,
     .max = 100,
     .unit = "requests",
     .fallback = "3",
     .text = "How many requests are tried, all of which must go well to close it."},
    CONF_END,
};

const struct conf_directive concurrency_rows[] = {
    {.name = "target",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_DURATION,
     .min = 1,
     .max = 60000,
     .required = true,
     .text = "The mean time to the answer's head that is aimed at."},
    {.name = "most",
     .contexts = CONF_IN_OBJECT,
     .type = CONF_TYPE_INT,
     .min = 2,
     .max = 100000,
     .unit = "requests",
     .fallback = "1000",
     .text = "The limit is never above."},
    CONF_END,
};
