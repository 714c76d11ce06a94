// SPDX-License-Identifier: Apache-2.0
//
// Answers of name servers: whatever comes in, what comes out is in bounds and can be asked for. The
// question is taken from the message itself, else few inputs would get beyond it.

#include <stdlib.h>

#include "base/ensure.h"
#include "base/error.h"
#include "net/dns_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The labels at offset 12, as far as they go.
static bool asked(struct slice message, struct dns_name *out)
{
    char text[DNS_NAME_MAX];
    size_t len = 0;
    size_t at = 12;
    while (at < message.len && message.ptr[at] != 0) {
        size_t label = (unsigned char)message.ptr[at++];
        if (label > 63 || message.len - at < label || len + label + 1 > sizeof text) {
            return false;
        }
        memcpy(text + len, message.ptr + at, label);
        len += label;
        text[len++] = '.';
        at += label;
    }
    return dns_name_set(out, slice_of(text, len)) == 0;
}

static void check_name(const struct dns_name *n)
{
    struct dns_name again;
    ensure(dns_name_set(&again, dns_name_text(n)) == 0);
    ensure(slice_eq(dns_name_text(&again), dns_name_text(n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dns_addrs addrs;
    static struct dns_services services;
    struct dns_name name;
    char *copy = malloc(size > 0 ? size : 1);
    ensure(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct slice message = slice_of(copy, size);
    if (asked(message, &name)) {
        check_name(&name);
        static const unsigned types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};
        for (size_t i = 0; i < array_len(types); i++) {
            int e = dns_answer_addrs(message, &name, types[i], &addrs);
            ensure(e == 0 || e == E_INVALID);
            ensure(addrs.count <= DNS_ADDRS_MAX);
            ensure(e != 0 || (addrs.count > 0) == (addrs.ttl_s != UINT32_MAX) || addrs.count > 0);
        }
        int e = dns_answer_services(message, &name, &services);
        ensure(e == 0 || e == E_INVALID);
        for (uint32_t i = 0; e == 0 && i < services.count; i++) {
            check_name(&services.services[i].target);
            ensure(services.services[i].port != 0);
        }
        for (uint32_t i = 0; e == 0 && i < services.extra_count; i++) {
            ensure(services.extra[i].service < services.count);
        }
    }
    free(copy);
    return 0;
}
