// SPDX-License-Identifier: Apache-2.0
//
// TLS handshakes and nothing else, as many as there can be; the result is a line of JSON as load.h
// has it, with handshakes for requests.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

enum { HANDSHAKE_CONNECTIONS_MAX = 256 };

struct handshake_plan {
    struct sockaddr_in to;
    unsigned connections; // under way at once
    double seconds;
    int version; // 12 or 13
    bool resume; // with a ticket of an earlier connection; else always a full handshake
};

// Runs the plan to its end; other sources of epoll are served meanwhile.
void handshake_run(int epoll, const struct handshake_plan *plan);
