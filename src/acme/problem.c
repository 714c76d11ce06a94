// SPDX-License-Identifier: Apache-2.0
//
// See problem.h.

#include "acme/problem.h"

#include "base/ensure.h"

#define URN "urn:ietf:params:acme:error:"

// "%" stands for the name. Where there is none the complaint is not about a proof, and what it says
// about proofs would mislead: then it is `plain`.
static const struct {
    const char *type;
    const char *words;
    const char *plain; // NULL: as `words`
    bool permanent;
    bool of_challenge;
} kinds[ACME_PROBLEM_COUNT] = {
    [ACME_PROBLEM_OTHER] = {.words = "the CA refused"},
    [ACME_PROBLEM_ACCOUNT_UNKNOWN] = {.type = "accountDoesNotExist",
                                      .words = "the CA does not know our account"},
    [ACME_PROBLEM_ALREADY_REPLACED] = {.type = "alreadyReplaced",
                                       .words = "the certificate has been replaced before"},
    [ACME_PROBLEM_BAD_CSR] = {.type = "badCSR",
                              .words = "the CA does not accept the signing request for %",
                              .permanent = true},
    [ACME_PROBLEM_BAD_NONCE] = {.type = "badNonce",
                                .words = "the CA kept on refusing fresh nonces"},
    [ACME_PROBLEM_CAA] = {.type = "caa",
                          .words = "a CAA record of % forbids this CA to issue for it",
                          .permanent = true},
    [ACME_PROBLEM_COMPOUND] = {.type = "compound", .words = "the CA refused several names"},
    [ACME_PROBLEM_CONNECTION] = {.type = "connection",
                                 .words = "the CA could not connect to %: does its DNS point here, "
                                          "and are ports 80 and 443 open to the internet?",
                                 .plain = "the CA could not connect",
                                 .of_challenge = true},
    [ACME_PROBLEM_CONTACT] = {.type = "invalidContact",
                              .words = "the CA does not accept the e-mail address",
                              .permanent = true},
    [ACME_PROBLEM_DNS] = {.type = "dns",
                          .words = "the CA could not look up % in the DNS: does the name exist?",
                          .plain = "the CA could not look up a name in the DNS"},
    [ACME_PROBLEM_EXTERNAL_ACCOUNT] =
        {.type = "externalAccountRequired",
         .words = "the CA wants an account made with it before (`eab` of the issuer)",
         .permanent = true},
    [ACME_PROBLEM_IDENTIFIER] = {.type = "rejectedIdentifier",
                                 .words = "the CA does not issue for %",
                                 .permanent = true},
    [ACME_PROBLEM_INCORRECT_RESPONSE] =
        {.type = "incorrectResponse",
         .words = "the CA asked % and got a wrong answer: does its DNS point to this server?",
         .of_challenge = true},
    [ACME_PROBLEM_INVALID_PROFILE] = {.type = "invalidProfile",
                                      .words = "the CA does not have that profile",
                                      .permanent = true},
    [ACME_PROBLEM_MALFORMED] = {.type = "malformed",
                                .words = "the CA did not understand the request"},
    [ACME_PROBLEM_ORDER_NOT_READY] = {.type = "orderNotReady",
                                      .words = "the CA was not ready to issue for %"},
    [ACME_PROBLEM_RATE_LIMITED] = {.type = "rateLimited",
                                   .words = "the CA's rate limit is reached"},
    [ACME_PROBLEM_SERVER] = {.type = "serverInternal", .words = "the CA has trouble of its own"},
    [ACME_PROBLEM_TLS] =
        {.type = "tls",
         .words = "the CA could not speak TLS with %: does something else answer on port 443?",
         .of_challenge = true},
    [ACME_PROBLEM_UNAUTHORIZED] =
        {.type = "unauthorized",
         .words = "the CA asked % and was not convinced: does its DNS point to this server?",
         .plain = "the CA does not accept our account or our request",
         .of_challenge = true},
    [ACME_PROBLEM_USER_ACTION] = {.type = "userActionRequired",
                                  .words = "the CA wants something done by hand before it goes on"},
};

// Other words for the same.
static const struct {
    const char *type;
    enum acme_problem_kind kind;
} synonyms[] = {
    {"unsupportedContact", ACME_PROBLEM_CONTACT},
    {"unsupportedIdentifier", ACME_PROBLEM_IDENTIFIER},
};

enum acme_problem_kind acme_problem_kind_of(struct slice type)
{
    if (!slice_starts(type, SLICE(URN))) {
        return ACME_PROBLEM_OTHER;
    }
    struct slice word = slice_from(type, sizeof(URN) - 1);
    for (unsigned i = 0; i < ACME_PROBLEM_COUNT; i++) {
        if (kinds[i].type != NULL && slice_eq(word, slice_str(kinds[i].type))) {
            return (enum acme_problem_kind)i;
        }
    }
    for (size_t i = 0; i < array_len(synonyms); i++) {
        if (slice_eq(word, slice_str(synonyms[i].type))) {
            return synonyms[i].kind;
        }
    }
    return ACME_PROBLEM_OTHER;
}

static void put_words(enum acme_problem_kind kind, struct slice name, struct text *out)
{
    const char *plain = name.len == 0 ? kinds[kind].plain : NULL;
    for (const char *c = plain != NULL ? plain : kinds[kind].words; *c != '\0'; c++) {
        if (*c == '%') {
            text_put(out, name.len > 0 ? name : SLICE("the name"));
        } else {
            text_char(out, *c);
        }
    }
}

void acme_problem_words(const struct acme_problem *p, struct slice name, struct text *out)
{
    // The first name that is named says more than a summary of all.
    const struct acme_subproblem *sub = p->sub_count > 0 ? &p->subs[0] : NULL;
    bool by_sub = sub != NULL && sub->name.len > 0;
    enum acme_problem_kind kind = by_sub ? sub->kind : p->kind;
    struct slice detail = by_sub && sub->detail.len > 0 ? sub->detail : p->detail;
    put_words(kind, by_sub ? sub->name : name, out);
    if (kind == ACME_PROBLEM_OTHER && p->type.len > 0 && !by_sub) {
        text_printf(out, " with \"%.*s\"", SLICE_ARG(slice_sub(p->type, 0, 100)));
    }
    if (detail.len > 0) {
        text_printf(out, " (the CA says: %.*s)", SLICE_ARG(slice_sub(detail, 0, 500)));
    }
    for (uint32_t i = 1; i < p->sub_count; i++) {
        text_printf(out, "; and %.*s: %.*s", SLICE_ARG(p->subs[i].name),
                    SLICE_ARG(slice_sub(p->subs[i].detail, 0, 200)));
    }
}

bool acme_problem_permanent(const struct acme_problem *p)
{
    bool permanent = kinds[p->kind].permanent;
    for (uint32_t i = 0; i < p->sub_count; i++) {
        permanent = permanent || kinds[p->subs[i].kind].permanent;
    }
    return permanent;
}

bool acme_problem_of_challenge(enum acme_problem_kind kind)
{
    return kinds[kind].of_challenge;
}
