// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL as the benchmark uses it; see tls.h. The settings are those that cost a server least and
// that every proxy measured here has as well: reading ahead, so that a record takes one call and
// not two; no session cache, for tickets do without; no compression, no renegotiation.
#include "tls.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "common.h"

static BIO_METHOD *method;

__attribute__((noreturn)) static void die(const char *what)
{
    errno = 0;
    bench_die("%s: %s", what, ERR_reason_error_string(ERR_peek_error()));
}

static int bio_read(BIO *bio, char *data, int bytes)
{
    struct tls_link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (link->drained && !link->blocking) {
        BIO_set_retry_read(bio);
        errno = EAGAIN;
        return -1;
    }
    ssize_t n = recv(link->fd, data, (size_t)bytes, 0);
    if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_read(bio);
    }
    link->drained = n < 0 || (n > 0 && n < bytes && !link->hung_up);
    link->ended = n == 0;
    return (int)n;
}

static int bio_write(BIO *bio, const char *data, int bytes)
{
    struct tls_link *link = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(link->fd, data, (size_t)bytes, 0);
    if (n < 0 && errno == EAGAIN) {
        BIO_set_retry_write(bio);
    }
    return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const struct tls_link *link = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || (command == BIO_CTRL_EOF && link->ended) ? 1 : 0;
}

static SSL_CTX *make_context(const SSL_METHOD *role)
{
    SSL_CTX *context = SSL_CTX_new(role);
    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bench");
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_control);
    }
    if (context == NULL || method == NULL) {
        die("TLS context");
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

SSL_CTX *tls_server_context(const char *certificate_path, const char *key_path, bool release)
{
    SSL_CTX *context = make_context(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (release) {
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    }
    if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1) {
        die("certificate and key");
    }
    return context;
}

SSL_CTX *tls_client_context(int version)
{
    SSL_CTX *context = make_context(TLS_client_method());
    int number = version == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (SSL_CTX_set_min_proto_version(context, number) != 1 ||
        SSL_CTX_set_max_proto_version(context, number) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1) {
        die("client's TLS settings");
    }
    return context;
}

bool tls_open(struct tls_link *link, SSL_CTX *context, int fd, bool server)
{
    BIO *bio = BIO_new(method);
    *link = (struct tls_link){.ssl = SSL_new(context), .fd = fd};
    if (bio == NULL || link->ssl == NULL) {
        BIO_free(bio);
        SSL_free(link->ssl);
        link->ssl = NULL;
        return false;
    }
    BIO_set_data(bio, link);
    BIO_set_init(bio, 1);
    SSL_set_bio(link->ssl, bio, bio);
    if (server) {
        SSL_set_accept_state(link->ssl);
    } else {
        SSL_set_connect_state(link->ssl);
    }
    return true;
}

bool tls_handshake_wait(struct tls_link *link)
{
    link->blocking = true;
    int done = SSL_do_handshake(link->ssl);
    link->blocking = false;
    link->drained = false;
    return done == 1;
}

void tls_close(struct tls_link *link)
{
    SSL_free(link->ssl);
    link->ssl = NULL;
}

// What a call that gave nothing means.
static ssize_t give_nothing(struct tls_link *link, int result)
{
    int saved = errno;
    switch (SSL_get_error(link->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        errno = saved == EAGAIN || saved == 0 ? EPROTO : saved;
        return -1;
    }
}

ssize_t tls_read(struct tls_link *link, void *data, size_t bytes)
{
    int n = SSL_read(link->ssl, data, (int)bytes);
    return n > 0 ? n : give_nothing(link, n);
}

ssize_t tls_write(struct tls_link *link, const void *data, size_t bytes)
{
    int n = SSL_write(link->ssl, data, (int)bytes);
    return n > 0 ? n : give_nothing(link, n);
}
