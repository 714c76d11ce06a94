// SPDX-License-Identifier: Apache-2.0
//
// What becomes of heads and trailers: a table of good and bad ones with what each gets. Fields are
// written a line each, "name=value".

#include "h2/fields.h"

#include "base/chunk.h"
#include "base/error.h"

#include "tap.h"

static struct h2_limits limits = {.head_bytes = 1000, .target_bytes = 50, .fields = 10};

static struct chunk_pool pool;
static struct arena arena;
static struct http_head head;
static struct fields trailers;
static char first[4096];

static void begin(void)
{
    chunk_pool_init(&pool, 100, 0);
    arena_init(&arena, first, sizeof(first), &pool, 100000);
    http_head_init(&head, &arena, 4000, 50);
    fields_init(&trailers, &arena, 4000, 50);
}

static void end(void)
{
    arena_fini(&arena);
    chunk_pool_fini(&pool);
}

static void feed(struct h2_in *in, enum h2_section section, const char *text)
{
    bool is_trailers = section == H2_SECTION_TRAILERS;
    h2_in_begin(in, section, is_trailers ? NULL : &head, is_trailers ? &trailers : &head.fields,
                &limits);
    struct slice rest = slice_str(text);
    while (rest.len > 0) {
        ptrdiff_t stop = slice_find_char(rest, '\n');
        ensure(stop >= 0);
        struct slice line = slice_sub(rest, 0, (size_t)stop);
        ptrdiff_t equals = slice_find_char(line, '=');
        ensure(equals >= 0);
        h2_in_field(in, slice_sub(line, 0, (size_t)equals), slice_from(line, (size_t)equals + 1),
                    false);
        rest = slice_from(rest, (size_t)stop + 1);
    }
}

static int request(const char *text, bool ended)
{
    struct h2_in in;
    feed(&in, H2_SECTION_REQUEST, text);
    return h2_in_request(&in, ended);
}

#define GET  ":method=GET\n:scheme=https\n:path=/a?b\n:authority=Example.com\n"
#define POST ":method=POST\n:scheme=https\n:path=/a?b\n:authority=example.com\n"

struct bad {
    const char *text;
    int error;
    bool open; // without END_STREAM
};

static const struct bad bad_requests[] = {
    // Pseudo-fields: each once, first, known, complete (RFC 9113 8.3).
    {":scheme=https\n:path=/\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=GET\n:path=/\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=GET\n:scheme=https\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=GET\n:scheme=https\n:path=/\n", E_NO_HOST, false},
    {GET ":method=GET\n", E_BAD_PSEUDO, false},
    {GET ":path=/\n", E_BAD_PSEUDO, false},
    {GET ":authority=a\n", E_BAD_PSEUDO, false},
    {GET ":status=200\n", E_BAD_PSEUDO, false},
    {GET ":foo=1\n", E_BAD_PSEUDO, false},
    {GET ":=1\n", E_BAD_PSEUDO, false},
    {":method=GET\n:scheme=https\n:path=/\nx=1\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=G T\n:scheme=https\n:path=/\n:authority=a\n", E_BAD_METHOD, false},
    {":method=\n:scheme=https\n:path=/\n:authority=a\n", E_BAD_METHOD, false},
    {":method=GET\n:scheme=ftp\n:path=/\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=GET\n:scheme=https\n:path=\n:authority=a\n", E_BAD_PSEUDO, false},
    {":method=GET\n:scheme=https\n:path=a\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=*\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=http://b/\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/a b\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/a#b\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/a\\b\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/\r\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/\xc3\xa4\n:authority=a\n", E_BAD_TARGET, false},
    {":method=GET\n:scheme=https\n:path=/0123456789012345678901234567890123456789012345678901\n",
     E_TARGET_TOO_LONG, false},
    // Host and authority (8.3.1).
    {":method=GET\n:scheme=https\n:path=/\n:authority=\n", E_BAD_HOST, false},
    {":method=GET\n:scheme=https\n:path=/\n:authority=u@a\n", E_BAD_HOST, false},
    {":method=GET\n:scheme=https\n:path=/\n:authority=a/b\n", E_BAD_HOST, false},
    {GET "host=other.com\n", E_BAD_HOST, false},
    {GET "host=\n", E_BAD_HOST, false},
    {GET "host=example.com\nhost=example.com\n", E_REPEATED_HOST, false},
    // Names and values (8.2.1).
    {GET "X=1\n", E_BAD_FIELD_NAME, false},
    {GET "Accept=1\n", E_BAD_FIELD_NAME, false},
    {GET "a b=1\n", E_BAD_FIELD_NAME, false},
    {GET "a:b=1\n", E_BAD_FIELD_NAME, false},
    {GET "=1\n", E_BAD_FIELD_NAME, false},
    {GET "\xff=1\n", E_BAD_FIELD_NAME, false},
    {GET "a= 1\n", E_BAD_FIELD_VALUE, false},
    {GET "a=1\t\n", E_BAD_FIELD_VALUE, false},
    {GET "a=1\r2\n", E_BAD_FIELD_VALUE, false},
    {GET "a=1\x01\n", E_BAD_FIELD_VALUE, false},
    {GET "content_length=1\n", E_FIELD_NAME_LOOKALIKE, false},
    // Fields of a connection (8.2.2).
    {GET "connection=close\n", E_CONNECTION_FIELD, false},
    {GET "keep-alive=1\n", E_CONNECTION_FIELD, false},
    {GET "proxy-connection=close\n", E_CONNECTION_FIELD, false},
    {GET "transfer-encoding=chunked\n", E_CONNECTION_FIELD, false},
    {GET "upgrade=websocket\n", E_CONNECTION_FIELD, false},
    {GET "te=gzip\n", E_CONNECTION_FIELD, false},
    {GET "te=trailers, gzip\n", E_CONNECTION_FIELD, false},
    {POST "expect=200-ok\n", E_BAD_EXPECT, true},
    // Length (8.1.1).
    {POST "content-length=5\n", E_LENGTH_MISMATCH, false},
    {POST "content-length=x\n", E_BAD_LENGTH, true},
    {POST "content-length=\n", E_BAD_LENGTH, true},
    {POST "content-length=-1\n", E_BAD_LENGTH, true},
    {POST "content-length=99999999999999999999\n", E_BAD_LENGTH, true},
    {POST "content-length=5\ncontent-length=5\n", E_REPEATED_LENGTH, true},
    {POST "content-length=5, 5\n", E_REPEATED_LENGTH, true},
    // CONNECT (8.5, RFC 8441).
    {":method=CONNECT\n:authority=a:1\n:path=/\n", E_BAD_PSEUDO, true},
    {":method=CONNECT\n:authority=a:1\n:scheme=https\n", E_BAD_PSEUDO, true},
    {":method=CONNECT\n", E_BAD_PSEUDO, true},
    {":method=CONNECT\n:authority=a\n", E_BAD_TARGET, true},
    {GET ":protocol=websocket\n", E_BAD_PSEUDO, true},
    {":method=CONNECT\n:protocol=websocket\n:authority=a\n:scheme=https\n", E_BAD_PSEUDO, true},
    {":method=CONNECT\n:protocol=foo\n:authority=a\n:scheme=https\n:path=/\n", E_METHOD_UNKNOWN,
     true},
    // Limits.
    {GET "a=1\na=1\na=1\na=1\na=1\na=1\na=1\na=1\na=1\na=1\na=1\n", E_TOO_MANY_FIELDS, false},
    {GET "cookie=1\ncookie=1\ncookie=1\ncookie=1\ncookie=1\ncookie=1\ncookie=1\ncookie=1\n"
         "cookie=1\ncookie=1\ncookie=1\n",
     E_TOO_MANY_FIELDS, false},
};

static void refuses_bad_requests(void)
{
    for (size_t i = 0; i < array_len(bad_requests); i++) {
        const struct bad *b = &bad_requests[i];
        begin();
        int e = request(b->text, !b->open);
        if (!CHECK_EQ_INT(e, b->error)) {
            printf("# %s for: %s\n", error_name(e), b->text);
        }
        end();
    }
}

static void counts_bytes_as_hpack_does(void)
{
    char text[2000] = GET "a=";
    begin();
    memset(text + strlen(text), 'x', 900);
    text[sizeof(GET) + 1 + 900] = '\n';
    CHECK_EQ_INT(request(text, true), E_HEAD_TOO_LARGE);
    end();
}

#define CHECK_SLICE(s, text) CHECK_TEXT((s).ptr, (s).len, text)

static void takes_a_get(void)
{
    begin();
    CHECK_EQ_INT(request(GET "x-y=z\naccept=*/*\ncookie=a=1\nte=trailers\ncookie=b=2\n", true), 0);
    CHECK_EQ_INT(head.method, HTTP_METHOD_GET);
    CHECK_SLICE(head.method_text, "GET");
    CHECK_SLICE(head.scheme, "https");
    CHECK_SLICE(head.authority, "example.com");
    CHECK_SLICE(head.host, "example.com");
    CHECK_SLICE(head.target, "/a?b");
    CHECK_SLICE(head.path, "/a");
    CHECK_SLICE(head.query, "b");
    CHECK(head.te_trailers);
    CHECK(!head.has_length);
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    CHECK_EQ_INT(head.fields.count, 3);
    CHECK_SLICE(fields_get(&head.fields, SLICE("x-y")), "z");
    CHECK_SLICE(fields_get_id(&head.fields, HTTP_COOKIE), "a=1; b=2");
    end();
}

static void decides_about_bodies(void)
{
    begin();
    CHECK_EQ_INT(request(POST "content-length=5\nexpect=100-continue\n", false), 0);
    CHECK_EQ_INT(head.body, HTTP_BODY_LENGTH);
    CHECK_EQ_INT(head.content_length, 5);
    CHECK(head.expect_continue);
    end();
    begin();
    CHECK_EQ_INT(request(POST, false), 0);
    CHECK_EQ_INT(head.body, HTTP_BODY_STREAM);
    end();
    begin();
    CHECK_EQ_INT(request(POST, true), 0);
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    CHECK(head.has_length); // origins are told that there is nothing
    end();
    begin();
    CHECK_EQ_INT(request(POST "content-length=0\nexpect=100-continue\n", false), 0);
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    CHECK(!head.expect_continue);
    end();
}

static void takes_host_for_authority(void)
{
    begin();
    CHECK_EQ_INT(request(":method=OPTIONS\n:scheme=http\n:path=*\nhost=A.b:80\n", true), 0);
    CHECK_SLICE(head.authority, "a.b:80");
    CHECK_SLICE(head.host, "a.b");
    CHECK_SLICE(head.path, "*");
    end();
    begin();
    CHECK_EQ_INT(request(GET "host=EXAMPLE.com\n", true), 0);
    end();
}

static void maps_connect(void)
{
    begin();
    CHECK_EQ_INT(request(":method=CONNECT\n:protocol=websocket\n:authority=a\n:scheme=https\n"
                         ":path=/ws\nsec-websocket-version=13\n",
                         false),
                 0);
    CHECK_EQ_INT(head.method, HTTP_METHOD_GET);
    CHECK_SLICE(head.upgrade, "websocket");
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    end();
    begin();
    CHECK_EQ_INT(request(":method=CONNECT\n:authority=a:443\n", false), 0);
    CHECK_EQ_INT(head.method, HTTP_METHOD_CONNECT);
    CHECK_SLICE(head.target, "a:443");
    end();
}

static void takes_other_protocols_where_they_are_wanted(void)
{
    limits.switches = true;
    begin();
    CHECK_EQ_INT(request(":method=CONNECT\n:protocol=connect-udp\n:authority=a\n:scheme=https\n"
                         ":path=/udp/\ncapsule-protocol=?1\n",
                         false),
                 0);
    CHECK_EQ_INT(head.method, HTTP_METHOD_CONNECT); // nothing in HTTP/1.1 looks the same
    CHECK_SLICE(head.upgrade, "connect-udp");
    CHECK_SLICE(head.path, "/udp/");
    CHECK_EQ_INT(head.body, HTTP_BODY_NONE);
    end();
    begin();
    CHECK_EQ_INT(request(":method=CONNECT\n:protocol=websocket\n:authority=a\n:scheme=https\n"
                         ":path=/ws\n",
                         false),
                 0);
    CHECK_EQ_INT(head.method, HTTP_METHOD_GET);
    end();
    begin();
    CHECK_EQ_INT(
        request(":method=CONNECT\n:protocol=\n:authority=a\n:scheme=https\n:path=/\n", false),
        E_METHOD_UNKNOWN);
    end();
    limits.switches = false;
}

static void reads_priority(void)
{
    begin();
    struct h2_in in;
    feed(&in, H2_SECTION_REQUEST, GET "priority=u=1, i\n");
    CHECK_EQ_INT(h2_in_request(&in, true), 0);
    CHECK(in.priority && in.incremental);
    CHECK_EQ_INT(in.urgency, 1);
    end();
}

struct answer {
    const char *text;
    int error;
    bool ended;
    bool head_only;
    bool switching;
    int status;
    int body;
    bool has_length;
};

static const struct answer answers[] = {
    {":status=200\n", 0, false, false, false, 200, HTTP_BODY_STREAM, false},
    {":status=200\n", 0, true, false, false, 200, HTTP_BODY_NONE, true},
    {":status=200\ncontent-length=3\n", 0, false, false, false, 200, HTTP_BODY_LENGTH, true},
    {":status=200\ncontent-length=0\n", 0, false, false, false, 200, HTTP_BODY_NONE, true},
    {":status=200\ncontent-length=3\n", 0, true, true, false, 200, HTTP_BODY_NONE, true},
    {":status=200\ncontent-length=3\n", E_LENGTH_MISMATCH, true, false, false, 200, 0, true},
    {":status=204\ncontent-length=3\n", 0, true, false, false, 204, HTTP_BODY_NONE, false},
    {":status=304\ncontent-length=3\n", 0, true, false, false, 304, HTTP_BODY_NONE, true},
    {":status=103\nlink=</a>\n", 0, false, false, false, 103, HTTP_BODY_NONE, false},
    {":status=103\n", E_BAD_INTERIM, true, false, false, 103, 0, false},
    {":status=101\n", E_BAD_INTERIM, false, false, false, 101, 0, false},
    {":status=200\n", 0, false, false, true, 101, HTTP_BODY_TUNNEL, false},
    {":status=403\n", 0, false, false, true, 403, HTTP_BODY_STREAM, false},
    {":status=20\n", E_BAD_STATUS_LINE, true, false, false, 0, 0, false},
    {":status=2000\n", E_BAD_STATUS_LINE, true, false, false, 0, 0, false},
    {":status=099\n", E_BAD_STATUS_LINE, true, false, false, 0, 0, false},
    {":status=600\n", E_BAD_STATUS_LINE, true, false, false, 0, 0, false},
    {":status=2x0\n", E_BAD_STATUS_LINE, true, false, false, 0, 0, false},
    {"a=1\n", E_BAD_PSEUDO, true, false, false, 0, 0, false},
    {":status=200\n:status=200\n", E_BAD_PSEUDO, true, false, false, 200, 0, false},
    {":status=200\n:path=/\n", E_BAD_PSEUDO, true, false, false, 200, 0, false},
    {"a=1\n:status=200\n", E_BAD_PSEUDO, true, false, false, 0, 0, false},
    {":status=200\nconnection=close\n", E_CONNECTION_FIELD, true, false, false, 200, 0, false},
    {":status=200\nX=1\n", E_BAD_FIELD_NAME, true, false, false, 200, 0, false},
    {":status=200\ncontent_length=1\nte=x\nhost=a\n", 0, true, false, false, 200, 0, true},
};

static void judges_responses(void)
{
    for (size_t i = 0; i < array_len(answers); i++) {
        const struct answer *a = &answers[i];
        struct h2_in in;
        begin();
        feed(&in, H2_SECTION_RESPONSE, a->text);
        int e = h2_in_response(&in, a->ended, a->head_only, a->switching);
        bool good = CHECK_EQ_INT(e, a->error);
        good &= CHECK_EQ_INT(head.status, a->status);
        if (e == 0) {
            good &= CHECK_EQ_INT(head.body, a->body);
            good &= CHECK_EQ_INT(head.has_length, a->has_length);
        }
        if (!good) {
            printf("# in: %s\n", a->text);
        }
        end();
    }
}

static void judges_trailers(void)
{
    static const struct bad table[] = {
        {"a=1\ngrpc-status=0\n", 0, false},
        {"a=1\ngrpc-status=0\ncontent-length=1\nhost=a\n", 0, false}, // dropped
        {"a=1\ngrpc-status=0\ntransfer_encoding=x\n", 0, false},      // dropped
        {":path=/\n", E_BAD_PSEUDO, false},
        {":status=200\n", E_BAD_PSEUDO, false},
        {"A=1\n", E_BAD_FIELD_NAME, false},
        {"connection=close\n", E_CONNECTION_FIELD, false},
        {"a=\x7f\n", E_BAD_FIELD_VALUE, false},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        struct h2_in in;
        begin();
        feed(&in, H2_SECTION_TRAILERS, table[i].text);
        CHECK_EQ_INT(h2_in_trailers(&in), table[i].error);
        if (table[i].error == 0) {
            CHECK_EQ_INT(trailers.count, 2);
        }
        end();
    }
}

static void marks_secrets(void)
{
    begin();
    struct h2_in in;
    h2_in_begin(&in, H2_SECTION_REQUEST, &head, &head.fields, &limits);
    h2_in_field(&in, SLICE("a"), SLICE("1"), true);
    h2_in_field(&in, SLICE("b"), SLICE("1"), false);
    CHECK(head.fields.entries[0].secret);
    CHECK(!head.fields.entries[1].secret);
    end();
}

TAP_MAIN(refuses_bad_requests, counts_bytes_as_hpack_does, takes_a_get, decides_about_bodies,
         takes_host_for_authority, maps_connect, takes_other_protocols_where_they_are_wanted,
         reads_priority, judges_responses, judges_trailers, marks_secrets)
