// SPDX-License-Identifier: Apache-2.0
//
// `basic_auth`: which fields are a login, which are not, what the client is told, and what goes on to
// the origin. The loop has nothing but its timers.

#include "access/access.h"
#include "access/checker.h"
#include "base/base64.h"
#include "headers/stage.h"

#define HASH "pbkdf2-sha256:2000:c2FsdHNhbHQ:sBO5BvECLR3029WJSiglemzyS0dGlE4DsnONi36FOjk"
#define BOTH "basic_auth: {users: {ann: 'plain:open sesame', bob: '" HASH "'}, realm: the cave}"

#define PLAIN "basic_auth: {users: {ann: 'plain:open sesame', cyd: 'plain:x'}, realm: the cave}"

static struct stage s;
static enum stage_result resumed;

static void begin(const char *directives)
{
    char all[1024];
    (void)snprintf(all, sizeof(all), "%s, respond: ok", directives);
    stage_begin(&s, &basic_module, all);
    wheel_init(&s.f->loop.wheel, 0);
    resumed = STAGE_WAIT;
}

static void login(const char *text)
{
    char bytes[2048];
    struct text t = text_on(bytes, sizeof(bytes) - 1);
    text_str(&t, "Basic ");
    base64_put(&t, slice_str(text), BASE64_PADDED);
    bytes[t.len] = '\0';
    fake_field(s.f, "Authorization", bytes);
}

static void tick(int n)
{
    while (n-- > 0) {
        asked_again = 0;
        wheel_advance(&s.f->loop.wheel, ++s.f->loop.now_ms);
        resumed = asked_again > 0 ? stage_request(&s) : STAGE_WAIT;
    }
}

static void check_refused(enum stage_result got)
{
    CHECK_EQ_INT(got, STAGE_ANSWER);
    CHECK_EQ_INT(answered.error, E_NO_LOGIN);
    http_head_init(&s.f->x.response, &s.f->x.arena, 32768, 100);
    s.f->x.response.status = 401;
    CHECK_EQ_INT(stage_response(&s), STAGE_CONTINUE);
    struct slice asked = fields_get_id(&s.f->x.response.fields, HTTP_WWW_AUTHENTICATE);
    CHECK_TEXT(asked.ptr, asked.len, "Basic realm=\"the cave\", charset=\"UTF-8\"");
}

static const char *const bad[] = {
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic YW5uOm9wZW4gc2VzYW1l=",    // padding too much
    "Basic YW5uOm9wZW4gc2VzYW1",      // too little
    "Basic YW5u",                     // no colon
    "Basic YW5uOm9wZW4gc2VzYW1lAA==", // a NUL behind the password
    "Basic OmE=",                     // no name
    "Bearer YW5uOm9wZW4gc2VzYW1l",
    "BasicYW5uOm9wZW4gc2VzYW1l",
    "Basic  YW5uOm9wZW4gc2VzYW1l x",
    "Digest username=\"ann\"",
};

static void refuses_what_is_no_login(void)
{
    begin(BOTH);
    check_refused(stage_request(&s));
    stage_end(&s);
    for (size_t i = 0; i < array_len(bad); i++) {
        begin(BOTH);
        fake_field(s.f, "Authorization", bad[i]);
        check_refused(stage_request(&s));
        CHECK(fields_has(&s.f->x.request.fields, HTTP_AUTHORIZATION));
        stage_end(&s);
    }
}

static const struct {
    const char *login;
    bool right;
} plain[] = {
    {"ann:open sesame", true},  {"ann:open sesame ", false}, {"ann:", false},
    {"Ann:open sesame", false}, {"ann:open:sesame", false},
};

static void knows_plain_secrets(void)
{
    for (size_t i = 0; i < array_len(plain); i++) {
        begin(PLAIN);
        login(plain[i].login);
        enum stage_result got = stage_request(&s);
        if (plain[i].right) {
            CHECK_EQ_INT(got, STAGE_CONTINUE);
            CHECK(!fields_has(&s.f->x.request.fields, HTTP_AUTHORIZATION));
        } else {
            check_refused(got);
        }
        stage_end(&s);
    }
}

static void computes_hashes_while_the_exchange_waits(void)
{
    begin(BOTH);
    login("bob:secret");
    CHECK_EQ_INT(stage_request(&s), STAGE_WAIT);
    tick(1);
    CHECK_EQ_INT(resumed, STAGE_WAIT);
    tick(1);
    CHECK_EQ_INT(resumed, STAGE_CONTINUE);
    CHECK(!fields_has(&s.f->x.request.fields, HTTP_AUTHORIZATION));
    CHECK_EQ_INT(s.f->loop.wheel.count, 0);
    stage_end(&s);

    begin(BOTH); // it is known now
    login("bob:secret");
    CHECK_EQ_INT(stage_request(&s), STAGE_CONTINUE);
    stage_end(&s);

    const char *const wrong[] = {"bob:Secret", "eve:secret", "ann:secret"};
    for (size_t i = 0; i < array_len(wrong); i++) {
        begin(BOTH);
        login(wrong[i]);
        CHECK_EQ_INT(stage_request(&s), STAGE_WAIT); // for a name that nobody has as well
        tick(2);
        check_refused(resumed);
        stage_end(&s);
    }
}

static void stops_when_the_client_has_gone(void)
{
    begin(BOTH);
    login("bob:other");
    CHECK_EQ_INT(stage_request(&s), STAGE_WAIT);
    s.f->x.give_up(&s.f->x);
    CHECK_EQ_INT(s.f->loop.wheel.count, 0);
    stage_end(&s);
}

static void asks_on_every_level(void)
{
    struct fake_conf c;
    const char *yaml =
        "sites:\n  default:\n    basic_auth: {users: {ann: 'plain:a', bob: 'plain:b'}}\n"
        "    routes:\n      - {path: /a, basic_auth: off, respond: ok}\n"
        "      - {path: /b, basic_auth: {users: {ann: 'plain:a'}}, respond: ok}\n"
        "      - {respond: ok}\n";
    REQUIRE(fake_compile(&c, yaml) == 0);
    const struct route *routes = c.snapshot->fallback->routes;
    unsigned slot = module_index(&basic_module);
    CHECK(routes[0].conf[slot] == NULL);
    static const struct {
        int route;
        const char *login;
        bool right;
    } rows[] = {{1, "ann:a", true}, {1, "bob:b", false}, {2, "bob:b", true}};
    for (size_t i = 0; i < array_len(rows); i++) {
        begin(BOTH);
        s.own = routes[rows[i].route].conf[slot];
        login(rows[i].login);
        CHECK_EQ_INT(stage_request(&s), rows[i].right ? STAGE_CONTINUE : STAGE_ANSWER);
        stage_end(&s);
    }
    fake_conf_free(&c);
}

static void says_what_is_wrong(void)
{
    CHECK(stage_refuses("basic_auth: {users: {}}, respond: ok", "no users"));
    CHECK(stage_refuses("basic_auth: {realm: x}, respond: ok", "users"));
    CHECK(stage_refuses("basic_auth: {users: {'a:b': 'plain:x'}}, respond: ok", "colon"));
    CHECK(stage_refuses("basic_auth: {users: {a: x}}, respond: ok", "begins with"));
    CHECK(stage_refuses("basic_auth: {users: {a: '$2y$10$abc'}}, respond: ok", "htpasswd"));
    CHECK(
        stage_refuses("basic_auth: {users: {a: 'plain:x'}, realm: 'a\"b'}, respond: ok", "quotes"));
}

TAP_MAIN(refuses_what_is_no_login, knows_plain_secrets, computes_hashes_while_the_exchange_waits,
         stops_when_the_client_has_gone, asks_on_every_level, says_what_is_wrong)
