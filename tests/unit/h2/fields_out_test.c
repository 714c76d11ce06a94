// SPDX-License-Identifier: Apache-2.0
//
// What heads look like on the wire: written by one HPACK, read back by another.

#include "h2/fields.h"

#include "base/chunk.h"
#include "base/text.h"

#include "tap.h"

static struct arena arena;
static struct chunk_pool pool;
static struct http_head head;
static struct h2_hpack *writer;
static struct h2_hpack *reader;
static char first[4096];
static char got[4096];
static struct text got_text;

static void on_field(void *user, struct slice name, struct slice value, bool secret)
{
    (void)user;
    text_put(&got_text, name);
    text_put(&got_text, secret ? SLICE("!") : SLICE("="));
    text_put(&got_text, value);
    text_put(&got_text, SLICE("\n"));
}

static struct h2_block block;

static void begin(void)
{
    chunk_pool_init(&pool, 100, 0);
    arena_init(&arena, first, sizeof(first), &pool, 100000);
    http_head_init(&head, &arena, 4000, 50);
    writer = h2_hpack_new();
    reader = h2_hpack_new();
    REQUIRE(writer != NULL && reader != NULL);
    h2_block_begin(&block, writer);
}

static void end(const char *want)
{
    char bytes[4096];
    size_t bound = h2_block_bound(&block);
    REQUIRE(bound > 0 && bound <= sizeof(bytes));
    ptrdiff_t n = h2_block_end(&block, bytes, sizeof(bytes));
    REQUIRE(n > 0);
    got_text = text_on(got, sizeof(got));
    CHECK_EQ_INT(h2_decode(reader, slice_of(bytes, (size_t)n), true, on_field, NULL), 0);
    CHECK_TEXT(got_text.ptr, got_text.len, want);
    h2_hpack_free(writer);
    h2_hpack_free(reader);
    arena_fini(&arena);
    chunk_pool_fini(&pool);
}

static void add(struct fields *f, struct slice name, struct slice value)
{
    REQUIRE(fields_add(f, name, value) == 0);
}

static void writes_a_request(void)
{
    begin();
    head.method_text = SLICE("PUT");
    head.method = HTTP_METHOD_PUT;
    head.target = SLICE("/a?b");
    head.authority = SLICE("example.com");
    head.has_length = true;
    head.content_length = 12;
    head.te_trailers = true;
    head.expect_continue = true;
    add(&head.fields, SLICE("X-Custom"), SLICE("V"));
    add(&head.fields, SLICE("USER-Agent"), SLICE("u"));
    add(&head.fields, SLICE("Authorization"), SLICE("secret"));
    add(&head.fields, SLICE("Connection"), SLICE("close")); // by a module that does not know better
    h2_out_request(&block, &head, true);
    end(":method=PUT\n:scheme=https\n:authority=example.com\n:path=/a?b\nx-custom=V\nuser-agent=u\n"
        "authorization!secret\ncontent-length=12\nte=trailers\nexpect=100-continue\n");
}

static void writes_an_extended_connect(void)
{
    begin();
    head.method_text = SLICE("GET");
    head.method = HTTP_METHOD_GET;
    head.target = SLICE("/ws");
    head.authority = SLICE("a");
    head.upgrade = SLICE("websocket");
    add(&head.fields, SLICE("Sec-WebSocket-Key"), SLICE("k"));
    add(&head.fields, SLICE("Sec-WebSocket-Version"), SLICE("13"));
    h2_out_request(&block, &head, false);
    end(":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=a\n:path=/ws\n"
        "sec-websocket-version=13\n");
}

static void writes_connect(void)
{
    begin();
    head.method_text = SLICE("CONNECT");
    head.method = HTTP_METHOD_CONNECT;
    head.target = SLICE("a:1");
    head.authority = SLICE("a:1");
    add(&head.fields, SLICE("Forwarded"), SLICE("for=b"));
    h2_out_request(&block, &head, true);
    end(":method=CONNECT\n:authority=a:1\nforwarded=for=b\n");
    begin();
    head.method_text = SLICE("CONNECT");
    head.method = HTTP_METHOD_CONNECT;
    head.target = SLICE("/udp/");
    head.authority = SLICE("a:1");
    head.upgrade = SLICE("connect-udp");
    h2_out_request(&block, &head, true);
    end(":method=CONNECT\n:protocol=connect-udp\n:scheme=https\n:authority=a:1\n:path=/udp/\n");
}

static void asks_for_no_other_switch(void)
{
    begin();
    head.method_text = SLICE("GET");
    head.method = HTTP_METHOD_GET;
    head.target = SLICE("/");
    head.authority = SLICE("a");
    head.upgrade = SLICE("foo");
    h2_out_request(&block, &head, false);
    end(":method=GET\n:scheme=http\n:authority=a\n:path=/\n");
}

static void writes_a_response(void)
{
    begin();
    head.status = 200;
    head.has_length = true;
    head.content_length = 3;
    add(&head.fields, SLICE("Content-Type"), SLICE("text/html"));
    h2_out_response(&block, &head, SLICE("now"));
    end(":status=200\ncontent-type=text/html\ndate=now\ncontent-length=3\n");
}

static void keeps_the_origins_date(void)
{
    begin();
    head.status = 204;
    head.has_length = true;
    add(&head.fields, SLICE("Date"), SLICE("then"));
    h2_out_response(&block, &head, SLICE("now"));
    end(":status=204\ndate=then\n");
}

static void writes_interim_and_switch(void)
{
    begin();
    head.status = 103;
    head.has_length = true;
    h2_out_response(&block, &head, SLICE("now"));
    end(":status=103\n");
    begin();
    head.status = 101;
    head.upgrade = SLICE("websocket");
    add(&head.fields, SLICE("Sec-WebSocket-Accept"), SLICE("x"));
    add(&head.fields, SLICE("Sec-WebSocket-Protocol"), SLICE("chat"));
    h2_out_response(&block, &head, slice_of("", 0));
    end(":status=200\nsec-websocket-protocol=chat\n");
}

static void keeps_secrets(void)
{
    begin();
    add(&head.fields, SLICE("A"), SLICE("1"));
    head.fields.entries[0].secret = true;
    h2_out_trailers(&block, &head.fields);
    end("a!1\n");
}

static void knows_every_name_in_lower_case(void)
{
    for (unsigned id = 1; id < HTTP_NAME_COUNT; id++) {
        struct slice name = h2_name_text((enum http_name)id);
        CHECK(slice_eq_nocase(name, http_name_text((enum http_name)id)));
        for (size_t i = 0; i < name.len; i++) {
            CHECK(name.ptr[i] < 'A' || name.ptr[i] > 'Z');
        }
    }
}

TAP_MAIN(writes_a_request, writes_an_extended_connect, writes_connect, asks_for_no_other_switch,
         writes_a_response, keeps_the_origins_date, writes_interim_and_switch, keeps_secrets,
         knows_every_name_in_lower_case)
