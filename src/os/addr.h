// SPDX-License-Identifier: Apache-2.0
//
// Socket addresses: IPv4, IPv6 and Unix, as one small value, with text in and out and CIDR ranges.

#pragma once

#include <stdint.h>
#include <string.h>

#include "base/ensure.h"
#include "base/slice.h"

struct text;
struct sockaddr;

enum os_addr_kind { OS_ADDR_NONE, OS_ADDR_V4, OS_ADDR_V6, OS_ADDR_UNIX };

enum { OS_ADDR_PATH_MAX = 108, OS_ADDR_TEXT_MAX = 128 };

struct os_addr {
    uint8_t kind;     // enum os_addr_kind
    uint8_t path_len; // Unix
    uint16_t port;    // host order
    uint32_t scope;   // IPv6 scope id
    bool dual;        // ":80" as a listener: any address, IPv6 and IPv4
    union {
        uint8_t ip[16]; // v4: the first four bytes
        char path[OS_ADDR_PATH_MAX];
    } u;
};

/** Who a peer is, in a quarter of the bytes: for what lives as long as a connection does. A Unix
 * socket's path is left out, which says nothing of a client. */
struct os_peer {
    uint8_t kind; // enum os_addr_kind
    uint16_t port;
    uint32_t scope;
    uint8_t ip[16];
};

static inline struct os_peer os_peer_of(const struct os_addr *a)
{
    struct os_peer p = {.kind = a->kind, .port = a->port, .scope = a->scope};
    if (a->kind != OS_ADDR_UNIX) {
        memcpy(p.ip, a->u.ip, sizeof(p.ip));
    }
    return p;
}

static inline struct os_addr os_peer_addr(const struct os_peer *p)
{
    struct os_addr a = {.kind = p->kind, .port = p->port, .scope = p->scope};
    memcpy(a.u.ip, p->ip, sizeof(p->ip));
    return a;
}

/** "1.2.3.4:80", "[::1]:80", "unix:/path", "unix:@abstract". A port is required for IP. 0, E_INVALID, E_TOO_LARGE. */
int os_addr_parse(struct slice s, struct os_addr *out) must_check;
/** As os_addr_parse(), and ":80" or "*:80" for every address of both families: `dual` is set. */
int os_addr_parse_listen(struct slice s, struct os_addr *out) must_check;
/** An IP literal without port ("1.2.3.4", "::1", "[::1]"). */
int os_addr_parse_ip(struct slice s, uint16_t port, struct os_addr *out) must_check;
/** As os_addr_parse() or os_addr_parse_listen() reads it. */
void os_addr_text(const struct os_addr *a, struct text *out);
/** The IP alone, no brackets; "unix" for Unix. */
void os_addr_ip_text(const struct os_addr *a, struct text *out);
/** The same host, whatever the port; for Unix the same path. */
bool os_addr_same_ip(const struct os_addr *a, const struct os_addr *b);
bool os_addr_eq(const struct os_addr *a, const struct os_addr *b);
/** The kernel's form; `storage` must hold a struct sockaddr_storage. Returns its length. */
unsigned os_addr_to_sockaddr(const struct os_addr *a, void *storage);
void os_addr_from_sockaddr(struct os_addr *a, const struct sockaddr *sa, unsigned len);

struct os_cidr {
    uint8_t kind; // V4, V6, or UNIX for any Unix peer
    uint8_t bits;
    uint8_t ip[16];
};

/** "10.0.0.0/8", "::1/128", "10.0.0.1", "unix". Host bits set are E_INVALID. */
int os_cidr_parse(struct slice s, struct os_cidr *out) must_check;
/** v4-mapped IPv6 addresses match v4 ranges. */
bool os_cidr_contains(const struct os_cidr *c, const struct os_addr *a);
