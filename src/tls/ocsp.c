// SPDX-License-Identifier: Apache-2.0
//
// See ocsp.h. No nonce is sent: responders of public authorities answer from a cache (RFC 5019), and
// the times in the answer say how old it is. The only anchor of trust is the certificate's own issuer,
// as the chain holds it.

#include "tls/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "tls/pem_int.h"

enum {
    CLOCK_SKEW_S = 300,
    // Without nextUpdate newer information is always available (RFC 6960 4.2.2.1): ask every hour.
    NEXT_UPDATE_DEFAULT_S = 3600,
    OCSP_URL_MAX = 1024,
    OCSP_ANSWER_MAX = 64 << 10,
};

// ---- the question ---------------------------------------------------------------------------------

static OCSP_CERTID *certificate_id(const STACK_OF(X509) * chain)
{
    return OCSP_cert_to_id(EVP_sha1(), sk_X509_value(chain, 0), sk_X509_value(chain, 1));
}

static int responder_url(X509 *leaf, struct arena *a, struct slice *url)
{
    STACK_OF(OPENSSL_STRING) *all = X509_get1_ocsp(leaf);
    int rc = E_UNSUPPORTED;
    for (int i = 0; rc == E_UNSUPPORTED && i < sk_OPENSSL_STRING_num(all); i++) {
        struct slice one = slice_str(sk_OPENSSL_STRING_value(all, i));
        bool web = slice_starts(one, SLICE("http://")) || slice_starts(one, SLICE("https://"));
        if (web && one.len <= OCSP_URL_MAX) {
            *url = arena_dup(a, one);
            rc = url->ptr != NULL ? 0 : E_NO_MEMORY;
        }
    }
    X509_email_free(all);
    return rc;
}

static int request_der(const STACK_OF(X509) * chain, struct arena *a, struct slice *der)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = certificate_id(chain);
    unsigned char *bytes = NULL;
    int len = -1;
    if (request != NULL && id != NULL && OCSP_request_add0_id(request, id) != NULL) {
        id = NULL; // the request's now
        len = i2d_OCSP_REQUEST(request, &bytes);
    }
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    if (len <= 0) {
        return E_NO_MEMORY;
    }
    *der = arena_dup(a, slice_of((const char *)bytes, (size_t)len));
    OPENSSL_free(bytes);
    return der->ptr != NULL ? 0 : E_NO_MEMORY;
}

int ocsp_request(struct slice chain_pem, struct arena *a, struct slice *der, struct slice *url)
{
    STACK_OF(X509) *chain = NULL;
    int rc = pem_read_chain(chain_pem, &chain);
    if (rc != 0) {
        return rc;
    }
    rc = sk_X509_num(chain) > 1 ? responder_url(sk_X509_value(chain, 0), a, url) : E_UNSUPPORTED;
    if (rc == 0) {
        rc = request_der(chain, a, der);
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}

// ---- the answer -----------------------------------------------------------------------------------

static int refuse(struct text *why, const char *what)
{
    text_str(why, what);
    return E_INVALID;
}

// Signed by the issuer itself, or by one whom it made a signer of such answers (RFC 6960 4.2.2.2).
static bool signed_by_issuer(OCSP_BASICRESP *basic, STACK_OF(X509) * chain)
{
    X509_STORE *trust = X509_STORE_new();
    bool ok = trust != NULL && X509_STORE_add_cert(trust, sk_X509_value(chain, 1)) == 1 &&
              X509_STORE_set_flags(trust, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
              OCSP_basic_verify(basic, chain, trust, 0) == 1;
    X509_STORE_free(trust);
    return ok;
}

static uint64_t seconds_of(const ASN1_GENERALIZEDTIME *t)
{
    struct tm tm;
    time_t s = t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
    return s > 0 ? (uint64_t)s : 0;
}

static int check_status(OCSP_BASICRESP *basic, OCSP_CERTID *id, uint64_t now, uint64_t *next_update,
                        struct text *why)
{
    int status = -1;
    ASN1_GENERALIZEDTIME *this_at = NULL;
    ASN1_GENERALIZEDTIME *next_at = NULL;
    if (OCSP_resp_find_status(basic, id, &status, NULL, NULL, &this_at, &next_at) != 1) {
        return refuse(why, "the OCSP answer is about another certificate");
    }
    uint64_t begins = seconds_of(this_at);
    uint64_t ends = next_at != NULL ? seconds_of(next_at) : now + NEXT_UPDATE_DEFAULT_S;
    if (begins == 0 || begins > now + CLOCK_SKEW_S) {
        return refuse(why, "the OCSP answer is not valid yet");
    }
    if (ends <= now) {
        return refuse(why, "the OCSP answer is out of date");
    }
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
        text_str(why, "the certificate has been revoked");
        return E_DENIED;
    }
    if (status != V_OCSP_CERTSTATUS_GOOD) {
        return refuse(why, "the OCSP responder does not know the certificate");
    }
    *next_update = ends;
    return 0;
}

static int check_answer(OCSP_RESPONSE *answer, STACK_OF(X509) * chain, uint64_t now,
                        uint64_t *next_update, struct text *why)
{
    if (OCSP_response_status(answer) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        text_printf(why, "the OCSP responder answers: %s",
                    OCSP_response_status_str(OCSP_response_status(answer)));
        return E_INVALID;
    }
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(answer);
    OCSP_CERTID *id = certificate_id(chain);
    int rc;
    if (basic == NULL || id == NULL) {
        rc = refuse(why, "the OCSP answer cannot be read");
    } else if (!signed_by_issuer(basic, chain)) {
        rc = refuse(why, "the OCSP answer is not signed by the certificate's issuer");
    } else {
        rc = check_status(basic, id, now, next_update, why);
    }
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    return rc;
}

int ocsp_verify(struct slice chain_pem, struct slice answer_der, uint64_t now,
                uint64_t *next_update, struct text *why)
{
    STACK_OF(X509) *chain = NULL;
    int rc = pem_read_chain(chain_pem, &chain);
    if (rc != 0) {
        text_str(why, "the chain cannot be read");
        return rc;
    }
    OCSP_RESPONSE *answer = NULL;
    const unsigned char *p = (const unsigned char *)answer_der.ptr;
    if (answer_der.len > 0 && answer_der.len <= OCSP_ANSWER_MAX) {
        answer = d2i_OCSP_RESPONSE(NULL, &p, (long)answer_der.len);
    }
    if (answer == NULL || sk_X509_num(chain) < 2) {
        rc = refuse(why, "what came is no OCSP answer");
    } else {
        rc = check_answer(answer, chain, now, next_update, why);
    }
    OCSP_RESPONSE_free(answer);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return rc;
}
