// SPDX-License-Identifier: Apache-2.0
//
// Judges an agent that calls: may it come this way, who is it, and may it have what it asks for? Every
// answer but yes is a refusal, one row of the table in docs/design/tunnel.md: a status, a word for
// programs and a line for people.
//
// What is judged is given as a scene, so nothing here looks for anything; the only thing that is asked
// of somebody else is whether a public port is free. On a core.

#pragma once

#include <stdint.h>

#include "http/stream.h"
#include "tunnel/access.h"
#include "tunnel/hello.h"
#include "tunnel/key.h"
#include "tunnel/zone.h"

struct refusal {
    uint16_t status;
    const char *reason; // empty: none
    const char *text;
    uint16_t retry_s; // when it is worth asking again; 0: never
};

extern const struct refusal
    // before anything of the request is believed
    refused_host,
    refused_malformed, refused_handshakes, refused_version, refused_protocol, refused_clear,
    refused_no_table,
    // who it is
    refused_no_token, refused_bad_token, refused_expired, refused_bad_certificate,
    refused_certificate_early, refused_certificate_over, refused_bad_signature, refused_stale_nonce,
    refused_key_clear,
    // what it wants
    refused_kind, refused_kind_grant, refused_port, refused_join, refused_wildcard,
    refused_anonymous_name, refused_name_shape, refused_name_banned, refused_name_lookalike,
    refused_name_scope, refused_name_random, refused_name_domain, refused_name_served,
    // that somebody else has
    refused_taken, refused_port_taken, refused_sequence,
    // for now
    refused_tunnels, refused_connections, refused_draining, refused_full, refused_ports,
    refused_changed;

/** What is known of a call. Everything lives until the judgment is done. */
struct judge_scene {
    const struct snapshot *snapshot;
    const struct zone *labels;  // zone whose names are labels, called at this host; NULL: none
    const struct zone *domains; // zone whose names are whole domains; NULL: none
    const struct access *access;
    const struct http_head *head;
    const struct http_peer *peer;
    const struct os_addr *client; // after trusted proxies
    bool passed_on;               // the request says that it came through somebody else
    const struct key_nonces *nonces;
    uint64_t now_ms;
    uint64_t wall_ms;
};

/** What was found out. */
struct judgment {
    const struct zone *zone;
    const struct access_grant *grant; // NULL: anonymous
    uint64_t proof_until_ms;          // wall clock: when its certificate ends; 0: there is none
    uint16_t port;                    // TCP, UDP; 0: any that the grant and the zone have
    bool random;                      // the edge is to make the name up
    bool by_ticket;                   // a ticket says it
    bool proven;                      // the secret was right
    uint32_t name_len;
    char name[TUNNEL_NAME_MAX];
    char owner[TUNNEL_OWNER_MAX];
};

/** May an agent come this way: by this protocol, by TLS or from this machine? NULL: it may. */
const struct refusal *judge_way(const struct judge_scene *s, bool can_hand_over) must_check;
/** Whether the way is one on which keys can sign: TLS with an exporter. */
bool judge_keys_work(const struct http_peer *peer);
/** Who calls; sets j->grant and j->owner. */
const struct refusal *judge_who(const struct judge_scene *s, const struct hello *h,
                                struct judgment *j) must_check;
/** What it may have; after judge_who(). */
const struct refusal *judge_what(const struct judge_scene *s, const struct hello *h,
                                 struct judgment *j) must_check;
