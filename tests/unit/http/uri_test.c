// SPDX-License-Identifier: Apache-2.0
//
// Authorities and paths: the one spelling that comes out, and what is refused.

#include "base/ensure.h"
#include "base/error.h"
#include "http/head.h"
#include "tap.h"

static void normalises_authorities(void)
{
    static const struct {
        const char *in;
        const char *authority; // NULL: refused
        const char *host;
    } table[] = {
        {"a.example", "a.example", "a.example"},
        {"A.Example:80", "a.example:80", "a.example"},
        {"a.example.", "a.example.", "a.example"},
        {"a.example.:443", "a.example.:443", "a.example"},
        {"a.example:", "a.example", "a.example"},
        {"a.example:0", "a.example:0", "a.example"},
        {"a.example:65535", "a.example:65535", "a.example"},
        {"localhost", "localhost", "localhost"},
        {"x_y--z", "x_y--z", "x_y--z"},
        {"127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1"},
        {"[::1]", "[::1]", "[::1]"},
        {"[2001:DB8::A]:443", "[2001:db8::a]:443", "[2001:db8::a]"},
        {"[::ffff:1.2.3.4]:", "[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]"},
        {"", NULL, NULL},
        {".", NULL, NULL},
        {":80", NULL, NULL},
        {".a", NULL, NULL},
        {"a..b", NULL, NULL},
        {"a..", NULL, NULL},
        {"a b", NULL, NULL},
        {"a@b", NULL, NULL},
        {"a/b", NULL, NULL},
        {"a?b", NULL, NULL},
        {"a#b", NULL, NULL},
        {"a,b", NULL, NULL},
        {"a%41", NULL, NULL},
        {"a:b", NULL, NULL},
        {"a:1:2", NULL, NULL},
        {"a:-1", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:100000", NULL, NULL},
        {"\xc3\xa4.example", NULL, NULL},
        {"[", NULL, NULL},
        {"[]", NULL, NULL},
        {"[]:80", NULL, NULL},
        {"[::1", NULL, NULL},
        {"[::1]80", NULL, NULL},
        {"[::1]:x", NULL, NULL},
        {"[:::]", NULL, NULL},
        {"[1.2.3.4]", NULL, NULL},
        {"[::1%eth0]", NULL, NULL},
        {"[vF.a:b]", NULL, NULL},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL, NULL},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        char out[256];
        struct slice authority;
        struct slice host;
        int rc = http_authority_parse(slice_str(table[i].in), out, &authority, &host);
        if (table[i].authority == NULL) {
            if (!CHECK_EQ_INT(rc, E_BAD_HOST)) {
                printf("# %s\n", table[i].in);
            }
        } else if (CHECK_EQ_INT(rc, 0)) {
            CHECK_TEXT(authority.ptr, authority.len, table[i].authority);
            CHECK_TEXT(host.ptr, host.len, table[i].host);
            // What came out is a fixed point, in place as well.
            rc = http_authority_parse(authority, out, &authority, &host);
            CHECK_EQ_INT(rc, 0);
            CHECK_TEXT(authority.ptr, authority.len, table[i].authority);
        } else {
            printf("# %s\n", table[i].in);
        }
    }
}

static void bounds_hosts(void)
{
    char in[300];
    char out[300];
    struct slice authority;
    struct slice host;
    for (size_t n = 60; n < 70; n++) {
        memset(in, 'a', n);
        int rc = http_authority_parse(slice_of(in, n), out, &authority, &host);
        CHECK_EQ_INT(rc, n <= 63 ? 0 : E_BAD_HOST);
    }
    for (size_t n = 250; n < 260; n++) {
        for (size_t i = 0; i < n; i++) {
            in[i] = i % 10 == 9 ? '.' : 'a';
        }
        int rc = http_authority_parse(slice_of(in, n), out, &authority, &host);
        CHECK_EQ_INT(rc, n <= 255 ? 0 : E_BAD_HOST);
    }
}

static void normalises_paths(void)
{
    static const struct {
        const char *in;
        const char *normal; // NULL: refused
    } table[] = {
        {"/", "/"},
        {"*", "*"},
        {"/a/b", "/a/b"},
        {"/a//b/", "/a//b/"},
        {"/%61%2D%2e%5f%7E%30", "/a-._~0"},
        {"/a%20b%2fc%c3%a9", "/a%20b%2Fc%C3%A9"},
        {"/.", "/"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/b/../../c", "/c"},
        {"/a/b/%2e%2E/c", "/a/c"},
        {"/a//../b", "/a/b"},
        {"/...", "/..."},
        {"/.a", "/.a"},
        {"/a..", "/a.."},
        {"/..a/b", "/..a/b"},
        {"/a;b/c", "/a;b/c"},
        {"/a/b;x=..", "/a/b;x=.."},
        {"/group%2fproject", "/group%2Fproject"},
        {"", NULL},
        {"a", NULL},
        {"**", NULL},
        {"/..", NULL},
        {"/../a", NULL},
        {"/a/../../b", NULL},
        {"/%2e%2e/a", NULL},
        {"/a%", NULL},
        {"/a%4", NULL},
        {"/a%zz", NULL},
        {"/a%4x", NULL},
        {"/a%00", NULL},
        {"/a/..%2fb", NULL},
        {"/a/%2e%2e%2fb", NULL},
        {"/a/b%2f..", NULL},
        {"/a/b%2F../c", NULL},
        {"/a/..%5cb", NULL},
        {"/a/..\\b", NULL},
        {"/a/b%5c..%5cc", NULL},
        {"/a/..;/b", NULL},
        {"/a/..;x=y/b", NULL},
        {"/a/.;/b", NULL},
        {"/a/.%2fb", NULL},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        char out[256];
        struct slice normal;
        int rc = http_path_normalise(slice_str(table[i].in), out, &normal);
        bool ok = table[i].normal == NULL ? CHECK_EQ_INT(rc, E_BAD_TARGET) : CHECK_EQ_INT(rc, 0);
        if (ok && rc == 0) {
            ok = CHECK_TEXT(normal.ptr, normal.len, table[i].normal);
        }
        if (!ok) {
            printf("# %s\n", table[i].in);
        }
    }
}

TAP_MAIN(normalises_authorities, bounds_hosts, normalises_paths)
