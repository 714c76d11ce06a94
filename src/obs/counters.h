// SPDX-License-Identifier: Apache-2.0
//
// Counters of one core: plain 64-bit words that only their core writes (relaxed stores) and anyone
// may read and sum. They lie in memory that the supervisor shares with its worker, so `adit status`
// reads them without asking a busy core, and they go on over a worker's crash.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// X(name, "one line of prose")
#define COUNTER_TABLE(X)                                                                           \
    X(connections_accepted, "client connections accepted")                                         \
    X(connections_open, "client connections open now")                                             \
    X(connections_shed, "client connections refused or closed for lack of room")                   \
    X(requests, "requests begun")                                                                  \
    X(requests_active, "exchanges alive now")                                                      \
    X(requests_refused, "requests that broke a rule (4xx of ours)")                                \
    X(responses_1xx, "interim responses sent")                                                     \
    X(responses_2xx, "responses sent with 2xx")                                                    \
    X(responses_3xx, "responses sent with 3xx")                                                    \
    X(responses_4xx, "responses sent with 4xx")                                                    \
    X(responses_5xx, "responses sent with 5xx")                                                    \
    X(upgrades, "connections that became a pipe")                                                  \
    X(bytes_in, "body bytes received from clients")                                                \
    X(bytes_out, "body bytes sent to clients")                                                     \
    X(upstream_connects, "connections opened to origins")                                          \
    X(upstream_connect_errors, "connections to origins that failed")                               \
    X(upstream_reused, "exchanges carried by a pooled connection")                                 \
    X(upstream_open, "connections to origins open now")                                            \
    X(upstream_retries, "attempts repeated")                                                       \
    X(upstream_hedges, "second attempts begun beside a slow one")                                  \
    X(upstream_hedges_won, "of these, those that answered first")                                  \
    X(mirror_requests, "copies of requests sent to mirrors")                                       \
    X(mirror_skipped, "copies not made: too many at once, or no memory")                           \
    X(mirror_cut, "copies cut: the mirror was too slow for their body")                            \
    X(mirror_failed, "copies that the mirror did not answer")                                      \
    X(upstream_errors, "exchanges that the origin failed")                                         \
    X(tls_handshakes, "TLS handshakes with clients completed")                                     \
    X(tls_resumed, "of these, those that resumed a session")                                       \
    X(tls_failed_not_tls, "connections to a TLS port that spoke something else")                   \
    X(tls_failed_version, "TLS handshakes that failed: no version in common")                      \
    X(tls_failed_cipher, "TLS handshakes that failed: no cipher, curve or signature in common")    \
    X(tls_failed_protocol, "TLS handshakes that failed: no protocol in common (ALPN)")             \
    X(tls_failed_name, "TLS handshakes that failed: no certificate for that name")                 \
    X(tls_failed_client, "TLS handshakes that failed: the client's certificate")                   \
    X(tls_failed_alert, "TLS handshakes that the client ended with an alert")                      \
    X(tls_failed_closed, "TLS handshakes during which the client went away")                       \
    X(tls_failed_given_up, "TLS handshakes that took too long or were shed")                       \
    X(tls_failed_other, "TLS handshakes that failed for another reason")                           \
    X(tls_challenges, "TLS-ALPN-01 challenges answered")                                           \
    X(tls_origin_handshakes, "TLS handshakes with origins completed")                              \
    X(tls_origin_resumed, "of these, those that resumed a session")                                \
    X(tls_origin_failed, "TLS handshakes with origins that failed")                                \
    X(proxy_headers, "PROXY headers taken")                                                        \
    X(proxy_header_untrusted, "connections closed: their source may not send a PROXY header")      \
    X(proxy_header_missing, "connections closed: what came was no PROXY header")                   \
    X(proxy_header_malformed, "connections closed: a malformed PROXY header")                      \
    X(proxy_header_checksum, "connections closed: a PROXY header with a wrong checksum")           \
    X(proxy_header_unsupported, "connections closed: a PROXY header of an unknown kind")           \
    X(proxy_header_closed, "connections that ended before their PROXY header was complete")        \
    X(proxy_header_late,                                                                           \
      "connections closed: their PROXY header took too long, or they were shed")                   \
    X(tcp_sessions, "TCP sessions of streams begun")                                               \
    X(tcp_sessions_open, "TCP sessions of streams open now")                                       \
    X(tcp_bytes_in, "bytes that TCP sessions carried from clients")                                \
    X(tcp_bytes_out, "bytes that TCP sessions carried to clients")                                 \
    X(tcp_refused_route, "TCP sessions closed: no route takes what the client asked for")          \
    X(tcp_refused_address, "TCP sessions closed: the client's address is not let in")              \
    X(tcp_refused_hello, "TCP sessions closed: a malformed or too long TLS ClientHello")           \
    X(tcp_refused_silent, "TCP sessions closed: the first message did not come in time")           \
    X(tcp_refused_server, "TCP sessions closed: no server could be reached")                       \
    X(tcp_refused_room, "TCP sessions closed: no room for another one")                            \
    X(tcp_idle, "TCP sessions ended by their idle limit")                                          \
    X(tcp_total, "TCP sessions ended by their total limit")                                        \
    X(tcp_resets, "TCP sessions that one side reset")                                              \
    X(udp_sessions, "UDP sessions of streams begun")                                               \
    X(udp_sessions_open, "UDP sessions of streams open now")                                       \
    X(udp_datagrams_in, "datagrams of clients passed on")                                          \
    X(udp_datagrams_out, "datagrams of servers passed on")                                         \
    X(udp_dropped, "datagrams dropped: no room, no server, or the kernel refused them")            \
    X(udp_refused_address, "datagrams dropped: the client's address is not let in")                \
    X(udp_evicted, "UDP sessions that made room for new ones")                                     \
    X(udp_unreachable, "UDP sessions whose server said that nobody listens")                       \
    X(tunnel_handshakes, "handshakes that agents asked for")                                       \
    X(tunnel_handshakes_granted, "of these, those that got a tunnel")                              \
    X(tunnel_handshakes_pending, "handshakes that are being judged now")                           \
    X(tunnel_refused_host, "handshakes refused: at another name than the edge's (421)")            \
    X(tunnel_refused_malformed, "handshakes refused: malformed (400)")                             \
    X(tunnel_refused_version, "handshakes refused: another version, or no TLS with it (426)")      \
    X(tunnel_refused_no_token, "handshakes refused: no token, or a key that asks for its nonce")   \
    X(tunnel_refused_token, "handshakes refused: the token, key or certificate is no good (401)")  \
    X(tunnel_refused_scope, "handshakes refused: not allowed to this owner, or in clear (403)")    \
    X(tunnel_refused_taken, "handshakes refused: somebody else has the name or port (409)")        \
    X(tunnel_refused_rate, "handshakes refused: too many from this address (429)")                 \
    X(tunnel_refused_limit, "handshakes refused: tunnels or connections beyond a limit (429)")     \
    X(tunnel_refused_room, "handshakes refused: the edge is full or restarting (503)")             \
    X(tunnel_handshakes_lost, "handshakes whose agent went away before its tunnel began")          \
    X(tunnel_agents, "connections of agents open now")                                             \
    X(tunnels_live, "tunnels that have an agent now")                                              \
    X(tunnels_parked, "tunnels that wait for their agent now")                                     \
    X(tunnel_visitors_waiting, "visitors that wait for an agent now")                              \
    X(tunnel_unknown, "visitors of a name or port that no tunnel has (404)")                       \
    X(bridges_open, "connections to servers that another core holds, open now")                    \
    X(bridge_streams, "exchanges carried to another core's connection")                            \
    X(bridge_streams_open, "of these, those alive now")                                            \
    X(timeouts, "deadlines that passed")                                                           \
    X(glitches, "odd but tolerated acts of peers")                                                 \
    X(h2_sessions_open, "client connections that speak HTTP/2 open now")                           \
    X(h2_up_sessions_open, "connections to origins that speak HTTP/2 open now")                    \
    X(h2_streams, "HTTP/2 streams begun, of clients and to origins")                               \
    X(h2_refused, "HTTP/2 requests refused for lack of room")                                      \
    X(h2_resets_sent, "HTTP/2 streams reset by adit")                                              \
    X(h2_goaways, "connections that origins ended with GOAWAY")                                    \
    X(h2_errors, "HTTP/2 connections ended because a rule was broken")                             \
    X(h2_floods, "HTTP/2 connections ended because they did too many odd things")                  \
    X(h2_glitches_reset, "HTTP/2 streams that peers reset")                                        \
    X(h2_glitches_made_us, "HTTP/2 streams that peers made adit reset")                            \
    X(h2_glitches_ping, "HTTP/2 pings of peers")                                                   \
    X(h2_glitches_settings, "HTTP/2 settings beyond the first")                                    \
    X(h2_glitches_priority, "HTTP/2 priority frames")                                              \
    X(h2_glitches_window, "HTTP/2 window updates beyond what was sent")                            \
    X(h2_glitches_empty, "HTTP/2 frames without any content")                                      \
    X(h2_glitches_block, "HTTP/2 header blocks in slivers or of refused requests")                 \
    X(log_dropped, "log lines dropped because the writer was behind")

enum counter {
#define COUNTER_ID(name, text) COUNTER_##name,
    COUNTER_TABLE(COUNTER_ID)
#undef COUNTER_ID
        COUNTER_COUNT
};

struct counters {
    _Alignas(64) _Atomic uint64_t v[COUNTER_COUNT];
};

static inline void counter_add(struct counters *c, enum counter id, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&c->v[id], memory_order_relaxed);
    atomic_store_explicit(&c->v[id], old + n, memory_order_relaxed);
}
static inline void counter_sub(struct counters *c, enum counter id, uint64_t n)
{
    counter_add(c, id, 0 - n);
}

const char *counter_name(enum counter id);
/** The table's line of prose. */
const char *counter_text(enum counter id);
/** A state of now (open connections), not a count of events. */
bool counter_is_gauge(enum counter id);

/** Size of the shared block: one row per core, and one for what workers counted that have ended. */
size_t counters_block_bytes(uint32_t cores);
/** Sum over a whole block. Any process that maps it. */
uint64_t counters_total(const struct counters *block, uint32_t cores, enum counter id);
/** Takes what a block has counted into another one. Only for the process that made both. */
void counters_retire(struct counters *to, uint32_t to_cores, const struct counters *from,
                     uint32_t from_cores);
/** The same for two programs whose counters mean the same. */
uint64_t counters_fingerprint(void);
/** Sum over some rows. Any process that maps them. */
uint64_t counters_sum(const struct counters *rows, uint32_t cores, enum counter id);
/** A new worker begins: what was open died with the old one. Counts of events go on. */
void counters_restart(struct counters *rows, uint32_t cores);
