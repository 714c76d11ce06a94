// SPDX-License-Identifier: Apache-2.0
//
// Heads in one run of bytes: every member comes back, within the limits of where it goes.

#include "base/error.h"
#include "bridge/bridge_int.h"
#include "tap.h"

static struct chunk_pool pool;
static struct arena arena;

static void begin(void)
{
    chunk_pool_init(&pool, 64, 8);
    arena_init(&arena, NULL, 0, &pool, 512 * 1024);
}

static void end(void)
{
    arena_fini(&arena);
    chunk_pool_fini(&pool);
}

static void *pack(const struct http_head *h)
{
    void *p = malloc(bridge_head_size(h));
    REQUIRE(p != NULL);
    bridge_head_write(h, p);
    return p;
}

static void every_member_comes_back(void)
{
    begin();
    struct http_head h;
    http_head_init(&h, &arena, 10000, 50);
    h.method = HTTP_METHOD_PUT;
    h.expect_continue = true;
    h.te_trailers = true;
    h.status = 0;
    h.version_minor = 1;
    h.body = HTTP_BODY_LENGTH;
    h.keep_alive = true;
    h.has_length = true;
    h.content_length = INT64_C(1) << 40;
    h.method_text = SLICE("PUT");
    h.scheme = SLICE("https");
    h.authority = SLICE("a.test:1");
    h.host = SLICE("a.test");
    h.target = SLICE("/p?q");
    h.path = SLICE("/p");
    h.query = SLICE("q");
    h.upgrade = SLICE("connect-udp");
    h.reason = SLICE("");
    CHECK_EQ_INT(fields_add(&h.fields, SLICE("x-a"), SLICE("1")), 0);
    CHECK_EQ_INT(fields_add(&h.fields, SLICE("cookie"), SLICE("x=y")), 0);
    CHECK_EQ_INT(fields_add(&h.fields, SLICE("x-a"), SLICE("")), 0);
    CHECK_EQ_INT(fields_remove(&h.fields, SLICE("cookie")), 1);
    void *packed = pack(&h);
    struct http_head to;
    http_head_init(&to, &arena, 10000, 50);
    CHECK_EQ_INT(bridge_head_read(&to, packed), 0);
    memset(packed, 0xee, bridge_head_size(&h)); // nothing of it is looked at any more
    CHECK(to.method == HTTP_METHOD_PUT && to.expect_continue && to.te_trailers && to.keep_alive);
    CHECK(to.body == HTTP_BODY_LENGTH && to.has_length);
    CHECK_EQ_INT(to.content_length, INT64_C(1) << 40);
    CHECK(slice_eq(to.method_text, SLICE("PUT")) && slice_eq(to.scheme, SLICE("https")));
    CHECK(slice_eq(to.authority, SLICE("a.test:1")) && slice_eq(to.host, SLICE("a.test")));
    CHECK(slice_eq(to.target, SLICE("/p?q")) && slice_eq(to.path, SLICE("/p")));
    CHECK(slice_eq(to.query, SLICE("q")) && slice_eq(to.upgrade, SLICE("connect-udp")));
    CHECK(to.reason.ptr != NULL && to.reason.len == 0);
    CHECK_EQ_INT(to.fields.count, 2);
    CHECK(!fields_has(&to.fields, HTTP_COOKIE));
    CHECK(to.fields.arena == &arena && to.fields.count_max == 50);
    CHECK_EQ_INT(fields_add(&to.fields, SLICE("via"), SLICE("x")), 0);
    CHECK(slice_eq(fields_get(&to.fields, SLICE("x-a")), SLICE("1")));
    free(packed);
    end();
}

static void what_is_not_there_stays_so(void)
{
    begin();
    struct http_head h;
    http_head_init(&h, &arena, 1000, 5);
    h.status = 200;
    void *packed = pack(&h);
    struct http_head to;
    http_head_init(&to, &arena, 1000, 5);
    CHECK_EQ_INT(bridge_head_read(&to, packed), 0);
    CHECK(to.query.ptr == NULL && to.upgrade.len == 0 && to.target.ptr == NULL);
    CHECK_EQ_INT(to.status, 200);
    CHECK_EQ_INT(to.fields.count, 0);
    free(packed);
    end();
}

static void limits_hold_where_it_goes(void)
{
    begin();
    struct http_head h;
    http_head_init(&h, &arena, 100000, 300);
    static char large[40000];
    memset(large, 'v', sizeof(large));
    CHECK_EQ_INT(fields_add(&h.fields, SLICE("x-l"), slice_of(large, sizeof(large))), 0);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ_INT(fields_add(&h.fields, SLICE("x-n"), SLICE("1")), 0);
    }
    void *packed = pack(&h);
    struct http_head to;
    http_head_init(&to, &arena, 100000, 300);
    CHECK_EQ_INT(bridge_head_read(&to, packed), 0);
    CHECK_EQ_INT(fields_get(&to.fields, SLICE("x-l")).len, sizeof(large));
    http_head_init(&to, &arena, 100000, 200);
    CHECK_EQ_INT(bridge_head_read(&to, packed), E_TOO_MANY_FIELDS);
    http_head_init(&to, &arena, 40000, 300);
    CHECK_EQ_INT(bridge_head_read(&to, packed), E_HEAD_TOO_LARGE);
    free(packed);
    end();
}

TAP_MAIN(every_member_comes_back, what_is_not_there_stays_so, limits_hold_where_it_goes)
