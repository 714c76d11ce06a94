// SPDX-License-Identifier: Apache-2.0
//
// See client.h.

#include "acme/client.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/num.h"
#include "tls/jws.h"

enum {
    NONCE_TRIES = 12, // test servers refuse many on purpose
    OUTAGE_TRIES = 3,
    OUTAGE_PAUSE_MS = 1000,
    OUTAGE_PAUSE_MAX_MS = 10000,
    REDIRECTS_MAX = 3, // of the directory
    PROTECTED_MAX = 8 << 10,
};

// ---- failures -------------------------------------------------------------------------------------

void acme_failure_reset(struct acme_failure *f)
{
    f->why = text_on(f->buffer, sizeof(f->buffer));
    f->retry_after_ms = 0;
    f->permanent = false;
    f->by_ca = false;
    f->kind = ACME_PROBLEM_OTHER;
}

int acme_fail(struct acme_client *c, int error, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    acme_failure_reset(&c->failure);
    text_put(&c->failure.why,
             slice_of(line, len < 0 ? 0 : num_min_size((size_t)len, sizeof(line) - 1)));
    return error;
}

int acme_fail_problem(struct acme_client *c, const struct acme_problem *p, struct slice name)
{
    uint64_t retry_after_ms = c->failure.retry_after_ms;
    acme_failure_reset(&c->failure);
    acme_problem_words(p, name, &c->failure.why);
    c->failure.by_ca = true;
    c->failure.kind = p->kind;
    c->failure.permanent = acme_problem_permanent(p);
    c->failure.retry_after_ms = retry_after_ms;
    return E_DENIED;
}

// What an answer that is not 2xx means.
static int fail_answer(struct acme_client *c, struct slice url, const struct acme_answer *answer,
                       struct arena *a)
{
    struct acme_problem p = {.kind = ACME_PROBLEM_OTHER};
    int rc;
    if (acme_parse_problem(answer->body, a, &p) == 0) {
        // Words about proofs would mislead where no proof was looked at.
        bool of_proof = acme_problem_of_challenge(p.kind);
        rc = acme_fail_problem(c, &p, of_proof ? (struct slice){NULL, 0} : c->subject);
    } else {
        rc = acme_fail(c, E_DENIED, "%.*s answered with status %d",
                       SLICE_ARG(slice_sub(url, 0, 200)), answer->status);
    }
    c->failure.retry_after_ms = answer->retry_after_ms;
    return rc;
}

// ---- calls ----------------------------------------------------------------------------------------

// One HTTP call; what failed is in `failure`.
static int call(struct acme_client *c, const struct acme_call *http, struct arena *a,
                struct acme_answer *out)
{
    acme_failure_reset(&c->failure);
    int rc = acme_http_call(c->http, http, a, out, &c->failure.why);
    if (rc == 0 && out->nonce.len > 0) {
        memcpy(c->nonce, out->nonce.ptr, out->nonce.len);
        c->nonce_len = out->nonce.len;
    }
    return rc;
}

static bool is_outage(int rc, const struct acme_answer *answer)
{
    if (rc == 0) {
        return answer->status == 500 || answer->status == 502 || answer->status == 504 ||
               (answer->status == 503 && answer->retry_after_ms <= OUTAGE_PAUSE_MAX_MS);
    }
    return rc == E_REFUSED || rc == E_IO || rc == E_RESET || rc == E_TLS_HANDSHAKE;
}

static uint64_t outage_pause_ms(const struct acme_answer *answer, int attempt)
{
    uint64_t pause = (uint64_t)OUTAGE_PAUSE_MS << attempt;
    return answer->retry_after_ms > pause ? answer->retry_after_ms : pause;
}

// GET and HEAD, again when the CA is briefly out of order.
static int plain_call(struct acme_client *c, enum acme_method method, struct slice url,
                      struct arena *a, struct acme_answer *out)
{
    struct acme_call http = {
        .method = method,
        .url = url,
        .accept = "application/json",
        .redirects_max = REDIRECTS_MAX,
    };
    for (int attempt = 0;; attempt++) {
        *out = (struct acme_answer){.status = 0};
        int rc = call(c, &http, a, out);
        if (!is_outage(rc, out) || attempt + 1 == OUTAGE_TRIES) {
            return rc;
        }
        if (acme_http_sleep(c->cancel, outage_pause_ms(out, attempt)) != 0) {
            return acme_fail(c, E_DRAINING, "cancelled");
        }
    }
}

static int get_nonce(struct acme_client *c)
{
    if (c->nonce_len > 0) {
        return 0;
    }
    struct arena a;
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct acme_answer answer;
    int rc = plain_call(c, ACME_HEAD, c->directory.new_nonce, &a, &answer);
    if (rc == 0 && (answer.status < 200 || answer.status > 299)) {
        rc = fail_answer(c, c->directory.new_nonce, &answer, &a);
    } else if (rc == 0 && c->nonce_len == 0) {
        rc = acme_fail(c, E_PROTOCOL, "the CA gives no nonce (RFC 8555 7.2)");
    }
    arena_fini(&a);
    return rc;
}

// The protected header: who signs, for which URL, once (RFC 8555 6.2).
static int make_protected(struct acme_client *c, struct slice url, struct arena *a,
                          struct slice *out)
{
    char *buffer = arena_bytes(a, PROTECTED_MAX);
    if (buffer == NULL) {
        return E_NO_MEMORY;
    }
    struct text t = text_on(buffer, PROTECTED_MAX);
    text_printf(&t, "{\"alg\":\"%.*s\",", SLICE_ARG(jws_algorithm(c->key)));
    if (c->account.len > 0) {
        text_str(&t, "\"kid\":\"");
        text_json(&t, c->account);
        text_str(&t, "\",");
    } else {
        text_printf(&t, "\"jwk\":%.*s,", SLICE_ARG(jws_public_key(c->key)));
    }
    text_printf(&t, "\"nonce\":\"%.*s\",\"url\":\"", (int)c->nonce_len, c->nonce);
    text_json(&t, url);
    text_str(&t, "\"}");
    *out = text_slice(&t);
    return t.overflow ? E_TOO_LARGE : 0;
}

// Signs with a fresh nonce and sends, once.
static int send_signed(struct acme_client *c, struct slice payload, struct acme_call *http,
                       struct arena *a, struct acme_answer *out)
{
    int rc = get_nonce(c);
    if (rc != 0) {
        return rc;
    }
    struct slice header;
    rc = make_protected(c, http->url, a, &header);
    if (rc == 0) {
        rc = jws_sign(c->key, header, payload, a, &http->body);
    }
    if (rc != 0) {
        return acme_fail(c, rc, "the message to the CA could not be signed: %s", error_text(rc));
    }
    c->nonce_len = 0; // used
    return call(c, http, a, out);
}

static bool is_bad_nonce(const struct acme_answer *answer, struct arena *a)
{
    struct acme_problem p;
    return answer->status == 400 && acme_parse_problem(answer->body, a, &p) == 0 &&
           p.kind == ACME_PROBLEM_BAD_NONCE;
}

// Signed anew until the CA takes the nonce.
static int post_with_nonces(struct acme_client *c, const struct acme_message *m, struct arena *a,
                            struct acme_answer *out)
{
    struct acme_call http = {
        .method = ACME_POST,
        .url = m->url,
        .content_type = "application/jose+json",
        .accept = m->accept != NULL ? m->accept : "application/json",
    };
    for (int attempt = 0; attempt < NONCE_TRIES; attempt++) {
        int rc = send_signed(c, m->payload, &http, a, out);
        if (rc != 0 || !is_bad_nonce(out, a)) {
            return rc;
        }
    }
    return 0;
}

int acme_client_post(struct acme_client *c, const struct acme_message *m, struct arena *a,
                     struct acme_answer *out)
{
    for (int attempt = 0;; attempt++) {
        *out = (struct acme_answer){.status = 0};
        int rc = post_with_nonces(c, m, a, out);
        if (!is_outage(rc, out) || attempt + 1 == OUTAGE_TRIES) {
            bool ok = out->status >= 200 && out->status <= 299;
            return rc != 0 || ok ? rc : fail_answer(c, m->url, out, a);
        }
        if (acme_http_sleep(c->cancel, outage_pause_ms(out, attempt)) != 0) {
            return acme_fail(c, E_DRAINING, "cancelled");
        }
    }
}

// ---- the directory --------------------------------------------------------------------------------

static int get_directory(struct acme_client *c)
{
    struct acme_answer answer;
    int rc = plain_call(c, ACME_GET, c->issuer->directory, c->arena, &answer);
    if (rc != 0) {
        return rc;
    }
    if (answer.status != 200) {
        return fail_answer(c, c->issuer->directory, &answer, c->arena);
    }
    acme_failure_reset(&c->failure);
    return acme_parse_directory(answer.body, c->arena, &c->directory, &c->failure.why);
}

int acme_client_open(struct acme_client *c, const struct acme_issuer *issuer,
                     const atomic_bool *cancel, struct arena *a)
{
    *c = (struct acme_client){.issuer = issuer, .cancel = cancel, .arena = a};
    acme_failure_reset(&c->failure);
    int rc = acme_http_open(issuer->ca, cancel, &c->http, &c->failure.why);
    return rc != 0 ? rc : get_directory(c);
}

void acme_client_close(struct acme_client *c)
{
    acme_http_close(c->http);
    c->http = NULL;
}
