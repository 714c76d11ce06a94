// SPDX-License-Identifier: Apache-2.0
//
// The request of the handshake, byte by byte.

#include "tap.h"

#include "agent/hello.h"
#include "base/text.h"

static void writes_all_fields(void)
{
    char buffer[HELLO_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    const struct agent_edge edge = {
        .host = SLICE("tunnel.example.com"), .port = 443, .secure = true};
    const struct agent_tunnel tunnel = {
        .kind = AGENT_TCP, .port = 20001, .join = true, .wildcard = true};
    const struct agent_hello h = {.edge = &edge,
                                  .tunnel = &tunnel,
                                  .authorization = SLICE("Bearer adit_x"),
                                  .instance = SLICE("0Zk2yT5oQm6sM1cXr0dV3A"),
                                  .slot = 3,
                                  .sequence = 77,
                                  .secret = SLICE("secret"),
                                  .ticket = SLICE("ticket"),
                                  .name = SLICE("myapp"),
                                  .port = 20022};
    agent_hello_write(&t, &h);
    CHECK_TEXT(t.ptr, t.len,
               "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: tunnel.example.com\r\n"
               "Connection: Upgrade\r\nUpgrade: adit-tunnel/1\r\nAuthorization: Bearer adit_x\r\n"
               "Adit-Instance: 0Zk2yT5oQm6sM1cXr0dV3A\r\n"
               "Adit-Connection: slot=3, sequence=77\r\nAdit-Secret: secret\r\n"
               "Adit-Ticket: ticket\r\nAdit-Name: myapp\r\nAdit-Kind: tcp\r\nAdit-Port: 20022\r\n"
               "Adit-Join: ?1\r\nAdit-Wildcard: ?1\r\nAdit-Agent: adit/" ADIT_VERSION "\r\n\r\n");
}

static void leaves_out_what_is_not_said(void)
{
    char buffer[HELLO_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    const struct agent_edge edge = {.host = SLICE("::1"), .port = 8080};
    const struct agent_tunnel tunnel = {.kind = AGENT_HTTP};
    const struct agent_hello h = {
        .edge = &edge, .tunnel = &tunnel, .instance = SLICE("i"), .sequence = 1};
    agent_hello_write(&t, &h);
    CHECK_TEXT(t.ptr, t.len,
               "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: [::1]:8080\r\n"
               "Connection: Upgrade\r\nUpgrade: adit-tunnel/1\r\nAdit-Instance: i\r\n"
               "Adit-Connection: slot=0, sequence=1\r\nAdit-Agent: adit/" ADIT_VERSION "\r\n\r\n");
}

TAP_MAIN(writes_all_fields, leaves_out_what_is_not_said)
