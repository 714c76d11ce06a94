// SPDX-License-Identifier: Apache-2.0
//
// See proof.h.

#include "acme/proof.h"

#include "base/error.h"
#include "tls/issue.h"
#include "tls/jws.h"

enum { KINDS = 3, SNI_MAX = 80 };

const char *acme_challenge_name(enum acme_challenge_kind kind)
{
    return kind == ACME_HTTP_01 ? "http-01" : kind == ACME_DNS_01 ? "dns-01" : "tls-alpn-01";
}

// ---- which ----------------------------------------------------------------------------------------

static int nothing_fits(struct acme_client *c, const struct acme_authz *authz)
{
    int rc = acme_fail(c, E_UNSUPPORTED, "no way to prove %s%.*s: the CA offers",
                       authz->wildcard ? "*." : "", SLICE_ARG(authz->name));
    struct text *why = &c->failure.why;
    for (uint32_t i = 0; i < authz->offer_count; i++) {
        text_printf(why, "%s %s", i > 0 ? "," : "", acme_challenge_name(authz->offers[i].kind));
    }
    text_str(why, authz->offer_count == 0 ? " nothing we know" : "");
    text_str(why, authz->wildcard ? "; a wildcard needs a DNS hook (`dns`)"
                                  : "; see `challenges` and `dns` of the configuration");
    c->failure.permanent = true;
    return rc;
}

int acme_proof_choose(struct acme_client *c, const struct acme_request *r,
                      const struct acme_authz *authz, unsigned allowed, struct acme_proof *out)
{
    if (authz->wildcard) {
        allowed &= ACME_DNS_01;
    }
    for (unsigned k = 0; k < KINDS; k++) {
        for (uint32_t i = 0; i < authz->offer_count; i++) {
            const struct acme_offer *offer = &authz->offers[i];
            if (offer->kind == r->order[k] && (allowed & offer->kind) != 0) {
                *out = (struct acme_proof){.url = offer->url, .token = offer->token};
                out->challenge.kind = offer->kind;
                return 0;
            }
        }
    }
    return nothing_fits(c, authz);
}

// ---- what -----------------------------------------------------------------------------------------

// The token, a dot and the account's thumbprint (RFC 8555 8.1).
static struct slice key_authorization(struct acme_client *c, struct slice token, struct arena *a)
{
    size_t room = token.len + 1 + JWS_THUMBPRINT_BYTES;
    char *buffer = arena_bytes(a, room);
    if (buffer == NULL) {
        return (struct slice){NULL, 0};
    }
    struct text t = text_on(buffer, room);
    text_put(&t, token);
    text_char(&t, '.');
    text_put(&t, jws_thumbprint(c->key));
    ensure(!t.overflow);
    return text_slice(&t);
}

// The TXT record: base64url of the hash (RFC 8555 8.4).
static int make_record(struct slice authorization, struct arena *a, struct slice *out)
{
    unsigned char hash[JWS_SHA256_BYTES];
    char buffer[2 * JWS_SHA256_BYTES];
    struct text t = text_on(buffer, sizeof(buffer));
    int rc = jws_sha256(authorization, hash);
    if (rc == 0) {
        jws_base64url(&t, slice_of((const char *)hash, sizeof(hash)));
        *out = arena_dup(a, text_slice(&t));
        rc = out->ptr != NULL ? 0 : E_NO_MEMORY;
    }
    return rc;
}

// The name by which the CA will ask for the certificate.
static int make_tls(const struct acme_authz *authz, struct slice authorization, struct arena *a,
                    struct acme_challenge *out)
{
    if (authz->is_ip) {
        char buffer[SNI_MAX];
        struct text sni = text_on(buffer, sizeof(buffer));
        int rc = issue_ip_sni(authz->name, &sni);
        if (rc != 0) {
            return rc;
        }
        out->name = arena_dup(a, text_slice(&sni));
        if (out->name.ptr == NULL) {
            return E_NO_MEMORY;
        }
    }
    return issue_tls_alpn_01(authz->name, authorization, a, &out->chain, &out->key);
}

int acme_proof_make(struct acme_client *c, const struct acme_authz *authz, struct arena *a,
                    struct acme_proof *p)
{
    struct acme_challenge *out = &p->challenge;
    out->name = authz->name;
    struct slice authorization = key_authorization(c, p->token, a);
    int rc = authorization.ptr != NULL ? 0 : E_NO_MEMORY;
    if (rc == 0 && out->kind == ACME_HTTP_01) {
        out->token = p->token;
        out->value = authorization;
    } else if (rc == 0 && out->kind == ACME_DNS_01) {
        rc = make_record(authorization, a, &out->value);
    } else if (rc == 0) {
        rc = make_tls(authz, authorization, a, out);
    }
    return rc == 0 ? 0
                   : acme_fail(c, rc, "the proof for %.*s could not be made: %s",
                               SLICE_ARG(authz->name), error_text(rc));
}

int acme_proof_show(struct acme_client *c, struct acme_host *host, const struct acme_proof *p)
{
    acme_failure_reset(&c->failure);
    int rc = host->present(host, &p->challenge, &c->failure.why);
    if (rc != 0 && c->failure.why.len == 0) {
        (void)acme_fail(c, rc, "the %s proof for %.*s could not be shown: %s",
                        acme_challenge_name(p->challenge.kind), SLICE_ARG(p->challenge.name),
                        error_text(rc));
    }
    return rc;
}
