// SPDX-License-Identifier: Apache-2.0
//
// The local CA (tls/local_ca.h): what RFC 5280 and the browsers ask of a root and of a server's
// certificate, and no more. Certificates begin an hour early, because clocks differ.

#include "tls/local_ca.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "base/text.h"
#include "tls/names_int.h"
#include "tls/pem_int.h"

enum {
    EARLY_S = 3600,
    DAY_S = 86400,
    SERIAL_BYTES = 16,
    COMMON_NAME_MAX = 64, // RFC 5280, ub-common-name
};

static bool set_serial(X509 *x)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, and of full length
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return ok;
}

static bool set_times(X509 *x, uint64_t now, uint64_t not_after)
{
    uint64_t begin = now > EARLY_S ? now - EARLY_S : 0;
    return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)begin) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)not_after) != NULL;
}

static bool set_common_name(X509 *x, struct slice name)
{
    X509_NAME *subject = X509_get_subject_name(x);
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)name.ptr, (int)name.len, -1, 0) == 1;
}

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = e != NULL && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static X509 *begin_certificate(EVP_PKEY *key, uint64_t now, uint64_t not_after)
{
    X509 *x = X509_new();
    if (x == NULL) {
        return NULL;
    }
    if (X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) && set_times(x, now, not_after) &&
        X509_set_pubkey(x, key) == 1) {
        return x;
    }
    X509_free(x);
    return NULL;
}

// ---- the root -----------------------------------------------------------------------------------

static bool fill_root(X509 *x, EVP_PKEY *key, struct slice word)
{
    char buffer[COMMON_NAME_MAX];
    struct text name = text_on(buffer, sizeof buffer);
    text_str(&name, "adit local CA");
    if (word.len > 0) {
        text_char(&name, ' ');
        text_put(&name, slice_sub(word, 0, COMMON_NAME_MAX / 2));
    }
    return set_common_name(x, text_slice(&name)) &&
           X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
           add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(x, x, NID_ext_key_usage, "serverAuth") &&
           add_extension(x, x, NID_subject_key_identifier, "hash") &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

static int write_certificate(X509 *x, struct arena *a, struct slice *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    *out = (struct slice){NULL, 0};
    if (bio != NULL && PEM_write_bio_X509(bio, x) == 1) {
        *out = pem_bio_text(bio, a);
    }
    BIO_free(bio);
    return out->ptr != NULL ? 0 : E_NO_MEMORY;
}

int local_ca_new(struct slice word, uint64_t now, struct arena *a, struct slice *root_pem,
                 struct slice *key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x =
        key != NULL ? begin_certificate(key, now, now + (uint64_t)LOCAL_CA_DAYS * DAY_S) : NULL;
    int error = x != NULL && fill_root(x, key, word) ? 0 : E_NO_MEMORY;
    if (error == 0) {
        error = write_certificate(x, a, root_pem);
    }
    if (error == 0) {
        error = pem_write_key(key, a, key_pem);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return error;
}

// The root's certificate; the caller frees it.
static X509 *read_root(struct slice pem)
{
    STACK_OF(X509) *chain = NULL;
    if (pem_read_chain(pem, &chain) != 0) {
        return NULL;
    }
    X509 *root = sk_X509_shift(chain);
    sk_X509_pop_free(chain, X509_free);
    return root;
}

bool local_ca_usable(struct slice root_pem, struct slice key_pem, uint64_t now)
{
    X509 *root = read_root(root_pem);
    EVP_PKEY *key = pem_read_key(key_pem);
    time_t at = (time_t)now;
    bool ok = root != NULL && key != NULL && X509_check_private_key(root, key) == 1 &&
              X509_check_ca(root) == 1 && X509_cmp_time(X509_get0_notAfter(root), &at) > 0;
    X509_free(root);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

// ---- certificates -------------------------------------------------------------------------------

static int add_names(X509 *x, const struct local_ca_request *r)
{
    GENERAL_NAMES *all = NULL;
    int error = names_make(r->names, r->count, &all);
    if (error == 0 && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) != 1) {
        error = E_NO_MEMORY;
    }
    GENERAL_NAMES_free(all);
    return error;
}

// The subject is for people; what counts is the list of names.
static bool fill_leaf(X509 *x, X509 *root, struct slice name)
{
    struct slice shown = name.len <= COMMON_NAME_MAX ? name : SLICE("adit");
    return set_common_name(x, shown) && X509_set_issuer_name(x, X509_get_subject_name(root)) == 1 &&
           add_extension(x, root, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, root, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, root, NID_ext_key_usage, "serverAuth") &&
           add_extension(x, root, NID_subject_key_identifier, "hash") &&
           add_extension(x, root, NID_authority_key_identifier, "keyid");
}

static int issue(const struct local_ca_request *r, X509 *root, EVP_PKEY *root_key, struct arena *a,
                 struct slice *chain_pem, struct slice *key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = key != NULL ? begin_certificate(key, r->now, r->not_after) : NULL;
    int error = x != NULL && fill_leaf(x, root, r->names[0]) ? 0 : E_NO_MEMORY;
    if (error == 0) {
        error = add_names(x, r);
    }
    if (error == 0 && X509_sign(x, root_key, EVP_sha256()) <= 0) {
        error = E_NO_MEMORY;
    }
    if (error == 0) {
        error = write_certificate(x, a, chain_pem);
    }
    if (error == 0) {
        error = pem_write_key(key, a, key_pem);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    return error;
}

int local_ca_issue(const struct local_ca_request *r, struct arena *a, struct slice *chain_pem,
                   struct slice *key_pem)
{
    ensure(r->count > 0);
    ensure(r->count <= LOCAL_CA_NAMES_MAX);
    X509 *root = read_root(r->root_pem);
    EVP_PKEY *root_key = pem_read_key(r->key_pem);
    int error = root == NULL ? E_TLS_CERTIFICATE : root_key == NULL ? E_TLS_KEY : 0;
    if (error == 0) {
        error = issue(r, root, root_key, a, chain_pem, key_pem);
    }
    X509_free(root);
    EVP_PKEY_free(root_key);
    ERR_clear_error();
    return error;
}
