// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's origin: fixed answers for /128, /10k and /1m over HTTP/1.1 keep-alive.
#pragma once

#include <netinet/in.h>

// Listens on the address and answers from then on, whenever the loop of epoll turns. At most four
// times.
void origin_open(int epoll, const struct sockaddr_in *address);
