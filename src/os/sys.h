// SPDX-License-Identifier: Apache-2.0
//
// sys: everything the traffic path asks of the kernel, as a table of functions, so that the same
// proxy code runs on Linux (os/linux.c) and inside the simulation (tests/sim/), where time is
// virtual and faults are seeded. The contract of wait() is one that kqueue could keep: readiness is
// reported on edges, once per change, for both directions together.
//
// Results of byte movers are struct io_result: a status and, when it is IO_OK, a count of at least
// one. Counts are never errors and errors are never counts.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/ensure.h"
#include "os/addr.h"

enum io_status { IO_OK, IO_AGAIN, IO_EOF, IO_ERROR };

struct io_result {
    size_t n;       // IO_OK: bytes moved, > 0
    int16_t status; // enum io_status
    int16_t error;  // IO_ERROR: an error code (base/error.h)
};

enum sys_events {
    SYS_READ = 1,   // bytes, or a connection to accept, or the end of input
    SYS_WRITE = 2,  // room to write, or connect() has ended
    SYS_HANGUP = 4, // the peer has closed its direction or all (RDHUP, HUP, ERR)
    SYS_ERROR = 8,  // an error is pending on the socket
};

struct sys_event {
    void *data;
    unsigned events;
};

struct sys_connect {
    struct os_addr to;
    const struct os_addr *from; // NULL: the kernel chooses
};

/** From whom a datagram came and to which of our addresses: what it takes to answer it. Opaque but to
 * the kernel's side; equal bytes of `peer` are the same peer. */
struct sys_way {
    uint8_t peer_len; // 0: the socket is connected
    uint8_t local_len;
    uint8_t peer[28];  // struct sockaddr_in or sockaddr_in6
    uint8_t local[20]; // struct in_pktinfo or in6_pktinfo
};

struct sys_datagram {
    void *bytes;
    size_t room; // to receive
    size_t len;
    bool cut; // it was longer than the room
    struct sys_way way;
};

enum { SYS_DATAGRAMS_MAX = 32 }; // in one call

struct sys;

struct sys_ops {
    const char *name;
    /** Monotonic nanoseconds. */
    uint64_t (*now_ns)(struct sys *s);
    /** Wall clock, milliseconds since 1970. */
    uint64_t (*wall_ms)(struct sys *s);
    /** Waits at most timeout_ms (-1: for ever). Returns how many events, 0 on timeout or signal. */
    int (*wait)(struct sys *s, struct sys_event *events, int max, int timeout_ms);
    /** Any thread: makes a wait() of this sys return. */
    void (*wake)(struct sys *s);
    /** Registers fd edge-triggered for read, write and hang-up at once. `read_only` for listeners,
     * which are level-triggered and may be in several cores' sets. */
    int (*watch)(struct sys *s, int fd, void *data, bool listener);
    int (*unwatch)(struct sys *s, int fd);
    /** A non-blocking connection with its peer's address, or a negative code. */
    int (*accept)(struct sys *s, int listener, struct os_addr *peer);
    /** A non-blocking connection attempt: fd (in progress or done) or a negative code. E_NO_PORTS: no
     * port is left from `from` (or from where the kernel would connect) to there; E_SOURCE_UNKNOWN:
     * `from` is not an address of this machine. */
    int (*connect)(struct sys *s, const struct sys_connect *c);
    /** After the first SYS_WRITE on a connecting fd: 0 or why it failed. */
    int (*connect_result)(struct sys *s, int fd);
    /** The address of our end of a connection: 0 or a negative code. */
    int (*local_addr)(struct sys *s, int fd, struct os_addr *out);
    /** For a connection that carries what others wait for: it ends when what was sent is not acknowledged
     * for so long, and holds no more than so many bytes unsent, so that what is urgent is not behind
     * them. As far as the socket is of a kind that can; may be NULL. */
    void (*tune)(struct sys *s, int fd, uint32_t dead_ms, uint32_t unsent_max);
    struct io_result (*read)(struct sys *s, int fd, const struct iovec *iov, int n);
    /** `more`: further bytes follow at once (MSG_MORE). */
    /** As read, but the bytes stay: the next read or splice gets them. It does not show the end while
     * there are any. */
    struct io_result (*peek)(struct sys *s, int fd, void *to, size_t n);
    struct io_result (*write)(struct sys *s, int fd, const struct iovec *iov, int n, bool more);
    int (*shutdown_write)(struct sys *s, int fd);
    /** `reset`: send RST rather than FIN. The fd is gone in any case. */
    void (*close)(struct sys *s, int fd, bool reset);
    /** A kernel pipe for splice: 0 and {read end, write end}, or a negative code (E_UNSUPPORTED:
     * there is no splice here). */
    int (*pipe_open)(struct sys *s, int fds[2], size_t *capacity);
    /** Moves at most n bytes between a socket and a pipe, in either direction. */
    struct io_result (*splice)(struct sys *s, int from, int to, size_t n, bool more);
    /** A socket for datagrams to and from one peer, or a negative code. */
    int (*connect_datagrams)(struct sys *s, const struct os_addr *to);
    /** How many of n datagrams were received, at least one; fewer than n: there are no more. E_AGAIN,
     * or what the kernel was told of the peer (E_REFUSED: nobody listens there). */
    int (*receive)(struct sys *s, int fd, struct sys_datagram *d, unsigned n);
    /** How many of n were sent, at least one, or a negative code. */
    int (*send)(struct sys *s, int fd, const struct sys_datagram *d, unsigned n);
    /** Entropy for keys and ids. */
    void (*random)(struct sys *s, void *buf, size_t len);
};

struct sys {
    const struct sys_ops *ops;
};

/** The peer's address; unset when the socket is connected. */
void os_way_peer(const struct sys_way *way, struct os_addr *out);

/** The real one: an epoll instance and an eventfd. One per core; close from its own thread. NULL
 * when out of descriptors. */
struct sys *os_linux_new(void) must_check;
void os_linux_free(struct sys *s);
