// SPDX-License-Identifier: Apache-2.0
//
// See issue.h. OpenSSL's calls fail for two reasons here: no memory, or input that was looked at
// before; so most of them answer E_NO_MEMORY.

#include "tls/issue.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "tls/jws.h"
#include "tls/names_int.h"
#include "tls/pem_int.h"

enum {
    RSA_BITS = 2048,
    // A challenge certificate is served for minutes; clocks may differ by a day.
    CHALLENGE_BEFORE_S = 24 * 3600,
    CHALLENGE_AFTER_S = 7 * 24 * 3600,
    SHA256_BYTES = 32,
};

static_assert((int)NAMES_MAX == (int)ISSUE_NAMES_MAX &&
                  (int)NAMES_BYTES_MAX == (int)ISSUE_NAME_BYTES_MAX,
              "as the header says");

// ---- keys -----------------------------------------------------------------------------------------

static EVP_PKEY *new_key(enum issue_key kind)
{
    return kind == ISSUE_KEY_RSA_2048 ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
}

int issue_key_new(enum issue_key kind, struct arena *a, struct slice *key_pem)
{
    EVP_PKEY *key = new_key(kind);
    int rc = key != NULL ? pem_write_key(key, a, key_pem) : E_NO_MEMORY;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

// ---- names ----------------------------------------------------------------------------------------

bool issue_is_ip(struct slice name)
{
    unsigned char bytes[16];
    return names_ip(name, bytes) > 0;
}

int issue_ip_sni(struct slice ip, struct text *out)
{
    unsigned char bytes[16];
    size_t len = names_ip(ip, bytes);
    if (len == 0) {
        return E_INVALID;
    }
    for (size_t i = len; i-- > 0;) {
        if (len == 4) {
            text_printf(out, "%u.", bytes[i]);
        } else {
            text_printf(out, "%x.%x.", bytes[i] & 15u, bytes[i] >> 4);
        }
    }
    text_str(out, len == 4 ? "in-addr.arpa" : "ip6.arpa");
    return out->overflow ? E_INVALID : 0;
}

// ---- the signing request --------------------------------------------------------------------------

static int fill_request(X509_REQ *req, GENERAL_NAMES *names, EVP_PKEY *key)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    bool ok =
        X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(req, key) == 1 &&
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
        X509_REQ_add_extensions(req, extensions) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return ok ? 0 : E_NO_MEMORY;
}

static int request_der(X509_REQ *req, struct arena *a, struct slice *der)
{
    unsigned char *bytes = NULL;
    int len = i2d_X509_REQ(req, &bytes);
    if (len <= 0) {
        return E_NO_MEMORY;
    }
    *der = arena_dup(a, slice_of((const char *)bytes, (size_t)len));
    OPENSSL_free(bytes);
    return der->ptr != NULL ? 0 : E_NO_MEMORY;
}

int issue_request(struct slice key_pem, const struct slice *names, uint32_t count, struct arena *a,
                  struct slice *der)
{
    EVP_PKEY *key = pem_read_key(key_pem);
    if (key == NULL) {
        return E_TLS_KEY;
    }
    GENERAL_NAMES *all = NULL;
    X509_REQ *req = X509_REQ_new();
    int rc = req != NULL ? names_make(names, count, &all) : E_NO_MEMORY;
    if (rc == 0) {
        rc = fill_request(req, all, key);
    }
    if (rc == 0) {
        rc = request_der(req, a, der);
    }
    GENERAL_NAMES_free(all);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return rc;
}

// ---- TLS-ALPN-01 ----------------------------------------------------------------------------------

// id-pe-acmeIdentifier (RFC 8737 6.1); OpenSSL 3.0 has no name for it.
#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"

// The critical acmeIdentifier: an octet string with the hash of the key authorisation (RFC 8737 3).
static int add_acme_identifier(X509 *x, struct slice key_authorization)
{
    unsigned char value[2 + SHA256_BYTES] = {V_ASN1_OCTET_STRING, SHA256_BYTES};
    if (jws_sha256(key_authorization, value + 2) != 0) {
        return E_NO_MEMORY;
    }
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *kind = OBJ_txt2obj(ACME_IDENTIFIER, 1);
    X509_EXTENSION *ext = NULL;
    if (octets != NULL && ASN1_OCTET_STRING_set(octets, value, sizeof(value)) == 1) {
        ext = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, octets);
    }
    ASN1_OBJECT_free(kind);
    bool ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(octets);
    return ok ? 0 : E_NO_MEMORY;
}

static bool set_serial(X509 *x)
{
    uint64_t serial = 0;
    return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1 | 1) == 1;
}

static int fill_challenge(X509 *x, GENERAL_NAMES *names, EVP_PKEY *key, struct slice authorization)
{
    X509_NAME *subject = X509_get_subject_name(x);
    bool ok = X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"ACME challenge", -1, -1, 0) == 1 &&
              X509_set_issuer_name(x, subject) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -CHALLENGE_BEFORE_S) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(x), CHALLENGE_AFTER_S) != NULL &&
              X509_set_pubkey(x, key) == 1 &&
              X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    if (!ok || add_acme_identifier(x, authorization) != 0) {
        return E_NO_MEMORY;
    }
    return X509_sign(x, key, EVP_sha256()) > 0 ? 0 : E_NO_MEMORY;
}

static int write_challenge(X509 *x, struct arena *a, struct slice *chain_pem)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    int rc = chain != NULL && sk_X509_push(chain, x) > 0 ? 0 : E_NO_MEMORY;
    if (rc == 0) {
        rc = pem_write_chain(chain, a, chain_pem);
    }
    sk_X509_free(chain);
    return rc;
}

int issue_tls_alpn_01(struct slice name, struct slice key_authorization, struct arena *a,
                      struct slice *chain_pem, struct slice *key_pem)
{
    GENERAL_NAMES *names = NULL;
    int rc = names_make(&name, 1, &names);
    if (rc != 0) {
        return rc;
    }
    EVP_PKEY *key = new_key(ISSUE_KEY_P256);
    X509 *x = X509_new();
    rc = key != NULL && x != NULL ? fill_challenge(x, names, key, key_authorization) : E_NO_MEMORY;
    if (rc == 0) {
        rc = pem_write_key(key, a, key_pem);
    }
    if (rc == 0) {
        rc = write_challenge(x, a, chain_pem);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return rc;
}

// ---- what the authority sent ----------------------------------------------------------------------

static bool covers(X509 *leaf, struct slice name)
{
    unsigned char ip[16];
    size_t ip_len = names_ip(name, ip);
    if (ip_len > 0) {
        return X509_check_ip(leaf, ip, ip_len, 0) == 1;
    }
    return X509_check_host(leaf, name.ptr, name.len, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) ==
           1;
}

static int refuse(struct text *why, const char *what)
{
    text_str(why, what);
    return E_TLS_CERTIFICATE;
}

static int check_leaf(X509 *leaf, EVP_PKEY *key, const struct issue_expected *expected,
                      struct text *why)
{
    if (X509_check_private_key(leaf, key) != 1) {
        return refuse(why, "the certificate that came is for another key");
    }
    for (uint32_t i = 0; i < expected->count; i++) {
        if (!covers(leaf, expected->names[i])) {
            text_printf(why, "the certificate that came is not for %.*s",
                        SLICE_ARG(expected->names[i]));
            return E_TLS_CERTIFICATE;
        }
    }
    time_t now = (time_t)expected->now;
    if (X509_cmp_time(X509_get0_notAfter(leaf), &now) <= 0) {
        return refuse(why, "the certificate that came has already expired");
    }
    return 0;
}

int issue_accept(struct slice sent, const struct issue_expected *expected, struct arena *a,
                 struct slice *chain_pem, struct text *why)
{
    STACK_OF(X509) *chain = NULL;
    int rc = pem_read_chain(sent, &chain);
    if (rc != 0) {
        return rc == E_NO_MEMORY ? rc : refuse(why, "what came is not a chain of certificates");
    }
    EVP_PKEY *key = pem_read_key(expected->key_pem);
    rc = key != NULL ? check_leaf(sk_X509_value(chain, 0), key, expected, why) : E_TLS_KEY;
    if (rc == 0) {
        rc = pem_write_chain(chain, a, chain_pem);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}

// ---- renewal information --------------------------------------------------------------------------

static int put_renewal_id(X509 *leaf, struct text *out)
{
    const ASN1_OCTET_STRING *authority = X509_get0_authority_key_id(leaf);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
    if (authority == NULL || ASN1_STRING_length(authority) <= 0 ||
        ASN1_STRING_length(serial) > 20) {
        return E_TLS_CERTIFICATE;
    }
    // The serial as DER writes it: a leading zero keeps it positive.
    char bytes[1 + 20] = {0};
    size_t len = (size_t)ASN1_STRING_length(serial);
    memcpy(bytes + 1, ASN1_STRING_get0_data(serial), len);
    bool padded = len == 0 || (bytes[1] & 0x80) != 0;
    jws_base64url(out, slice_of((const char *)ASN1_STRING_get0_data(authority),
                                (size_t)ASN1_STRING_length(authority)));
    text_char(out, '.');
    jws_base64url(out, slice_of(bytes + !padded, len + padded));
    return out->overflow ? E_TLS_CERTIFICATE : 0;
}

int issue_renewal_id(struct slice chain_pem, struct arena *a, struct slice *id)
{
    STACK_OF(X509) *chain = NULL;
    int rc = pem_read_chain(chain_pem, &chain);
    if (rc != 0) {
        return rc;
    }
    char buffer[256];
    struct text out = text_on(buffer, sizeof(buffer));
    rc = put_renewal_id(sk_X509_value(chain, 0), &out);
    sk_X509_pop_free(chain, X509_free);
    if (rc != 0) {
        return rc;
    }
    *id = arena_dup(a, text_slice(&out));
    return id->ptr != NULL ? 0 : E_NO_MEMORY;
}
