// SPDX-License-Identifier: Apache-2.0
//
// Which way leads out (net/outbound.h).

#include "net/outbound.h"

#include "base/error.h"
#include "base/num.h"
#include "os/addr.h"

enum { DEFAULT_PORT = 1080 };

// ---- a proxy's URL ------------------------------------------------------------------------------

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Percent-decoded; no control bytes, and no more than fits. */
static bool decode_login(struct slice in, char out[OUTBOUND_LOGIN_MAX], uint8_t *len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int c = (unsigned char)in.ptr[i];
        if (c == '%') {
            bool whole = in.len - i > 2;
            int high = whole ? hex_of(in.ptr[i + 1]) : -1;
            int low = whole ? hex_of(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = high * 16 + low;
            i += 2;
        }
        if (c < ' ' || c == 0x7f || n == OUTBOUND_LOGIN_MAX) {
            return false;
        }
        out[n++] = (char)c;
    }
    *len = (uint8_t)n;
    return true;
}

static bool take_login(struct slice login, struct outbound *out)
{
    ptrdiff_t colon = slice_find_char(login, ':');
    struct slice user = colon < 0 ? login : slice_sub(login, 0, (size_t)colon);
    struct slice password = colon < 0 ? SLICE("") : slice_from(login, (size_t)colon + 1);
    out->login = true;
    return decode_login(user, out->user, &out->user_len) &&
           decode_login(password, out->password, &out->password_len);
}

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_host(struct slice host)
{
    struct os_addr ignored;
    if (slice_find_char(host, ':') >= 0) {
        return os_addr_parse_ip(host, 1, &ignored) == 0;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_byte(host.ptr[i])) {
            return false;
        }
    }
    return host.len > 0 && host.len <= OUTBOUND_HOST_MAX;
}

/** Takes ":PORT" off the end of "HOST:PORT", "[V6]:PORT" or one of them without it, brackets off. An IPv6
 * address without brackets has no port. False: the port is none. */
static bool split_port(struct slice *host, uint16_t *port)
{
    struct slice digits = SLICE("");
    ptrdiff_t colon = slice_find_char(*host, ':');
    if (host->len > 0 && host->ptr[0] == '[') {
        ptrdiff_t end = slice_find_char(*host, ']');
        if (end < 0) {
            return false;
        }
        struct slice rest = slice_from(*host, (size_t)end + 1);
        *host = slice_sub(*host, 1, (size_t)end - 1);
        if (rest.len > 0 && rest.ptr[0] != ':') {
            return false;
        }
        digits = slice_from(rest, 1);
        colon = rest.len > 0 ? 0 : -1;
    } else if (colon >= 0 && slice_find_char(slice_from(*host, (size_t)colon + 1), ':') < 0) {
        digits = slice_from(*host, (size_t)colon + 1);
        *host = slice_sub(*host, 0, (size_t)colon);
    } else {
        colon = -1;
    }
    uint64_t value = 0;
    if (colon >= 0 && (num_parse_u64(digits, 65535, &value) != 0 || value == 0)) {
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

int outbound_parse(struct slice url, struct outbound *out, const char **why)
{
    *out = (struct outbound){.kind = OUTBOUND_CONNECT, .port = DEFAULT_PORT};
    ptrdiff_t end = slice_find(url, SLICE("://"));
    if (end >= 0) {
        struct slice scheme = slice_sub(url, 0, (size_t)end);
        url = slice_from(url, (size_t)end + 3);
        if (slice_eq_nocase(scheme, SLICE("socks5")) || slice_eq_nocase(scheme, SLICE("socks5h"))) {
            out->kind = OUTBOUND_SOCKS5;
        } else if (!slice_eq_nocase(scheme, SLICE("http"))) {
            *why = "a proxy is http:// or socks5://";
            return E_UNSUPPORTED;
        }
    }
    ptrdiff_t at = -1;
    for (size_t i = 0; i < url.len; i++) {
        at = url.ptr[i] == '@' ? (ptrdiff_t)i : at; // the last one: curl takes what comes before
    }
    if (at >= 0 && !take_login(slice_sub(url, 0, (size_t)at), out)) {
        *why = "the proxy's user or password is too long or badly encoded";
        return E_INVALID;
    }
    struct slice host = slice_from(url, (size_t)(at + 1));
    ptrdiff_t slash = slice_find_char(host, '/');
    host = slash < 0 ? host : slice_sub(host, 0, (size_t)slash);
    uint16_t port = 0;
    if (!split_port(&host, &port) || !is_host(host)) {
        *why = "a proxy is [http://][USER:PASSWORD@]HOST[:PORT]";
        return E_INVALID;
    }
    out->port = port != 0 ? port : DEFAULT_PORT;
    memcpy(out->host, host.ptr, host.len);
    out->host_len = (uint8_t)host.len;
    return 0;
}

// ---- who needs none -----------------------------------------------------------------------------

static struct slice without_dots(struct slice name)
{
    while (name.len > 0 && name.ptr[0] == '.') {
        name = slice_from(name, 1);
    }
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    return name;
}

/** The name itself or one below it: "example.com" is no tail of "notexample.com". */
static bool is_below(struct slice host, struct slice name)
{
    host = without_dots(host);
    name = without_dots(name);
    return name.len > 0 && slice_ends_nocase(host, name) &&
           (host.len == name.len || host.ptr[host.len - name.len - 1] == '.');
}

/** A network as no_proxy has it: curl takes one whose address goes on behind its prefix as well. */
static bool network_has(struct slice text, const struct os_addr *a)
{
    ptrdiff_t slash = slice_find_char(text, '/');
    struct os_addr first;
    uint64_t bits = 0;
    struct slice address = slash < 0 ? text : slice_sub(text, 0, (size_t)slash);
    if (os_addr_parse_ip(address, 1, &first) != 0 || first.kind != a->kind) {
        return false;
    }
    unsigned all = first.kind == OS_ADDR_V4 ? 32 : 128;
    if (slash < 0) {
        bits = all;
    } else if (num_parse_u64(slice_from(text, (size_t)slash + 1), all, &bits) != 0) {
        return false;
    }
    for (unsigned i = 0; i < bits; i++) {
        unsigned mask = 0x80U >> i % 8;
        if (((first.u.ip[i / 8] ^ a->u.ip[i / 8]) & mask) != 0) {
            return false;
        }
    }
    return true;
}

static bool entry_has(struct slice entry, struct slice host, uint16_t port)
{
    struct os_addr a;
    uint16_t only = 0;
    if (slice_eq(entry, SLICE("*"))) {
        return true;
    }
    if (!split_port(&entry, &only) || (only != 0 && only != port)) {
        return false;
    }
    return os_addr_parse_ip(host, 1, &a) == 0 ? network_has(entry, &a) : is_below(host, entry);
}

bool outbound_is_exempt(struct slice list, struct slice host, uint16_t port)
{
    if (host.len > 2 && host.ptr[0] == '[') {
        host = slice_sub(host, 1, host.len - 2);
    }
    size_t i = 0;
    while (i < list.len) {
        size_t from = i;
        while (i < list.len && list.ptr[i] != ',' && list.ptr[i] != ' ' && list.ptr[i] != '\t') {
            i++;
        }
        if (i > from && entry_has(slice_sub(list, from, i - from), host, port)) {
            return true;
        }
        i++;
    }
    return false;
}

static const char *first_of(const char *a, const char *b)
{
    return a != NULL && a[0] != '\0' ? a : b != NULL && b[0] != '\0' ? b : NULL;
}

int outbound_choose(const struct outbound_env *env, bool secure, struct slice host, uint16_t port,
                    struct outbound *out, const char **why)
{
    *out = (struct outbound){.kind = OUTBOUND_DIRECT};
    const char *proxy = secure ? first_of(env->https_proxy, env->HTTPS_PROXY) : env->http_proxy;
    const char *none = first_of(env->no_proxy, env->NO_PROXY);
    proxy = first_of(proxy, first_of(env->all_proxy, env->ALL_PROXY));
    if (proxy == NULL || (none != NULL && outbound_is_exempt(slice_str(none), host, port))) {
        return 0;
    }
    return outbound_parse(slice_str(proxy), out, why);
}

void outbound_text(const struct outbound *o, struct text *out)
{
    if (o->kind == OUTBOUND_DIRECT) {
        text_str(out, "directly");
        return;
    }
    bool v6 = slice_find_char(outbound_host(o), ':') >= 0;
    text_str(out, o->kind == OUTBOUND_SOCKS5 ? "socks5://" : "http://");
    text_str(out, v6 ? "[" : "");
    text_put(out, outbound_host(o));
    text_str(out, v6 ? "]:" : ":");
    text_u64(out, o->port);
}
