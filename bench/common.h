// SPDX-License-Identifier: Apache-2.0
//
// What the three benchmark programs (relay, origin, load) share: addresses, listening and
// connecting sockets, the clock, and the fixed body that the origin sends and the load checks.
//
// These are short-lived single-thread tools, so an error ends the program with a message.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

// Largest body any scenario asks for.
#define BENCH_BODY_BYTES_MAX (1024U * 1024U)

// Prints "NAME: message: errno text" and exits with 1.
__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

// Monotonic time in nanoseconds.
uint64_t bench_now_ns(void);

// Reads "IPv4:PORT"; ends the program when the text is neither.
struct sockaddr_in bench_address(const char *text);

// A non-blocking listening socket. Clients inherit TCP_NODELAY from it, which saves one call each.
int bench_listen(const struct sockaddr_in *address);

// Adds descriptor fd to epoll with data pointer ptr; ends the program when that fails.
void bench_watch(int epoll, int fd, uint32_t events, void *ptr);

// Sets the limit of descriptors to count, or to as many as this process may have.
void bench_raise_descriptors(uint64_t count);

// Fills bytes of the body with the pattern that both ends know.
void bench_fill_body(unsigned char *body, size_t bytes);

// Dies with the parent, so that a killed benchmark run leaves nothing behind.
void bench_follow_parent(void);
