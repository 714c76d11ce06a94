// SPDX-License-Identifier: Apache-2.0
//
// What the edge gives an agent to come back with. A ticket is sealed: it says which name an instance of
// an owner had, so that a random name outlives worker, edge and parking without the edge keeping
// anything. A secret proves that who says an instance's id is that instance; it is made of the id by the
// edge's own key, so nothing is kept either. Both are good for one zone and as long as their keys.
//
// Pure; any thread.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"
#include "base/text.h"
#include "tls/seal.h"
#include "tunnel/access.h"
#include "tunnel/hello.h"

enum {
    TICKET_LIFE_S = 30 * 24 * 3600, // keys live at least that long (tunnel/access.h)
    TICKET_PLAIN_MAX = 1 + 8 + TUNNEL_INSTANCE_BYTES + 1 + TUNNEL_OWNER_MAX + 1 + TUNNEL_NAME_MAX,
};

struct ticket {
    uint64_t expires_ms; // wall clock
    uint8_t instance[TUNNEL_INSTANCE_BYTES];
    uint32_t owner_len;
    uint32_t name_len;
    char owner[TUNNEL_OWNER_MAX];
    char name[TUNNEL_NAME_MAX];
};

/** Writes it as text: base64url, HELLO_TICKET_MAX characters at most. `nonce` is random. 0,
 * E_NO_MEMORY. */
int ticket_seal(const struct ticket *t, const struct access_secret *key, struct slice site,
                const uint8_t nonce[SEAL_NONCE_BYTES], struct text *out) must_check;
/** False: it was not made here with one of these keys for this zone, or is over. */
bool ticket_open(struct slice text, const struct access_secret *keys, uint32_t key_count,
                 struct slice site, uint64_t wall_ms, struct ticket *out);

/** Of an owner's instance. 0, E_NO_MEMORY. */
int ticket_secret(const struct access_secret *key, struct slice site, struct slice owner,
                  const uint8_t instance[TUNNEL_INSTANCE_BYTES], uint8_t out[HELLO_SECRET_BYTES])
    must_check;
/** Whether that is what one of these keys makes. In one time whatever the difference is. */
bool ticket_secret_is(const uint8_t given[HELLO_SECRET_BYTES], const struct access_secret *keys,
                      uint32_t key_count, struct slice site, struct slice owner,
                      const uint8_t instance[TUNNEL_INSTANCE_BYTES]);
