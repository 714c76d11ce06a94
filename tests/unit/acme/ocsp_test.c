// SPDX-License-Identifier: Apache-2.0
//
// A question to an OCSP responder over HTTP; what makes a good answer is tls/ocsp_test.c's.

#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

#include "../tls/pki.h"
#include "acme/acme.h"
#include "base/error.h"
#include "base/text.h"
#include "tap.h"
#include "web.h"

static struct arena a;
static struct pki_cert root;
static struct pki_cert leaf;
static struct slice chain;
static char reply[4096];
static size_t reply_len;
static char why_buffer[512];
static struct text why;

static void setup(void)
{
    static char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/ocsp", web_start());
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    leaf = pki_make(&(struct pki_order){.cn = "a.example",
                                        .names = "DNS:a.example",
                                        .key = PKI_P256,
                                        .issuer = &root,
                                        .ocsp = url});
    chain = pki_join(leaf.cert_pem, root.cert_pem);
}

static void make_reply(void)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), leaf.x, root.x);
    ASN1_TIME *from = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *to = X509_gmtime_adj(NULL, 86400);
    REQUIRE(OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, to) != NULL);
    REQUIRE(OCSP_basic_sign(basic, root.x, root.key, EVP_sha256(), NULL, 0) == 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    REQUIRE(len > 0 && len < 3500);
    int head = snprintf(reply, sizeof(reply),
                        "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n"
                        "Content-Length: %d\r\n\r\n",
                        len);
    memcpy(reply + head, der, (size_t)len);
    reply_len = (size_t)(head + len);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
}

static int ask(struct slice *der, uint64_t *next)
{
    why = text_on(why_buffer, sizeof(why_buffer));
    return acme_ocsp(chain, &a, der, next, &why);
}

static void answers_are_fetched_and_checked(void)
{
    struct slice der = {NULL, 0};
    uint64_t next = 0;
    make_reply();
    web_answer(slice_of(reply, reply_len));
    if (CHECK_EQ_INT(ask(&der, &next), 0)) {
        CHECK(der.len > 0 && slice_ends(slice_of(reply, reply_len), der));
        CHECK(next > (uint64_t)time(NULL) + 80000);
    }
    struct slice asked = web_asked();
    CHECK(slice_starts(asked, SLICE("POST /ocsp HTTP/1.1\r\n")));
    CHECK(slice_find(asked, SLICE("Content-Type: application/ocsp-request\r\n")) > 0);
}

static void others_are_not_taken(void)
{
    struct slice der = {NULL, 0};
    uint64_t next = 0;
    web_answer(SLICE("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask(&der, &next), E_INVALID);
    CHECK(slice_find(text_slice(&why), SLICE("status 500")) > 0);
    web_answer(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"));
    CHECK_EQ_INT(ask(&der, &next), E_INVALID);
    CHECK_EQ_INT(acme_ocsp(leaf.cert_pem, &a, &der, &next, &why), E_UNSUPPORTED);
    CHECK_EQ_INT(der.len, 0);
}

static void fini(void)
{
    web_stop();
    pki_free(&leaf);
    pki_free(&root);
    arena_fini(&a);
}

TAP_MAIN(setup, answers_are_fetched_and_checked, others_are_not_taken, fini)
