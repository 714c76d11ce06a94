// SPDX-License-Identifier: Apache-2.0
//
// See names_int.h. One list of names for what a CA is asked for, for its challenges and for the local
// CA: what is refused in one place is refused in all of them.

#include "tls/names_int.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"

enum { IP_TEXT_MAX = 46 };

size_t names_ip(struct slice name, unsigned char out[16])
{
    char text[IP_TEXT_MAX];
    if (name.len == 0 || name.len >= sizeof(text) || memchr(name.ptr, 0, name.len) != NULL) {
        return 0;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (inet_pton(AF_INET, text, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool is_host_name(struct slice name)
{
    if (slice_starts(name, SLICE("*."))) {
        name = slice_from(name, 2);
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_';
        if (!ok) {
            return false;
        }
    }
    return name.len > 0 && name.len <= NAMES_BYTES_MAX;
}

static int add_name(GENERAL_NAMES *names, struct slice name)
{
    unsigned char ip[16];
    bool brackets = name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    size_t ip_len = names_ip(brackets ? slice_sub(name, 1, name.len - 2) : name, ip);
    if (ip_len == 0 && !is_host_name(name)) {
        return E_INVALID;
    }
    GENERAL_NAME *gen = GENERAL_NAME_new();
    ASN1_STRING *value = ip_len > 0 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *bytes = ip_len > 0 ? (const void *)ip : name.ptr;
    size_t len = ip_len > 0 ? ip_len : name.len;
    if (gen == NULL || value == NULL || ASN1_STRING_set(value, bytes, (int)len) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(gen);
        return E_NO_MEMORY;
    }
    GENERAL_NAME_set0_value(gen, ip_len > 0 ? GEN_IPADD : GEN_DNS, value);
    if (sk_GENERAL_NAME_push(names, gen) == 0) {
        GENERAL_NAME_free(gen);
        return E_NO_MEMORY;
    }
    return 0;
}

int names_make(const struct slice *names, uint32_t count, GENERAL_NAMES **out)
{
    *out = NULL;
    if (count == 0 || count > NAMES_MAX) {
        return E_INVALID;
    }
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    int rc = all != NULL ? 0 : E_NO_MEMORY;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        rc = add_name(all, names[i]);
    }
    if (rc != 0) {
        GENERAL_NAMES_free(all);
        return rc;
    }
    *out = all;
    return 0;
}
