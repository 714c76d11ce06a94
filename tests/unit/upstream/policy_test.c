// SPDX-License-Identifier: Apache-2.0
//
// `retry` and `hedge` as the exchange gets them.

#include "upstream/policy.h"

#include "proxy/fake_conf.h"

static struct fake_conf conf;
static struct upstream u;

static void compile(const char *inner)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "upstreams: {app: {servers: [1, 2], %s}}\nsites: {a.b: {proxy: app}}\n", inner);
    struct conf_doc *doc = fake_doc(&conf, text);
    struct arena arena;
    arena_init(&arena, NULL, 0, NULL, 1 << 16);
    static uint64_t statuses[UPSTREAM_STATUSES_END / 64];
    u = (struct upstream){.ops = NULL};
    struct conf_node n = conf_get(conf_get(conf_root(doc), "upstreams"), "app");
    REQUIRE(policy_compile(n, &arena, &u) == 0);
    if (u.retry_statuses != NULL) {
        memcpy(statuses, u.retry_statuses, sizeof(statuses));
        u.retry_statuses = statuses;
    }
    arena_fini(&arena);
    fake_conf_free(&conf);
}

static bool repeats(unsigned status)
{
    return u.retry_statuses != NULL && (u.retry_statuses[status / 64] >> status % 64 & 1) != 0;
}

static void defaults(void)
{
    compile("connections: 5");
    CHECK_EQ_INT(u.attempts, 3);
    CHECK_EQ_INT(u.backoff_ms, 50);
    CHECK_EQ_INT(u.replay_bytes, 65536);
    CHECK_EQ_INT(u.try_ms, 0);
    CHECK_EQ_INT(u.hedge_ms, 0);
    CHECK_EQ_INT(u.retry_on,
                 UPSTREAM_RETRY_CONNECT | UPSTREAM_RETRY_TIMEOUT | UPSTREAM_RETRY_RESET);
    CHECK(u.retry_statuses == NULL);
}

static void what_is_written(void)
{
    compile("retry: {attempts: 1, on: [connect, 503, 429], timeout: 2s}, hedge: 200ms");
    CHECK_EQ_INT(u.attempts, 1);
    CHECK_EQ_INT(u.try_ms, 2000);
    CHECK_EQ_INT(u.hedge_ms, 200);
    CHECK_EQ_INT(u.retry_on, UPSTREAM_RETRY_CONNECT);
    CHECK(repeats(503) && repeats(429));
    CHECK(!repeats(500) && !repeats(504) && !repeats(200));
    compile("retry: {on: [5xx]}");
    CHECK_EQ_INT(u.retry_on, 0);
    CHECK(repeats(500) && repeats(599) && !repeats(499));
    compile("retry: off, hedge: off");
    CHECK_EQ_INT(u.attempts, 0);
    CHECK_EQ_INT(u.hedge_ms, 0);
}

TAP_MAIN(defaults, what_is_written)
