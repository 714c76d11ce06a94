// SPDX-License-Identifier: Apache-2.0
//
// Layer 4 to a server that calls in: there is no connection to be given as it is, so a stream of one of
// its sessions becomes one (http/stream_transport.h), by CONNECT for TCP and by connect-udp (RFC 9298)
// for datagrams. Until the agent has answered the request has its place and waits, and can be cancelled;
// a refusal is a connection that failed. It counts as a connection of the server until it is released.

#include "base/error.h"
#include "base/text.h"
#include "http/stream_transport.h"
#include "upstream/server_int.h"

enum { AUTHORITY_MAX = 300, PATH_MAX_BYTES = 360, FORWARDED_MAX = OS_ADDR_TEXT_MAX + 16 };

static void on_answer(void *arg, struct transport *t, int error)
{
    struct upstream_request *rq = arg;
    struct server *s = rq->place;
    rq->opening = NULL;
    if (t != NULL) {
        rq->on_transport(rq, t);
        return;
    }
    server_raw_closed(s, rq->loop->core);
    s->owner->on_failed(s, rq, error);
}

/** RFC 9298 3: what an agent makes of it is its own affair, but it is to be a path of that form. */
static void write_path(struct text *out, struct slice authority)
{
    size_t colon = authority.len;
    while (colon > 0 && authority.ptr[colon - 1] != ':') {
        colon--;
    }
    ensure(colon > 0); // HOST:PORT
    text_str(out, "/.well-known/masque/udp/");
    text_put(out, slice_sub(authority, 0, colon - 1));
    text_char(out, '/');
    text_put(out, slice_from(authority, colon));
    text_char(out, '/');
}

/** RFC 7239 4: an address with a port is always quoted. */
static void write_forwarded(struct text *out, const struct os_addr *client)
{
    if (client != NULL && (client->kind == OS_ADDR_V4 || client->kind == OS_ADDR_V6)) {
        text_str(out, "for=\"");
        os_addr_text(client, out);
        text_char(out, '"');
    }
}

void called_give_raw(struct lane *lane, struct up_session *s, struct upstream_request *rq)
{
    struct server_core *sc = lane->core;
    struct server *server = sc->server;
    bool reserved = server_reserve(sc);
    struct http_stream *stream = reserved ? s->ops->take(s) : NULL;
    lane_place(lane, s);
    if (reserved) {
        server_hold(server, rq->loop->core);
    }
    if (stream == NULL) {
        if (reserved) {
            server_connection_ended(sc);
        }
        server->owner->on_failed(server, rq, reserved ? E_NO_MEMORY : E_UPSTREAM_FULL);
        return;
    }
    char path_room[PATH_MAX_BYTES];
    char forwarded_room[FORWARDED_MAX];
    struct text path = text_on(path_room, sizeof(path_room));
    struct text forwarded = text_on(forwarded_room, sizeof(forwarded_room));
    struct slice at = rq->subject->asked_at;
    struct stream_order order = {
        .authority = at.len > 0 && at.len < AUTHORITY_MAX ? at : SLICE("tunnel.invalid:1"),
        .protocol = rq->datagram ? SLICE("connect-udp") : SLICE(""),
        .limit_ms = rq->connect_ms,
        .on_answer = on_answer,
        .arg = rq,
    };
    write_path(&path, order.authority);
    write_forwarded(&forwarded, rq->subject->client);
    order.path = text_slice(&path);
    order.forwarded = text_slice(&forwarded);
    int error = 0;
    rq->reused = false;
    rq->connect_ns = 0;
    rq->opening = stream_transport_ask(server_core_what(sc)->streams, stream, &order, &error);
    if (rq->opening == NULL) {
        server_connection_ended(sc);
        server->owner->on_failed(server, rq, error);
    }
}

void called_cancel_raw(struct server_core *sc, struct upstream_request *rq)
{
    stream_transport_cancel(rq->opening);
    rq->opening = NULL;
    server_connection_ended(sc);
}
