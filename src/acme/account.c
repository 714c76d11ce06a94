// SPDX-License-Identifier: Apache-2.0
//
// See account.h. Asking for an account with a key that the CA knows returns the account (RFC 8555
// 7.3), so a lost URL costs one message and no second account.

#include "acme/account.h"

#include "base/error.h"
#include "obs/log.h"
#include "tls/issue.h"
#include "tls/jws.h"

enum { PAYLOAD_MAX = 8 << 10, EMAIL_MAX = 320 };

// The binding to an account that the CA's operator made by hand (RFC 8555 7.3.4): our public key,
// signed with the secret they gave.
static int put_binding(struct acme_client *c, struct text *out)
{
    struct slice secret;
    struct slice signed_key;
    char buffer[ACME_URL_MAX * 2];
    struct text header = text_on(buffer, sizeof(buffer));
    text_str(&header, "{\"alg\":\"HS256\",\"kid\":\"");
    text_json(&header, c->issuer->eab_kid);
    text_str(&header, "\",\"url\":\"");
    text_json(&header, c->directory.new_account);
    text_str(&header, "\"}");
    int rc =
        header.overflow ? E_TOO_LARGE : jws_base64url_read(c->issuer->eab_key, c->arena, &secret);
    if (rc == 0) {
        rc = jws_sign_hmac(secret, text_slice(&header), jws_public_key(c->key), c->arena,
                           &signed_key);
    }
    if (rc != 0) {
        acme_failure_reset(&c->failure);
        (void)acme_fail(c, rc, "the external account's key cannot be used: it is not base64url");
        c->failure.permanent = true;
        return rc;
    }
    text_str(out, ",\"externalAccountBinding\":");
    text_put(out, signed_key);
    return 0;
}

static int make_payload(struct acme_client *c, struct text *out)
{
    text_str(out, "{\"termsOfServiceAgreed\":true");
    if (c->issuer->email.len > 0 && c->issuer->email.len <= EMAIL_MAX) {
        text_str(out, ",\"contact\":[\"mailto:");
        text_json(out, c->issuer->email);
        text_str(out, "\"]");
    }
    if (c->issuer->eab_kid.len > 0) {
        int rc = put_binding(c, out);
        if (rc != 0) {
            return rc;
        }
    } else if (c->directory.external_account_required) {
        struct acme_problem p = {.kind = ACME_PROBLEM_EXTERNAL_ACCOUNT};
        return acme_fail_problem(c, &p, (struct slice){NULL, 0});
    }
    text_str(out, "}");
    return out->overflow ? acme_fail(c, E_TOO_LARGE, "the account's data is too long") : 0;
}

static int ask_for_account(struct acme_client *c)
{
    char *buffer = arena_bytes(c->arena, PAYLOAD_MAX);
    if (buffer == NULL) {
        return acme_fail(c, E_NO_MEMORY, "out of memory");
    }
    struct text payload = text_on(buffer, PAYLOAD_MAX);
    int rc = make_payload(c, &payload);
    if (rc != 0) {
        return rc;
    }
    struct acme_message m = {.url = c->directory.new_account, .payload = text_slice(&payload)};
    struct acme_answer answer;
    rc = acme_client_post(c, &m, c->arena, &answer);
    if (rc != 0) {
        return rc;
    }
    if (answer.location.len == 0) {
        return acme_fail(c, E_PROTOCOL, "the CA gives no URL of the account (RFC 8555 7.3)");
    }
    c->account = answer.location;
    return 0;
}

static int make_key(struct acme_client *c)
{
    int rc = issue_key_new(ISSUE_KEY_P256, c->arena, &c->key_pem);
    return rc == 0 ? 0 : acme_fail(c, rc, "no key could be made: %s", error_text(rc));
}

int acme_account_open(struct acme_client *c, struct acme_host *host, bool anew)
{
    struct slice key = {NULL, 0};
    struct slice url = {NULL, 0};
    if (c->key == NULL) {
        bool known = host->load_account(host, c->issuer, c->arena, &key, &url);
        c->key_pem = key;
        c->account = known && acme_url_ok(url, false) ? url : SLICE("");
        int rc = known ? 0 : make_key(c);
        if (rc == 0 && jws_key_open(c->key_pem, c->arena, &c->key) != 0) {
            c->key = NULL;
            rc = acme_fail(c, E_TLS_KEY, "the account's key at %.*s cannot be read",
                           SLICE_ARG(c->issuer->name));
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (anew) {
        c->account = SLICE("");
    }
    if (c->account.len > 0) {
        return 0;
    }
    int rc = ask_for_account(c);
    if (rc == 0) {
        log_line(LOG_INFO, "acme: account at %.*s: %.*s", SLICE_ARG(c->issuer->name),
                 SLICE_ARG(c->account));
        rc = host->save_account(host, c->issuer, c->key_pem, c->account);
        if (rc != 0) {
            return acme_fail(c, rc, "the account could not be saved: %s", error_text(rc));
        }
    }
    return rc;
}
