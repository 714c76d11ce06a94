// SPDX-License-Identifier: Apache-2.0
//
// Keys and certificates for the tests of TLS, made on the spot. Whatever fails ends the program: it is
// the test's own ground.

#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/slice.h"

enum pki_key { PKI_P256, PKI_P384, PKI_SECP256K1, PKI_RSA_2048, PKI_RSA_1024, PKI_ED25519 };

struct pki_cert {
    X509 *x;
    EVP_PKEY *key;
    struct slice cert_pem; // of this one alone
    struct slice key_pem;
};

struct pki_order {
    const char *cn;
    const char *names; // as openssl writes them: "DNS:a.example,IP:127.0.0.1"; NULL: none
    enum pki_key key;
    const struct pki_cert *issuer; // NULL: self-signed
    bool ca;
    bool client; // extended key usage of clients
    bool sha1;
    bool must_staple;
    const char *ocsp; // URL
    long from_s;      // from now; both 0: since yesterday, for a year
    long to_s;
};

struct pki_cert pki_make(const struct pki_order *order);
/** The PEM texts one after the other; kept until the program ends. */
struct slice pki_join(struct slice a, struct slice b);
void pki_free(struct pki_cert *c);
