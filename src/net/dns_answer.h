// SPDX-License-Identifier: Apache-2.0
//
// Reading the answers of name servers (RFC 1035, RFC 2782): addresses with the TTL of the whole way to
// them, and services. Pure functions over bytes that anybody may have sent; c-ares, which carries
// them, has seen to their number, their sender and to what came truncated.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "os/addr.h"

enum {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_NAME_MAX = 255, // RFC 1035 section 2.3.4
    DNS_ADDRS_MAX = 256,
    DNS_SERVICES_MAX = 256,
};

/** A name as text in lower case, without the dot at its end; the root is empty. */
struct dns_name {
    uint8_t len;
    char text[DNS_NAME_MAX];
};

static inline struct slice dns_name_text(const struct dns_name *n)
{
    return slice_of(n->text, n->len);
}

/** No name that could be asked for (too long, an empty label, a byte beyond ASCII) is E_INVALID. */
int dns_name_set(struct dns_name *n, struct slice text) must_check;

struct dns_addrs {
    uint32_t ttl_s; // the shortest on the way, aliases included; UINT32_MAX without addresses
    uint32_t count; // further ones than DNS_ADDRS_MAX are left out
    struct os_addr addrs[DNS_ADDRS_MAX]; // port 0
};

/** The addresses that a message gives for `name` and `type` (A or AAAA), through aliases. No address
 * is no error. 0; E_INVALID: it is no answer to that question, or cannot be read. */
int dns_answer_addrs(struct slice message, const struct dns_name *name, unsigned type,
                     struct dns_addrs *out) must_check;

struct dns_service {
    uint16_t priority; // lower first
    uint16_t weight;   // among equals
    uint16_t port;
    uint32_t extra_ttl_s; // the shortest of its addresses here; UINT32_MAX: none
    struct dns_name target;
};

struct dns_extra {
    uint32_t service; // the first one that has this target
    struct os_addr addr;
};

struct dns_services {
    uint32_t ttl_s;
    uint32_t count; // further ones than DNS_SERVICES_MAX are left out
    uint32_t extra_count;
    bool none; // the target is ".": decidedly no such service (RFC 2782)
    struct dns_service services[DNS_SERVICES_MAX];
    struct dns_extra extra[DNS_ADDRS_MAX]; // addresses of targets that came along
};

/** The SRV records of a message. 0 or E_INVALID, as above. */
int dns_answer_services(struct slice message, const struct dns_name *name, struct dns_services *out)
    must_check;
