// SPDX-License-Identifier: Apache-2.0
//
// Keys, signing requests, challenge certificates, and what is taken from an authority.

#include "tls/issue.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"
#include "tls/cert.h"
#include "tls/jws.h"

static struct arena a;
static char why_buffer[256];
static struct text why;

static void setup(void)
{
    arena_init(&a, NULL, 0, NULL, 8 << 20);
    why = text_on(why_buffer, sizeof(why_buffer));
}

static void addresses_are_told_from_names(void)
{
    char buffer[100];
    struct text t = text_on(buffer, sizeof(buffer));
    CHECK(issue_is_ip(SLICE("127.0.0.1")) && issue_is_ip(SLICE("2001:db8::1")));
    CHECK(!issue_is_ip(SLICE("1.2.3")) && !issue_is_ip(SLICE("example.com")));
    CHECK(!issue_is_ip((struct slice){NULL, 0}));
    CHECK_EQ_INT(issue_ip_sni(SLICE("1.2.3.4"), &t), 0);
    CHECK_TEXT(t.ptr, t.len, "4.3.2.1.in-addr.arpa");
    t.len = 0;
    CHECK_EQ_INT(issue_ip_sni(SLICE("2001:db8::1"), &t), 0);
    CHECK_TEXT(t.ptr, t.len,
               "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    CHECK_EQ_INT(issue_ip_sni(SLICE("x"), &t), E_INVALID);
}

static void check_request(enum issue_key kind, const char *want_names)
{
    struct slice names[] = {SLICE("a.example"), SLICE("*.a.example"), SLICE("10.0.0.1"),
                            SLICE("::1")};
    struct slice key;
    struct slice der;
    if (!CHECK_EQ_INT(issue_key_new(kind, &a, &key), 0) ||
        !CHECK_EQ_INT(issue_request(key, names, 4, &a, &der), 0)) {
        return;
    }
    const unsigned char *p = (const unsigned char *)der.ptr;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.len);
    REQUIRE(req != NULL);
    CHECK_EQ_INT(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
    CHECK_EQ_INT(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(req);
    CHECK_EQ_INT(sk_X509_EXTENSION_num(extensions), 1);
    BIO *bio = BIO_new(BIO_s_mem());
    X509V3_EXT_print(bio, sk_X509_EXTENSION_value(extensions, 0), 0, 0);
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    CHECK_TEXT(text, (size_t)len, want_names);
    BIO_free(bio);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(req);
}

static void requests_hold_the_names(void)
{
    static const char want[] =
        "DNS:a.example, DNS:*.a.example, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1";
    check_request(ISSUE_KEY_P256, want);
    check_request(ISSUE_KEY_RSA_2048, want);
}

static void bad_requests_are_refused(void)
{
    struct slice key;
    struct slice der;
    struct slice many[ISSUE_NAMES_MAX + 1];
    if (!CHECK_EQ_INT(issue_key_new(ISSUE_KEY_P256, &a, &key), 0)) {
        return;
    }
    for (unsigned i = 0; i <= ISSUE_NAMES_MAX; i++) {
        many[i] = SLICE("a.example");
    }
    CHECK_EQ_INT(issue_request(key, many, 0, &a, &der), E_INVALID);
    CHECK_EQ_INT(issue_request(key, many, ISSUE_NAMES_MAX + 1, &a, &der), E_INVALID);
    CHECK_EQ_INT(issue_request(SLICE("?"), many, 1, &a, &der), E_TLS_KEY);
    static const char *const names[] = {"", "a b", "x\ny", "a/b", "*.", "ex\xc3\xa4mple"};
    for (size_t i = 0; i < array_len(names); i++) {
        struct slice name = slice_str(names[i]);
        CHECK_EQ_INT(issue_request(key, &name, 1, &a, &der), E_INVALID);
    }
}

static X509 *read_pem(struct slice pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    REQUIRE(x != NULL);
    return x;
}

static void challenge_certificates(void)
{
    struct slice chain;
    struct slice key;
    unsigned char want[2 + 32] = {4, 32};
    struct slice authorization = SLICE("token.thumbprint");
    if (!CHECK_EQ_INT(issue_tls_alpn_01(SLICE("a.example"), authorization, &a, &chain, &key), 0)) {
        return;
    }
    X509 *x = read_pem(chain);
    ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    X509_EXTENSION *e = X509_get_ext(x, X509_get_ext_by_OBJ(x, kind, -1));
    ASN1_OBJECT_free(kind);
    if (CHECK(e != NULL)) {
        CHECK_EQ_INT(X509_EXTENSION_get_critical(e), 1);
        CHECK_EQ_INT(jws_sha256(authorization, want + 2), 0);
        const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(e);
        CHECK_BYTES(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), want,
                    sizeof(want));
    }
    CHECK_EQ_INT(X509_check_host(x, "a.example", 0, 0, NULL), 1);
    CHECK_EQ_INT(X509_verify(x, X509_get0_pubkey(x)), 1);
    X509_free(x);
    CHECK_EQ_INT(cert_check(chain, key, (uint64_t)time(NULL), &why), 0);
    CHECK_EQ_INT(issue_tls_alpn_01(SLICE("10.1.1.1"), authorization, &a, &chain, &key), 0);
    CHECK_EQ_INT(issue_tls_alpn_01(SLICE("no name"), authorization, &a, &chain, &key), E_INVALID);
}

// ---- what comes back ------------------------------------------------------------------------------

static struct pki_cert root;
static struct pki_cert leaf;

static int accept_chain(struct slice sent, struct slice key, const char *name, uint64_t now)
{
    struct slice names[] = {slice_str(name)};
    struct slice out = {NULL, 0};
    why.len = 0;
    int rc = issue_accept(sent, &(struct issue_expected){key, names, 1, now}, &a, &out, &why);
    CHECK(rc != 0 || (out.len > 0 && slice_starts(out, SLICE("-----BEGIN CERTIFICATE-----"))));
    CHECK(rc != E_TLS_CERTIFICATE || why.len > 0);
    return rc;
}

static void make_chain(void)
{
    if (root.x == NULL) {
        root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
        leaf = pki_make(&(struct pki_order){.cn = "a.example",
                                            .names = "DNS:a.example,DNS:*.b.example,IP:10.0.0.1",
                                            .key = PKI_P256,
                                            .issuer = &root});
    }
}

static void chains_are_looked_at(void)
{
    uint64_t now = (uint64_t)time(NULL);
    make_chain();
    struct slice chain = pki_join(leaf.cert_pem, root.cert_pem);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "a.example", now), 0);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "*.b.example", now), 0);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "10.0.0.1", now), 0);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "c.example", now), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "10.0.0.2", now), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(accept_chain(chain, root.key_pem, "a.example", now), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(accept_chain(chain, leaf.key_pem, "a.example", now + 800 * 86400),
                 E_TLS_CERTIFICATE);
    CHECK_EQ_INT(accept_chain((struct slice){NULL, 0}, leaf.key_pem, "a.example", now),
                 E_TLS_CERTIFICATE);
    CHECK_EQ_INT(accept_chain(SLICE("<html>"), leaf.key_pem, "a.example", now), E_TLS_CERTIFICATE);
}

// RFC 8555 9.1: whoever finds something else in there refuses it all.
static void only_certificates_are_taken(void)
{
    uint64_t now = (uint64_t)time(NULL);
    make_chain();
    struct slice with_key = pki_join(leaf.cert_pem, root.key_pem);
    CHECK_EQ_INT(accept_chain(with_key, leaf.key_pem, "a.example", now), E_TLS_CERTIFICATE);
    struct slice cut = slice_sub(leaf.cert_pem, 0, leaf.cert_pem.len / 2);
    CHECK_EQ_INT(accept_chain(cut, leaf.key_pem, "a.example", now), E_TLS_CERTIFICATE);
    struct slice many = leaf.cert_pem;
    for (int i = 0; i < 4; i++) {
        many = pki_join(many, many);
    }
    CHECK_EQ_INT(accept_chain(many, leaf.key_pem, "a.example", now), E_TLS_CERTIFICATE);
}

// Without the identifier of its issuer's key a certificate has no name to ask by.
static void nameless_certificates(void)
{
    struct slice id = {NULL, 0};
    make_chain();
    CHECK_EQ_INT(issue_renewal_id(leaf.cert_pem, &a, &id), E_TLS_CERTIFICATE);
    CHECK_EQ_INT(issue_renewal_id(SLICE("?"), &a, &id), E_TLS_CERTIFICATE);
}

// The certificate of RFC 9773 appendix A.
static void the_name_of_rfc_9773(void)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
                              "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
                              "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
                              "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
                              "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
                              "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
                              "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
                              "-----END CERTIFICATE-----\n";
    struct slice id = {NULL, 0};
    CHECK_EQ_INT(issue_renewal_id(slice_str(pem), &a, &id), 0);
    CHECK_TEXT(id.ptr, id.len, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

static void fini(void)
{
    pki_free(&leaf);
    pki_free(&root);
    arena_fini(&a);
}

TAP_MAIN(setup, addresses_are_told_from_names, requests_hold_the_names, bad_requests_are_refused,
         challenge_certificates, chains_are_looked_at, only_certificates_are_taken,
         nameless_certificates, the_name_of_rfc_9773, fini)
