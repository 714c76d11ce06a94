// SPDX-License-Identifier: Apache-2.0
//
// The scan: every way gives what the scalar reference gives, whole, cut in two at every byte, byte by
// byte, and wherever in a block the interesting byte stands.

#include "codec_help.h"
#include "h1/codec_int.h"

struct result {
    int rc;
    size_t head_len;
};

static struct result scan_pieces(enum h1_scan_way way, bool trailers,
                                 const struct h1_limits *limits, const char *p, size_t n,
                                 size_t first, size_t step)
{
    struct h1_scan scan = {0};
    struct result r = {E_AGAIN, 0};
    size_t have = first;
    for (;;) {
        char *copy = exact_copy(p, have);
        r.rc = h1_scan_with((struct h1_scan_mode){way, trailers}, &scan, limits, copy, have,
                            &r.head_len);
        free(copy);
        if (r.rc != E_AGAIN || have == n) {
            return r;
        }
        have = have + step < n ? have + step : n;
    }
}

static bool check_same(bool trailers, const struct h1_limits *limits, const char *p, size_t n)
{
    struct result want = scan_pieces(H1_SCAN_SCALAR, trailers, limits, p, n, n, n);
    for (int way = 0; way < H1_SCAN_WAYS; way++) {
        enum h1_scan_way w = (enum h1_scan_way)way;
        if (!h1_scan_has(w)) {
            continue;
        }
        struct result got = scan_pieces(w, trailers, limits, p, n, 0, 1);
        if (!CHECK_EQ_INT(got.rc, want.rc) || !CHECK_EQ_INT(got.head_len, want.head_len)) {
            return false;
        }
        for (size_t cut = 0; cut <= n; cut++) {
            got = scan_pieces(w, trailers, limits, p, n, cut, n);
            if (!CHECK_EQ_INT(got.rc, want.rc) || !CHECK_EQ_INT(got.head_len, want.head_len)) {
                printf("# way %d cut %zu of %zu\n", way, cut, n);
                return false;
            }
        }
    }
    return true;
}

static void finds_the_end(void)
{
    const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\r\n\r\n";
    struct result r =
        scan_pieces(H1_SCAN_SCALAR, false, &test_limits, text, strlen(text), strlen(text), 1);
    CHECK_EQ_INT(r.rc, 0);
    CHECK_EQ_INT(r.head_len, strlen(text) - strlen("rest\r\n\r\n"));
    (void)check_same(false, &test_limits, text, strlen(text));
    (void)check_same(true, &test_limits, text, strlen(text));
    (void)check_same(true, &test_limits, "\r\n", 2);
    (void)check_same(true, &test_limits, "\r\nx", 3);
    (void)check_same(false, &test_limits, "\r\n\r\n", 4);
}

static void agrees_wherever_a_byte_stands(void)
{
    // Lines of every length around the size of a block, with each kind of byte put in everywhere.
    static const char odd[] = {'\r', '\n', '\0', '\t', '\x1f', '\x7f', '\x80', '\xff', ' '};
    char text[256];
    for (size_t len = 1; len < 200; len += len < 60 || len > 70 ? 13 : 1) {
        size_t n = 0;
        memset(text, 'a', len);
        n = len;
        memcpy(text + n, "\r\nb:c\r\n\r\nx", 10);
        n += 10;
        for (size_t at = 0; at<n; at += at> 58 && at < 70 ? 1 : 5) {
            for (size_t o = 0; o < sizeof(odd); o++) {
                char changed[256];
                memcpy(changed, text, n);
                changed[at] = odd[o];
                if (!check_same(false, &test_limits, changed, n)) {
                    return;
                }
            }
        }
    }
}

static void agrees_about_limits(void)
{
    const char *text =
        "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyy\r\n\r\n";
    size_t n = strlen(text);
    for (uint32_t head = 1; head < n + 3; head++) {
        for (uint32_t target = 0; target < 60; target += 7) {
            const struct h1_limits limits = {
                .head_bytes = head, .target_bytes = target, .fields = 1};
            if (!check_same(false, &limits, text, n) || !check_same(true, &limits, text, n)) {
                return;
            }
        }
    }
}

static void says_what_is_wrong_at_once(void)
{
    // Before the head is complete.
    struct h1_scan scan = {0};
    size_t len;
    CHECK_EQ_INT(h1_scan_head(&scan, &test_limits, "GET / HTTP/1.1\r\nA: b\rc", 23, &len),
                 E_BARE_CR);
    scan = (struct h1_scan){0};
    CHECK_EQ_INT(h1_scan_head(&scan, &test_limits, "\x16\x03", 2, &len), E_CONTROL_BYTE);
}

TAP_MAIN(finds_the_end, agrees_wherever_a_byte_stands, agrees_about_limits,
         says_what_is_wrong_at_once)
