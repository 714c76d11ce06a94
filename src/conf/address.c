// SPDX-License-Identifier: Apache-2.0
//
// Addresses and host names in their short forms (conf/address.h). No state, any thread.

#include "conf/address.h"

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "os/addr.h"

enum { NAME_MAX_LEN = 253, LABEL_MAX_LEN = 63 }; // RFC 1035 2.3.4

static int fail(struct conf_problem *problem, const char *what, const char *hint)
{
    *problem = (struct conf_problem){what, hint};
    return E_INVALID;
}

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len > 0;
}

static int check_port(struct slice s, bool zero_ok, struct conf_problem *problem)
{
    uint64_t port = 0;
    if (s.len == 0 || !is_digits(s) || (s.len > 1 && s.ptr[0] == '0')) {
        return fail(problem, "the port is not a number", "an address ends in :PORT, as in :8080");
    }
    if (num_parse_u64(s, 65535, &port) != 0 || (port == 0 && !zero_ok)) {
        return fail(problem, "the port is out of range",
                    zero_ok ? "ports are 0 (any) to 65535" : "ports are 1 to 65535");
    }
    return 0;
}

static bool is_ip(struct slice s)
{
    struct os_addr ignored;
    return os_addr_parse_ip(s, 1, &ignored) == 0;
}

static void put_lower(struct text *out, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        text_char(out, c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c);
    }
}

// Letters, digits, hyphens and underscores (which are in use, RFC 2181 11) between dots.
static int check_name(struct slice s, struct conf_problem *problem)
{
    size_t label = 0;
    if (s.len == 0 || s.len > NAME_MAX_LEN) {
        return fail(problem, s.len == 0 ? "the host is empty" : "the host name is too long", "");
    }
    for (size_t i = 0; i <= s.len; i++) {
        char c = i < s.len ? s.ptr[i] : '.';
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '-' || c == '_';
        if ((unsigned char)c >= 0x80) {
            return fail(problem, "the host name has letters beyond ASCII",
                        "write it as browsers send it, in its xn-- form (punycode)");
        }
        if (!word && c != '.') {
            return fail(problem, "the host name has a character that no host name has", "");
        }
        label = word ? label + 1 : label;
        if (label > LABEL_MAX_LEN) {
            return fail(problem, "a part of the host name is longer than 63 letters", "");
        }
        if (c == '.') {
            if (label == 0) {
                return fail(problem, "the host name has an empty part", "");
            }
            label = 0;
        }
    }
    return 0;
}

static int unix_path(struct slice s, struct text *out, struct conf_problem *problem)
{
    struct slice path = slice_from(s, 5);
    if (path.len < 2 || path.ptr[0] != '/') {
        return fail(problem, "a Unix socket needs an absolute path", "as in unix:/run/app.sock");
    }
    if (path.len >= OS_ADDR_PATH_MAX) {
        return fail(problem, "the path of the Unix socket is too long",
                    "the kernel takes 107 bytes");
    }
    text_put(out, s);
    return 0;
}

// "[v6]:port"
static int bracketed(struct slice s, bool zero_ok, struct text *out, struct conf_problem *problem)
{
    ptrdiff_t end = slice_find_char(s, ']');
    if (end < 0 || !is_ip(slice_sub(s, 0, (size_t)end + 1))) {
        return fail(problem, "no IPv6 address in the brackets", "as in \"[::1]:8080\"");
    }
    struct slice rest = slice_from(s, (size_t)end + 1);
    if (rest.len == 0 || rest.ptr[0] != ':') {
        return fail(problem, "the address has no port", "as in \"[::1]:8080\"");
    }
    int rc = check_port(slice_from(rest, 1), zero_ok, problem);
    if (rc == 0) {
        put_lower(out, s);
    }
    return rc;
}

static int host_and_port(struct slice s, bool zero_ok, struct text *out,
                         struct conf_problem *problem)
{
    ptrdiff_t colon = slice_find_char(s, ':');
    if (colon >= 0 && slice_find_char(slice_from(s, (size_t)colon + 1), ':') >= 0) {
        return fail(problem, is_ip(s) ? "the address has no port" : "not an address",
                    "an IPv6 address with a port stands in brackets and quotes: \"[::1]:8080\"");
    }
    if (colon < 0) {
        return fail(problem, "the address has no port", "as in 10.0.0.1:8080 or app.internal:8080");
    }
    struct slice host = slice_sub(s, 0, (size_t)colon);
    int rc = check_port(slice_from(s, (size_t)colon + 1), zero_ok, problem);
    if (rc == 0 && !is_ip(host)) {
        // What has only digits and dots is meant as an address, and is none.
        bool numeric = true;
        for (size_t i = 0; i < host.len; i++) {
            numeric = numeric && (host.ptr[i] == '.' || (host.ptr[i] >= '0' && host.ptr[i] <= '9'));
        }
        rc = numeric && host.len > 0 ? fail(problem, "not an IPv4 address", "")
                                     : check_name(host, problem);
    }
    if (rc == 0) {
        put_lower(out, s);
    }
    return rc;
}

// What follows a scheme; `scheme` is written in front, `otherwise` is the port when none is said.
static int after_scheme(struct slice s, struct slice scheme, struct slice otherwise,
                        struct text *out, struct conf_problem *problem)
{
    ptrdiff_t slash = slice_find_char(s, '/');
    if (slash >= 0 && (size_t)slash + 1 < s.len) {
        return fail(problem, "the address of an origin has no path",
                    "to put a path in front of each request, add `rewrite: /base$path`");
    }
    s = slash >= 0 ? slice_sub(s, 0, (size_t)slash) : s;
    bool v6 = s.len > 0 && s.ptr[0] == '[';
    bool port = v6 ? slice_find(s, SLICE("]:")) >= 0 : slice_find_char(s, ':') >= 0;
    char buffer[NAME_MAX_LEN + 8];
    struct text whole = text_on(buffer, sizeof buffer);
    text_put(&whole, s);
    text_put(&whole, port ? SLICE("") : otherwise);
    if (whole.overflow) {
        return fail(problem, "the host name is too long", "");
    }
    text_put(out, scheme);
    return v6 ? bracketed(text_slice(&whole), false, out, problem)
              : host_and_port(text_slice(&whole), false, out, problem);
}

// "_http._tcp.app.internal" (RFC 2782): two labels with an underscore, then the domain.
static int service(struct slice s, struct slice scheme, struct text *out,
                   struct conf_problem *problem)
{
    static const char how[] = "as in srv://_http._tcp.app.internal";
    struct slice rest = s;
    for (int label = 0; label < 2; label++) {
        ptrdiff_t dot = slice_find_char(rest, '.');
        if (dot < 2 || rest.ptr[0] != '_') {
            return fail(problem, "not the name of a service: it is _NAME._PROTOCOL.DOMAIN", how);
        }
        rest = slice_from(rest, (size_t)dot + 1);
    }
    if (slice_find_char(s, ':') >= 0 || slice_find_char(s, '/') >= 0) {
        return fail(problem, "a service has no port and no path: its records say the ports", how);
    }
    int rc = check_name(s, problem);
    if (rc == 0) {
        text_put(out, scheme);
        put_lower(out, s);
    }
    return rc;
}

bool conf_address_is_service(struct slice address)
{
    return slice_starts(address, SLICE("srv://")) || slice_starts(address, SLICE("srvs://"));
}

enum conf_scheme conf_address_take_scheme(struct slice *address)
{
    if (slice_starts(*address, SLICE("srvs://"))) {
        *address = slice_from(*address, 7);
        return CONF_SCHEME_HTTPS;
    }
    if (slice_starts(*address, SLICE("srv://"))) {
        *address = slice_from(*address, 6);
        return CONF_SCHEME_HTTP;
    }
    if (slice_starts(*address, SLICE("https://"))) {
        *address = slice_from(*address, 8);
        return CONF_SCHEME_HTTPS;
    }
    if (slice_starts(*address, SLICE("h2c://"))) {
        *address = slice_from(*address, 6);
        return CONF_SCHEME_H2C;
    }
    if (slice_starts(*address, SLICE("tls://"))) {
        *address = slice_from(*address, 6);
        return CONF_SCHEME_TLS;
    }
    return CONF_SCHEME_HTTP;
}

int conf_address_origin(struct slice s, struct text *out, struct conf_problem *problem)
{
    if (slice_starts(s, SLICE("unix:"))) {
        return unix_path(s, out, problem);
    }
    if (slice_starts(s, SLICE("http://"))) {
        return after_scheme(slice_from(s, 7), SLICE(""), SLICE(":80"), out, problem);
    }
    if (slice_starts(s, SLICE("https://"))) {
        return after_scheme(slice_from(s, 8), SLICE("https://"), SLICE(":443"), out, problem);
    }
    if (slice_starts(s, SLICE("h2c://"))) {
        return after_scheme(slice_from(s, 6), SLICE("h2c://"), SLICE(":80"), out, problem);
    }
    if (slice_starts(s, SLICE("srv://"))) {
        return service(slice_from(s, 6), SLICE("srv://"), out, problem);
    }
    if (slice_starts(s, SLICE("srvs://"))) {
        return service(slice_from(s, 7), SLICE("srvs://"), out, problem);
    }
    if (slice_starts(s, SLICE("tls://"))) {
        return after_scheme(slice_from(s, 6), SLICE("tls://"), SLICE(""), out, problem);
    }
    if (slice_find(s, SLICE("://")) >= 0) {
        bool socket = slice_starts(s, SLICE("ws://")) || slice_starts(s, SLICE("wss://"));
        bool grpc = slice_starts(s, SLICE("grpc://")) || slice_starts(s, SLICE("h2://"));
        return fail(problem, "an unknown scheme",
                    socket ? "WebSocket origins are http:// or https:// as any other"
                    : grpc ? "HTTP/2 without TLS is h2c://HOST:PORT, with it https://HOST:PORT"
                           : "an origin is http://, https:// or h2c://HOST:PORT, or HOST:PORT");
    }
    if (is_digits(s) || (s.len > 1 && s.ptr[0] == ':' && is_digits(slice_from(s, 1)))) {
        struct slice port = s.ptr[0] == ':' ? slice_from(s, 1) : s;
        int rc = check_port(port, false, problem);
        text_put(out, SLICE("127.0.0.1:"));
        text_put(out, port);
        return rc;
    }
    if (slice_find_char(s, '/') >= 0) {
        bool path = s.ptr[0] == '/';
        return fail(problem,
                    path ? "a path is not an address" : "the address of an origin has no path",
                    path ? "a Unix socket is unix:/path"
                         : "to put a path in front of each request, add `rewrite: /base$path`");
    }
    return s.len > 0 && s.ptr[0] == '[' ? bracketed(s, false, out, problem)
                                        : host_and_port(s, false, out, problem);
}

int conf_address_listen(struct slice s, struct text *out, struct conf_problem *problem)
{
    if (slice_starts(s, SLICE("unix:"))) {
        return unix_path(s, out, problem);
    }
    if (is_digits(s) || (s.len > 0 && s.ptr[0] == ':' && s.len > 1 && s.ptr[1] != ':')) {
        struct slice port = s.ptr[0] == ':' ? slice_from(s, 1) : s;
        int rc = check_port(port, true, problem);
        text_put(out, SLICE("[::]:"));
        text_put(out, port);
        return rc;
    }
    if (s.len > 0 && s.ptr[0] == '[') {
        return bracketed(s, true, out, problem);
    }
    if (slice_starts(s, SLICE("*"))) {
        return fail(problem, "`*` is no address", "\":8080\" listens on every address");
    }
    if (slice_find(s, SLICE("://")) >= 0) {
        return fail(problem, "a listener has no scheme", "write IP:PORT or \":PORT\"");
    }
    ptrdiff_t colon = slice_find_char(s, ':');
    if (colon > 0 && slice_find_char(slice_from(s, (size_t)colon + 1), ':') < 0 &&
        !is_ip(slice_sub(s, 0, (size_t)colon))) {
        return fail(problem, "a listener has an IP address, not a name",
                    slice_starts(s, SLICE("localhost:")) ? "write 127.0.0.1 for localhost"
                                                         : "\":8080\" listens on every address");
    }
    return host_and_port(s, true, out, problem);
}

int conf_address_stream(struct slice s, struct text *out, struct conf_problem *problem)
{
    if (slice_starts(s, SLICE("udp://"))) {
        s = slice_from(s, 6);
        if (slice_starts(s, SLICE("unix:"))) {
            return fail(problem, "a Unix socket has no UDP", "");
        }
        text_put(out, SLICE("udp://"));
    } else if (slice_starts(s, SLICE("tcp://"))) {
        s = slice_from(s, 6);
    }
    return conf_address_listen(s, out, problem);
}

int conf_address_host(struct slice s, struct text *out, struct conf_problem *problem)
{
    bool wildcard = slice_starts(s, SLICE("*."));
    struct slice name = wildcard ? slice_from(s, 2) : s;
    if (slice_starts(s, SLICE("http://")) || slice_starts(s, SLICE("https://"))) {
        return fail(problem, "a host stands without a scheme", "as in example.com");
    }
    if (slice_find_char(s, '/') >= 0) {
        return fail(problem, "a host has no path", "paths belong into `routes`");
    }
    if (slice_eq(s, SLICE("*")) || slice_eq(s, SLICE("_"))) {
        return fail(problem, "any other host is written `default`", "");
    }
    if (s.len > 0 && s.ptr[0] == '[' ? slice_ends(s, SLICE("]")) && is_ip(s) : is_ip(s)) {
        bool bare = slice_find_char(s, ':') >= 0 && s.ptr[0] != '[';
        text_put(out, bare ? SLICE("[") : SLICE(""));
        put_lower(out, s);
        text_put(out, bare ? SLICE("]") : SLICE(""));
        return 0;
    }
    if (slice_find_char(s, ':') >= 0) {
        return fail(problem, "a host stands without a port", "ports belong into `listen`");
    }
    if (slice_find_char(name, '*') >= 0) {
        return fail(problem, "a wildcard is only the whole first part of a host",
                    "as in \"*.example.com\"");
    }
    if (slice_ends(name, SLICE(".")) && name.len > 1) {
        return fail(problem, "a host stands without a dot at its end", "");
    }
    int rc = check_name(name, problem);
    if (rc == 0) {
        put_lower(out, s);
    }
    return rc;
}

bool conf_address_is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!letter && !(other && i > 0)) {
            return false;
        }
    }
    return s.len > 0;
}
