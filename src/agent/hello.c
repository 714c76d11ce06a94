// SPDX-License-Identifier: Apache-2.0
//
// Writing the handshake's request (agent/hello.h). What people gave (names, tokens) was checked before
// it came here: nothing in it can end a line.

#include "agent/hello.h"

#include "base/text.h"

#include "agent/answer.h"

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

void agent_edge_authority(struct text *out, const struct agent_edge *e)
{
    bool literal = slice_find_char(e->host, ':') >= 0;
    text_str(out, literal ? "[" : "");
    text_put(out, e->host);
    text_str(out, literal ? "]" : "");
    if (e->port != (e->secure ? PORT_HTTPS : PORT_HTTP)) {
        text_printf(out, ":%u", e->port);
    }
}

static void field(struct text *out, const char *name, struct slice value)
{
    if (value.len > 0) {
        text_printf(out, "%s: ", name);
        text_put(out, value);
        text_str(out, "\r\n");
    }
}

void agent_hello_write(struct text *out, const struct agent_hello *h)
{
    static const struct slice kinds[] = {
        [AGENT_HTTP] = SLICE_INIT(""),
        [AGENT_TCP] = SLICE_INIT("tcp"),
        [AGENT_UDP] = SLICE_INIT("udp"),
    };
    text_str(out, "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: ");
    agent_edge_authority(out, h->edge);
    text_str(out, "\r\nConnection: Upgrade\r\n");
    if (h->websocket_key.len > 0) {
        text_str(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Protocol: " AGENT_SUBPROTOCOL "\r\n");
        field(out, "Sec-WebSocket-Key", h->websocket_key);
    } else {
        text_str(out, "Upgrade: " AGENT_PROTOCOL "\r\n");
    }
    field(out, "Authorization", h->authorization);
    field(out, "Adit-Instance", h->instance);
    text_printf(out, "Adit-Connection: slot=%u, sequence=%llu\r\n", h->slot,
                (unsigned long long)h->sequence);
    field(out, "Adit-Secret", h->secret);
    field(out, "Adit-Ticket", h->ticket);
    field(out, "Adit-Name", h->name);
    field(out, "Adit-Kind", kinds[h->tunnel->kind]);
    if (h->port != 0) {
        text_printf(out, "Adit-Port: %u\r\n", h->port);
    }
    field(out, "Adit-Join", h->tunnel->join ? SLICE("?1") : SLICE(""));
    field(out, "Adit-Wildcard", h->tunnel->wildcard ? SLICE("?1") : SLICE(""));
    field(out, "Adit-Agent", SLICE("adit/" ADIT_VERSION));
    text_str(out, "\r\n");
}
