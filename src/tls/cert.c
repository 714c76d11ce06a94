// SPDX-License-Identifier: Apache-2.0
//
// Certificates as people ask about them (tls/cert.h). What is an error here is what no client would
// take; what only some would stumble over, or what soon will be wrong, is a warning. The texts say
// what is wrong and leave it to the caller to say where.

#include "tls/cert.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "base/num.h"
#include "tls/x509_int.h"

enum {
    SECURITY_BITS_MIN = 112, // RSA 2048, and what OpenSSL's level 2 asks for
    DAY_S = 86400,
    SOON_S = 14 * DAY_S,         // an ending certificate is worth a warning ...
    SOON_SHARE = 4,              // ... unless it is one that lives only for days
    TLS_FEATURE_STATUS = 5,      // RFC 7633: status_request
    DESCRIPTION_BYTES_MAX = 8192 // of one text of a certificate
};

// ---- describing ------------------------------------------------------------------------------------

// Builds one text on the arena.
static int keep(struct arena *a, struct text *t, struct slice *out)
{
    *out = arena_dup(a, text_slice(t));
    t->len = 0;
    t->overflow = false;
    return out->ptr != NULL ? 0 : E_NO_MEMORY;
}

static int describe_ocsp(X509 *x, struct arena *a, struct slice *out)
{
    *out = SLICE("");
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(x);
    int rc = 0;
    for (int i = 0; i < sk_OPENSSL_STRING_num(urls) && out->len == 0; i++) {
        struct slice url = slice_str(sk_OPENSSL_STRING_value(urls, i));
        if (slice_starts(url, SLICE("http://"))) {
            *out = arena_dup(a, url);
            rc = out->ptr != NULL ? 0 : E_NO_MEMORY;
        }
    }
    X509_email_free(urls);
    return rc;
}

static bool has_must_staple(const X509 *x)
{
    TLS_FEATURE *features = X509_get_ext_d2i(x, NID_tlsfeature, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        found = found || ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLS_FEATURE_STATUS;
    }
    TLS_FEATURE_free(features);
    return found;
}

static bool is_self_signed(X509 *x)
{
    return X509_check_issued(x, x) == X509_V_OK;
}

static int describe(X509 *x, struct arena *a, struct cert_info *out)
{
    char buffer[DESCRIPTION_BYTES_MAX];
    struct text t = text_on(buffer, sizeof(buffer));
    x509_name_text(X509_get_subject_name(x), &t);
    int rc = keep(a, &t, &out->subject);
    x509_short_name(X509_get_issuer_name(x), &t);
    rc = rc != 0 ? rc : keep(a, &t, &out->issuer);
    x509_serial(x, &t);
    rc = rc != 0 ? rc : keep(a, &t, &out->serial);
    x509_fingerprint(x, &t);
    rc = rc != 0 ? rc : keep(a, &t, &out->fingerprint);
    EVP_PKEY *key = X509_get0_pubkey(x);
    if (key != NULL) {
        x509_key_type(key, &t);
    }
    rc = rc != 0 ? rc : keep(a, &t, &out->key_type);
    rc = rc != 0 ? rc : describe_ocsp(x, a, &out->ocsp_url);
    int names = rc != 0 ? rc : x509_names(x, a, out->names, CERT_NAMES_MAX);
    if (names < 0) {
        return names;
    }
    out->name_count = (uint32_t)names;
    out->not_before = x509_seconds(X509_get0_notBefore(x));
    out->not_after = x509_seconds(X509_get0_notAfter(x));
    out->must_staple = has_must_staple(x);
    out->is_self_signed = is_self_signed(x);
    return 0;
}

int cert_describe(struct slice chain_pem, struct arena *a, struct cert_info *out)
{
    char ignored[256];
    struct text why = text_on(ignored, sizeof(ignored));
    STACK_OF(X509) *chain = NULL;
    *out = (struct cert_info){.name_count = 0};
    int rc = x509_read_chain(chain_pem, X509_CHAIN_MAX, &chain, &why);
    if (rc == 0) {
        rc = describe(sk_X509_value(chain, 0), a, out);
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}

bool cert_covers(const struct cert_info *c, struct slice name)
{
    return x509_names_cover(c->names, c->name_count, name);
}

// ---- checking --------------------------------------------------------------------------------------

// Only the curves that clients take for signatures (RFC 8446 4.2.3).
static bool curve_is_usable(EVP_PKEY *key)
{
    char group[80];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1) {
        return false;
    }
    int nid = OBJ_txt2nid(group);
    return nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1;
}

static int check_key_kind(EVP_PKEY *key, struct text *why)
{
    char buffer[128];
    struct text type = text_on(buffer, sizeof(buffer));
    x509_key_type(key, &type);
    int id = EVP_PKEY_get_base_id(key);
    bool rsa = id == EVP_PKEY_RSA || id == EVP_PKEY_RSA_PSS;
    if (id == EVP_PKEY_EC && !curve_is_usable(key)) {
        text_printf(why, "the key is %.*s, a curve that clients do not take: use P-256 or P-384",
                    SLICE_ARG(text_slice(&type)));
        return E_TLS_KEY;
    }
    if (!rsa && id != EVP_PKEY_EC && id != EVP_PKEY_ED25519 && id != EVP_PKEY_ED448) {
        text_printf(why, "a key of the kind %.*s is of no use for TLS: use ECDSA or RSA",
                    SLICE_ARG(text_slice(&type)));
        return E_TLS_KEY;
    }
    if (EVP_PKEY_get_security_bits(key) < SECURITY_BITS_MIN) {
        text_printf(why, "the key is too weak (%.*s): use ECDSA P-256 or RSA 2048",
                    SLICE_ARG(text_slice(&type)));
        return E_TLS_KEY;
    }
    return 0;
}

static int check_key_fits(STACK_OF(X509) * chain, EVP_PKEY *key, struct text *why)
{
    if (X509_check_private_key(sk_X509_value(chain, 0), key) == 1) {
        return 0;
    }
    text_str(why, "the key does not belong to the certificate");
    for (int i = 1; i < sk_X509_num(chain); i++) {
        if (X509_check_private_key(sk_X509_value(chain, i), key) == 1) {
            text_printf(why, " but to certificate %d of the file: it must be the first", i + 1);
            break;
        }
    }
    return E_TLS_KEY;
}

static bool has_issued(X509 *issuer, X509 *x)
{
    EVP_PKEY *key = X509_get0_pubkey(issuer);
    return X509_check_issued(issuer, x) == X509_V_OK && key != NULL && X509_verify(x, key) == 1;
}

static void say_link(struct text *why, bool elsewhere, int subject)
{
    if (elsewhere) {
        text_printf(why,
                    "the chain is not in order: another certificate of it than number %d issued "
                    "number %d",
                    subject + 1, subject);
    } else {
        text_printf(why, "the chain is broken: certificate %d did not issue certificate %d",
                    subject + 1, subject);
    }
}

// Of the certificates behind the first each should have issued the one before it. Another order is
// what TLS 1.3 allows and older clients stumble over; no issuer of the first among several is an error
// of whoever put the file together.
static int check_links(STACK_OF(X509) * chain, struct text *why)
{
    int n = sk_X509_num(chain);
    for (int i = 0; i + 1 < n; i++) {
        X509 *x = sk_X509_value(chain, i);
        if (has_issued(sk_X509_value(chain, i + 1), x)) {
            continue;
        }
        bool elsewhere = false;
        for (int j = 0; j < n; j++) {
            elsewhere = elsewhere || (j != i && has_issued(sk_X509_value(chain, j), x));
        }
        bool leaf = i == 0 && !elsewhere && !is_self_signed(x);
        if (leaf) {
            why->len = 0; // what was only a warning
        }
        if (why->len == 0) {
            say_link(why, elsewhere, i + 1);
        }
        if (leaf) {
            return E_TLS_CERTIFICATE;
        }
    }
    return 0;
}

static int check_digests(STACK_OF(X509) * chain, struct text *why)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *x = sk_X509_value(chain, i);
        int bits = -1;
        if (!is_self_signed(x) && X509_get_signature_info(x, NULL, NULL, &bits, NULL) == 1 &&
            bits < SECURITY_BITS_MIN && bits >= 0) {
            text_printf(why, "certificate %d is signed with a broken digest (%s)", i + 1,
                        OBJ_nid2ln(X509_get_signature_nid(x)));
            return E_TLS_CERTIFICATE;
        }
    }
    return 0;
}

static int check_dates(STACK_OF(X509) * chain, uint64_t now, struct text *why)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *x = sk_X509_value(chain, i);
        uint64_t from = x509_seconds(X509_get0_notBefore(x));
        uint64_t to = x509_seconds(X509_get0_notAfter(x));
        struct slice which =
            i == 0 ? SLICE("the certificate") : SLICE("a certificate of the chain");
        if (to <= now) {
            text_printf(why, "%.*s has expired: ", SLICE_ARG(which));
            x509_date(to, why);
            return E_TLS_EXPIRED;
        }
        uint64_t soon = num_min_u64(SOON_S, (to - num_min_u64(from, to)) / SOON_SHARE);
        if (why->len > 0) {
            continue;
        }
        if (from > now) {
            text_printf(why, "%.*s is not valid yet: from ", SLICE_ARG(which));
            x509_date(from, why);
        } else if (to - now < soon) {
            text_printf(why, "%.*s expires soon: ", SLICE_ARG(which));
            x509_date(to, why);
        }
    }
    return 0;
}

static int check_chain(STACK_OF(X509) * chain, EVP_PKEY *key, uint64_t now, struct text *why)
{
    X509 *leaf = sk_X509_value(chain, 0);
    if (X509_get0_pubkey(leaf) == NULL) {
        text_str(why, "the certificate's key is of a kind or on a curve that is not known");
        return E_TLS_CERTIFICATE;
    }
    int rc = check_key_kind(key, why);
    rc = rc != 0 ? rc : check_key_fits(chain, key, why);
    rc = rc != 0 ? rc : check_digests(chain, why);
    rc = rc != 0 ? rc : check_dates(chain, now, why);
    rc = rc != 0 ? rc : check_links(chain, why);
    if (rc == 0 && why->len == 0 && X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) == 0) {
        text_str(why, "the certificate is not meant for servers (its key usage)");
    }
    return rc;
}

int cert_check(struct slice chain_pem, struct slice key_pem, uint64_t now, struct text *why)
{
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    int rc = x509_read_chain(chain_pem, X509_CHAIN_MAX, &chain, why);
    if (rc == 0) {
        rc = x509_read_key(key_pem, &key, why);
    }
    if (rc == 0) {
        rc = check_chain(chain, key, now, why);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}

int cert_check_authorities(struct slice pem, struct text *why)
{
    STACK_OF(X509) *all = NULL;
    int rc = x509_read_chain(pem, X509_AUTHORITIES_MAX, &all, why);
    sk_X509_pop_free(all, X509_free);
    return rc;
}
