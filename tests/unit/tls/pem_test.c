// SPDX-License-Identifier: Apache-2.0
//
// PEM to objects and back.

#include "tls/pem_int.h"

#include <openssl/err.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"

static void chains_both_ways(void)
{
    struct arena a;
    struct pki_cert one = pki_make(&(struct pki_order){.cn = "one", .key = PKI_P256});
    struct pki_cert two = pki_make(&(struct pki_order){.cn = "two", .key = PKI_P256});
    struct slice both = pki_join(one.cert_pem, two.cert_pem);
    struct slice again = {NULL, 0};
    STACK_OF(X509) *chain = NULL;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    if (CHECK_EQ_INT(pem_read_chain(both, &chain), 0)) {
        CHECK_EQ_INT(sk_X509_num(chain), 2);
        CHECK_EQ_INT(pem_write_chain(chain, &a, &again), 0);
        CHECK_BYTES(again.ptr, again.len, both.ptr, both.len);
        sk_X509_pop_free(chain, X509_free);
    }
    pki_free(&one);
    pki_free(&two);
    arena_fini(&a);
}

static void what_is_no_chain(void)
{
    STACK_OF(X509) *chain = NULL;
    struct pki_cert one = pki_make(&(struct pki_order){.cn = "one", .key = PKI_P256});
    CHECK_EQ_INT(pem_read_chain((struct slice){NULL, 0}, &chain), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(pem_read_chain(SLICE("text"), &chain), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(pem_read_chain(one.key_pem, &chain), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(pem_read_chain(pki_join(one.cert_pem, one.key_pem), &chain), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(
        pem_read_chain(SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                       &chain),
        E_TLS_CERTIFICATE);
    CHECK_EQ_INT(ERR_peek_error(), 0);
    pki_free(&one);
}

static void keys_both_ways(void)
{
    struct arena a;
    struct pki_cert one = pki_make(&(struct pki_order){.cn = "one", .key = PKI_P256});
    struct slice again = {NULL, 0};
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    if (CHECK_EQ_INT(pem_write_key(one.key, &a, &again), 0)) {
        EVP_PKEY *key = pem_read_key(again);
        CHECK(key != NULL && EVP_PKEY_eq(key, one.key) == 1);
        EVP_PKEY_free(key);
    }
    CHECK(pem_read_key(one.cert_pem) == NULL);
    CHECK_EQ_INT(ERR_peek_error(), 0);
    pki_free(&one);
    arena_fini(&a);
}

TAP_MAIN(chains_both_ways, what_is_no_chain, keys_both_ways)
