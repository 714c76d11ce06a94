// SPDX-License-Identifier: Apache-2.0
//
// The handshake: from a transport to an open TLS connection, on either side.
//
// Server. Nothing is allocated for a client before its first byte. Its ClientHello is looked at before
// the library does anything with it: the name picks the host, the host its policy, so that a session is
// resumed only under the policy it was made for. The certificate is put in later, and only when the
// handshake is a full one. Whoever asks for a name without a certificate gets unrecognized_name.
//
// A handshake costs as much as hundreds of requests. So the private-key work of a turn has a bound, and
// handshakes beyond it wait, first come first served, for the next turn; who is connected waits at most
// one bound's worth. What failed is counted by reason, and an HTTP request on a TLS port is told so in
// clear text.

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "base/error.h"
#include "base/text.h"
#include "tls/tls_int.h"

enum {
    CONTENT_HANDSHAKE = 0x16, // RFC 8446 5.1: what the first byte of a client is
    TICKET_NAME_BYTES = 16,
    TICKET_MAC_BYTES = 32,
    TICKET_CIPHER_BYTES = 32,
    AGENT_CHAIN_BYTES_MAX = 16384, // of what a stranger may make us read before we know who it is
    AGENT_CHAIN_DEPTH = 6,
};

static_assert(TICKET_NAME_BYTES + TICKET_MAC_BYTES + TICKET_CIPHER_BYTES ==
                  CREDENTIAL_TICKET_KEY_BYTES,
              "as the credentials have it");

static const unsigned char acme_tls_1[] = "\x0a"
                                          "acme-tls/1";
static const unsigned char http_1_1[] = "\x08"
                                        "http/1.1";

static struct tls *tls_of_ssl(const SSL *ssl)
{
    struct tls *s = SSL_get_app_data(ssl);
    ensure_magic(s, TLS_MAGIC);
    return s;
}

// ---- errors ----------------------------------------------------------------------------------------

static int code_of_reason(const struct tls *s, int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return E_TLS_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return E_TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_CIPHERS_AVAILABLE:
    case SSL_R_NO_CIPHERS_SPECIFIED:
        return E_TLS_CIPHER;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return E_TLS_CLIENT_CERTIFICATE;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return s->server ? E_TLS_CLIENT_CERTIFICATE : origin_verify_error(s->ssl);
    case ERR_R_MALLOC_FAILURE:
        return E_NO_MEMORY;
    default:
        return reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256 ? E_TLS_ALERT
                                                                                    : 0;
    }
}

static bool is_not_tls(const struct tls *s)
{
    return s->server && s->first_byte_seen && s->first_byte != CONTENT_HANDSHAKE &&
           (s->first_byte & 0x80) == 0; // a ClientHello as SSL 2 wrapped it is TLS, if an old one
}

int handshake_error(const struct tls *s)
{
    int code = 0;
    unsigned long e;
    while ((e = ERR_get_error()) != 0) {
        if (code == 0 &&
            (ERR_GET_LIB(e) == ERR_LIB_SSL || ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)) {
            code = code_of_reason(s, ERR_GET_REASON(e));
        }
    }
    if (s->state != TLS_HANDSHAKING) {
        return code == E_TLS_ALERT || code == E_NO_MEMORY ? code : E_PROTOCOL;
    }
    if (is_not_tls(s)) {
        return E_TLS_NOT_TLS;
    }
    return s->cause != 0 ? s->cause : code != 0 ? code : E_TLS_HANDSHAKE;
}

static enum counter counter_of(int error)
{
    static const struct {
        int error;
        enum counter counter;
    } rows[] = {
        {E_TLS_NOT_TLS, COUNTER_tls_failed_not_tls},
        {E_TLS_VERSION, COUNTER_tls_failed_version},
        {E_TLS_CIPHER, COUNTER_tls_failed_cipher},
        {E_UNSUPPORTED, COUNTER_tls_failed_protocol},
        {E_TLS_NO_CERTIFICATE, COUNTER_tls_failed_name},
        {E_TLS_CLIENT_CERTIFICATE, COUNTER_tls_failed_client},
        {E_TLS_ALERT, COUNTER_tls_failed_alert},
        {E_EARLY_CLOSE, COUNTER_tls_failed_closed},
        {E_RESET, COUNTER_tls_failed_closed},
        {E_EOF, COUNTER_tls_failed_closed},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        if (rows[i].error == error) {
            return rows[i].counter;
        }
    }
    return COUNTER_tls_failed_other;
}

// ---- the ClientHello -------------------------------------------------------------------------------

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

// The host name of a server_name extension (RFC 6066 3), lower case, without a last dot. False when
// there is one that cannot be a name; none is an empty one.
static bool hello_name(SSL *ssl, char *name, size_t *len)
{
    const unsigned char *p = NULL;
    size_t left = 0;
    *len = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &left) != 1) {
        return true;
    }
    // List length, type (0: a host name), its length, the name; there is only ever one.
    if (left < 6 || p[2] != 0) {
        return false;
    }
    size_t n = (size_t)p[3] << 8 | p[4];
    if (n == 0 || n > left - 5 || n > TLS_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = (char)p[5 + i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (!is_name_byte(name[i])) {
            return false;
        }
    }
    *len = n > 1 && name[n - 1] == '.' ? n - 1 : n;
    return true;
}

// Whether it offers exactly this one protocol, which has its length in front.
static bool offers_only(SSL *ssl, const unsigned char *protocol)
{
    const unsigned char *p = NULL;
    size_t len = 0;
    size_t want = 1 + (size_t)protocol[0];
    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p,
                                     &len) == 1 &&
           len == want + 2 && memcmp(p + 2, protocol, want) == 0;
}

// A CA that looks whether we are who we say (RFC 8737 3).
static bool is_challenge(SSL *ssl)
{
    return offers_only(ssl, acme_tls_1);
}

// The host and whether there is something to show for it; what is missing is asked for.
static int choose_host(struct tls *s, struct slice name)
{
    if (s->challenge) {
        bool known = store_credential(s->store, CREDENTIAL_TLS_ALPN_01, name) != NULL;
        return known ? 0 : E_TLS_NO_CERTIFICATE;
    }
    const struct store_host *h = store_find(s->store, name);
    if (h == NULL || h->off) {
        return E_TLS_NO_CERTIFICATE;
    }
    s->host = h;
    if (store_host_cert(s->store, h, name, 0) != NULL) {
        return 0;
    }
    struct tls_wanted *w = s->core->wanted;
    if (h->on_demand && name.len > 0 && w != NULL) {
        w->want(w, name);
    }
    return E_TLS_NO_CERTIFICATE;
}

// An agent is known by its certificate's fingerprint, whoever has issued it, and whether that is granted
// and still good is judged with its request (tunnel/judge.c), where there are words for it. What is left
// to refuse here is a key that could be guessed. Each connection is to prove that it has the key, where
// a ticket would do for hours: it gets none.
static int on_agent_certificate(int good, X509_STORE_CTX *chain)
{
    struct tls *s =
        tls_of_ssl(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
    (void)good;
    if (!s->client_shown) {
        s->client_shown = true;
        s->core->key_work++;
    }
    return SSL_set_num_tickets(s->ssl, 0) == 1 &&
           X509_STORE_CTX_get_error(chain) != X509_V_ERR_EE_KEY_TOO_SMALL;
}

// Where agents call, and of clients that may be some: browsers offer other protocols beside this one,
// and would ask their user which certificate to show. Sessions of these are good among themselves only.
static int welcome_agent(struct tls *s)
{
    unsigned char id[sizeof(s->policy->id)];
    memcpy(id, s->policy->id, sizeof(id));
    id[0] ^= 1;
    SSL_set_verify(s->ssl, SSL_VERIFY_PEER, on_agent_certificate);
    SSL_set_verify_depth(s->ssl, AGENT_CHAIN_DEPTH);
    SSL_set_max_cert_list(s->ssl, AGENT_CHAIN_BYTES_MAX);
    s->agent = true;
    return SSL_set_session_id_context(s->ssl, id, sizeof(id)) == 1 ? 0 : E_NO_MEMORY;
}

static int choose_policy(struct tls *s)
{
    if (s->challenge) {
        // Whoever validates shows no certificate of its own. So it gets no session either: one made
        // here would be resumed where a certificate is required.
        SSL_set_verify(s->ssl, SSL_VERIFY_NONE, NULL);
        SSL_set_options(s->ssl, SSL_OP_NO_TICKET);
        bool ok = SSL_set_num_tickets(s->ssl, 0) == 1 &&
                  SSL_set_session_id_context(s->ssl, acme_tls_1, sizeof(acme_tls_1) - 1) == 1;
        return ok ? 0 : E_NO_MEMORY;
    }
    const struct tls_policy *p = s->host->policy;
    if (p != s->policy) {
        SSL_CTX *ctx = policy_context(s->store, s->core->loop->core, p);
        if (ctx == NULL || !policy_apply(s->ssl, ctx, p)) {
            return E_NO_MEMORY;
        }
        s->policy = p;
    }
    bool agent =
        s->host->agents && p->client != TLS_CLIENT_REQUIRED && offers_only(s->ssl, http_1_1);
    return agent ? welcome_agent(s) : 0;
}

int handshake_on_hello(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tls *s = tls_of_ssl(ssl);
    if (s->hello_seen) {
        return SSL_CLIENT_HELLO_SUCCESS; // the second, after a HelloRetryRequest
    }
    s->hello_seen = true;
    s->core->key_work++;
    char name[TLS_NAME_MAX];
    size_t len = 0;
    int rc = hello_name(ssl, name, &len) ? 0 : E_TLS_NO_CERTIFICATE;
    s->challenge = is_challenge(ssl);
    rc = rc != 0 ? rc : choose_host(s, slice_of(name, len));
    rc = rc != 0 ? rc : choose_policy(s);
    if (rc == 0 && !security_set_name(s, slice_of(name, len))) {
        rc = E_NO_MEMORY;
    }
    if (rc == 0) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    s->cause = (int16_t)rc;
    *alert = rc == E_NO_MEMORY ? SSL_AD_INTERNAL_ERROR : SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

// ---- certificates ----------------------------------------------------------------------------------

static bool use_cert(struct tls *s, const struct store_credential *credential)
{
    struct store_cert *cert = store_cert(s->store, s->core->loop->core, credential);
    if (cert == NULL || SSL_use_cert_and_key(s->ssl, cert->leaf, cert->key, cert->chain, 1) != 1) {
        ERR_clear_error();
        return false;
    }
    if (s->cert == NULL) {
        s->cert = cert;
        s->credential = credential;
    }
    return true;
}

// All of a host's certificates: the library shows the first whose key the client takes, ECDSA first.
int handshake_on_cert(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls *s = tls_of_ssl(ssl);
    const struct slice name = s->security.server_name;
    uint32_t used = 0;
    if (s->challenge) {
        const struct store_credential *c = store_credential(s->store, CREDENTIAL_TLS_ALPN_01, name);
        used += c != NULL && use_cert(s, c);
    } else {
        const struct store_credential *c;
        for (uint32_t i = 0; (c = store_host_cert(s->store, s->host, name, i)) != NULL; i++) {
            used += use_cert(s, c);
        }
    }
    if (used == 0) {
        s->cause = E_TLS_NO_CERTIFICATE;
        return 0;
    }
    if (used == 1 && s->cert->rsa) {
        s->core->key_work += TLS_KEY_WORK_RSA - 1;
    }
    return 1;
}

int handshake_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                      const unsigned char *in, unsigned in_len, void *arg)
{
    (void)arg;
    struct tls *s = tls_of_ssl(ssl);
    if (s->challenge) {
        *out = acme_tls_1 + 1;
        *out_len = acme_tls_1[0];
        return SSL_TLSEXT_ERR_OK;
    }
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, s->policy->alpn, s->policy->alpn_len, in, in_len) ==
        OPENSSL_NPN_NEGOTIATED) {
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
    }
    s->cause = E_UNSUPPORTED;
    return SSL_TLSEXT_ERR_ALERT_FATAL; // no_application_protocol (RFC 7301 3.2)
}

// The staple of the certificate that is shown.
int handshake_on_status(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls *s = tls_of_ssl(ssl);
    const X509 *shown = SSL_get_certificate(ssl);
    const struct store_credential *c;
    if (s->challenge || !s->policy->ocsp) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (uint32_t i = 0;
         (c = store_host_cert(s->store, s->host, s->security.server_name, i)) != NULL; i++) {
        const struct store_cert *cert = store_cert(s->store, s->core->loop->core, c);
        if (cert == NULL || cert->leaf != shown || cert->ocsp.len == 0) {
            continue;
        }
        unsigned char *copy = OPENSSL_memdup(cert->ocsp.ptr, cert->ocsp.len);
        if (copy == NULL) {
            return SSL_TLSEXT_ERR_NOACK;
        }
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)cert->ocsp.len);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

// ---- tickets ---------------------------------------------------------------------------------------

static bool set_ticket_mac(EVP_MAC_CTX *mac, const unsigned char *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key,
                                          TICKET_MAC_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// The first key encrypts, all of them decrypt. The answer 2 asks for a new ticket: when the key was an
// older one, and in TLS 1.3 always, where a client uses each ticket once (RFC 8446 C.4) and would come
// without one the next time.
int handshake_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                        EVP_MAC_CTX *mac, int encrypt)
{
    struct tls *s = tls_of_ssl(ssl);
    const EVP_CIPHER *aes = s->core->ticket_cipher;
    const struct tls_store *store = s->store;
    ensure(store->ticket_key_count > 0);
    uint32_t i = 0;
    if (encrypt == 1 && s->client_shown) {
        return 0; // none, which TLS 1.2 asks for here
    }
    if (encrypt == 1) {
        memcpy(name, store->ticket_keys[0].ptr, TICKET_NAME_BYTES);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) != 1) {
            return -1;
        }
    } else {
        while (i < store->ticket_key_count &&
               memcmp(name, store->ticket_keys[i].ptr, TICKET_NAME_BYTES) != 0) {
            i++;
        }
        if (i == store->ticket_key_count) {
            return 0; // too old: a full handshake
        }
    }
    const unsigned char *key = (const unsigned char *)store->ticket_keys[i].ptr;
    const unsigned char *mac_key = key + TICKET_NAME_BYTES;
    const unsigned char *aes_key = mac_key + TICKET_MAC_BYTES;
    int ok = encrypt == 1 ? EVP_EncryptInit_ex(cipher, aes, NULL, aes_key, iv)
                          : EVP_DecryptInit_ex(cipher, aes, NULL, aes_key, iv);
    if (ok != 1 || !set_ticket_mac(mac, mac_key)) {
        return -1;
    }
    return i > 0 || SSL_version(ssl) >= TLS1_3_VERSION ? 2 : 1;
}

// ---- after it --------------------------------------------------------------------------------------

// Key updates, tickets of an origin, renegotiation that is refused: each costs more than it costs the
// peer, and the library goes through them for as long as they come. bio_read() ends those without end.
static void on_info(const SSL *ssl, int where, int value)
{
    (void)value;
    if ((where & SSL_CB_LOOP) != 0 || where == SSL_CB_WRITE_ALERT) {
        struct tls *s = tls_of_ssl(ssl);
        s->demands++;
    }
}

// ---- running it ------------------------------------------------------------------------------------

static void finish(struct tls *s, int error, struct slice alpn)
{
    const struct tls_done d = {error, alpn};
    s->done(s->t, &d, s->done_arg);
    // The transport, and with it `s`, may be gone.
}

// Whoever types http:// for https:// is told, in the language that was spoken.
static void answer_http(struct tls *s)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 66\r\nConnection: close\r\n\r\n"
        "This port speaks https. Ask again with https:// in place of http.\n";
    struct iovec iov = {(void *)(uintptr_t)answer, sizeof(answer) - 1};
    if (s->first_byte >= 'A' && s->first_byte <= 'Z' && s->out == NULL && s->socket_error == 0) {
        (void)loop_write(s->core->loop, &s->t->io, &iov, 1, false);
    }
}

static void fail(struct tls *s, int error)
{
    ensure(error < 0);
    error = error == E_EOF ? E_TLS_HANDSHAKE : error;
    s->state = TLS_FAILED;
    s->error = (int16_t)error;
    list_remove(&s->link);
    counter_add(s->core->counters, s->server ? counter_of(error) : COUNTER_tls_origin_failed, 1);
    if (error == E_TLS_NOT_TLS) {
        answer_http(s);
    }
    finish(s, error, SLICE(""));
}

static void opened(struct tls *s)
{
    s->state = TLS_OPEN;
    (void)stream_flush(s);
    s->t->readable = stream_pending(s);
    s->t->writable = s->t->writable && s->out == NULL;
    security_fill(s);
    struct counters *c = s->core->counters;
    if (s->challenge) {
        counter_add(c, COUNTER_tls_challenges, 1);
        finish(s, E_EOF, SLICE("acme-tls/1"));
        return;
    }
    SSL_set_info_callback(s->ssl, on_info);
    bool resumed = s->security.resumed;
    counter_add(c, s->server ? COUNTER_tls_handshakes : COUNTER_tls_origin_handshakes, 1);
    counter_add(c, s->server ? COUNTER_tls_resumed : COUNTER_tls_origin_resumed, resumed);
    const unsigned char *alpn = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(s->ssl, &alpn, &len);
    finish(s, 0, slice_of((const char *)alpn, len));
}

static bool begin_server(struct tls *s)
{
    SSL_CTX *ctx = policy_context(s->store, s->core->loop->core, s->policy);
    s->ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (s->ssl == NULL) {
        ERR_clear_error();
        return false;
    }
    SSL_set_accept_state(s->ssl);
    SSL_set_app_data(s->ssl, s);
    BIO_up_ref(s->core->bio);
    SSL_set_bio(s->ssl, s->core->bio, s->core->bio);
    return true;
}

static void drive(struct tls *s)
{
    ensure(s->state == TLS_HANDSHAKING);
    tls_enter(s);
    if (s->ssl == NULL && !begin_server(s)) {
        fail(s, E_NO_MEMORY);
        return;
    }
    int rc = SSL_do_handshake(s->ssl);
    if (rc == 1) {
        s->core->key_work += !s->server;
        opened(s);
        return;
    }
    int error = stream_error(s, rc);
    s->more = false;
    (void)stream_flush(s); // our part of the handshake, or the alert that ends it
    error = error != 0 ? error : s->error;
    if (error != 0) {
        fail(s, error);
    }
}

static bool is_busy(struct tls_core *c)
{
    if (c->key_turn != c->loop->turns) {
        c->key_turn = c->loop->turns;
        c->key_work = 0;
    }
    return c->key_work >= TLS_KEY_WORK_MAX;
}

void handshake_run_waiting(struct task *task)
{
    struct tls_core *c = container_of(task, struct tls_core, work);
    ensure_magic(c, TLS_CORE_MAGIC);
    while (!list_empty(&c->waiting) && !is_busy(c)) {
        struct tls *s = list_entry(list_first(&c->waiting), struct tls, link);
        list_remove(&s->link);
        drive(s);
    }
    if (!list_empty(&c->waiting)) {
        loop_defer(c->loop, &c->work);
    }
}

void handshake_begin(struct tls *s)
{
    struct tls_core *c = s->core;
    if (list_empty(&s->link)) {
        list_push_back(&c->waiting, &s->link);
        loop_defer(c->loop, &c->work);
    }
}

void handshake_on_io(struct tls *s)
{
    if (s->state == TLS_FAILED) {
        return; // the owner is about to close it
    }
    s->more = false;
    (void)stream_flush(s);
    if (s->error != 0) {
        fail(s, s->error);
        return;
    }
    if (!s->socket_readable && s->ahead == NULL) {
        return; // nothing but room, and the library waits for the peer
    }
    bool early = !s->hello_seen;
    if (!list_empty(&s->link) || (early && (!list_empty(&s->core->waiting) || is_busy(s->core)))) {
        handshake_begin(s);
    } else {
        drive(s);
    }
}

void handshake_given_up(struct tls *s)
{
    list_remove(&s->link);
    counter_add(s->core->counters,
                s->server ? COUNTER_tls_failed_given_up : COUNTER_tls_origin_failed, 1);
}
