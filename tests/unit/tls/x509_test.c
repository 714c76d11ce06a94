// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys between PEM, objects and text: what cert_test.c does not reach.

#include "tls/x509_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"

static void check_text(struct text *t, const char *want)
{
    CHECK_TEXT(t->ptr, t->len, want);
    t->len = 0;
}

static void names_are_written_as_people_read_them(void)
{
    char buffer[512];
    struct text t = text_on(buffer, sizeof(buffer));
    X509_NAME *n = X509_NAME_new();
    REQUIRE(n != NULL);
    X509_NAME_add_entry_by_txt(n, "C", MBSTRING_ASC, (const unsigned char *)"CH", -1, -1, 0);
    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)"Zo\xc3\xab, x", -1,
                               -1, 0);
    x509_name_text(n, &t);
    check_text(&t, "CN=Zo\xc3\xab\\, x,C=CH");
    x509_short_name(n, &t);
    check_text(&t, "Zo\xc3\xab, x");
    CHECK(!x509_name_entry(n, NID_organizationName, &t));
    X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const unsigned char *)"Adit", -1, -1, 0);
    x509_short_name(n, &t);
    check_text(&t, "Adit");
    X509_NAME_free(n);
}

static void keys_have_a_name(void)
{
    static const struct {
        enum pki_key kind;
        const char *want;
    } rows[] = {
        {PKI_P256, "ECDSA P-256"},  {PKI_P384, "ECDSA P-384"}, {PKI_SECP256K1, "ECDSA secp256k1"},
        {PKI_RSA_1024, "RSA 1024"}, {PKI_ED25519, "Ed25519"},
    };
    char buffer[128];
    struct text t = text_on(buffer, sizeof(buffer));
    for (size_t i = 0; i < array_len(rows); i++) {
        struct pki_cert c = pki_make(&(struct pki_order){.cn = "x", .key = rows[i].kind});
        x509_key_type(c.key, &t);
        check_text(&t, rows[i].want);
        pki_free(&c);
    }
}

static void parameters_before_a_key_are_passed_over(void)
{
    struct pki_cert c = pki_make(&(struct pki_order){.cn = "x", .key = PKI_P256});
    BIO *bio = BIO_new(BIO_s_mem());
    REQUIRE(PEM_write_bio_Parameters(bio, c.key) == 1);
    REQUIRE(PEM_write_bio_PrivateKey_traditional(bio, c.key, NULL, NULL, 0, NULL, NULL) == 1);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char buffer[128];
    struct text why = text_on(buffer, sizeof(buffer));
    EVP_PKEY *key = NULL;
    CHECK_EQ_INT(x509_read_key(slice_of(bytes, (size_t)len), &key, &why), 0);
    CHECK(EVP_PKEY_eq(key, c.key) == 1);
    EVP_PKEY_free(key);
    BIO_free(bio);
    pki_free(&c);
}

static void times_are_seconds(void)
{
    char buffer[64];
    struct text t = text_on(buffer, sizeof(buffer));
    ASN1_TIME *at = ASN1_TIME_new();
    REQUIRE(ASN1_TIME_set_string(at, "20261123093015Z") == 1);
    uint64_t seconds = x509_seconds(at);
    CHECK_EQ_INT(seconds, 1795426215);
    x509_date(seconds, &t);
    check_text(&t, "2026-11-23 09:30 UTC");
    REQUIRE(ASN1_TIME_set_string(at, "19500101000000Z") == 1);
    CHECK_EQ_INT(x509_seconds(at), 0);
    CHECK_EQ_INT(x509_seconds(NULL), 0);
    ASN1_TIME_free(at);
}

// What a failure leaves in OpenSSL's queue would be taken for that of the next handshake.
static void failures_leave_nothing_behind(void)
{
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    CHECK_EQ_INT(x509_read_chain(SLICE("-----BEGIN CERTIFICATE-----\nMIIB\n"), 4, &chain, &why),
                 E_TLS_CERTIFICATE);
    CHECK_EQ_INT(x509_read_key(SLICE("-----BEGIN PRIVATE KEY-----\nMIIB\n"), &key, &why),
                 E_TLS_KEY);
    CHECK_EQ_INT(ERR_peek_error(), 0);
}

TAP_MAIN(names_are_written_as_people_read_them, keys_have_a_name,
         parameters_before_a_key_are_passed_over, times_are_seconds, failures_leave_nothing_behind)
