// SPDX-License-Identifier: Apache-2.0
//
// The access line of a stream's session.

#include "base/error.h"
#include "base/text.h"
#include "l4/core_int.h"
#include "proxy/access_log.h"
#include "tap.h"

static const char *line_of(const struct l4_line *l)
{
    static char bytes[2048];
    struct text t = text_on(bytes, sizeof(bytes) - 1);
    l4_log_text(l, 1000, &t);
    bytes[t.len] = '\0';
    return bytes;
}

static void lines(void)
{
    struct l4_stream tcp = {.text = SLICE("[::]:5432")};
    struct l4_stream udp = {.text = SLICE("udp://[::]:53"), .datagram = true};
    struct l4_line l = {
        .stream = &tcp,
        .protocol = "tcp",
        .id = 0x2a,
        .name = SLICE("a\"b"),
        .server = SLICE("10.0.0.1:5432"),
        .bytes_in = 5,
        .bytes_out = 7,
        .connect_ns = 2500000,
        .total_ms = 9,
        .error = E_RESET,
        .side = "origin",
    };
    REQUIRE(os_addr_parse(SLICE("192.0.2.1:99"), &l.client) == 0);
    CHECK_STR(line_of(&l),
              "{\"time\":\"1970-01-01T00:00:01.000Z\",\"id\":\"2a\",\"client\":\"192.0.2.1\","
              "\"client_port\":99,\"stream\":\"[::]:5432\",\"protocol\":\"tcp\",\"server_name\":"
              "\"a\\\"b\",\"upstream\":\"10.0.0.1:5432\",\"bytes_in\":5,\"bytes_out\":7,"
              "\"connect_ms\":2,\"total_ms\":9,\"error\":\"reset\",\"side\":\"origin\"}\n");
    l.stream = &udp;
    l.protocol = "udp";
    l.name = SLICE("");
    l.error = 0;
    l.datagrams_in = 1;
    l.datagrams_out = 2;
    CHECK_STR(line_of(&l),
              "{\"time\":\"1970-01-01T00:00:01.000Z\",\"id\":\"2a\",\"client\":\"192.0.2.1\","
              "\"client_port\":99,\"stream\":\"udp://[::]:53\",\"protocol\":\"udp\",\"upstream\":"
              "\"10.0.0.1:5432\",\"bytes_in\":5,\"bytes_out\":7,\"datagrams_in\":1,"
              "\"datagrams_out\":2,\"total_ms\":9}\n");
    l.format = ACCESS_LOG_COMBINED;
    CHECK(strstr(line_of(&l), "192.0.2.1 - - [01/Jan/1970:00:00:01 +0000] \"UDP udp://[::]:53") ==
          line_of(&l));
}

TAP_MAIN(lines)
