// SPDX-License-Identifier: Apache-2.0
//
// What is said of certificates and keys: a table of bad ones and the text each of them gets.

#include "tls/cert.h"

#include <openssl/pem.h>
#include <time.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"

static struct pki_cert root;
static struct pki_cert middle;
static struct pki_cert leaf;
static struct pki_cert other;

static void setup(void)
{
    root = pki_make(&(struct pki_order){.cn = "Test root", .key = PKI_P256, .ca = true});
    middle = pki_make(
        &(struct pki_order){.cn = "Test middle", .key = PKI_P256, .issuer = &root, .ca = true});
    leaf = pki_make(&(struct pki_order){.cn = "a.example",
                                        .names = "DNS:A.example,DNS:*.b.example,IP:127.0.0.1,"
                                                 "IP:::1,email:x@a.example",
                                        .key = PKI_P256,
                                        .issuer = &middle,
                                        .must_staple = true,
                                        .ocsp = "http://ocsp.example/x"});
    other = pki_make(&(struct pki_order){.cn = "other", .key = PKI_P384});
}

static uint64_t now(void)
{
    return (uint64_t)time(NULL);
}

// The code, and whether `part` is in the text.
static void check_says(struct slice chain, struct slice key, int code, const char *part)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof(buffer));
    CHECK_EQ_INT(cert_check(chain, key, now(), &why), code);
    bool said = part[0] == 0 ? why.len == 0 : slice_find(text_slice(&why), slice_str(part)) >= 0;
    if (!CHECK(said)) {
        printf("#   said: %.*s\n", SLICE_ARG(text_slice(&why)));
    }
}

static void describes_a_certificate(void)
{
    char block[16384];
    struct arena a;
    arena_init(&a, block, sizeof(block), NULL, 1 << 20);
    static struct cert_info c;
    REQUIRE(cert_describe(pki_join(leaf.cert_pem, middle.cert_pem), &a, &c) == 0);
    CHECK_TEXT(c.subject.ptr, c.subject.len, "CN=a.example");
    CHECK_TEXT(c.issuer.ptr, c.issuer.len, "Test middle");
    CHECK_TEXT(c.key_type.ptr, c.key_type.len, "ECDSA P-256");
    CHECK_TEXT(c.ocsp_url.ptr, c.ocsp_url.len, "http://ocsp.example/x");
    CHECK_EQ_INT(c.serial.len, 4);
    CHECK_EQ_INT(c.fingerprint.len, 64);
    REQUIRE(c.name_count == 4);
    CHECK_TEXT(c.names[0].ptr, c.names[0].len, "a.example");
    CHECK_TEXT(c.names[1].ptr, c.names[1].len, "*.b.example");
    CHECK_TEXT(c.names[2].ptr, c.names[2].len, "127.0.0.1");
    CHECK_TEXT(c.names[3].ptr, c.names[3].len, "::1");
    CHECK(c.must_staple);
    CHECK(!c.is_self_signed);
    CHECK(c.not_before < now() && c.not_after > now() + 300 * 86400);
    CHECK(cert_covers(&c, SLICE("a.example")));
    CHECK(cert_covers(&c, SLICE("x.b.example")));
    CHECK(cert_covers(&c, SLICE("*.b.example")));
    CHECK(cert_covers(&c, SLICE("[::1]")));
    CHECK(!cert_covers(&c, SLICE("b.example")));
    CHECK(!cert_covers(&c, SLICE("x.y.b.example")));
    CHECK(!cert_covers(&c, SLICE(".b.example")));
    CHECK(!cert_covers(&c, SLICE("x.a.example")));
    REQUIRE(cert_describe(root.cert_pem, &a, &c) == 0);
    CHECK(c.is_self_signed);
    CHECK_EQ_INT(c.name_count, 0);
    CHECK_EQ_INT(cert_describe(SLICE("nothing"), &a, &c), E_TLS_CERTIFICATE);
    arena_fini(&a);
}

static void good_ones_pass(void)
{
    check_says(leaf.cert_pem, leaf.key_pem, 0, "");
    check_says(pki_join(leaf.cert_pem, middle.cert_pem), leaf.key_pem, 0, "");
    check_says(pki_join(leaf.cert_pem, pki_join(middle.cert_pem, root.cert_pem)), leaf.key_pem, 0,
               "");
    check_says(other.cert_pem, other.key_pem, 0, "");
    // One file for both, with text before the blocks, as other programs want it.
    struct slice both = pki_join(pki_join(SLICE("subject=a\n"), leaf.key_pem), leaf.cert_pem);
    check_says(both, both, 0, "");
    struct pki_cert rsa = pki_make(&(struct pki_order){.cn = "rsa", .key = PKI_RSA_2048});
    check_says(rsa.cert_pem, rsa.key_pem, 0, "");
    struct pki_cert ed = pki_make(&(struct pki_order){.cn = "ed", .key = PKI_ED25519});
    check_says(ed.cert_pem, ed.key_pem, 0, "");
    pki_free(&rsa);
    pki_free(&ed);
}

static void what_cannot_be_read_is_named(void)
{
    check_says(SLICE(""), leaf.key_pem, E_TLS_CERTIFICATE, "it is empty");
    check_says(SLICE("hello\n"), leaf.key_pem, E_TLS_CERTIFICATE, "there is no certificate in it");
    check_says(leaf.key_pem, leaf.key_pem, E_TLS_CERTIFICATE, "there is no certificate in it");
    struct slice cut = slice_sub(leaf.cert_pem, 0, leaf.cert_pem.len / 2);
    check_says(cut, leaf.key_pem, E_TLS_CERTIFICATE, "certificate 1 in it is damaged");
    check_says(pki_join(leaf.cert_pem, cut), leaf.key_pem, E_TLS_CERTIFICATE,
               "certificate 2 in it is damaged");
    check_says(leaf.cert_pem, SLICE(""), E_TLS_KEY, "there is no private key in it");
    check_says(leaf.cert_pem, leaf.cert_pem, E_TLS_KEY, "there is no private key in it");
    check_says(leaf.cert_pem,
               SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), E_TLS_KEY,
               "the key is damaged");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, leaf.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    check_says(leaf.cert_pem, slice_of(bytes, (size_t)len), E_TLS_KEY, "protected by a passphrase");
    BIO_free(bio);
}

static void keys_that_do_not_fit_are_named(void)
{
    check_says(leaf.cert_pem, other.key_pem, E_TLS_KEY,
               "the key does not belong to the certificate");
    check_says(pki_join(middle.cert_pem, leaf.cert_pem), leaf.key_pem, E_TLS_KEY,
               "but to certificate 2 of the file: it must be the first");
    struct pki_cert weak = pki_make(&(struct pki_order){.cn = "weak", .key = PKI_RSA_1024});
    check_says(weak.cert_pem, weak.key_pem, E_TLS_KEY, "too weak (RSA 1024)");
    struct pki_cert odd = pki_make(&(struct pki_order){.cn = "odd", .key = PKI_SECP256K1});
    check_says(odd.cert_pem, odd.key_pem, E_TLS_KEY, "a curve that clients do not take");
    pki_free(&weak);
    pki_free(&odd);
}

static void dates_are_looked_at(void)
{
    struct pki_order order = {.cn = "a", .key = PKI_P256, .from_s = -7 * 86400, .to_s = -60};
    struct pki_cert c = pki_make(&order);
    check_says(c.cert_pem, c.key_pem, E_TLS_EXPIRED, "the certificate has expired: 20");
    pki_free(&c);
    order.to_s = 86400;
    c = pki_make(&order);
    check_says(c.cert_pem, c.key_pem, 0, "the certificate expires soon: 20");
    pki_free(&c);
    order.to_s = 5 * 86400;
    c = pki_make(&order); // a short-lived one in its middle
    check_says(c.cert_pem, c.key_pem, 0, "");
    pki_free(&c);
    order.from_s = 3600;
    order.to_s = 365L * 86400;
    c = pki_make(&order);
    check_says(c.cert_pem, c.key_pem, 0, "the certificate is not valid yet: from 20");
    pki_free(&c);
    struct pki_order old = {.cn = "old", .key = PKI_P256, .ca = true, .from_s = -9, .to_s = -1};
    struct pki_cert ca = pki_make(&old);
    c = pki_make(&(struct pki_order){.cn = "b", .key = PKI_P256, .issuer = &ca});
    check_says(pki_join(c.cert_pem, ca.cert_pem), c.key_pem, E_TLS_EXPIRED,
               "a certificate of the chain has expired");
    pki_free(&c);
    pki_free(&ca);
}

static void chains_are_looked_at(void)
{
    check_says(pki_join(leaf.cert_pem, root.cert_pem), leaf.key_pem, E_TLS_CERTIFICATE,
               "certificate 2 did not issue certificate 1");
    check_says(pki_join(leaf.cert_pem, pki_join(root.cert_pem, middle.cert_pem)), leaf.key_pem, 0,
               "not in order");
    check_says(pki_join(leaf.cert_pem, pki_join(middle.cert_pem, other.cert_pem)), leaf.key_pem, 0,
               "certificate 3 did not issue certificate 2");
    // A CA made anew under its old name: the names fit, the signature does not.
    struct pki_cert twin = pki_make(
        &(struct pki_order){.cn = "Test middle", .key = PKI_P256, .issuer = &root, .ca = true});
    check_says(pki_join(leaf.cert_pem, twin.cert_pem), leaf.key_pem, E_TLS_CERTIFICATE,
               "certificate 2 did not issue certificate 1");
    pki_free(&twin);
    struct pki_cert sha1 = pki_make(
        &(struct pki_order){.cn = "sha1", .key = PKI_P256, .issuer = &middle, .sha1 = true});
    check_says(sha1.cert_pem, sha1.key_pem, E_TLS_CERTIFICATE, "broken digest");
    pki_free(&sha1);
    struct pki_cert client = pki_make(
        &(struct pki_order){.cn = "me", .key = PKI_P256, .issuer = &middle, .client = true});
    check_says(client.cert_pem, client.key_pem, 0, "not meant for servers");
    pki_free(&client);
    struct slice many = leaf.cert_pem;
    for (int i = 0; i < 5; i++) {
        many = pki_join(many, many);
    }
    check_says(many, leaf.key_pem, E_TLS_CERTIFICATE, "more than 16 certificates");
}

static void authorities_are_checked(void)
{
    char buffer[256];
    struct text why = text_on(buffer, sizeof(buffer));
    CHECK_EQ_INT(cert_check_authorities(pki_join(root.cert_pem, other.cert_pem), &why), 0);
    CHECK_EQ_INT(cert_check_authorities(leaf.key_pem, &why), E_TLS_CERTIFICATE);
    CHECK_TEXT(why.ptr, why.len, "there is no certificate in it");
    why.len = 0;
    struct slice cut = slice_sub(root.cert_pem, 0, root.cert_pem.len - 40);
    CHECK_EQ_INT(cert_check_authorities(pki_join(root.cert_pem, cut), &why), E_TLS_CERTIFICATE);
    CHECK_TEXT(why.ptr, why.len, "certificate 2 in it is damaged");
}

TAP_MAIN(setup, describes_a_certificate, good_ones_pass, what_cannot_be_read_is_named,
         keys_that_do_not_fit_are_named, dates_are_looked_at, chains_are_looked_at,
         authorities_are_checked)
