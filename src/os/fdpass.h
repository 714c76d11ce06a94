// SPDX-License-Identifier: Apache-2.0
//
// Small typed messages with descriptors between processes, over a SOCK_SEQPACKET socket pair: one
// send is one receive, bytes never run together, and what the other side has closed is seen as the
// end. A message is a type, a number and up to FDPASS_BYTES_MAX bytes; at most FDPASS_FDS_MAX
// descriptors travel with it.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum { FDPASS_BYTES_MAX = 8192, FDPASS_FDS_MAX = 64 };

struct fdpass_msg {
    uint32_t type;   // the protocol's own
    uint32_t number; // the protocol's own: an index, a generation, a code
    uint32_t len;
    uint32_t fd_count;
    int fds[FDPASS_FDS_MAX];
    char bytes[FDPASS_BYTES_MAX];
};

/** Two connected ends, close-on-exec and non-blocking. */
int fdpass_pair(int fds[2]) must_check;
/** Sends one message. The descriptors stay the sender's. 0, E_AGAIN (the queue is full), E_RESET
 * (the other side is gone), E_TOO_LARGE. */
int fdpass_send(int fd, uint32_t type, uint32_t number, struct slice bytes, const int *fds,
                uint32_t fd_count) must_check;
/** Receives one message; its descriptors (close-on-exec) are the receiver's. 0, E_AGAIN (there is
 * none), E_EOF (the other side is gone), E_INVALID (not one of ours: nothing is kept). */
int fdpass_recv(int fd, struct fdpass_msg *out) must_check;
/** Closes the descriptors of a message that nobody took: those that are not -1. */
void fdpass_drop(struct fdpass_msg *m);
/** Waits until there is something to receive or the end; false on timeout. For the processes that
 * have no loop. */
bool fdpass_wait(int fd, int timeout_ms);
