// SPDX-License-Identifier: Apache-2.0
//
// A snapshot: one compiled, immutable configuration, shared by all cores. Built on a helper thread
// (snapshot_compile), swapped core by core between two loop turns, freed when no exchange of any
// core uses it. References are counted per core, so that taking one costs no shared cache line.

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "conf/doc.h"
#include "proxy/module.h"
#include "proxy/upstream.h"

struct error_pages; // proxy/error_page.h
struct l4_streams;  // l4/streams.h
struct match;       // proxy/match.h
struct mirror;      // proxy/mirror.h

enum { SNAPSHOT_CORES_MAX = 256 };

struct route_limits {
    uint64_t body_bytes; // UINT64_MAX: none
};

struct route {
    uint32_t index;              // in its site
    const struct match *match;   // NULL: matches everything
    void *conf[MODULES_MAX];     // by index in modules[]
    uint16_t stages;             // bit per module that has something to do
    struct upstream *upstream;   // NULL: a stage answers
    const struct mirror *mirror; // NULL: none
    struct http_timeouts down_timeouts;
    struct http_timeouts up_timeouts;
    uint32_t connect_ms;
    struct route_limits limits;
    const struct error_pages *errors; // proxy/error_page.h, NULL: built-in ones
    bool access_log;
    struct slice text; // how the log calls it: "example.com/2"
};

struct site {
    struct slice name; // canonical host, or "default"
    // As written. One more that takes everything comes last: the site's own action, or nothing (no
    // upstream, no stage that answers): that is a 404 with the site's settings.
    struct route *routes;
    uint32_t route_count;
    struct slice redirect_to; // set for a `names:` entry: canonical host to redirect to
    bool to_https;            // requests without TLS are sent to https
};

struct site_wildcard {
    struct slice suffix; // ".example.com"
    struct site *site;
};

enum forwarded_mode { FORWARDED_OFF = 0, FORWARDED_X = 1, FORWARDED_RFC7239 = 2 };

struct snapshot {
    uint32_t magic;
    uint32_t generation;
    struct arena arena;
    struct slice_map hosts;          // exact name -> struct site
    struct site_wildcard *wildcards; // longest suffix first
    uint32_t wildcard_count;
    struct site **sites; // all of them, once each
    uint32_t site_count;
    struct site *fallback;       // `default`, or NULL
    struct route fallback_route; // of requests that no site takes: top-level settings
    struct os_cidr *trusted;
    uint32_t trusted_count;
    uint8_t forwarded; // enum forwarded_mode bits
    bool via;
    uint32_t head_bytes;
    uint32_t target_bytes;
    uint16_t head_fields;
    uint32_t header_ms;
    uint32_t idle_ms;
    uint32_t handshake_ms;              // TLS of clients
    uint32_t streams_max;               // h2: requests at once on a client's connection
    uint32_t connection_bytes;          // h2: budget of a client's connection
    uint32_t window_bytes;              // h2: to which the window of a stream may grow
    uint32_t upstream_idle_ms;          // of pooled origin connections
    uint8_t access_format;              // enum access_log_format, proxy/access_log.h
    uint64_t requests_per_connection;   // UINT64_MAX: no limit
    struct http_timeouts down_timeouts; // before a route is known
    struct upstream **upstreams;        // those with a name of their own
    uint32_t upstream_count;
    struct upstream *all_upstreams;      // these and the routes' own
    struct l4_streams *streams;          // of src/l4, which compiles them; NULL: none
    struct slice resolver;               // name servers; empty: those of the system
    void *owner;                         // of whoever asked for the compile
    void (*dispose)(struct snapshot *s); // called when the snapshot goes; may be NULL
    atomic_uint cores;                   // cores that still hold references
    struct {
        uint32_t refs;
        uint32_t pad[15]; // a cache line for each core
    } core_refs[SNAPSHOT_CORES_MAX];
};

/** Makes an upstream out of a checked node. The first one makes those of `upstreams:` and of `proxy:`
 * (src/upstream); those after it make one for each site whose action they are called by (src/tunnel),
 * named by the site. Given to the compile by who joins them. */
struct upstream_factory {
    const char *action;            // "tunnels"; NULL: the first one
    struct upstream_factory *next; // NULL: no other
    int (*make)(struct upstream_factory *f, struct snapshot *s, struct conf_node node,
                struct slice name, struct upstream **out);
};

/** Compiles a checked document, which must stay mapped for as long as the snapshot lives. Errors that
 * only compiling finds are reported to `diags` (may be NULL). Helper thread or start-up. */
int snapshot_compile(const struct conf_doc *doc, struct upstream_factory *factory,
                     struct conf_diags *diags, struct snapshot **out) must_check;
/** For each core that will use it, before it is published. */
void snapshot_publish(struct snapshot *s, uint32_t cores);
static inline void snapshot_ref(struct snapshot *s, uint32_t core)
{
    s->core_refs[core].refs++;
}
/** A core begins to use it: upstreams take over what it says. Then it leaves the one before. */
void snapshot_enter(struct snapshot *s, struct loop *l);
void snapshot_leave(struct snapshot *s, struct loop *l);
/** Makes an upstream and puts it in the snapshot's list. During a compile. */
int snapshot_add_upstream(struct snapshot *s, struct upstream_factory *f, struct conf_node node,
                          struct slice name, struct upstream **out) must_check;
/** What `proxy` says: the upstream that a word names, or one of its own, called `own` unless that is
 * taken. During a compile. */
int snapshot_find_upstream(struct snapshot *s, struct upstream_factory *f, struct conf_node n,
                           struct slice own, struct upstream **out) must_check;
/** Frees one that was not published. */
void snapshot_discard(struct snapshot *s);
/** The last reference of the last core frees it. */
void snapshot_unref(struct snapshot *s, uint32_t core);

/** The site of a host (lower case, without port): exact, then the longest wildcard, then default;
 * NULL when there is none. */
struct site *snapshot_site(const struct snapshot *s, struct slice host);
