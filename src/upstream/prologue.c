// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers to origins (upstream/prologue.h). The addresses are those of the client's connection,
// or of the header that it came with: whoever stands behind several proxies sees the first client. What
// the client says in its fields is no part of it, whoever is trusted.

#include "upstream/prologue.h"

#include "base/text.h"
#include "http/stream.h"
#include "loop/transport.h"
#include "net/proxy_header.h"

static bool is_ip(const struct os_addr *a)
{
    return a->kind == OS_ADDR_V4 || a->kind == OS_ADDR_V6;
}

/** Where the client connected to; of the kind of `from`, with zeros when it is not known. */
static struct os_addr destination(const struct http_peer *peer, const struct os_addr *from)
{
    struct os_addr to = {.kind = OS_ADDR_NONE};
    if (peer->proxied != NULL) {
        to = os_peer_addr(&peer->proxied->to);
    } else if (peer->transport != NULL) {
        struct sys *sys = peer->transport->core->loop->sys;
        if (sys->ops->local_addr(sys, peer->transport->io.fd, &to) < 0) {
            to.kind = OS_ADDR_NONE;
        }
    }
    if (is_ip(from) != is_ip(&to)) {
        to = (struct os_addr){.kind = from->kind};
    }
    return to;
}

/** The common name of a subject as RFC 4514 writes it; empty when there is none, or an escaped one. */
static struct slice common_name(struct slice subject)
{
    while (subject.len > 0) {
        ptrdiff_t comma = slice_find_char(subject, ',');
        struct slice part = comma < 0 ? subject : slice_sub(subject, 0, (size_t)comma);
        if (slice_find_char(part, '\\') >= 0) {
            return SLICE("");
        }
        if (slice_starts(part, SLICE("CN="))) {
            return slice_from(part, 3);
        }
        subject = slice_from(subject, comma < 0 ? subject.len : (size_t)comma + 1);
    }
    return SLICE("");
}

static void say_security(struct proxy_header *h, const struct http_peer *peer)
{
    const struct http_proxied *p = peer->proxied;
    if (peer->secure && peer->security != NULL) {
        const struct http_security *s = peer->security;
        h->secure = true;
        h->client_verified = s->client_verified;
        h->version_tls = s->version;
        h->cipher = s->cipher;
        h->client_name = common_name(s->client_subject);
        h->authority = s->server_name;
    } else if (p != NULL) {
        h->secure = p->secure;
        h->client_verified = p->client_verified;
        h->version_tls = p->version;
        h->cipher = p->cipher;
        h->client_name = p->client_name;
        h->authority = p->authority;
        h->alpn = p->alpn;
    }
    h->unique_id = p != NULL ? p->unique_id : SLICE("");
}

int prologue_write_for(unsigned version, const struct http_peer *peer, struct slice asked,
                       struct text *out)
{
    struct proxy_header h = {.version = (uint8_t)version, .local = true};
    if (peer != NULL && peer->addr.kind != OS_ADDR_NONE) {
        h.local = false;
        h.from = os_peer_addr(&peer->addr);
        h.to = destination(peer, &h.from);
        say_security(&h, peer);
        h.authority = asked.len > 0 ? asked : h.authority;
    }
    return proxy_header_write(&h, out);
}

int prologue_write_datagram(const struct http_peer *peer, struct text *out)
{
    struct proxy_header h = {.version = 2, .datagram = true, .local = true};
    if (peer->addr.kind != OS_ADDR_NONE) {
        h.local = false;
        h.from = os_peer_addr(&peer->addr);
        h.to = destination(peer, &h.from);
        h.to.port = h.to.port == 0 ? peer->port : h.to.port;
    }
    return proxy_header_write(&h, out);
}
