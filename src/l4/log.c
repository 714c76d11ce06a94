// SPDX-License-Identifier: Apache-2.0
//
// Access lines of streams: one for each session, at its end, in the format of the other lines. What a
// client sent (a name) is escaped.

#include "base/error.h"
#include "base/text.h"
#include "proxy/access_log.h"

#include "l4/core_int.h"

static void put_ip(struct text *t, const struct os_addr *a)
{
    if (a->kind == OS_ADDR_NONE) {
        text_char(t, '-');
    } else {
        os_addr_ip_text(a, t);
    }
}

static void build_json(const struct l4_line *l, uint64_t wall_ms, struct text *t)
{
    char time[LOG_TIME_BYTES];
    log_time(wall_ms, time);
    text_str(t, "{\"time\":\"");
    text_put(t, slice_of(time, sizeof(time)));
    text_str(t, "\",\"id\":\"");
    text_hex(t, l->id);
    text_str(t, "\",\"client\":\"");
    put_ip(t, &l->client);
    text_char(t, '"');
    text_json_number(t, "client_port", l->client.port);
    text_json_string(t, "stream", l->stream->text);
    text_json_string(t, "protocol", slice_str(l->protocol));
    if (l->name.len > 0) {
        text_json_string(t, "server_name", l->name);
    }
    text_json_string(t, "upstream", l->server);
    text_json_number(t, "bytes_in", l->bytes_in);
    text_json_number(t, "bytes_out", l->bytes_out);
    if (l->stream->datagram) {
        text_json_number(t, "datagrams_in", l->datagrams_in);
        text_json_number(t, "datagrams_out", l->datagrams_out);
    } else {
        text_json_number(t, "connect_ms", l->connect_ns / 1000000);
    }
    text_json_number(t, "total_ms", l->total_ms);
    if (l->error != 0) {
        text_json_string(t, "error", slice_str(error_name(l->error)));
        text_json_string(t, "side", slice_str(l->side));
    }
    text_str(t, "}\n");
}

static void build_combined(const struct l4_line *l, uint64_t wall_ms, struct text *t)
{
    put_ip(t, &l->client);
    text_str(t, " - - [");
    access_log_common_time(wall_ms, t);
    text_printf(t, "] \"%s %.*s %.*s\" %s %llu \"-\" \"-\"\n", l->stream->datagram ? "UDP" : "TCP",
                SLICE_ARG(l->stream->text), SLICE_ARG(l->name), l->error == 0 ? "200" : "502",
                (unsigned long long)l->bytes_out);
}

void l4_log_text(const struct l4_line *l, uint64_t wall_ms, struct text *out)
{
    if (l->format == ACCESS_LOG_COMBINED) {
        build_combined(l, wall_ms, out);
    } else {
        build_json(l, wall_ms, out);
    }
}

void l4_log(const struct l4_core *c, const struct l4_line *l)
{
    if (c->with.log == NULL || !l->stream->access_log) {
        return;
    }
    char bytes[4096]; // addresses and a name of 255 bytes
    struct text t = text_on(bytes, sizeof(bytes));
    l4_log_text(l, c->with.loop->wall_ms, &t);
    if (!t.overflow) {
        (void)log_ring_put(c->with.log, LOG_STREAM_ACCESS, text_slice(&t)); // a full ring counts it
    }
}
