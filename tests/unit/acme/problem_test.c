// SPDX-License-Identifier: Apache-2.0
//
// What CAs complain about, in words.

#include "acme/problem.h"

#include "base/ensure.h"
#include "tap.h"

#define URN "urn:ietf:params:acme:error:"

static char buffer[2048];

static struct slice words(const struct acme_problem *p, const char *name)
{
    struct text t = text_on(buffer, sizeof(buffer));
    acme_problem_words(p, slice_str(name), &t);
    return text_slice(&t);
}

static void types_have_kinds(void)
{
    CHECK_EQ_INT(acme_problem_kind_of(SLICE(URN "rateLimited")), ACME_PROBLEM_RATE_LIMITED);
    CHECK_EQ_INT(acme_problem_kind_of(SLICE(URN "unsupportedIdentifier")), ACME_PROBLEM_IDENTIFIER);
    CHECK_EQ_INT(acme_problem_kind_of(SLICE("rateLimited")), ACME_PROBLEM_OTHER);
    CHECK_EQ_INT(acme_problem_kind_of(SLICE(URN)), ACME_PROBLEM_OTHER);
    CHECK_EQ_INT(acme_problem_kind_of(SLICE("about:blank")), ACME_PROBLEM_OTHER);
    CHECK_EQ_INT(acme_problem_kind_of((struct slice){NULL, 0}), ACME_PROBLEM_OTHER);
}

static void words_name_the_name(void)
{
    struct acme_problem p = {.kind = ACME_PROBLEM_CAA, .detail = SLICE("CAA record for x")};
    struct slice got = words(&p, "a.example");
    CHECK_TEXT(got.ptr, got.len,
               "a CAA record of a.example forbids this CA to issue for it (the CA says: CAA record "
               "for x)");
    CHECK(acme_problem_permanent(&p));
    p = (struct acme_problem){.kind = ACME_PROBLEM_UNAUTHORIZED};
    got = words(&p, "");
    CHECK_TEXT(got.ptr, got.len, "the CA does not accept our account or our request");
    CHECK(!acme_problem_permanent(&p));
}

static void subproblems_say_more(void)
{
    struct acme_problem p = {
        .kind = ACME_PROBLEM_COMPOUND,
        .detail = SLICE("some names"),
        .subs = {{ACME_PROBLEM_IDENTIFIER, SLICE("bad.example"), SLICE("blocked")},
                 {ACME_PROBLEM_DNS, SLICE("two.example"), SLICE("NXDOMAIN")}},
        .sub_count = 2,
    };
    struct slice got = words(&p, "a.example");
    CHECK_TEXT(got.ptr, got.len,
               "the CA does not issue for bad.example (the CA says: blocked); and two.example: "
               "NXDOMAIN");
    CHECK(acme_problem_permanent(&p));
}

static void unknown_types_are_quoted(void)
{
    struct acme_problem p = {.type = SLICE("about:strange"), .detail = SLICE("no")};
    struct slice got = words(&p, "");
    CHECK_TEXT(got.ptr, got.len, "the CA refused with \"about:strange\" (the CA says: no)");
}

static void some_are_about_the_challenge(void)
{
    CHECK(acme_problem_of_challenge(ACME_PROBLEM_CONNECTION));
    CHECK(acme_problem_of_challenge(ACME_PROBLEM_UNAUTHORIZED));
    CHECK(acme_problem_of_challenge(ACME_PROBLEM_INCORRECT_RESPONSE));
    CHECK(acme_problem_of_challenge(ACME_PROBLEM_TLS));
    struct acme_problem p = {.kind = ACME_PROBLEM_INCORRECT_RESPONSE};
    CHECK(!acme_problem_permanent(&p));
    CHECK(!acme_problem_of_challenge(ACME_PROBLEM_RATE_LIMITED));
    CHECK(!acme_problem_of_challenge(ACME_PROBLEM_CAA));
}

TAP_MAIN(types_have_kinds, words_name_the_name, subproblems_say_more, unknown_types_are_quoted,
         some_are_about_the_challenge)
