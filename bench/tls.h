// SPDX-License-Identifier: Apache-2.0
//
// TLS for the benchmark's programs, as thin as OpenSSL allows: contexts for both roles, and a
// connection that reads and writes through its own BIO. That BIO remembers when a read came back
// short, so that nobody asks an empty socket again: the same thrift as the clear relay's.
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>

struct tls_link {
    SSL *ssl;
    int fd;
    bool blocking; // wait in the kernel, as a client's handshake may
    bool hung_up;  // the other side has closed: a short read says nothing any more
    bool drained;  // a read was short: the socket is empty until the next event
    bool ended;    // the socket gave its end
};

// What connections are made from; the program ends when the files cannot be used. With `release`
// a connection gives its buffers back when it has nothing to say, which costs time and saves memory.
SSL_CTX *tls_server_context(const char *certificate_path, const char *key_path, bool release);

// A client's: TLS 1.2 or 1.3 only (`version` 12 or 13), AES-128-GCM, nothing verified.
SSL_CTX *tls_client_context(int version);

// Makes a connection on a connected socket, in the server's or the client's role. The handshake
// runs inside tls_read and tls_write. False: out of memory.
bool tls_open(struct tls_link *link, SSL_CTX *context, int fd, bool server);

// The client's handshake from begin to end, waiting as long as the socket's own limits allow.
bool tls_handshake_wait(struct tls_link *link);

// Frees the connection, not the socket.
void tls_close(struct tls_link *link);

// As recv and send do: bytes, 0 at the end, or -1 with errno; EAGAIN when it would block. A write
// that returned EAGAIN must be repeated with at least the same bytes.
ssize_t tls_read(struct tls_link *link, void *data, size_t bytes);
ssize_t tls_write(struct tls_link *link, const void *data, size_t bytes);

// An event came: the socket is worth asking again.
static inline void tls_wake(struct tls_link *link, bool hung_up)
{
    link->drained = false;
    link->hung_up = link->hung_up || hung_up;
}

// Whether a read could give something without a new event.
static inline bool tls_may_read(const struct tls_link *link)
{
    return !link->drained || SSL_has_pending(link->ssl) != 0;
}
