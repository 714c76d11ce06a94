// SPDX-License-Identifier: Apache-2.0
//
// Addresses in and out of text and of the kernel's form. An IPv4 peer of a dual-stack listener
// arrives as ::ffff:a.b.c.d and is turned into plain IPv4 here, once, so that logs, access rules
// and hashes see one form of it. A Unix path that begins with '@' is in the abstract namespace.

#include "os/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The last byte of a path is kept for the NUL that the kernel's form ends with.
static_assert(OS_ADDR_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path), "same room");

static int parse_port(struct slice s, uint16_t *port)
{
    uint64_t value;
    if (s.len > 5 || num_parse_u64(s, UINT16_MAX, &value) != 0) {
        return E_INVALID;
    }
    *port = (uint16_t)value;
    return 0;
}

static int parse_scope(struct slice s, uint32_t *scope)
{
    uint64_t value;
    if (num_parse_u64(s, UINT32_MAX, &value) == 0) {
        *scope = (uint32_t)value;
        return 0;
    }
    char name[IF_NAMESIZE];
    if (s.len == 0 || s.len >= sizeof(name)) {
        return E_INVALID;
    }
    memcpy(name, s.ptr, s.len);
    name[s.len] = '\0';
    *scope = if_nametoindex(name);
    return *scope != 0 ? 0 : E_INVALID;
}

static int parse_v6(struct slice s, struct os_addr *out)
{
    ptrdiff_t percent = slice_find_char(s, '%');
    if (percent >= 0) {
        int rc = parse_scope(slice_from(s, (size_t)percent + 1), &out->scope);
        if (rc != 0) {
            return rc;
        }
        s.len = (size_t)percent;
    }
    char buffer[INET6_ADDRSTRLEN];
    if (s.len >= sizeof(buffer)) {
        return E_INVALID;
    }
    memcpy(buffer, s.ptr, s.len);
    buffer[s.len] = '\0';
    return inet_pton(AF_INET6, buffer, out->u.ip) == 1 ? 0 : E_INVALID;
}

static int parse_v4(struct slice s, struct os_addr *out)
{
    char buffer[INET_ADDRSTRLEN];
    if (s.len == 0 || s.len >= sizeof(buffer)) {
        return E_INVALID;
    }
    memcpy(buffer, s.ptr, s.len);
    buffer[s.len] = '\0';
    return inet_pton(AF_INET, buffer, out->u.ip) == 1 ? 0 : E_INVALID;
}

int os_addr_parse_ip(struct slice s, uint16_t port, struct os_addr *out)
{
    *out = (struct os_addr){.port = port};
    if (s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']') {
        s = slice_sub(s, 1, s.len - 2);
    } else if (slice_find_char(s, ':') < 0) {
        out->kind = OS_ADDR_V4;
        return parse_v4(s, out);
    }
    out->kind = OS_ADDR_V6;
    return parse_v6(s, out);
}

static int parse_unix(struct slice path, struct os_addr *out)
{
    if (path.len >= OS_ADDR_PATH_MAX) {
        return E_TOO_LARGE;
    }
    if (path.len < 2 || (path.ptr[0] != '/' && path.ptr[0] != '@') ||
        slice_find_char(path, '\0') >= 0) {
        return E_INVALID;
    }
    *out = (struct os_addr){.kind = OS_ADDR_UNIX, .path_len = (uint8_t)path.len};
    memcpy(out->u.path, path.ptr, path.len);
    return 0;
}

int os_addr_parse(struct slice s, struct os_addr *out)
{
    struct slice unix_scheme = SLICE("unix:");
    if (slice_starts(s, unix_scheme)) {
        return parse_unix(slice_from(s, unix_scheme.len), out);
    }
    size_t colon = s.len;
    while (colon > 0 && s.ptr[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2) {
        return E_INVALID;
    }
    struct slice host = slice_sub(s, 0, colon - 1);
    // Without brackets the last group of an IPv6 address would be taken for a port.
    if (slice_find_char(host, ':') >= 0 && host.ptr[0] != '[') {
        return E_INVALID;
    }
    uint16_t port;
    int rc = parse_port(slice_from(s, colon), &port);
    return rc != 0 ? rc : os_addr_parse_ip(host, port, out);
}

int os_addr_parse_listen(struct slice s, struct os_addr *out)
{
    bool any = s.len > 0 && s.ptr[0] == ':';
    if (!any && !slice_starts(s, SLICE("*:"))) {
        return os_addr_parse(s, out);
    }
    *out = (struct os_addr){.kind = OS_ADDR_V6, .dual = true};
    return parse_port(slice_from(s, any ? 1 : 2), &out->port);
}

// On the path of every request; inet_ntop() goes through printf().
static void put_ipv4(const uint8_t *ip, struct text *out)
{
    char buffer[INET_ADDRSTRLEN];
    size_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned byte = ip[i];
        if (byte >= 100) {
            buffer[n++] = (char)('0' + byte / 100);
        }
        if (byte >= 10) {
            buffer[n++] = (char)('0' + byte / 10 % 10);
        }
        buffer[n++] = (char)('0' + byte % 10);
        if (i < 3) {
            buffer[n++] = '.';
        }
    }
    text_put(out, slice_of(buffer, n));
}

void os_addr_ip_text(const struct os_addr *a, struct text *out)
{
    char buffer[INET6_ADDRSTRLEN] = "";
    switch ((enum os_addr_kind)a->kind) {
    case OS_ADDR_V4:
        put_ipv4(a->u.ip, out);
        break;
    case OS_ADDR_V6:
        (void)inet_ntop(AF_INET6, a->u.ip, buffer, sizeof(buffer));
        text_str(out, buffer);
        if (a->scope != 0) {
            text_char(out, '%');
            text_u64(out, a->scope);
        }
        break;
    case OS_ADDR_UNIX:
        text_str(out, "unix");
        break;
    case OS_ADDR_NONE:
        text_char(out, '-');
        break;
    }
}

void os_addr_text(const struct os_addr *a, struct text *out)
{
    switch ((enum os_addr_kind)a->kind) {
    case OS_ADDR_V6:
        if (!a->dual) {
            text_char(out, '[');
            os_addr_ip_text(a, out);
            text_char(out, ']');
        }
        break;
    case OS_ADDR_UNIX:
        text_str(out, "unix:");
        text_put(out, slice_of(a->u.path, a->path_len));
        return;
    case OS_ADDR_V4:
        os_addr_ip_text(a, out);
        break;
    case OS_ADDR_NONE:
        text_char(out, '-');
        return;
    }
    text_char(out, ':');
    text_u64(out, a->port);
}

bool os_addr_same_ip(const struct os_addr *a, const struct os_addr *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch ((enum os_addr_kind)a->kind) {
    case OS_ADDR_V4:
        return memcmp(a->u.ip, b->u.ip, 4) == 0;
    case OS_ADDR_V6:
        return a->scope == b->scope && memcmp(a->u.ip, b->u.ip, 16) == 0;
    case OS_ADDR_UNIX:
        return a->path_len == b->path_len && memcmp(a->u.path, b->u.path, a->path_len) == 0;
    case OS_ADDR_NONE:
        return true;
    }
    return false;
}

bool os_addr_eq(const struct os_addr *a, const struct os_addr *b)
{
    return os_addr_same_ip(a, b) && (a->kind == OS_ADDR_UNIX || a->port == b->port);
}

unsigned os_addr_to_sockaddr(const struct os_addr *a, void *storage)
{
    switch ((enum os_addr_kind)a->kind) {
    case OS_ADDR_V4: {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&sin.sin_addr, a->u.ip, 4);
        memcpy(storage, &sin, sizeof(sin));
        return sizeof(sin);
    }
    case OS_ADDR_V6: {
        struct sockaddr_in6 sin6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
        memcpy(&sin6.sin6_addr, a->u.ip, 16);
        memcpy(storage, &sin6, sizeof(sin6));
        return sizeof(sin6);
    }
    case OS_ADDR_UNIX: {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        ensure(a->path_len > 0 && a->path_len < sizeof(sun.sun_path));
        memcpy(sun.sun_path, a->u.path, a->path_len);
        unsigned len = (unsigned)offsetof(struct sockaddr_un, sun_path) + a->path_len;
        if (sun.sun_path[0] == '@') {
            sun.sun_path[0] = '\0';
        } else {
            len++;
        }
        memcpy(storage, &sun, sizeof(sun));
        return len;
    }
    case OS_ADDR_NONE:
        break;
    }
    unreachable();
}

static void from_un(struct os_addr *a, const struct sockaddr *sa, unsigned len)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    memcpy(&sun, sa, len < sizeof(sun) ? len : sizeof(sun));
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t n = len > head ? len - head : 0;
    a->kind = OS_ADDR_UNIX;
    if (n > 0 && sun.sun_path[0] == '\0') {
        sun.sun_path[0] = '@';
    } else {
        n = strnlen(sun.sun_path, n);
    }
    n = num_min_size(n, OS_ADDR_PATH_MAX - 1);
    memcpy(a->u.path, sun.sun_path, n);
    a->path_len = (uint8_t)n;
}

void os_addr_from_sockaddr(struct os_addr *a, const struct sockaddr *sa, unsigned len)
{
    *a = (struct os_addr){.kind = OS_ADDR_NONE};
    if (len < sizeof(sa_family_t)) {
        return;
    }
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in sin;
        memcpy(&sin, sa, sizeof(sin));
        a->kind = OS_ADDR_V4;
        a->port = ntohs(sin.sin_port);
        memcpy(a->u.ip, &sin.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, sa, sizeof(sin6));
        a->port = ntohs(sin6.sin6_port);
        if (memcmp(&sin6.sin6_addr, v4_mapped, sizeof(v4_mapped)) == 0) {
            a->kind = OS_ADDR_V4;
            memcpy(a->u.ip, (const uint8_t *)&sin6.sin6_addr + sizeof(v4_mapped), 4);
        } else {
            a->kind = OS_ADDR_V6;
            a->scope = sin6.sin6_scope_id;
            memcpy(a->u.ip, &sin6.sin6_addr, 16);
        }
    } else if (sa->sa_family == AF_UNIX) {
        from_un(a, sa, len);
    }
}

// ---- ranges ----------------------------------------------------------------------------------------

// True when the first `bits` bits of a and b agree.
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    if (memcmp(a, b, whole) != 0) {
        return false;
    }
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool host_bits_clear(const struct os_cidr *c)
{
    unsigned all = c->kind == OS_ADDR_V4 ? 32 : 128;
    for (unsigned bit = c->bits; bit < all; bit++) {
        if ((c->ip[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

int os_cidr_parse(struct slice s, struct os_cidr *out)
{
    *out = (struct os_cidr){.kind = OS_ADDR_NONE};
    if (slice_eq(s, SLICE("unix"))) {
        out->kind = OS_ADDR_UNIX;
        return 0;
    }
    ptrdiff_t slash = slice_find_char(s, '/');
    struct slice host = slash >= 0 ? slice_sub(s, 0, (size_t)slash) : s;
    struct os_addr a;
    int rc = os_addr_parse_ip(host, 0, &a);
    if (rc != 0 || a.scope != 0) {
        return E_INVALID;
    }
    uint64_t all = a.kind == OS_ADDR_V4 ? 32 : 128;
    uint64_t bits = all;
    if (slash >= 0 && num_parse_u64(slice_from(s, (size_t)slash + 1), all, &bits) != 0) {
        return E_INVALID;
    }
    out->kind = a.kind;
    out->bits = (uint8_t)bits;
    memcpy(out->ip, a.u.ip, a.kind == OS_ADDR_V4 ? 4 : 16);
    return host_bits_clear(out) ? 0 : E_INVALID;
}

bool os_cidr_contains(const struct os_cidr *c, const struct os_addr *a)
{
    if (c->kind == OS_ADDR_UNIX || a->kind == OS_ADDR_UNIX || a->kind == OS_ADDR_NONE) {
        return c->kind == OS_ADDR_UNIX && a->kind == OS_ADDR_UNIX;
    }
    bool mapped = a->kind == OS_ADDR_V6 && memcmp(a->u.ip, v4_mapped, sizeof(v4_mapped)) == 0;
    if (mapped && c->kind == OS_ADDR_V4) {
        return same_prefix(c->ip, a->u.ip + sizeof(v4_mapped), c->bits);
    }
    return c->kind == a->kind && same_prefix(c->ip, a->u.ip, c->bits);
}
