// SPDX-License-Identifier: Apache-2.0
//
// Answers to HTTP-01 challenges.

#include "proxy/challenge.h"

#include "proxy/fake_answer.h"
#include "proxy/fake_conf.h"
#include "tls/credentials.h"
#include "tls/store.h"

static void knows_its_paths(void)
{
    CHECK(challenge_is_path(SLICE("/.well-known/acme-challenge/abc")));
    CHECK(!challenge_is_path(SLICE("/.well-known/acme-challenge")));
    CHECK(!challenge_is_path(SLICE("/x/.well-known/acme-challenge/abc")));
}

static struct tls_store *store_with(const char *token, const char *key)
{
    char room[1024];
    struct fake_conf c;
    struct credential_writer w;
    struct tls_store *store = NULL;
    const struct conf_doc *doc = fake_doc(&c, "listen: [80, 443]\nsites: {a.test: {respond: x}}\n");
    const struct credential challenge = {
        .kind = CREDENTIAL_HTTP_01, .id = slice_str(token), .key = slice_str(key)};
    credentials_begin(&w, room, sizeof(room));
    REQUIRE(credentials_add(&w, &challenge) == 0);
    REQUIRE(tls_store_new(doc, credentials_end(&w), 1, c.diags, &store) == 0);
    fake_conf_free(&c);
    return store;
}

struct row {
    const char *target;
    enum http_method method;
    bool answered;
};

static const struct row rows[] = {
    {"/.well-known/acme-challenge/token-1", HTTP_METHOD_GET, true},
    {"/.well-known/acme-challenge/token-1?x", HTTP_METHOD_HEAD, true},
    {"/.well-known/acme-challenge/token-1", HTTP_METHOD_POST, false},
    {"/.well-known/acme-challenge/token-2", HTTP_METHOD_GET, false},
    {"/.well-known/acme-challenge/", HTTP_METHOD_GET, false},
    {"/token-1", HTTP_METHOD_GET, false},
};

static void answers_what_it_was_told(void)
{
    struct tls_store *store = store_with("token-1", "token-1.thumbprint");
    for (size_t i = 0; i < array_len(rows); i++) {
        struct fake *f = fake_new();
        answered = (struct fake_answered){0};
        f->core.tls = store;
        fake_target(f, rows[i].target);
        f->x.request.method = (uint8_t)rows[i].method;
        CHECK(challenge_reserved.is(&challenge_reserved, &f->x) == rows[i].answered);
        if (rows[i].answered) {
            CHECK(challenge_reserved.answer(&challenge_reserved, &f->x) == STAGE_ANSWER);
        }
        CHECK_EQ_INT(answered.status, rows[i].answered ? 200 : 0);
        if (rows[i].answered) {
            CHECK_TEXT(answered.body.ptr, answered.body.len, "token-1.thumbprint");
        }
        fake_free(f);
    }
    tls_store_unref(store);
}

static void without_a_store_nothing_is_answered(void)
{
    struct fake *f = fake_new();
    answered = (struct fake_answered){0};
    fake_target(f, "/.well-known/acme-challenge/abc");
    CHECK(!challenge_reserved.is(&challenge_reserved, &f->x));
    CHECK_EQ_INT(answered.status, 0);
    fake_free(f);
}

TAP_MAIN(knows_its_paths, answers_what_it_was_told, without_a_store_nothing_is_answered)
