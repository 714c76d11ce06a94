// SPDX-License-Identifier: Apache-2.0
//
// Requests, good and bad. The tables are the codec's rules: what each malformed head gets, and what
// is taken out of a good one.

#include "codec_help.h"

static const struct bad bad_lines[] = {
    {"", E_MALFORMED_LINE},
    {"\r\n" GET, E_MALFORMED_LINE},
    {"GET\r\n" HOST, E_MALFORMED_LINE},
    {"GET /\r\n" HOST, E_MALFORMED_LINE},
    {"GET / \r\n" HOST, E_BAD_VERSION},
    {"GET  / HTTP/1.1\r\n" HOST, E_MALFORMED_LINE},
    {"GET /  HTTP/1.1\r\n" HOST, E_MALFORMED_LINE},
    {"GET / HTTP/1.1 \r\n" HOST, E_MALFORMED_LINE},
    {"GET / x HTTP/1.1\r\n" HOST, E_MALFORMED_LINE},
    {"GET\t/ HTTP/1.1\r\n" HOST, E_MALFORMED_LINE},
    {"GET /\tHTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {" GET / HTTP/1.1\r\n" HOST, E_BAD_METHOD},
    {"G@T / HTTP/1.1\r\n" HOST, E_BAD_METHOD},
    {"GET: / HTTP/1.1\r\n" HOST, E_BAD_METHOD},
    {"G\xc3\x89T / HTTP/1.1\r\n" HOST, E_BAD_METHOD},
    {"AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDDEEEEEEEEEEFFFFFFFFFFGGGGG / HTTP/1.1\r\n" HOST,
     E_METHOD_UNKNOWN},
    {"GET / HTTP/0.9\r\n" HOST, E_VERSION_UNSUPPORTED},
    {"GET / HTTP/2.0\r\n" HOST, E_VERSION_UNSUPPORTED},
    {"PRI * HTTP/2.0\r\n", E_VERSION_UNSUPPORTED},
    {"GET / HTTP/1\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/1.\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/11\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/1.11\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/01.1\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/+1.1\r\n" HOST, E_BAD_VERSION},
    {"GET / http/1.1\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTPS/1.1\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP/1,1\r\n" HOST, E_BAD_VERSION},
    {"GET / HTTP /1.1\r\n" HOST, E_MALFORMED_LINE},
    {"GET / ICY/1.1\r\n" HOST, E_BAD_VERSION},
};

static const struct bad bad_targets[] = {
    {"GET a HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET ?a HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET * HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"OPTIONS ** HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"OPTIONS *?a HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /a#b HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /a?b#c HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /?\xff HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /a\\b HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /<a> HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET /\"a\" HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET a.example:80 HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET ftp://a.example/ HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET http:/a HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"GET http:// HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http:///a HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://?a HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://u@a.example/ HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://u:p@a.example/ HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://a.example:x/ HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://a.example:65536/ HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"GET http://a.example/ HTTP/1.1\r\n", E_NO_HOST},
    {"GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n", E_BAD_HOST},
    {"GET http://a.example/ HTTP/1.1\r\n" HOST HOST, E_REPEATED_HOST},
    {"CONNECT / HTTP/1.1\r\n" HOST, E_BAD_HOST},
    {"CONNECT a.example HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"CONNECT a.example: HTTP/1.1\r\n" HOST, E_BAD_TARGET},
    {"CONNECT http://a.example/ HTTP/1.1\r\n" HOST, E_BAD_HOST},
};

static const struct bad bad_hosts[] = {
    {START, E_NO_HOST},
    {START HOST HOST, E_REPEATED_HOST},
    {START HOST "hOST: b.example\r\n", E_REPEATED_HOST},
    {"GET / HTTP/1.0\r\n" HOST HOST, E_REPEATED_HOST},
    {START "Host:\r\n", E_BAD_HOST},
    {START "Host: \t \r\n", E_BAD_HOST},
    {START "Host: a.example, b.example\r\n", E_BAD_HOST},
    {START "Host: a.example/\r\n", E_BAD_HOST},
    {START "Host: a.example/x\r\n", E_BAD_HOST},
    {START "Host: u@a.example\r\n", E_BAD_HOST},
    {START "Host: a.example:80:80\r\n", E_BAD_HOST},
    {START "Host: a.example:+80\r\n", E_BAD_HOST},
    {START "Host: a.example:8080x\r\n", E_BAD_HOST},
    {START "Host: a.example:65536\r\n", E_BAD_HOST},
    {START "Host: a.example:000080\r\n", E_BAD_HOST},
    {START "Host: :80\r\n", E_BAD_HOST},
    {START "Host: .\r\n", E_BAD_HOST},
    {START "Host: .example\r\n", E_BAD_HOST},
    {START "Host: a..example\r\n", E_BAD_HOST},
    {START "Host: a%2eexample\r\n", E_BAD_HOST},
    {START "Host: a\xc3\xa9.example\r\n", E_BAD_HOST},
    {START "Host: http://a.example\r\n", E_BAD_HOST},
    {START "Host: ::1\r\n", E_BAD_HOST},
    {START "Host: [::1\r\n", E_BAD_HOST},
    {START "Host: []\r\n", E_BAD_HOST},
    {START "Host: [::1]x\r\n", E_BAD_HOST},
    {START "Host: [1:2]\r\n", E_BAD_HOST},
    {START "Host: [::1%25eth0]\r\n", E_BAD_HOST},
    {START "Host: [v1.a]\r\n", E_BAD_HOST},
    {START "Host: [::1]:99999\r\n", E_BAD_HOST},
    {"GET / HTTP/1.0\r\nHost: a b\r\n", E_BAD_HOST},
};

static const struct bad bad_bytes[] = {
    {GET "A: b\rc\r\n", E_BARE_CR},
    {GET "A: b\r\r\n", E_BARE_CR},
    {GET "\rA: b\r\n", E_BARE_CR},
    {GET "A: b\nC: d\r\n", E_BARE_LF},
    {"GET / HTTP/1.1\nHost: a.example\n", E_BARE_LF},
    {"GET / HTTP/1.1\n" HOST, E_BARE_LF},
    {"\nGET / HTTP/1.1\r\n" HOST, E_BARE_LF},
    {GET "A: b\x01\r\n", E_CONTROL_BYTE},
    {GET "A: b\x1f\r\n", E_CONTROL_BYTE},
    {GET "A: b\x7f\r\n", E_CONTROL_BYTE},
    {GET "A\x0b: b\r\n", E_CONTROL_BYTE},
    {GET "A: \x0b"
         "b\r\n",
     E_CONTROL_BYTE},
    {"GET /\x08 HTTP/1.1\r\n" HOST, E_CONTROL_BYTE},
    {"\x16\x03\x01\x02", E_CONTROL_BYTE}, // TLS
};

static void refuses_bad_request_lines(void)
{
    check_bad(bad_lines, array_len(bad_lines));
}
static void refuses_bad_targets(void)
{
    check_bad(bad_targets, array_len(bad_targets));
}
static void refuses_bad_hosts(void)
{
    check_bad(bad_hosts, array_len(bad_hosts));
}
static void refuses_bad_bytes(void)
{
    check_bad(bad_bytes, array_len(bad_bytes));
    struct parsed m;
    const char nul[] = GET "A: b\0c\r\n\r\n";
    parse_bytes(&m, nul, sizeof(nul) - 1, &test_limits, NULL);
    CHECK_EQ_INT(m.rc, E_CONTROL_BYTE);
    parsed_fini(&m);
}
// ---- good ones -------------------------------------------------------------------------------------

static void parses_a_browser_request(void)
{
    struct parsed m;
    parse_request(&m, "GET /a/b.html?x=1&y=[2] HTTP/1.1\r\n"
                      "Host: WWW.Example.COM:8080\r\n"
                      "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
                      "accept:text/html\r\n"
                      "X-Empty:\r\n"
                      "X-Blank: \t \r\n"
                      "X-Inner:  a \t b  \r\n"
                      "X-Latin: \xe9\r\n"
                      "COOKIE: a=b; c=d\r\n"
                      "Connection: keep-alive\r\n"
                      "Keep-Alive: 300\r\n"
                      "x_y: z\r\n"
                      "\r\nrest");
    REQUIRE(m.rc == 0);
    CHECK_EQ_INT(m.head.method, HTTP_METHOD_GET);
    CHECK(slice_is(m.head.method_text, "GET"));
    CHECK(slice_is(m.head.target, "/a/b.html?x=1&y=[2]"));
    CHECK(slice_is(m.head.path, "/a/b.html"));
    CHECK(slice_is(m.head.query, "x=1&y=[2]"));
    CHECK(slice_is(m.head.authority, "www.example.com:8080"));
    CHECK(slice_is(m.head.host, "www.example.com"));
    CHECK_EQ_INT(m.head.version_minor, 1);
    CHECK_EQ_INT(m.head.body, HTTP_BODY_NONE);
    CHECK_EQ_INT(m.framing, H1_FRAMING_NONE);
    CHECK(m.head.keep_alive);
    CHECK(!m.head.has_length);
    CHECK(m.head.scheme.len == 0);
    CHECK_STR(fields_text(&m.head.fields),
              "User-Agent=Mozilla/5.0 (X11; Linux x86_64);accept=text/html;X-Empty=;X-Blank=;"
              "X-Inner=a \t b;X-Latin=\xe9;COOKIE=a=b; c=d;x_y=z;");
    CHECK(fields_has(&m.head.fields, HTTP_ACCEPT));
    CHECK(fields_has(&m.head.fields, HTTP_COOKIE));
    CHECK(!fields_has(&m.head.fields, HTTP_HOST));
    CHECK(!fields_has(&m.head.fields, HTTP_CONNECTION));
    parsed_fini(&m);
}

struct good {
    const char *head;
    const char *authority;
    const char *target;
    const char *path;
    const char *query; // NULL: none
};

static const struct good good_targets[] = {
    {"GET / HTTP/1.1\r\n" HOST, "a.example", "/", "/", NULL},
    {"GET /? HTTP/1.1\r\n" HOST, "a.example", "/?", "/", ""},
    {"GET /a?b?c=/ HTTP/1.1\r\n" HOST, "a.example", "/a?b?c=/", "/a", "b?c=/"},
    {"GET //b/c HTTP/1.1\r\n" HOST, "a.example", "//b/c", "//b/c", NULL},
    {"GET /{a}|^`[] HTTP/1.1\r\n" HOST, "a.example", "/{a}|^`[]", "/{a}|^`[]", NULL},
    {"GET /a?b\\c HTTP/1.1\r\n" HOST, "a.example", "/a?b\\c", "/a", "b\\c"},
    {"GET /%zz%00 HTTP/1.1\r\n" HOST, "a.example", "/%zz%00", "/%zz%00", NULL},
    {"OPTIONS * HTTP/1.1\r\n" HOST, "a.example", "*", "*", NULL},
    {"OPTIONS /x HTTP/1.1\r\n" HOST, "a.example", "/x", "/x", NULL},
    {"GET http://B.example/c?d HTTP/1.1\r\n" HOST, "b.example", "/c?d", "/c", "d"},
    {"GET http://b.example HTTP/1.1\r\n" HOST, "b.example", "/", "/", NULL},
    {"GET HTTPS://b.example:8443?q HTTP/1.1\r\n" HOST, "b.example:8443", "/?q", "/", "q"},
    {"OPTIONS http://b.example HTTP/1.1\r\n" HOST, "b.example", "*", "*", NULL},
    {"OPTIONS http://b.example/ HTTP/1.1\r\n" HOST, "b.example", "/", "/", NULL},
    {"OPTIONS http://b.example?q HTTP/1.1\r\n" HOST, "b.example", "/?q", "/", "q"},
    {"CONNECT b.example:443 HTTP/1.1\r\n" HOST, "b.example:443", "b.example:443", "", NULL},
    {"CONNECT [::1]:443 HTTP/1.1\r\n" HOST, "[::1]:443", "[::1]:443", "", NULL},
    {"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n", "[2001:db8::1]:80", "/", "/", NULL},
    {"GET / HTTP/1.1\r\nHost: a.example.:\r\n", "a.example.", "/", "/", NULL},
    {"GET / HTTP/1.1\r\nHost: a_b.-c-:0\r\n", "a_b.-c-:0", "/", "/", NULL},
    {"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n", "10.0.0.1", "/", "/", NULL},
    {"GET / HTTP/1.0\r\n", "", "/", "/", NULL},
    {"GET / HTTP/1.7\r\n" HOST, "a.example", "/", "/", NULL},
};

static void takes_the_forms_of_targets(void)
{
    for (size_t i = 0; i < array_len(good_targets); i++) {
        const struct good *g = &good_targets[i];
        char text[1024];
        (void)snprintf(text, sizeof(text), "%s\r\n", g->head);
        struct parsed m;
        parse_request(&m, text);
        bool ok = CHECK_EQ_INT(m.rc, 0) && CHECK(slice_is(m.head.authority, g->authority)) &&
                  CHECK(slice_is(m.head.target, g->target)) &&
                  CHECK(slice_is(m.head.path, g->path)) &&
                  CHECK((m.head.query.ptr == NULL) == (g->query == NULL)) &&
                  CHECK(g->query == NULL || slice_is(m.head.query, g->query));
        if (!ok) {
            printf("# in entry %zu: %s\n", i, g->head);
        }
        parsed_fini(&m);
    }
}

static void knows_the_scheme_of_absolute_targets(void)
{
    struct parsed m;
    parse_request(&m, "GET https://b.example./ HTTP/1.1\r\n" HOST "\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK(slice_is(m.head.scheme, "https"));
    CHECK(slice_is(m.head.host, "b.example"));
    parsed_fini(&m);
}

static void passes_any_method(void)
{
    static const char *const methods[] = {"HEAD", "POST",     "QUERY", "PROPFIND",
                                          "get",  "M-SEARCH", "TRACE", "x!#$%&'*+-.^_`|~9"};
    static const enum http_method ids[] = {
        HTTP_METHOD_HEAD,  HTTP_METHOD_POST,  HTTP_METHOD_QUERY, HTTP_METHOD_PROPFIND,
        HTTP_METHOD_OTHER, HTTP_METHOD_OTHER, HTTP_METHOD_TRACE, HTTP_METHOD_OTHER};
    for (size_t i = 0; i < array_len(methods); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST "\r\n", methods[i]);
        struct parsed m;
        parse_request(&m, text);
        CHECK_EQ_INT(m.rc, 0);
        CHECK(slice_is(m.head.method_text, methods[i]));
        CHECK_EQ_INT(m.head.method, ids[i]);
        parsed_fini(&m);
    }
}

static void decides_the_framing(void)
{
    struct parsed m;
    parse_request(&m, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0042\r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.framing, H1_FRAMING_LENGTH);
    CHECK_EQ_INT(m.head.body, HTTP_BODY_LENGTH);
    CHECK_EQ_INT(m.head.content_length, 42);
    CHECK(m.head.has_length);
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.head.content_length, INT64_MAX);
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.framing, H1_FRAMING_NONE);
    CHECK_EQ_INT(m.head.body, HTTP_BODY_NONE);
    CHECK(m.head.has_length);
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \tCHUNKED \r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK_EQ_INT(m.framing, H1_FRAMING_CHUNKED);
    CHECK_EQ_INT(m.head.body, HTTP_BODY_STREAM);
    CHECK_EQ_INT(m.head.fields.count, 0);
    parsed_fini(&m);
}

static void decides_keep_alive(void)
{
    static const struct {
        const char *head;
        bool keep_alive;
    } table[] = {
        {GET, true},
        {GET "Connection: close\r\n", false},
        {GET "Connection: CLOSE\r\n", false},
        {GET "Connection: keep-alive, close\r\n", false},
        {GET "Connection: keep-alive\r\nConnection: close\r\n", false},
        {GET "Connection: , ,keep-alive,\r\n", true},
        {GET "Connection:\r\n", true},
        {GET "Proxy-Connection: close\r\n", true},
        {"GET / HTTP/1.0\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", false},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s\r\n", table[i].head);
        struct parsed m;
        parse_request(&m, text);
        CHECK_EQ_INT(m.rc, 0);
        CHECK_EQ_INT(m.head.keep_alive, table[i].keep_alive);
        CHECK_EQ_INT(m.head.fields.count, 0);
        parsed_fini(&m);
    }
}

static void honours_upgrade_only_where_it_may(void)
{
    static const struct {
        const char *head;
        const char *upgrade;
    } table[] = {
        {GET "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket"},
        {GET "Upgrade: websocket\r\nConnection: keep-alive, UPGRADE\r\n", "websocket"},
        {GET "Connection: Upgrade\r\nUpgrade: a/1, b/2\r\n", "a/1,b/2"},
        {GET "Upgrade: websocket\r\n", ""},
        {GET "Connection: Upgrade\r\n", ""},
        {GET "Connection: Upgrade\r\nUpgrade: H2, websocket , h3/2\r\n", "websocket"},
        {GET "Connection: Upgrade\r\nUpgrade: HTTP/2.0, TLS/1.0, h2\r\n", ""},
        {"GET / HTTP/1.0\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n", ""},
        {GET "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", ""},
        {GET "Connection: Upgrade\r\nUpgrade: a\r\nTransfer-Encoding: chunked\r\n", ""},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%s\r\n", table[i].head);
        struct parsed m;
        parse_request(&m, text);
        CHECK_EQ_INT(m.rc, 0);
        if (!CHECK(slice_is(m.head.upgrade, table[i].upgrade))) {
            printf("# entry %zu\n", i);
        }
        CHECK_EQ_INT(m.head.fields.count, 0);
        parsed_fini(&m);
    }
}

static void takes_expect_100_continue(void)
{
    struct parsed m;
    parse_request(&m, GET "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    CHECK_EQ_INT(m.rc, 0);
    CHECK(m.head.expect_continue);
    CHECK_EQ_INT(m.head.fields.count, 0);
    parsed_fini(&m);
    parse_request(&m, GET "Expect: 100-continue\r\n\r\n");
    CHECK(m.rc == 0 && !m.head.expect_continue);
    parsed_fini(&m);
    parse_request(&m, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    CHECK(m.rc == 0 && !m.head.expect_continue);
    parsed_fini(&m);
}

static void keeps_to_its_limits(void)
{
    char text[40000];
    struct parsed m;
    const struct h1_limits small = {.head_bytes = 1000, .target_bytes = 100, .fields = 3};

    parse_bytes(&m, GET "A: 1\r\nB: 2\r\n\r\n", strlen(GET "A: 1\r\nB: 2\r\n\r\n"), &small, NULL);
    CHECK_EQ_INT(m.rc, 0);
    parsed_fini(&m);
    parse_bytes(&m, GET "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", strlen(GET "A: 1\r\nB: 2\r\nC: 3\r\n\r\n"),
                &small, NULL);
    CHECK_EQ_INT(m.rc, E_TOO_MANY_FIELDS);
    parsed_fini(&m);

    for (int path = 99; path <= 101; path++) {
        int n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", path - 1, 0);
        parse_bytes(&m, text, (size_t)n, &small, NULL);
        CHECK_EQ_INT(m.rc, path <= 100 ? 0 : E_TARGET_TOO_LONG);
        parsed_fini(&m);
    }
    int n = snprintf(text, sizeof(text), "GET /%0*d", 400, 0);
    parse_bytes(&m, text, (size_t)n, &small, NULL);
    CHECK_EQ_INT(m.rc, E_TARGET_TOO_LONG);
    parsed_fini(&m);

    for (int size = 998; size <= 1002; size++) {
        int value = size - (int)strlen(GET "A: \r\n\r\n");
        n = snprintf(text, sizeof(text), GET "A: %0*d\r\n\r\n", value, 0);
        CHECK_EQ_INT(n, size);
        parse_bytes(&m, text, (size_t)n, &small, NULL);
        CHECK_EQ_INT(m.rc, size <= 1000 ? 0 : E_HEAD_TOO_LARGE);
        parsed_fini(&m);
    }
}

static void fails_gently_without_memory(void)
{
    const char *text = GET "A: 1\r\nB: 2\r\n\r\n";
    struct parsed m;
    for (uint32_t max = 64; max < 4096; max += 64) {
        struct arena arena;
        arena_init(&arena, NULL, 0, NULL, max);
        http_head_init(&m.head, &arena, 65536, 200);
        int rc = h1_parse_request(text, strlen(text), &test_limits, &m.head, &m.framing);
        CHECK(rc == 0 || rc == E_NO_MEMORY);
        arena_fini(&arena);
    }
}

TAP_MAIN(refuses_bad_request_lines, refuses_bad_targets, refuses_bad_hosts, refuses_bad_bytes,
         parses_a_browser_request, takes_the_forms_of_targets, knows_the_scheme_of_absolute_targets,
         passes_any_method, decides_the_framing, decides_keep_alive,
         honours_upgrade_only_where_it_may, takes_expect_100_continue, keeps_to_its_limits,
         fails_gently_without_memory)
