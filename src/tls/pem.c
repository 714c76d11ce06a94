// SPDX-License-Identifier: Apache-2.0
//
// See pem_int.h. OpenSSL leaves what went wrong in a queue of the thread; whoever reads here clears it,
// so that a bad file does not speak up in somebody else's handshake.

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/error.h"
#include "tls/pem_int.h"
#include "tls/x509_int.h"

static BIO *open_text(struct slice pem)
{
    if (pem.len == 0 || pem.len > PEM_BYTES_MAX) {
        return NULL;
    }
    return BIO_new_mem_buf(pem.ptr, (int)pem.len);
}

EVP_PKEY *pem_read_key(struct slice pem)
{
    char buffer[256];
    struct text ignored = text_on(buffer, sizeof(buffer));
    EVP_PKEY *key = NULL;
    return pem.len > 0 && x509_read_key(pem, &key, &ignored) == 0 ? key : NULL;
}

struct slice pem_bio_text(BIO *bio, struct arena *a)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    return len <= 0 ? (struct slice){NULL, 0} : arena_dup(a, slice_of(text, (size_t)len));
}

int pem_write_key(EVP_PKEY *key, struct arena *a, struct slice *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL) {
        return E_NO_MEMORY;
    }
    *out = (struct slice){NULL, 0};
    if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        *out = pem_bio_text(bio, a);
    }
    BIO_free(bio);
    ERR_clear_error();
    return out->ptr != NULL ? 0 : E_NO_MEMORY;
}

// One block of PEM onto the chain. 0, E_EOF after the last one, or an error.
static int read_block(BIO *bio, STACK_OF(X509) * chain)
{
    char *name = NULL;
    char *header = NULL;
    unsigned char *data = NULL;
    long len = 0;
    if (PEM_read_bio(bio, &name, &header, &data, &len) != 1) {
        bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        return at_end ? E_EOF : E_TLS_CERTIFICATE;
    }
    X509 *x = NULL;
    const unsigned char *p = data;
    if (strcmp(name, PEM_STRING_X509) == 0 && sk_X509_num(chain) < PEM_CHAIN_MAX) {
        x = d2i_X509(NULL, &p, len);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
    if (x == NULL) {
        return E_TLS_CERTIFICATE;
    }
    if (sk_X509_push(chain, x) == 0) {
        X509_free(x);
        return E_NO_MEMORY;
    }
    return 0;
}

int pem_read_chain(struct slice pem, STACK_OF(X509) * *out)
{
    BIO *bio = open_text(pem);
    if (bio == NULL) {
        return E_TLS_CERTIFICATE;
    }
    STACK_OF(X509) *chain = sk_X509_new_null();
    int rc = chain != NULL ? 0 : E_NO_MEMORY;
    while (rc == 0) {
        rc = read_block(bio, chain);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (rc == E_EOF) {
        rc = sk_X509_num(chain) > 0 ? 0 : E_TLS_CERTIFICATE;
    }
    if (rc != 0) {
        sk_X509_pop_free(chain, X509_free);
        return rc;
    }
    *out = chain;
    return 0;
}

int pem_write_chain(const STACK_OF(X509) * chain, struct arena *a, struct slice *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return E_NO_MEMORY;
    }
    bool written = true;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        written = written && PEM_write_bio_X509(bio, sk_X509_value(chain, i)) == 1;
    }
    *out = (struct slice){NULL, 0};
    if (written) {
        *out = pem_bio_text(bio, a);
    }
    BIO_free(bio);
    ERR_clear_error();
    return out->ptr != NULL ? 0 : E_NO_MEMORY;
}
