// SPDX-License-Identifier: Apache-2.0
//
// See order.h. Proofs of all names are shown first, then the CA is told of all, then the outcomes are
// awaited: with a DNS hook each showing may take a minute, and the CA looks at all of them meanwhile.
// Whatever happens, what was shown is withdrawn, and authorisations that are left open are given up,
// since a CA counts those.

#include "acme/order.h"

#include "base/error.h"
#include "base/num.h"
#include "obs/log.h"
#include "os/clock.h"
#include "tls/issue.h"
#include "tls/jws.h"

#include "acme/account.h"
#include "acme/proof.h"

enum {
    POLL_FIRST_MS = 250,
    POLL_MAX_MS = 8000,
    POLL_ASKED_MAX_MS = 60000,  // what we follow of Retry-After while polling
    PROOF_TIME_MS = 180 * 1000, // of all names together
    ISSUE_TIME_MS = 300 * 1000, // some CAs take minutes to sign
    POLL_ARENA_MAX = 2 << 20,
    PAYLOAD_MAX = 48 << 10, // 100 names of 253 bytes
};

// One authorisation of the order.
struct part {
    struct slice url;
    struct slice name;
    struct acme_proof proof;
    bool open;  // the CA waits for it
    bool shown; // to be withdrawn
};

struct order {
    struct acme_run *run;
    struct acme_client *client;
    struct arena *arena;
    struct slice url;
    struct acme_order state;
    struct part parts[ACME_NAMES_MAX];
    uint32_t count;
};

// ---- asking again until something has changed -----------------------------------------------------

struct poll {
    uint64_t deadline_ms;
    uint64_t pause_ms;
};

static struct poll poll_begin(uint64_t time_ms)
{
    return (struct poll){.deadline_ms = os_clock_ms() + time_ms, .pause_ms = POLL_FIRST_MS};
}

// Waits before the next question; an error when the time is over.
static int poll_wait(struct acme_client *c, struct poll *p, uint64_t asked_ms, const char *what,
                     struct slice name)
{
    uint64_t asked = num_min_u64(asked_ms, POLL_ASKED_MAX_MS);
    uint64_t pause = asked > p->pause_ms ? asked : p->pause_ms;
    if (os_clock_ms() + pause > p->deadline_ms) {
        return acme_fail(c, E_RESPONSE_TIMEOUT, "the CA took too long to %s %.*s", what,
                         SLICE_ARG(name));
    }
    p->pause_ms = num_min_u64(p->pause_ms * 2, POLL_MAX_MS);
    return acme_http_sleep(c->cancel, pause) == 0 ? 0 : acme_fail(c, E_DRAINING, "cancelled");
}

// ---- the order ------------------------------------------------------------------------------------

static bool has_profile(const struct acme_directory *d, struct slice profile)
{
    for (uint32_t i = 0; i < d->profile_count; i++) {
        if (slice_eq(d->profiles[i], profile)) {
            return true;
        }
    }
    return false;
}

static int check_profile(struct acme_client *c)
{
    const struct acme_directory *d = &c->directory;
    if (c->issuer->profile.len == 0 || has_profile(d, c->issuer->profile)) {
        return 0;
    }
    int rc = acme_fail(c, E_DENIED, "%.*s has no profile \"%.*s\"%s", SLICE_ARG(c->issuer->name),
                       SLICE_ARG(c->issuer->profile), d->profile_count > 0 ? ", only:" : "");
    for (uint32_t i = 0; i < d->profile_count; i++) {
        text_printf(&c->failure.why, " %.*s", SLICE_ARG(d->profiles[i]));
    }
    c->failure.permanent = true;
    return rc;
}

static void put_names(const struct acme_request *r, struct text *out)
{
    for (uint32_t i = 0; i < r->name_count; i++) {
        text_printf(out, "%s{\"type\":\"%s\",\"value\":\"", i > 0 ? "," : "",
                    issue_is_ip(r->names[i]) ? "ip" : "dns");
        text_json(out, r->names[i]);
        text_str(out, "\"}");
    }
}

static int make_order(struct order *o, struct slice *out)
{
    const struct acme_request *r = o->run->request;
    char *buffer = arena_bytes(o->arena, PAYLOAD_MAX);
    if (buffer == NULL) {
        return acme_fail(o->client, E_NO_MEMORY, "out of memory");
    }
    struct text t = text_on(buffer, PAYLOAD_MAX);
    text_str(&t, "{\"identifiers\":[");
    put_names(r, &t);
    text_str(&t, "]");
    if (o->client->issuer->profile.len > 0) {
        text_str(&t, ",\"profile\":\"");
        text_json(&t, o->client->issuer->profile);
        text_str(&t, "\"");
    }
    struct slice id;
    bool renews = r->replaces.len > 0 && o->client->directory.renewal_info.len > 0;
    if (renews && !o->run->without_replaces && issue_renewal_id(r->replaces, o->arena, &id) == 0) {
        text_printf(&t, ",\"replaces\":\"%.*s\"", SLICE_ARG(id));
    } else {
        o->run->without_replaces = true;
    }
    text_str(&t, "}");
    *out = text_slice(&t);
    return t.overflow ? acme_fail(o->client, E_TOO_LARGE, "too many names for one order") : 0;
}

static int take_order(struct order *o, const struct acme_answer *answer, struct arena *a)
{
    acme_failure_reset(&o->client->failure);
    return acme_parse_order(answer->body, a, &o->state, &o->client->failure.why);
}

static int new_order(struct order *o)
{
    struct slice payload;
    int rc = make_order(o, &payload);
    if (rc != 0) {
        return rc;
    }
    struct acme_message m = {.url = o->client->directory.new_order, .payload = payload};
    struct acme_answer answer;
    rc = acme_client_post(o->client, &m, o->arena, &answer);
    if (rc != 0) {
        return rc;
    }
    if (answer.location.len == 0) {
        return acme_fail(o->client, E_PROTOCOL, "the CA gives no URL of the order (RFC 8555 7.4)");
    }
    o->url = answer.location;
    return take_order(o, &answer, o->arena);
}

// True when the same order, made a little differently, may be taken.
static bool order_again(struct order *o)
{
    const struct acme_failure *f = &o->client->failure;
    if (!f->by_ca || f->kind == ACME_PROBLEM_RATE_LIMITED) {
        return false;
    }
    if (f->kind == ACME_PROBLEM_ACCOUNT_UNKNOWN) {
        return true;
    }
    // Renewal is told of as a courtesy; a CA that chokes on it (another CA's certificate, one that it
    // has forgotten) is not told.
    return !o->run->without_replaces;
}

static int begin_order(struct order *o)
{
    int rc = new_order(o);
    for (int attempt = 0; rc == E_DENIED && attempt < 2 && order_again(o); attempt++) {
        if (o->client->failure.kind == ACME_PROBLEM_ACCOUNT_UNKNOWN) {
            rc = acme_account_open(o->client, o->run->host, true);
            if (rc != 0) {
                return rc;
            }
        } else {
            o->run->without_replaces = true;
        }
        rc = new_order(o);
    }
    return rc;
}

// ---- authorisations -------------------------------------------------------------------------------

static int get_authz(struct order *o, struct slice url, struct arena *a, struct acme_authz *out,
                     uint64_t *retry_after_ms)
{
    struct acme_message m = {.url = url};
    struct acme_answer answer;
    int rc = acme_client_post(o->client, &m, a, &answer);
    if (rc != 0) {
        return rc;
    }
    *retry_after_ms = answer.retry_after_ms;
    acme_failure_reset(&o->client->failure);
    return acme_parse_authz(answer.body, a, out, &o->client->failure.why);
}

static bool was_asked_for(const struct acme_request *r, const struct acme_authz *authz)
{
    for (uint32_t i = 0; i < r->name_count; i++) {
        struct slice name = r->names[i];
        bool wildcard = slice_starts(name, SLICE("*."));
        name = wildcard ? slice_from(name, 2) : name;
        if (wildcard == authz->wildcard && slice_eq_nocase(name, authz->name)) {
            return true;
        }
    }
    // An address has more than one text form, so it is not compared.
    return authz->is_ip;
}

static int authz_failed(struct order *o, const struct acme_authz *authz)
{
    for (uint32_t i = 0; i < authz->offer_count; i++) {
        if (authz->offers[i].failed) {
            if (acme_problem_of_challenge(authz->offers[i].problem.kind)) {
                o->run->failed_kinds |= authz->offers[i].kind;
            }
            return acme_fail_problem(o->client, &authz->offers[i].problem, authz->name);
        }
    }
    return acme_fail(o->client, E_DENIED, "the CA gave up on %.*s and does not say why",
                     SLICE_ARG(authz->name));
}

// Looks at an authorisation and, unless it is there already, chooses and shows a proof.
static int begin_part(struct order *o, struct part *p)
{
    struct acme_authz authz;
    uint64_t retry_after_ms = 0;
    int rc = get_authz(o, p->url, o->arena, &authz, &retry_after_ms);
    if (rc != 0) {
        return rc;
    }
    p->name = authz.name;
    if (!was_asked_for(o->run->request, &authz)) {
        return acme_fail(o->client, E_PROTOCOL,
                         "the CA wants proof for %.*s, which was not ordered",
                         SLICE_ARG(authz.name));
    }
    if (authz.status == ACME_STATUS_VALID) {
        return 0; // proven in an earlier order
    }
    if (authz.status == ACME_STATUS_INVALID) {
        return authz_failed(o, &authz);
    }
    if (authz.status != ACME_STATUS_PENDING) {
        return acme_fail(o->client, E_DENIED, "the CA's authorisation for %.*s is no longer open",
                         SLICE_ARG(authz.name));
    }
    p->open = true;
    unsigned allowed = o->run->request->challenges & ~o->run->failed_kinds;
    rc = acme_proof_choose(o->client, o->run->request, &authz, allowed, &p->proof);
    if (rc == 0) {
        rc = acme_proof_make(o->client, &authz, o->arena, &p->proof);
    }
    if (rc == 0) {
        p->shown = true;
        o->run->used_kinds |= p->proof.challenge.kind;
        rc = acme_proof_show(o->client, o->run->host, &p->proof);
    }
    return rc;
}

static int tell_ca(struct order *o, struct part *p)
{
    struct arena a;
    arena_init(&a, NULL, 0, NULL, POLL_ARENA_MAX);
    struct acme_message m = {.url = p->proof.url, .payload = SLICE("{}")};
    struct acme_answer answer;
    int rc = acme_client_post(o->client, &m, &a, &answer);
    arena_fini(&a);
    return rc;
}

static int await_part(struct order *o, struct part *p, struct poll *poll)
{
    for (;;) {
        struct arena a;
        struct acme_authz authz;
        uint64_t retry_after_ms = 0;
        arena_init(&a, NULL, 0, NULL, POLL_ARENA_MAX);
        int rc = get_authz(o, p->url, &a, &authz, &retry_after_ms);
        bool pending = rc == 0 && authz.status == ACME_STATUS_PENDING;
        if (rc == 0 && !pending) {
            p->open = false;
            rc = authz.status == ACME_STATUS_VALID ? 0 : authz_failed(o, &authz);
        }
        arena_fini(&a);
        if (!pending) {
            return rc;
        }
        rc = poll_wait(o->client, poll, retry_after_ms, "look at", p->name);
        if (rc != 0) {
            return rc;
        }
    }
}

// What was shown is taken back; what the CA still waits for is given up (RFC 8555 7.5.2), without
// losing the reason why.
static void end_parts(struct order *o)
{
    struct acme_failure kept = o->client->failure;
    for (uint32_t i = 0; i < o->count; i++) {
        struct part *p = &o->parts[i];
        if (p->shown) {
            o->run->host->withdraw(o->run->host, &p->proof.challenge);
        }
        if (p->open && !acme_http_cancelled(o->client->cancel)) {
            struct arena a;
            struct acme_answer answer;
            struct acme_message m = {.url = p->url,
                                     .payload = SLICE("{\"status\":\"deactivated\"}")};
            arena_init(&a, NULL, 0, NULL, POLL_ARENA_MAX);
            (void)!acme_client_post(o->client, &m, &a, &answer);
            arena_fini(&a);
        }
    }
    size_t len = kept.why.len;
    o->client->failure = kept;
    o->client->failure.why = text_on(o->client->failure.buffer, sizeof(kept.buffer));
    o->client->failure.why.len = len;
}

static int authorize(struct order *o)
{
    int rc = 0;
    o->count = o->state.authorization_count;
    for (uint32_t i = 0; rc == 0 && i < o->count; i++) {
        o->parts[i].url = o->state.authorizations[i];
        rc = begin_part(o, &o->parts[i]);
    }
    for (uint32_t i = 0; rc == 0 && i < o->count; i++) {
        if (o->parts[i].open) {
            rc = tell_ca(o, &o->parts[i]);
        }
    }
    struct poll poll = poll_begin(PROOF_TIME_MS);
    for (uint32_t i = 0; rc == 0 && i < o->count; i++) {
        if (o->parts[i].open) {
            poll.pause_ms = POLL_FIRST_MS;
            rc = await_part(o, &o->parts[i], &poll);
        }
    }
    end_parts(o);
    return rc;
}

// ---- the certificate ------------------------------------------------------------------------------

static int order_failed(struct order *o)
{
    if (o->state.failed) {
        return acme_fail_problem(o->client, &o->state.problem, o->run->request->names[0]);
    }
    return acme_fail(o->client, E_DENIED, "the CA gave up on the order and does not say why");
}

// Asks until the order is in `wanted` or beyond.
static int await_order(struct order *o, enum acme_status wanted, uint64_t retry_after_ms)
{
    struct poll poll = poll_begin(ISSUE_TIME_MS);
    for (;;) {
        enum acme_status status = o->state.status;
        if (status == wanted || status == ACME_STATUS_VALID) {
            return 0;
        }
        if (status == ACME_STATUS_INVALID) {
            return order_failed(o);
        }
        int rc =
            poll_wait(o->client, &poll, retry_after_ms, "issue for", o->run->request->names[0]);
        if (rc != 0) {
            return rc;
        }
        struct acme_message m = {.url = o->url};
        struct acme_answer answer;
        rc = acme_client_post(o->client, &m, o->arena, &answer);
        if (rc == 0) {
            rc = take_order(o, &answer, o->arena);
            retry_after_ms = answer.retry_after_ms;
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static int finalize(struct order *o, struct slice key_pem)
{
    const struct acme_request *r = o->run->request;
    struct slice csr;
    int rc = issue_request(key_pem, r->names, r->name_count, o->arena, &csr);
    if (rc != 0) {
        (void)acme_fail(o->client, rc, "no signing request could be made: %s", error_text(rc));
        o->client->failure.permanent = rc == E_INVALID;
        return rc;
    }
    size_t room = csr.len * 2 + 32;
    char *buffer = arena_bytes(o->arena, room);
    if (buffer == NULL) {
        return acme_fail(o->client, E_NO_MEMORY, "out of memory");
    }
    struct text payload = text_on(buffer, room);
    text_str(&payload, "{\"csr\":\"");
    jws_base64url(&payload, csr);
    text_str(&payload, "\"}");
    ensure(!payload.overflow);
    struct acme_message m = {.url = o->state.finalize, .payload = text_slice(&payload)};
    struct acme_answer answer;
    rc = acme_client_post(o->client, &m, o->arena, &answer);
    if (rc == 0) {
        rc = take_order(o, &answer, o->arena);
    }
    return rc == 0 ? await_order(o, ACME_STATUS_VALID, answer.retry_after_ms) : rc;
}

static int download(struct order *o, struct slice key_pem, struct arena *a, struct slice *chain)
{
    struct acme_message m = {.url = o->state.certificate,
                             .accept = "application/pem-certificate-chain"};
    struct acme_answer answer;
    int rc = acme_client_post(o->client, &m, o->arena, &answer);
    if (rc != 0) {
        return rc;
    }
    struct issue_expected expected = {
        .key_pem = key_pem,
        .names = o->run->request->names,
        .count = o->run->request->name_count,
        .now = os_clock_wall_ms() / 1000,
    };
    acme_failure_reset(&o->client->failure);
    return issue_accept(answer.body, &expected, a, chain, &o->client->failure.why);
}

static int get_certificate(struct order *o, struct arena *a, struct slice *chain, struct slice *key)
{
    enum issue_key kind =
        o->run->request->key == ACME_KEY_RSA ? ISSUE_KEY_RSA_2048 : ISSUE_KEY_P256;
    int rc = issue_key_new(kind, a, key);
    if (rc != 0) {
        return acme_fail(o->client, rc, "no key could be made: %s", error_text(rc));
    }
    rc = finalize(o, *key);
    return rc == 0 ? download(o, *key, a, chain) : rc;
}

int acme_order_run(struct acme_run *run, struct arena *a, struct slice *chain, struct slice *key)
{
    struct order *o = arena_zalloc(run->client.arena, sizeof(*o));
    if (o == NULL) {
        return acme_fail(&run->client, E_NO_MEMORY, "out of memory");
    }
    *o = (struct order){.run = run, .client = &run->client, .arena = run->client.arena};
    run->used_kinds = 0;
    run->client.subject = run->request->names[0];
    run->client.subject.len *= run->request->name_count == 1;
    int rc = check_profile(o->client);
    if (rc == 0) {
        rc = begin_order(o);
    }
    if (rc == 0 && o->state.status == ACME_STATUS_PENDING) {
        rc = authorize(o);
    }
    if (rc == 0) {
        rc = await_order(o, ACME_STATUS_READY, 0);
    }
    return rc == 0 ? get_certificate(o, a, chain, key) : rc;
}
