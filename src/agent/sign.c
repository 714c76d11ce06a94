// SPDX-License-Identifier: Apache-2.0
//
// A key instead of a token (docs/design/tunnel.md): what is signed holds the edge's nonce, its name, and
// what only the two ends of this TLS connection can know, so a signature is of no use anywhere else.

#include "base/base64.h"
#include "base/error.h"
#include "base/text.h"
#include "tls/ed25519.h"
#include "tls/tls.h"
#include "tunnel/key.h"

#include "agent/agent_int.h"

static_assert(sizeof(((struct agent_plan *)0)->key) == ED25519_KEY_BYTES, "a private key");

int agent_sign(const struct agent_plan *plan, const struct agent_edge *edge,
               const struct transport *t, struct slice nonce, struct text *out)
{
    uint8_t exporter[KEY_EXPORTER_BYTES];
    uint8_t public[ED25519_KEY_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    char buffer[KEY_MESSAGE_MAX];
    struct text message = text_on(buffer, sizeof(buffer));
    if (!edge->secure) {
        return E_UNSUPPORTED;
    }
    int e = tls_export(t, SLICE(KEY_EXPORTER_LABEL), exporter, sizeof(exporter));
    if (e == 0) {
        key_message(exporter, edge->host, nonce, &message);
        e = message.overflow ? E_TOO_LARGE : ed25519_public(plan->key, public);
    }
    if (e == 0) {
        e = ed25519_sign(plan->key, text_slice(&message), signature);
    }
    if (e != 0) {
        return e;
    }
    text_str(out, "Adit-Key key=\"");
    base64_put(out, slice_of((const char *)public, sizeof(public)), BASE64_URL);
    text_str(out, "\", nonce=\"");
    text_put(out, nonce);
    text_str(out, "\", signature=\"");
    base64_put(out, slice_of((const char *)signature, sizeof(signature)), BASE64_URL);
    text_char(out, '"');
    return out->overflow ? E_TOO_LARGE : 0;
}
