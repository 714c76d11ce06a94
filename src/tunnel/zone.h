// SPDX-License-Identifier: Apache-2.0
//
// A zone: a site whose names are tunnels (`tunnels: on`). Its settings are a snapshot's, what lives
// under its names is the registry's (tunnel/registry.h) and goes on over reloads.
//
// As an upstream a zone chooses by the request's host: it gives the upstream of the tunnel that has
// the name, on the exchange's arena, which keeps the tunnel for as long as the exchange lives.

#pragma once

#include "conf/doc.h"
#include "proxy/snapshot.h"
#include "upstream/group.h"

struct pool_factory;
struct tunnel;
struct tunnel_registry;
struct tunnel_zone;

enum {
    ZONE_SUFFIX_MAX = 256,
    ZONE_PARK_MS = 60 * 1000,
    ZONE_QUEUE_LENGTH = 256,
    ZONE_STREAMS_MAX = 1000, // at once on one connection of an agent
};

struct zone_settings {
    struct slice site;   // "*.tunnel.example.com", or "default": whole domains
    struct slice suffix; // ".tunnel.example.com"; empty: whole domains
    struct slice at;     // the edge's own name, where agents call
    bool names_by_ip;    // random names have the agent's address in them
    bool anonymous;      // agents without a token get random names
    bool insecure_clear; // agents may call without TLS from anywhere, not only from loopback
    uint32_t park_ms;
    uint16_t port_first; // public ports of TCP and UDP; 0: none
    uint16_t port_last;
    uint32_t per_owner;      // tunnels at once
    uint32_t per_address;    // connections of agents from one address
    struct conf_node banned; // list of patterns; may not exist
};

/** A zone as a snapshot has it. */
struct zone {
    uint32_t magic;
    struct upstream base;
    struct group_spec spec;
    struct zone_settings settings;
    struct tunnel_zone *runtime;
};

/** Makes zones for snapshot_compile(); one per process. */
struct zone_factory {
    struct upstream_factory base;
    struct tunnel_registry *registry;
    const struct pool_factory *pools;
};

void zone_factory_init(struct zone_factory *f, struct tunnel_registry *r,
                       const struct pool_factory *pools);

/** The zone whose agents call at this host (lower case, without port); NULL: none. */
const struct zone *zone_called_at(const struct snapshot *s, struct slice host);
/** The tunnel that an exchange's upstream is; NULL: it is another one, or none. */
struct tunnel *zone_tunnel(struct upstream *u);
/** The zone that an upstream is; NULL: it is another one. */
const struct zone *zone_of_upstream(const struct upstream *u);
