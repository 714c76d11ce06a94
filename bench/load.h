// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's client. Each call prints one line of JSON: requests, errors, seconds, rate,
// quantiles of latency in microseconds, and how many connections are still open.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum { LOAD_PATH_BYTES_MAX = 64, LOAD_CONNECTIONS_MAX = 60000 };

struct load_plan {
    struct sockaddr_in to;
    char path[LOAD_PATH_BYTES_MAX];
    size_t size; // bytes of body that every answer must have
    unsigned connections;
    double seconds;
    double rate; // requests per second, 0: as many as there can be
    bool tls;
};

// Runs a closed (rate 0) or open loop to its end; other sources of epoll are served meanwhile.
void load_run(int epoll, const struct load_plan *plan);

// Opens the plan's connections, asks once on each, and keeps them open.
void load_hold(int epoll, const struct load_plan *plan);

// Reports on the connections that were held, and closes them.
void load_release(void);
