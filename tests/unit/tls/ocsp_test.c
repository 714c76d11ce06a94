// SPDX-License-Identifier: Apache-2.0
//
// OCSP: the question, and answers that are good, revoked, late, early, of others, or no answers.

#include "tls/ocsp.h"

#include <openssl/ocsp.h>
#include <time.h>

#include "base/error.h"
#include "pki.h"
#include "tap.h"

static struct arena a;
static struct pki_cert root;
static struct pki_cert leaf;
static struct pki_cert other;
static struct slice chain;
static char why_buffer[256];
static struct text why;

static void setup(void)
{
    arena_init(&a, NULL, 0, NULL, 4 << 20);
    root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    leaf = pki_make(&(struct pki_order){.cn = "a.example",
                                        .names = "DNS:a.example",
                                        .key = PKI_P256,
                                        .issuer = &root,
                                        .ocsp = "http://127.0.0.1:1/ocsp"});
    other = pki_make(&(struct pki_order){
        .cn = "b.example", .names = "DNS:b.example", .key = PKI_P256, .issuer = &root});
    chain = pki_join(leaf.cert_pem, root.cert_pem);
}

static void questions_name_certificate_and_responder(void)
{
    struct slice der;
    struct slice url;
    if (CHECK_EQ_INT(ocsp_request(chain, &a, &der, &url), 0)) {
        CHECK_TEXT(url.ptr, url.len, "http://127.0.0.1:1/ocsp");
        const unsigned char *p = (const unsigned char *)der.ptr;
        OCSP_REQUEST *request = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);
        CHECK_EQ_INT(OCSP_request_onereq_count(request), 1);
        OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf.x, root.x);
        CHECK_EQ_INT(OCSP_id_cmp(id, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0))), 0);
        OCSP_CERTID_free(id);
        OCSP_REQUEST_free(request);
    }
    CHECK_EQ_INT(ocsp_request(leaf.cert_pem, &a, &der, &url), E_UNSUPPORTED);
    CHECK_EQ_INT(ocsp_request(pki_join(other.cert_pem, root.cert_pem), &a, &der, &url),
                 E_UNSUPPORTED);
    CHECK_EQ_INT(ocsp_request(SLICE("?"), &a, &der, &url), E_TLS_CERTIFICATE);
}

// ---- answers --------------------------------------------------------------------------------------

struct reply {
    int status;
    const struct pki_cert *about;
    const struct pki_cert *signer;
    long from_s;
    long to_s; // 0: no nextUpdate
};

static struct slice make_reply(const struct reply *r)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), r->about->x, root.x);
    ASN1_TIME *from = X509_gmtime_adj(NULL, r->from_s);
    ASN1_TIME *to = r->to_s != 0 ? X509_gmtime_adj(NULL, r->to_s) : NULL;
    ASN1_TIME *revoked = X509_gmtime_adj(NULL, -3600);
    REQUIRE(OCSP_basic_add1_status(basic, id, r->status, 0,
                                   r->status == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL, from,
                                   to) != NULL);
    REQUIRE(OCSP_basic_sign(basic, r->signer->x, r->signer->key, EVP_sha256(), NULL, 0) == 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    REQUIRE(len > 0);
    struct slice out = arena_dup(&a, slice_of((const char *)der, (size_t)len));
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    ASN1_TIME_free(revoked);
    return out;
}

static int verify(const struct reply *r, uint64_t *next)
{
    why = text_on(why_buffer, sizeof(why_buffer));
    struct slice der = make_reply(r);
    int rc =
        der.ptr != NULL ? ocsp_verify(chain, der, (uint64_t)time(NULL), next, &why) : E_NO_MEMORY;
    CHECK(rc == 0 || rc == E_NO_MEMORY || why.len > 0);
    return rc;
}

static void good_answers_pass(void)
{
    uint64_t next = 0;
    uint64_t now = (uint64_t)time(NULL);
    CHECK_EQ_INT(verify(&(struct reply){V_OCSP_CERTSTATUS_GOOD, &leaf, &root, -60, 7200}, &next),
                 0);
    CHECK(next >= now + 7190 && next <= now + 7210);
    CHECK_EQ_INT(verify(&(struct reply){V_OCSP_CERTSTATUS_GOOD, &leaf, &root, -60, 0}, &next), 0);
    CHECK(next > now && next <= now + 3610);
}

static void others_do_not(void)
{
    static const struct {
        struct reply reply;
        int error;
        const char *why;
    } rows[] = {
        {{V_OCSP_CERTSTATUS_REVOKED, &leaf, &root, -60, 7200}, E_DENIED, "revoked"},
        {{V_OCSP_CERTSTATUS_UNKNOWN, &leaf, &root, -60, 7200}, E_INVALID, "does not know"},
        {{V_OCSP_CERTSTATUS_GOOD, &other, &root, -60, 7200}, E_INVALID, "another certificate"},
        {{V_OCSP_CERTSTATUS_GOOD, &leaf, &other, -60, 7200}, E_INVALID, "not signed"},
        {{V_OCSP_CERTSTATUS_GOOD, &leaf, &root, -7200, -60}, E_INVALID, "out of date"},
        {{V_OCSP_CERTSTATUS_GOOD, &leaf, &root, 3600, 7200}, E_INVALID, "not valid yet"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t next = 7;
        CHECK_EQ_INT(verify(&rows[i].reply, &next), rows[i].error);
        CHECK(slice_find(text_slice(&why), slice_str(rows[i].why)) >= 0);
        CHECK_EQ_INT(next, 7);
    }
}

static void nonsense_is_no_answer(void)
{
    uint64_t next = 0;
    why = text_on(why_buffer, sizeof(why_buffer));
    CHECK_EQ_INT(ocsp_verify(chain, SLICE("nonsense"), 1, &next, &why), E_INVALID);
    CHECK_EQ_INT(ocsp_verify(chain, (struct slice){NULL, 0}, 1, &next, &why), E_INVALID);
    OCSP_RESPONSE *later = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(later, &der);
    why.len = 0;
    CHECK_EQ_INT(ocsp_verify(chain, slice_of((const char *)der, (size_t)len), 1, &next, &why),
                 E_INVALID);
    CHECK_TEXT(why.ptr, why.len, "the OCSP responder answers: trylater");
    OPENSSL_free(der);
    OCSP_RESPONSE_free(later);
}

static void fini(void)
{
    pki_free(&other);
    pki_free(&leaf);
    pki_free(&root);
    arena_fini(&a);
}

TAP_MAIN(setup, questions_name_certificate_and_responder, good_answers_pass, others_do_not,
         nonsense_is_no_answer, fini)
