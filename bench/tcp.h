// SPDX-License-Identifier: Apache-2.0
//
// Both ends of proxied TCP: an origin that echoes, or sends without end, as the first byte of a
// connection asks; and a client for either, that compares every byte. Its calls print the line of JSON
// that load.h describes; a request is a message there and back, or a MiB of the stream.
#pragma once

#include <netinet/in.h>

enum { TCP_CONNECTIONS_MAX = 4096, TCP_MESSAGE_BYTES_MAX = 4096 };

struct tcp_plan {
    struct sockaddr_in to;
    unsigned connections;
    unsigned message_bytes; // 0: one stream without end on each connection
    double seconds;
};

// Listens on the address and serves from then on, whenever the loop of epoll turns.
void tcp_origin_open(int epoll, const struct sockaddr_in *address);

// Runs a plan to its end; other sources of epoll are served meanwhile.
void tcp_run(int epoll, const struct tcp_plan *plan);
