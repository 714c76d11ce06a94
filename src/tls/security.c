// SPDX-License-Identifier: Apache-2.0
//
// What is told of a secure connection: version, cipher, the name that was asked for, who the client is,
// and whether a request for some other host may be answered on it.
//
// The last is decided by the store of now, not that of the handshake: when a reload has tightened a
// site's policy, a connection from before is not good for it any more, and its next request gets 421.
// A renewed certificate changes no policy, so it ends nothing.

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "tls/tls_int.h"
#include "tls/x509_int.h"

enum { IDENTITY_TEXTS = 5 };

bool security_set_name(struct tls *s, struct slice name)
{
    if (name.len == 0) {
        s->security.server_name = SLICE("");
        return true;
    }
    if (s->host != NULL && slice_eq(s->host->name, name)) {
        s->security.server_name = s->host->name; // as long as the store
        return true;
    }
    ensure(name.len <= TLS_NAME_MAX);
    s->name = slab_take(&s->core->names);
    if (s->name == NULL) {
        return false;
    }
    memcpy(s->name, name.ptr, name.len);
    s->security.server_name = slice_of(s->name, name.len);
    return true;
}

// ---- which hosts -----------------------------------------------------------------------------------

// The certificate that was shown; of a resumed session the one that would be. What a core makes of it is
// its own: a connection that came from another one looks for it again.
static struct store_cert *cert_of(struct tls *s)
{
    if (s->cert == NULL) {
        const struct store_credential *c = s->credential;
        if (c == NULL) {
            c = store_host_cert(s->store, s->host, s->security.server_name, 0);
        }
        s->cert = c != NULL ? store_cert(s->store, s->core->loop->core, c) : NULL;
    }
    return s->cert;
}

static bool covers(const struct http_security *security, struct slice host)
{
    struct tls *s = container_of((void *)(uintptr_t)security, struct tls, security);
    ensure_magic(s, TLS_MAGIC);
    struct slice asked = s->security.server_name;
    bool same = slice_eq(asked, host);
    if (!s->server || s->host == NULL) {
        return same;
    }
    const struct tls_store *now = s->core->store;
    if (same && now == s->store) {
        return true;
    }
    const struct store_host *h = store_find(now, host);
    if (h != NULL && (h->off || memcmp(h->policy->id, s->policy->id, sizeof(h->policy->id)) != 0)) {
        return false;
    }
    // A client that asked for no name takes what it got, for whatever it then asks. A request without a
    // host names nobody: its site's policy is all there is to keep.
    if (same || asked.len == 0 || host.len == 0) {
        return true;
    }
    struct store_cert *cert = cert_of(s);
    return cert != NULL && store_cert_covers(cert, host);
}

// ---- who the client is -----------------------------------------------------------------------------

static bool alternative_name(const X509 *x, struct text *out)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && !found; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        if (g->type == GEN_DNS || g->type == GEN_URI || g->type == GEN_EMAIL) {
            const ASN1_STRING *v = g->d.ia5;
            size_t len = (size_t)ASN1_STRING_length(v);
            const char *bytes = (const char *)ASN1_STRING_get0_data(v);
            found = len > 0 && memchr(bytes, 0, len) == NULL;
            if (found) {
                text_put(out, slice_of(bytes, len));
            }
        }
    }
    GENERAL_NAMES_free(all);
    return found;
}

static void put_base64(const X509 *x, struct text *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509(x, &der);
    // Four characters for three bytes, and the end that the encoder writes.
    if (len > 0 && (size_t)len / 3 * 4 + 5 <= out->capacity - out->len) {
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->ptr + out->len, der, len);
    }
    OPENSSL_free(der);
}

// One block for all texts: they are made in the core's buffer, then copied to where they stay. What
// does not fit is empty.
static void fill_client(struct tls *s, const X509 *x)
{
    struct text t = text_on(s->core->gather, sizeof(s->core->gather));
    size_t end[IDENTITY_TEXTS];
    x509_name_text(X509_get_subject_name(x), &t);
    end[0] = t.len;
    if (!alternative_name(x, &t)) {
        (void)x509_name_entry(X509_get_subject_name(x), NID_commonName, &t);
    }
    end[1] = t.len;
    x509_serial(x, &t);
    end[2] = t.len;
    x509_fingerprint(x, &t);
    end[3] = t.len;
    put_base64(x, &t);
    end[4] = t.len;
    ERR_clear_error();
    s->identity = mem_alloc(t.len);
    if (s->identity == NULL) {
        return;
    }
    memcpy(s->identity, t.ptr, t.len);
    struct slice all = slice_of(s->identity, t.len);
    struct http_security *to = &s->security;
    to->client_subject = slice_sub(all, 0, end[0]);
    to->client_name = slice_sub(all, end[0], end[1] - end[0]);
    to->client_serial = slice_sub(all, end[1], end[2] - end[1]);
    to->client_fingerprint = slice_sub(all, end[2], end[3] - end[2]);
    to->client_certificate = slice_sub(all, end[3], end[4] - end[3]);
    to->client_from = x509_seconds(X509_get0_notBefore(x));
    to->client_until = x509_seconds(X509_get0_notAfter(x));
    to->client_verified = SSL_get_verify_result(s->ssl) == X509_V_OK;
}

void security_fill(struct tls *s)
{
    struct http_security *to = &s->security;
    const SSL_CIPHER *cipher = SSL_get_current_cipher(s->ssl);
    const char *name = cipher != NULL ? SSL_CIPHER_standard_name(cipher) : NULL;
    to->version = slice_str(SSL_get_version(s->ssl));
    to->cipher = slice_str(name != NULL ? name : "");
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(s->ssl, &alpn, &alpn_len);
    to->alpn = slice_of((const char *)alpn, alpn_len); // the library's, as long as the connection
    to->resumed = SSL_session_reused(s->ssl) == 1;
    to->covers = covers;
    // A resumed session has the certificate with it that was verified when it began.
    X509 *client = s->server ? SSL_get0_peer_certificate(s->ssl) : NULL;
    if (client != NULL && (s->agent || s->policy->client != TLS_CLIENT_OFF)) {
        fill_client(s, client);
    }
}

int tls_export(const struct transport *t, struct slice label, uint8_t *out, size_t len)
{
    if (t->ops != &tls_ops) {
        return E_UNSUPPORTED;
    }
    struct tls *s = tls_of(t);
    if (s->state != TLS_OPEN ||
        (SSL_version(s->ssl) < TLS1_3_VERSION && SSL_get_extms_support(s->ssl) != 1)) {
        return E_UNSUPPORTED;
    }
    bool ok = SSL_export_keying_material(s->ssl, out, len, label.ptr, label.len, NULL, 0, 0) == 1;
    ERR_clear_error();
    return ok ? 0 : E_NO_MEMORY;
}

const struct http_security *tls_security(const struct transport *t)
{
    const struct tls *s = tls_of(t);
    return &s->security;
}
