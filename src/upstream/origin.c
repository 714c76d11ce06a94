// SPDX-License-Identifier: Apache-2.0
//
// From `https://`, `h2c://`, `protocol:` and `tls:` to the kind of a server (upstream/origin.h).

#include "upstream/origin.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "conf/address.h"
#include "tls/credentials.h"
#include "tls/tls.h"
#include "tls/wants.h"

enum { ID_MAX = 2 * 4096 + 8 };

// Equal settings must hash alike in every snapshot of the process; nobody hostile chooses them.
static const struct hash_key hash_key = {{0x61646974, 0x6f726967}};

struct hashing {
    uint64_t value;
};

static void hash_more(struct hashing *h, struct slice text)
{
    h->value = h->value * UINT64_C(0x9e3779b97f4a7c15) + hash_bytes(&hash_key, text) + text.len;
}

/** The contents behind an id: a renewed certificate makes another server. */
static void hash_credential(struct hashing *h, struct slice credentials, struct slice id)
{
    struct credential_reader r;
    struct credential c;
    if (id.len == 0 || credentials_open(credentials, &r) < 0) {
        return;
    }
    while (credentials_next(&r, &c)) {
        if (slice_eq(c.id, id)) {
            hash_more(h, c.chain);
            hash_more(h, c.key);
        }
    }
}

static struct slice host_of(struct slice address)
{
    size_t end = address.len;
    while (end > 0 && address.ptr[end - 1] != ':') {
        end--;
    }
    struct slice host = slice_of(address.ptr, end > 0 ? end - 1 : address.len);
    if (host.len >= 2 && host.ptr[0] == '[') {
        host = slice_of(host.ptr + 1, host.len - 2);
    }
    return host;
}

// Of "_https._tcp.app.internal" what was asked for, not what unsigned records answered
// (RFC 6125 section 6.2.1).
static struct slice domain_of(struct slice service)
{
    for (int label = 0; label < 2; label++) {
        ptrdiff_t dot = slice_find_char(service, '.');
        service = dot >= 0 ? slice_from(service, (size_t)dot + 1) : service;
    }
    return service;
}

static struct slice alpn_of(uint32_t protocol)
{
    switch ((enum server_protocol)protocol) {
    case SERVER_AUTO:
        return SLICE("h2,http/1.1");
    case SERVER_H1:
        return SLICE("http/1.1");
    case SERVER_H2:
        return SLICE("h2");
    case SERVER_RAW:
    case SERVER_CALLED:
        return SLICE("");
    }
    unreachable();
}

static int compile_tls(const struct origin_sources *from, struct conf_node n, struct slice host,
                       struct server_kind *kind)
{
    if (from->tls == NULL) {
        return E_UNSUPPORTED;
    }
    char ca_id[ID_MAX];
    char certificate_id[ID_MAX];
    struct text ca = text_on(ca_id, sizeof(ca_id));
    struct text certificate = text_on(certificate_id, sizeof(certificate_id));
    struct conf_node tls = conf_get(n, "tls");
    struct slice ca_path = conf_string(conf_get(tls, "ca"), "");
    struct slice cert_path = conf_string(conf_get(tls, "cert"), "");
    if (ca_path.len > 0) {
        tls_authority_id(ca_path, &ca);
    }
    if (cert_path.len > 0) {
        tls_file_id(cert_path, conf_string(conf_get(tls, "key"), ""), &certificate);
    }
    if (ca.overflow || certificate.overflow) {
        return E_TOO_LARGE;
    }
    struct tls_origin_settings t = {
        .verify = conf_bool(conf_get(tls, "verify"), true),
        .server_name = conf_string(conf_get(tls, "name"), ""),
        .ca = text_slice(&ca),
        .certificate = text_slice(&certificate),
        .alpn = alpn_of(kind->protocol),
        .min_version = conf_string(conf_get(tls, "min_version"), "1.2"),
    };
    if (t.server_name.len == 0) {
        t.server_name = host;
    }
    struct hashing h = {.value = t.verify};
    hash_more(&h, t.server_name);
    hash_more(&h, t.ca);
    hash_more(&h, t.certificate);
    hash_more(&h, t.alpn);
    hash_more(&h, t.min_version);
    hash_credential(&h, from->credentials, t.ca);
    hash_credential(&h, from->credentials, t.certificate);
    kind->tls_hash = h.value | 1; // 0 says: in clear
    int e = tls_origin_new(&t, from->tls, from->cores, &kind->tls);
    if (e == 0 && kind->protocol == SERVER_AUTO) {
        t.alpn = SLICE("http/1.1");
        e = tls_origin_new(&t, from->tls, from->cores, &kind->tls_h1);
    }
    return e;
}

static void set_sources(struct conf_node n, struct server_kind *kind)
{
    struct slice header = conf_string(conf_get(n, "proxy_protocol"), "off");
    kind->proxy_header = slice_eq(header, SLICE("v1")) ? 1 : slice_eq(header, SLICE("v2")) ? 2 : 0;
    kind->source_count = 0;
    conf_each(from, conf_get(n, "from"))
    {
        struct os_addr addr;
        bool ok = os_addr_parse_ip(conf_text(from), 0, &addr) == 0;
        ensure(ok);
        ensure(kind->source_count < SERVER_SOURCES_MAX);
        kind->sources[kind->source_count++] = os_peer_of(&addr);
    }
}

int origin_compile(const struct origin_sources *from, struct conf_node n, struct slice at,
                   struct server_kind *kind, struct slice *address)
{
    struct slice protocol = conf_string(conf_get(n, "protocol"), "auto");
    kind->protocol = slice_eq(protocol, SLICE("h2"))         ? SERVER_H2
                     : slice_eq(protocol, SLICE("http/1.1")) ? SERVER_H1
                                                             : SERVER_AUTO;
    set_sources(n, kind);
    kind->tls_hash = 0;
    kind->tls = NULL;
    kind->tls_h1 = NULL;
    bool service = conf_address_is_service(at);
    *address = at;
    enum conf_scheme scheme = conf_address_take_scheme(address);
    kind->protocol = scheme == CONF_SCHEME_TLS ? SERVER_RAW : kind->protocol;
    if (scheme == CONF_SCHEME_HTTPS || scheme == CONF_SCHEME_TLS) {
        int e = compile_tls(from, n, service ? domain_of(*address) : host_of(*address), kind);
        if (e < 0) {
            origin_release(kind);
        }
        return e;
    }
    if (scheme == CONF_SCHEME_H2C) {
        kind->protocol = SERVER_H2;
    }
    return 0;
}

void origin_release(struct server_kind *kind)
{
    if (kind->tls != NULL) {
        tls_origin_unref(kind->tls);
    }
    if (kind->tls_h1 != NULL) {
        tls_origin_unref(kind->tls_h1);
    }
    kind->tls = NULL;
    kind->tls_h1 = NULL;
}
