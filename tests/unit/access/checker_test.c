// SPDX-License-Identifier: Apache-2.0
//
// The checker on a loop that has nothing but its timers: what is right, wrong and remembered, in which
// order, and what happens when too many ask or somebody goes.

#include "access/checker.h"
#include "base/error.h"
#include "tap.h"

static struct loop loop;
static struct password stored;
static struct password other;

struct login {
    struct checker_job job;
    int calls;
    bool right;
};

static void on_done(struct checker_job *job, bool right)
{
    struct login *l = container_of(job, struct login, job);
    l->calls++;
    l->right = right;
}

static void store(const char *password, struct password *out)
{
    struct digest_chain c;
    *out = (struct password){.iterations = 2 * CHECKER_ITERATIONS_PER_STEP + 1, .salt_len = 8};
    memcpy(out->salt, "saltsalt", 8);
    REQUIRE(digest_chain_begin(&c, slice_str(password), SLICE("saltsalt"), out->iterations) == 0);
    REQUIRE(digest_chain_step(&c, slice_str(password), out->iterations) == 0);
    memcpy(out->hash, c.sum, DIGEST_BYTES);
}

static void setup(void)
{
    memset(&loop, 0, sizeof(loop));
    wheel_init(&loop.wheel, 0);
    store("secret", &stored);
    store("another", &other);
}

static void tick(int n)
{
    while (n-- > 0) {
        wheel_advance(&loop.wheel, ++loop.now_ms);
    }
}

static struct checker_claim claim(const char *user, const char *password)
{
    return (struct checker_claim){slice_str(user), slice_str(password), &stored, true};
}

static enum checker_verdict begin(struct login *l, struct checker_claim c, const char *client)
{
    *l = (struct login){.job = {.claim = c, .done = on_done}};
    REQUIRE(os_addr_parse(slice_str(client), &l->job.client) == 0);
    return checker_begin(&loop, &l->job);
}

static void knows_plain_secrets_at_once(void)
{
    struct password plain = {.iterations = 0};
    REQUIRE(digest_sha256(SLICE("secret"), plain.hash) == 0);
    struct checker_claim c = {SLICE("ann"), SLICE("secret"), &plain, true};
    CHECK_EQ_INT(checker_ask(&c), CHECKER_RIGHT);
    c.password = SLICE("Secret");
    CHECK_EQ_INT(checker_ask(&c), CHECKER_WRONG);
    c.password = SLICE("secret");
    c.exists = false;
    CHECK_EQ_INT(checker_ask(&c), CHECKER_WRONG);
}

static void finds_out_and_remembers(void)
{
    struct login l;
    setup();
    struct checker_claim c = claim("ann", "secret");
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
    CHECK_EQ_INT(begin(&l, c, "192.0.2.1:1"), CHECKER_LATER);
    tick(1);
    CHECK_EQ_INT(l.calls, 0);
    tick(1);
    CHECK_EQ_INT(l.calls, 1);
    CHECK(l.right);
    CHECK_EQ_INT(loop.wheel.count, 0);
    CHECK_EQ_INT(checker_ask(&c), CHECKER_RIGHT);
    c.exists = false; // the name is gone from the configuration
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
    c = claim("annsecret", "");
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
    c = claim("ann", "secret");
    c.stored = &other; // the password was changed
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
}

static void forgets_what_was_wrong(void)
{
    struct login l;
    setup();
    struct checker_claim c = claim("bob", "guess");
    CHECK_EQ_INT(begin(&l, c, "192.0.2.1:1"), CHECKER_LATER);
    tick(2);
    CHECK_EQ_INT(l.calls, 1);
    CHECK(!l.right);
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
    c = claim("bob", "secret"); // right, but nobody has the name
    c.exists = false;
    CHECK_EQ_INT(begin(&l, c, "192.0.2.1:1"), CHECKER_LATER);
    tick(2);
    CHECK(l.calls == 1 && !l.right);
    CHECK_EQ_INT(checker_ask(&c), CHECKER_LATER);
}

static void takes_so_many(void)
{
    static struct login l[CHECKER_JOBS_MAX];
    struct login more;
    setup();
    for (int i = 0; i < CHECKER_JOBS_MAX; i++) {
        char client[32];
        (void)snprintf(client, sizeof(client), "192.0.2.%d:80", i / CHECKER_JOBS_PER_CLIENT);
        CHECK_EQ_INT(begin(&l[i], claim("cyd", i % 2 == 0 ? "secret" : "guess"), client),
                     CHECKER_LATER);
        if (i == CHECKER_JOBS_PER_CLIENT - 1) {
            CHECK_EQ_INT(begin(&more, claim("cyd", "x"), "192.0.2.0:9"), CHECKER_FULL);
        }
    }
    CHECK_EQ_INT(begin(&more, claim("cyd", "x"), "192.0.2.200:80"), CHECKER_FULL);
    for (int i = 0; i < CHECKER_JOBS_MAX; i++) { // in the order they came
        tick(2);
        CHECK_EQ_INT(l[i].calls, 1);
        CHECK_EQ_INT(l[i].right, i % 2 == 0);
        CHECK(i + 1 == CHECKER_JOBS_MAX || l[i + 1].calls == 0);
    }
    CHECK_EQ_INT(loop.wheel.count, 0);
}

static void lets_go(void)
{
    struct login a;
    struct login b;
    setup();
    CHECK_EQ_INT(begin(&a, claim("dee", "secret"), "192.0.2.1:1"), CHECKER_LATER);
    CHECK_EQ_INT(begin(&b, claim("eve", "secret"), "192.0.2.1:2"), CHECKER_LATER);
    tick(1);
    checker_cancel(&loop, &a.job);
    tick(1);
    CHECK(a.calls == 0 && b.calls == 0);
    checker_cancel(&loop, &b.job);
    CHECK_EQ_INT(loop.wheel.count, 0);
    tick(3);
    CHECK(a.calls == 0 && b.calls == 0);
}

TAP_MAIN(knows_plain_secrets_at_once, finds_out_and_remembers, forgets_what_was_wrong,
         takes_so_many, lets_go)
