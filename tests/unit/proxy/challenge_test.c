// SPDX-License-Identifier: Apache-2.0
//
// Answers to HTTP-01 challenges.

#include "proxy/challenge.h"

#include "proxy/fake_answer.h"

static void knows_its_paths(void)
{
    CHECK(challenge_is_path(SLICE("/.well-known/acme-challenge/abc")));
    CHECK(!challenge_is_path(SLICE("/.well-known/acme-challenge")));
    CHECK(!challenge_is_path(SLICE("/x/.well-known/acme-challenge/abc")));
}

static void without_a_store_nothing_is_answered(void)
{
    struct fake *f = fake_new();
    answered = (struct fake_answered){0};
    fake_target(f, "/.well-known/acme-challenge/abc");
    CHECK(!challenge_answer(&f->x));
    CHECK_EQ_INT(answered.status, 0);
    fake_free(f);
}

TAP_MAIN(knows_its_paths, without_a_store_nothing_is_answered)
