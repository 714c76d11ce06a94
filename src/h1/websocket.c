// SPDX-License-Identifier: Apache-2.0
//
// The handshake of WebSocket where the other side of the exchange speaks HTTP/2 and has none: a key is
// made for the origin and its proof checked and kept to ourselves, or the proof is made for the client
// from its key (RFC 6455 4, 8441 5).

#include "http/websocket.h"
#include "base/error.h"

#include "h1/conn_int.h"

/** Adds a field to a head that was written to its end. */
static void add_field(struct text *t, struct slice name, struct slice value)
{
    ensure(t->len >= 2);
    t->len -= 2;
    text_put(t, name);
    text_put(t, SLICE(": "));
    text_put(t, value);
    text_put(t, SLICE("\r\n\r\n"));
}

void h1_websocket_ask(struct h1_conn *c, const struct http_head *request, struct text *t)
{
    c->u.up.websocket_key = NULL;
    if (request->upgrade.len == 0 || !websocket_is_asked(request) ||
        fields_find(&request->fields, WEBSOCKET_KEY) != NULL) {
        return;
    }
    char *key = arena_bytes(request->fields.arena, WEBSOCKET_KEY_BYTES);
    if (key == NULL) {
        return; // the origin will refuse
    }
    uint8_t random[16];
    struct sys *sys = c->h1->loop->sys;
    sys->ops->random(sys, random, sizeof(random));
    websocket_key(random, key);
    c->u.up.websocket_key = key;
    if (fields_find(&request->fields, WEBSOCKET_VERSION) == NULL) {
        add_field(t, WEBSOCKET_VERSION, SLICE("13"));
    }
    add_field(t, WEBSOCKET_KEY, slice_of(key, WEBSOCKET_KEY_BYTES));
}

int h1_websocket_check(const struct h1_conn *c, struct http_head *response)
{
    if (response->status != 101 || c->u.up.websocket_key == NULL) {
        return 0;
    }
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_accept(slice_of(c->u.up.websocket_key, WEBSOCKET_KEY_BYTES), accept);
    struct slice given = fields_get(&response->fields, WEBSOCKET_ACCEPT);
    if (!slice_eq(given, slice_of(accept, sizeof(accept)))) {
        return E_BAD_UPGRADE;
    }
    (void)fields_remove(&response->fields, WEBSOCKET_ACCEPT);
    return 0;
}

void h1_websocket_answer(const struct h1_conn *c, const struct http_head *response, struct text *t)
{
    const struct http_head *request = c->stream.receive_head;
    if (response->status != 101 || !slice_eq_nocase(response->upgrade, SLICE("websocket")) ||
        fields_find(&response->fields, WEBSOCKET_ACCEPT) != NULL) {
        return;
    }
    struct slice key = fields_get(&request->fields, WEBSOCKET_KEY);
    if (key.len > 0) {
        char accept[WEBSOCKET_ACCEPT_BYTES];
        websocket_accept(key, accept);
        add_field(t, WEBSOCKET_ACCEPT, slice_of(accept, sizeof(accept)));
    }
}
