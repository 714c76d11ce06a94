// SPDX-License-Identifier: Apache-2.0
//
// Makes keys and certificates with OpenSSL itself (pki.h). They are new in every run, so nothing in the
// tree expires, and a test can have a certificate that expires in a minute, has the wrong extension or
// a weak key. RSA keys take a moment to find; the others none. Not thread-safe, and nothing here is
// ever short of memory: the allocations that tests make fail are those of base.

#include "pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/x509_int.h"

// Texts live until the end; kept here so that nobody takes them for lost.
static char *kept[4096];
static size_t kept_count;

static void need(bool ok, const char *what)
{
    if (!ok) {
        printf("Bail out! no %s\n", what);
        ERR_print_errors_fp(stdout);
        exit(1);
    }
}

static EVP_PKEY *make_key(enum pki_key kind)
{
    static const char *const curves[] = {"P-256", "P-384", "secp256k1"};
    if (kind == PKI_RSA_2048 || kind == PKI_RSA_1024) {
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)(kind == PKI_RSA_2048 ? 2048 : 1024));
    }
    if (kind == PKI_ED25519) {
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[kind]);
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    need(e != NULL && X509_add_ext(x, e, -1) == 1, "extension");
    X509_EXTENSION_free(e);
}

static struct slice bio_text(BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *copy = malloc((size_t)len + 1);
    need(copy != NULL && kept_count < sizeof(kept) / sizeof(kept[0]), "memory");
    kept[kept_count++] = copy;
    memcpy(copy, bytes, (size_t)len);
    copy[len] = 0;
    BIO_free(bio);
    return slice_of(copy, (size_t)len);
}

static void add_extensions(X509 *x, X509 *issuer, const struct pki_order *o)
{
    add_extension(x, issuer, NID_basic_constraints,
                  o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(x, issuer, NID_subject_key_identifier, "hash");
    if (o->names != NULL) {
        add_extension(x, issuer, NID_subject_alt_name, o->names);
    }
    if (!o->ca) {
        add_extension(x, issuer, NID_ext_key_usage, o->client ? "clientAuth" : "serverAuth");
    }
    if (o->must_staple) {
        add_extension(x, issuer, NID_tlsfeature, "status_request");
    }
    if (o->ocsp != NULL) {
        char value[200];
        (void)snprintf(value, sizeof(value), "OCSP;URI:%s", o->ocsp);
        add_extension(x, issuer, NID_info_access, value);
    }
}

struct pki_cert pki_make(const struct pki_order *o)
{
    static long serial = 0x1000;
    x509_library_init();
    struct pki_cert c = {.x = X509_new(), .key = make_key(o->key)};
    need(c.x != NULL && c.key != NULL, "key");
    X509 *issuer = o->issuer != NULL ? o->issuer->x : c.x;
    EVP_PKEY *signer = o->issuer != NULL ? o->issuer->key : c.key;
    bool dated = o->from_s != 0 || o->to_s != 0;
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c.x), dated ? o->from_s : -86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x), dated ? o->to_s : 365L * 86400);
    X509_NAME *name = X509_get_subject_name(c.x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)o->cn, -1, -1, 0);
    X509_set_issuer_name(c.x, X509_get_subject_name(issuer));
    X509_set_pubkey(c.x, c.key);
    add_extensions(c.x, issuer, o);
    bool pure = EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519;
    const EVP_MD *md = pure ? NULL : o->sha1 ? EVP_sha1() : EVP_sha256();
    need(X509_sign(c.x, signer, md) > 0, "signature");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c.x);
    c.cert_pem = bio_text(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, c.key, NULL, NULL, 0, NULL, NULL);
    c.key_pem = bio_text(bio);
    ERR_clear_error();
    return c;
}

struct slice pki_join(struct slice a, struct slice b)
{
    BIO *bio = BIO_new(BIO_s_mem());
    BIO_write(bio, a.ptr, (int)a.len);
    BIO_write(bio, b.ptr, (int)b.len);
    return bio_text(bio);
}

void pki_free(struct pki_cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
    *c = (struct pki_cert){NULL, NULL, {NULL, 0}, {NULL, 0}};
}
