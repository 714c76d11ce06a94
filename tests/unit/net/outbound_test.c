// SPDX-License-Identifier: Apache-2.0
//
// Proxies on the way out: how one is written, which variable is taken, and who needs none.

#include "base/error.h"
#include "net/outbound.h"
#include "tap.h"

static const struct {
    const char *url;
    int error;
    const char *text;  // of outbound_text()
    const char *login; // "user|password", or NULL
} urls[] = {
    {"proxy", 0, "http://proxy:1080", NULL},
    {"proxy:3128", 0, "http://proxy:3128", NULL},
    {"http://proxy.example.com:3128/", 0, "http://proxy.example.com:3128", NULL},
    {"HTTP://10.0.0.1:3128", 0, "http://10.0.0.1:3128", NULL},
    {"http://[2001:db8::1]:3128", 0, "http://[2001:db8::1]:3128", NULL},
    {"[::1]", 0, "http://[::1]:1080", NULL},
    {"socks5://proxy", 0, "socks5://proxy:1080", NULL},
    {"socks5h://proxy:9050", 0, "socks5://proxy:9050", NULL},
    {"http://ann:secret@proxy:1", 0, "http://proxy:1", "ann|secret"},
    {"http://ann@proxy:1", 0, "http://proxy:1", "ann|"},
    {"ann:@proxy:1", 0, "http://proxy:1", "ann|"},
    {"http://a%40b:x%3ay%25@proxy:1", 0, "http://proxy:1", "a@b|x:y%"},
    {"http://ann:p@ss:word@proxy:1", 0, "http://proxy:1", "ann|p@ss:word"},
    {"", E_INVALID, "", NULL},
    {"http://", E_INVALID, "", NULL},
    {"http:///x", E_INVALID, "", NULL},
    {"https://proxy:3128", E_UNSUPPORTED, "", NULL},
    {"socks4://proxy", E_UNSUPPORTED, "", NULL},
    {"ftp://proxy", E_UNSUPPORTED, "", NULL},
    {"proxy:", E_INVALID, "", NULL},
    {"proxy:0", E_INVALID, "", NULL},
    {"proxy:65536", E_INVALID, "", NULL},
    {"proxy:80x", E_INVALID, "", NULL},
    {"pro xy:80", E_INVALID, "", NULL},
    {"proxy\r\nx:80", E_INVALID, "", NULL},
    {"[::1", E_INVALID, "", NULL},
    {"[::1]x", E_INVALID, "", NULL},
    {"[proxy]:80", 0, "http://proxy:80", NULL},
    {"http://a%zz@proxy", E_INVALID, "", NULL},
    {"http://a%4@proxy", E_INVALID, "", NULL},
    {"http://a%0ab@proxy", E_INVALID, "", NULL},
};

static void reads_urls(void)
{
    for (size_t i = 0; i < array_len(urls); i++) {
        struct outbound o;
        const char *why = NULL;
        char bytes[512];
        struct text t = text_on(bytes, sizeof(bytes));
        if (!CHECK_EQ_INT(outbound_parse(slice_str(urls[i].url), &o, &why), urls[i].error)) {
            printf("# %s\n", urls[i].url);
        }
        if (urls[i].error != 0) {
            CHECK(why != NULL);
            continue;
        }
        outbound_text(&o, &t);
        CHECK_TEXT(t.ptr, t.len, urls[i].text);
        CHECK_EQ_INT(o.login, urls[i].login != NULL);
        t = text_on(bytes, sizeof(bytes));
        text_put(&t, slice_of(o.user, o.user_len));
        text_char(&t, '|');
        text_put(&t, slice_of(o.password, o.password_len));
        CHECK_TEXT(t.ptr, t.len, urls[i].login == NULL ? "|" : urls[i].login);
    }
    char large[300];
    struct outbound o;
    const char *why = NULL;
    memset(large, 'a', sizeof(large));
    CHECK_EQ_INT(outbound_parse(slice_of(large, 253), &o, &why), 0);
    CHECK_EQ_INT(outbound_parse(slice_of(large, 254), &o, &why), E_INVALID);
    memcpy(large + 256, "@p", 2);
    CHECK_EQ_INT(outbound_parse(slice_of(large, 258), &o, &why), E_INVALID);
}

static const struct {
    const char *list, *host;
    uint16_t port;
    bool exempt;
} exempt[] = {
    {"", "a.example", 443, false},
    {"*", "a.example", 443, true},
    {"b.example, *", "a.example", 443, true},
    {"example.com", "example.com", 443, true},
    {"example.com", "EXAMPLE.com.", 443, true},
    {"example.com", "a.example.com", 443, true},
    {".example.com", "a.example.com", 443, true},
    {".example.com", "example.com", 443, true},
    {"example.com", "notexample.com", 443, false},
    {"example.com", "example.com.org", 443, false},
    {"a.example.com", "example.com", 443, false},
    {"x,example.com\tb", "example.com", 443, true},
    {"x example.com", "example.com", 443, true},
    {"example.com:443", "example.com", 443, true},
    {"example.com:8443", "example.com", 443, false},
    {"example.com:", "example.com", 443, false},
    {"10.0.0.1", "10.0.0.1", 443, true},
    {"10.0.0.1:443", "10.0.0.1", 443, true},
    {"10.0.0.1:80", "10.0.0.1", 443, false},
    {"10.0.0.0/8", "10.1.2.3", 443, true},
    {"10.0.0.0/8", "11.1.2.3", 443, false},
    {"10.1.2.3/8", "10.9.9.9", 443, true},
    {"0.0.0.0/0", "192.0.2.1", 443, true},
    {"0.0.0.0/0", "example.com", 443, false},
    {"10.0.0.0/33", "10.0.0.0", 443, false},
    {"0.0.1", "10.0.0.1", 443, false},
    {"2001:db8::/32", "2001:db8::1", 443, true},
    {"2001:db8::/32", "[2001:db8::1]", 443, true},
    {"[2001:db8::1]:443", "[2001:db8::1]", 443, true},
    {"[2001:db8::1]:80", "[2001:db8::1]", 443, false},
    {"2001:db8::1", "2001:DB8:0::1", 443, true},
    {"::/0", "10.0.0.1", 443, false},
    {".", "example.com", 443, false},
    {",,,", "example.com", 443, false},
};

static void exempts(void)
{
    for (size_t i = 0; i < array_len(exempt); i++) {
        bool got = outbound_is_exempt(slice_str(exempt[i].list), slice_str(exempt[i].host),
                                      exempt[i].port);
        if (!CHECK_EQ_INT(got, exempt[i].exempt)) {
            printf("# %s in %s\n", exempt[i].host, exempt[i].list);
        }
    }
}

static const struct {
    struct outbound_env env;
    bool secure;
    const char *way;
} choices[] = {
    {{.https_proxy = NULL}, true, "directly"},
    {{.https_proxy = "a", .HTTPS_PROXY = "b", .all_proxy = "c"}, true, "http://a:1080"},
    {{.https_proxy = "", .HTTPS_PROXY = "b"}, true, "http://b:1080"},
    {{.http_proxy = "a", .ALL_PROXY = "c"}, true, "http://c:1080"},
    {{.http_proxy = "a", .ALL_PROXY = "c"}, false, "http://a:1080"},
    {{.https_proxy = "a"}, false, "directly"},
    {{.all_proxy = "socks5://c", .ALL_PROXY = "d"}, false, "socks5://c:1080"},
    {{.https_proxy = "a", .no_proxy = "example.com"}, true, "directly"},
    {{.https_proxy = "a", .no_proxy = "other.com", .NO_PROXY = "*"}, true, "http://a:1080"},
    {{.https_proxy = "a", .no_proxy = "", .NO_PROXY = "*"}, true, "directly"},
    {{.https_proxy = "a://b", .NO_PROXY = "*"}, true, "directly"},
};

static void chooses(void)
{
    for (size_t i = 0; i < array_len(choices); i++) {
        struct outbound o;
        const char *why = NULL;
        char bytes[64];
        struct text t = text_on(bytes, sizeof(bytes));
        CHECK_EQ_INT(outbound_choose(&choices[i].env, choices[i].secure, SLICE("edge.example.com"),
                                     443, &o, &why),
                     0);
        outbound_text(&o, &t);
        CHECK_TEXT(t.ptr, t.len, choices[i].way);
    }
    struct outbound_env bad = {.https_proxy = "gopher://x"};
    struct outbound o;
    const char *why = NULL;
    CHECK_EQ_INT(outbound_choose(&bad, true, SLICE("x"), 443, &o, &why), E_UNSUPPORTED);
    CHECK(why != NULL);
}

TAP_MAIN(reads_urls, exempts, chooses)
