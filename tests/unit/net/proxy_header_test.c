// SPDX-License-Identifier: Apache-2.0
//
// net/proxy_header: what good headers say, what bad ones get, and that no byte beyond a header is ever
// asked for.

#include "net/proxy_header.h"

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

#define SIG      "\r\n\r\n\0\r\nQUIT\n"
#define V4_BLOCK "\x0a\x01\x02\x03\xc0\x00\x02\x01\xdc\x04\x01\xbb" // 10.1.2.3:56324 192.0.2.1:443
#define V6_BLOCK                                                                                   \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"         \
    "\xdc\x04\x01\xbb"

// Takes a header as a reader does, at most `step` bytes at once; what comes after must not be asked
// for. Returns the error.
static int feed(struct slice all, size_t step, size_t *used)
{
    *used = 0;
    for (;;) {
        size_t need = 0;
        int e = proxy_header_need(slice_sub(all, 0, *used), &need);
        if (e < 0 || need == 0) {
            return e;
        }
        size_t n = need < step ? need : step;
        n = n < all.len - *used ? n : all.len - *used;
        if (n == 0) {
            return E_AGAIN;
        }
        *used += n;
    }
}

static void check_address(const struct os_addr *a, const char *want)
{
    char room[OS_ADDR_TEXT_MAX];
    struct text t = text_on(room, sizeof(room));
    if (a->kind == OS_ADDR_NONE) {
        text_str(&t, "-");
    } else if (a->kind == OS_ADDR_UNIX) {
        text_str(&t, "unix");
    } else {
        os_addr_text(a, &t);
    }
    CHECK_TEXT(t.ptr, t.len, want);
}

struct good {
    struct slice bytes;
    const char *from; // "-": local
    const char *to;
};

static const struct good goods[] = {
    {SLICE_INIT("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324",
     "192.168.0.11:443"},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), "1.1.1.1:1", "2.2.2.2:2"},
    {SLICE_INIT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
     "255.255.255.255:65535", "255.255.255.255:65535"},
    {SLICE_INIT("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0"},
    {SLICE_INIT("PROXY TCP6 :: ::1 1 2\r\n"), "[::]:1", "[::1]:2"},
    {SLICE_INIT("PROXY TCP6 2001:DB8::1 2001:db8::2 56324 443\r\n"), "[2001:db8::1]:56324",
     "[2001:db8::2]:443"},
    {SLICE_INIT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {SLICE_INIT("PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 1 2\r\n"), "10.0.0.1:1", "10.0.0.2:2"},
    {SLICE_INIT("PROXY UNKNOWN\r\n"), "-", "-"},
    {SLICE_INIT("PROXY UNKNOWN \r\n"), "-", "-"},
    {SLICE_INIT("PROXY UNKNOWN whatever that is 1 2\r\n"), "-", "-"},
    {SLICE_INIT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "-", "-"},
    {SLICE_INIT(SIG "\x21\x11\0\x0c" V4_BLOCK), "10.1.2.3:56324", "192.0.2.1:443"},
    {SLICE_INIT(SIG "\x21\x21\0\x24" V6_BLOCK), "[2001:db8::1]:56324", "[2001:db8::2]:443"},
    {SLICE_INIT(SIG "\x20\0\0\0"), "-", "-"},
    {SLICE_INIT(SIG "\x20\x11\0\x0c" V4_BLOCK), "-", "-"}, // LOCAL: the block is skipped
    {SLICE_INIT(SIG "\x20\xff\0\x03xyz"), "-", "-"},       // and its family not looked at
    {SLICE_INIT(SIG "\x21\0\0\0"), "-", "-"},              // UNSPEC
    {SLICE_INIT(SIG "\x21\0\0\x05\x04\0\x02hi"), "-", "-"},
    {SLICE_INIT(SIG "\x21\x12\0\x0c" V4_BLOCK), "-", "-"}, // datagrams: as UNSPEC
    {SLICE_INIT(SIG "\x21\x10\0\x0c" V4_BLOCK), "-", "-"},
    {SLICE_INIT(SIG "\x21\x11\0\x11" V4_BLOCK "\x04\0\x02\0\0"), "10.1.2.3:56324", "192.0.2.1:443"},
    {SLICE_INIT(SIG "\x21\x11\0\x10" V4_BLOCK "\xea\0\x01\x01"), "10.1.2.3:56324", "192.0.2.1:443"},
};

static void takes_good_ones(void)
{
    for (size_t i = 0; i < array_len(goods); i++) {
        const struct good *g = &goods[i];
        struct proxy_header h;
        char room[PROXY_HEADER_MAX + 8];
        memcpy(room, g->bytes.ptr, g->bytes.len);
        memcpy(room + g->bytes.len, "\r\nGET /", 7);
        for (size_t step = 1; step < 40; step += step < 20 ? 1 : 19) {
            size_t used = 0;
            int e = feed(slice_of(room, g->bytes.len + 7), step, &used);
            CHECK_EQ_INT(e, 0);
            if (!CHECK(used == g->bytes.len)) {
                printf("# header %zu, steps of %zu: %zu of %zu\n", i, step, used, g->bytes.len);
            }
        }
        CHECK_EQ_INT(proxy_header_parse(g->bytes, &h), 0);
        CHECK_EQ_INT(h.local, g->from[0] == '-');
        check_address(&h.from, g->from);
        check_address(&h.to, g->to);
    }
}

static void a_unix_client_has_no_address(void)
{
    char room[16 + 216] = SIG "\x21\x31\0\xd8/run/client.sock";
    struct proxy_header h;
    size_t used = 0;
    CHECK_EQ_INT(feed(slice_of(room, sizeof(room)), 1000, &used), 0);
    CHECK_EQ_INT(used, sizeof(room));
    CHECK_EQ_INT(proxy_header_parse(slice_of(room, sizeof(room)), &h), 0);
    CHECK(!h.local);
    check_address(&h.from, "unix");
}

static void a_usual_line_takes_few_reads(void)
{
    struct slice line = SLICE("PROXY TCP4 192.168.100.100 192.168.100.200 56324 443\r\n");
    size_t used = 0;
    unsigned reads = 0;
    for (size_t need = 1; need > 0; reads++) {
        REQUIRE(proxy_header_need(slice_sub(line, 0, used), &need) == 0);
        used += need;
        REQUIRE(used <= line.len);
    }
    CHECK(reads <= 10);
}

struct bad {
    struct slice bytes;
    int error;
};

#define REPEAT_8(x) x x x x x x x x

static const struct bad bads[] = {
    // something else
    {SLICE_INIT("G"), E_PROXY_MISSING},
    {SLICE_INIT("GET / HTTP/1.1\r\n"), E_PROXY_MISSING},
    {SLICE_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), E_PROXY_MISSING},
    {SLICE_INIT("\x16\x03\x01\x02\0\x01"), E_PROXY_MISSING},
    {SLICE_INIT("proxy tcp4 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MISSING},
    {SLICE_INIT(" PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MISSING},
    {SLICE_INIT("PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MISSING},
    {SLICE_INIT("\r\n\r\n\0\r\nQUIT\r"), E_PROXY_MISSING},
    {SLICE_INIT("\0"), E_PROXY_MISSING},
    // version 1
    {SLICE_INIT("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n\r\n\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1\r\n 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 065535\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1 22.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 ::1 ::1 1 2222222222\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 [::1] [::1] 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 1::2::3 ::1 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 12345::1 ::1 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY UNKNOWNX\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY UNKNOWN \n\r\n"), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY UNKNOWN " REPEAT_8("0123456789ab")), E_PROXY_MALFORMED},
    {SLICE_INIT("PROXY TCP6 " REPEAT_8("0123456789ab")), E_PROXY_MALFORMED},
    // version 2
    {SLICE_INIT(SIG "\x11\x11\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x31\x11\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x22\x11\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x2f\x11\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x21\x41\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x21\x13\0\x0c" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x21\x11\xff\xff" V4_BLOCK), E_PROXY_UNSUPPORTED},
    {SLICE_INIT(SIG "\x21\x11\0\x0b" V4_BLOCK), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\0" V4_BLOCK), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x21\0\x0c" V6_BLOCK), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x0d" V4_BLOCK "\x04"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x0e" V4_BLOCK "\x04\0"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x0f" V4_BLOCK "\x04\0\x01"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x0f" V4_BLOCK "\xea\xff\xff"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x12" V4_BLOCK "\x03\0\x03\0\0\0"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x13" V4_BLOCK "\x03\0\x04\0\0\0\0"), E_PROXY_CHECKSUM},
    {SLICE_INIT(SIG "\x21\x11\0\x14" V4_BLOCK "\x02\0\x01q\x02\0\x01r"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x13" V4_BLOCK "\x20\0\x04\x01\0\0\0"), E_PROXY_MALFORMED},
    {SLICE_INIT(SIG "\x21\x11\0\x16" V4_BLOCK "\x20\0\x07\x01\0\0\0\0\x21\0"), E_PROXY_MALFORMED},
};

static void refuses_bad_ones(void)
{
    for (size_t i = 0; i < array_len(bads); i++) {
        size_t used = 0;
        int e = feed(bads[i].bytes, 4096, &used);
        struct proxy_header h;
        if (e == 0) {
            e = proxy_header_parse(slice_sub(bads[i].bytes, 0, used), &h);
        }
        if (!CHECK_EQ_INT(e, bads[i].error)) {
            printf("# bad header %zu\n", i);
        }
    }
}

static void what_cannot_become_one_is_refused_at_once(void)
{
    size_t need = 0;
    CHECK_EQ_INT(proxy_header_need(SLICE("PROXX"), &need), E_PROXY_MISSING);
    CHECK_EQ_INT(proxy_header_need(SLICE("\r\n\r\nX"), &need), E_PROXY_MISSING);
    CHECK_EQ_INT(proxy_header_need(SLICE("PROX"), &need), 0);
    CHECK_EQ_INT(need, 11);
}

static void put_tlv(struct text *t, char type, struct slice value)
{
    text_char(t, type);
    text_char(t, (char)(value.len >> 8));
    text_char(t, (char)(value.len & 255));
    text_put(t, value);
}

static struct slice with_tlvs(struct text *t, struct slice tlvs)
{
    text_put(t, SLICE(SIG "\x21\x11"));
    text_char(t, (char)((12 + tlvs.len) >> 8));
    text_char(t, (char)((12 + tlvs.len) & 255));
    text_put(t, SLICE(V4_BLOCK));
    text_put(t, tlvs);
    return text_slice(t);
}

static void reads_what_matters_of_the_rest(void)
{
    char sub_room[512];
    char tlv_room[1024];
    char room[2048];
    struct text sub = text_on(sub_room, sizeof(sub_room));
    struct text tlvs = text_on(tlv_room, sizeof(tlv_room));
    struct text t = text_on(room, sizeof(room));
    text_put(&sub, SLICE("\x07\0\0\0\0"));
    put_tlv(&sub, 0x21, SLICE("TLSv1.3"));
    put_tlv(&sub, 0x22, SLICE("client.example"));
    put_tlv(&sub, 0x23, SLICE("TLS_AES_128_GCM_SHA256"));
    put_tlv(&tlvs, 0x01, SLICE("h2"));
    put_tlv(&tlvs, 0x02, SLICE("www.example.com"));
    put_tlv(&tlvs, 0x05, SLICE("id-1"));
    put_tlv(&tlvs, 0x04, SLICE("\0\0\0"));
    put_tlv(&tlvs, 0x30, SLICE("blue"));
    put_tlv(&tlvs, 0x20, text_slice(&sub));
    struct proxy_header h;
    CHECK_EQ_INT(proxy_header_parse(with_tlvs(&t, text_slice(&tlvs)), &h), 0);
    CHECK_TEXT(h.alpn.ptr, h.alpn.len, "h2");
    CHECK_TEXT(h.authority.ptr, h.authority.len, "www.example.com");
    CHECK_TEXT(h.unique_id.ptr, h.unique_id.len, "id-1");
    CHECK(h.secure);
    CHECK(h.client_verified);
    CHECK_TEXT(h.version_tls.ptr, h.version_tls.len, "TLSv1.3");
    CHECK_TEXT(h.client_name.ptr, h.client_name.len, "client.example");
    CHECK_TEXT(h.cipher.ptr, h.cipher.len, "TLS_AES_128_GCM_SHA256");
}

static void a_certificate_that_was_not_verified_does_not_count(void)
{
    char room[256];
    struct proxy_header h;
    struct text t = text_on(room, sizeof(room));
    struct slice tlv = SLICE("\x20\0\x05\x03\0\0\0\x01");
    CHECK_EQ_INT(proxy_header_parse(with_tlvs(&t, tlv), &h), 0);
    CHECK(h.secure && !h.client_verified);
    t = text_on(room, sizeof(room));
    tlv = SLICE("\x20\0\x05\x02\0\0\0\0"); // a certificate without TLS
    CHECK_EQ_INT(proxy_header_parse(with_tlvs(&t, tlv), &h), 0);
    CHECK(!h.secure && !h.client_verified);
}

static void the_unique_id_has_a_limit(void)
{
    static const char id[129];
    char tlv_room[256];
    char room[512];
    struct proxy_header h;
    for (size_t len = 128; len <= 129; len++) {
        struct text tlvs = text_on(tlv_room, sizeof(tlv_room));
        struct text t = text_on(room, sizeof(room));
        put_tlv(&tlvs, 0x05, slice_of(id, len));
        int e = proxy_header_parse(with_tlvs(&t, text_slice(&tlvs)), &h);
        CHECK_EQ_INT(e, len == 128 ? 0 : E_PROXY_MALFORMED);
    }
}

static void a_checksum_is_verified(void)
{
    // Made with another implementation of CRC-32C.
    char room[] = SIG "\x21\x11\0\x13" V4_BLOCK "\x03\0\x04\x00\x00\x00\x00";
    static const unsigned char sum[4] = {0x82, 0xcf, 0x2d, 0x38};
    struct proxy_header h;
    memcpy(room + 31, sum, sizeof(sum));
    CHECK_EQ_INT(proxy_header_parse(slice_of(room, 35), &h), 0);
    for (size_t i = 14; i < 35; i++) {
        room[i] ^= 1;
        CHECK(i < 16 || (i >= 28 && i < 31) ||
              proxy_header_parse(slice_of(room, 35), &h) == E_PROXY_CHECKSUM);
        room[i] ^= 1;
    }
}

// ---- writing ----------------------------------------------------------------------------------------

static struct os_addr addr(const char *text)
{
    struct os_addr a;
    REQUIRE(os_addr_parse(slice_str(text), &a) == 0);
    return a;
}

static void writes_lines(void)
{
    static const struct {
        const char *from;
        const char *to;
        const char *want;
    } rows[] = {
        {"10.0.0.1:1234", "10.0.0.2:80", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n"},
        {"[2001:db8::1]:1234", "[::1]:80", "PROXY TCP6 2001:db8::1 ::1 1234 80\r\n"},
        {"10.0.0.1:1234", "[::1]:80", "PROXY TCP6 ::ffff:10.0.0.1 ::1 1234 80\r\n"},
        {"unix:/run/x", "unix:/run/y", "PROXY UNKNOWN\r\n"},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char room[PROXY_HEADER_LINE_MAX];
        struct text t = text_on(room, sizeof(room));
        struct proxy_header h = {.version = 1, .from = addr(rows[i].from), .to = addr(rows[i].to)};
        CHECK_EQ_INT(proxy_header_write(&h, &t), 0);
        CHECK_TEXT(t.ptr, t.len, rows[i].want);
    }
}

static void what_is_written_is_read_back(void)
{
    static const char *const pairs[][2] = {
        {"10.0.0.1:1234", "10.0.0.2:80"},
        {"[2001:db8::1]:1234", "[2001:db8::2]:80"},
        {"unix:/run/x", "unix:/run/y"},
    };
    for (size_t i = 0; i < array_len(pairs); i++) {
        char room[1024];
        struct text t = text_on(room, sizeof(room));
        struct proxy_header h = {
            .version = 2,
            .from = addr(pairs[i][0]),
            .to = addr(pairs[i][1]),
            .alpn = SLICE("http/1.1"),
            .authority = SLICE("example.com"),
            .unique_id = SLICE("1234"),
            .secure = true,
            .client_verified = i == 1,
            .version_tls = SLICE("TLSv1.2"),
            .client_name = SLICE("me"),
        };
        struct proxy_header back;
        size_t need = 1;
        CHECK_EQ_INT(proxy_header_write(&h, &t), 0);
        CHECK_EQ_INT(proxy_header_need(text_slice(&t), &need), 0);
        CHECK_EQ_INT(need, 0);
        CHECK_EQ_INT(proxy_header_parse(text_slice(&t), &back), 0);
        CHECK_EQ_INT(back.from.kind, h.from.kind);
        CHECK(i == 2 || os_addr_eq(&back.from, &h.from));
        CHECK(i == 2 || os_addr_eq(&back.to, &h.to));
        CHECK(slice_eq(back.alpn, h.alpn) && slice_eq(back.authority, h.authority));
        CHECK(slice_eq(back.unique_id, h.unique_id) && back.secure);
        CHECK(back.client_verified == h.client_verified);
        CHECK(slice_eq(back.version_tls, h.version_tls) &&
              slice_eq(back.client_name, h.client_name) && back.cipher.len == 0);
    }
}

static void without_addresses_it_says_so(void)
{
    char room[64];
    struct text t = text_on(room, sizeof(room));
    struct proxy_header h = {.version = 2, .local = true};
    CHECK_EQ_INT(proxy_header_write(&h, &t), 0);
    CHECK(slice_eq(text_slice(&t), SLICE(SIG "\x20\0\0\0")));
    t = text_on(room, sizeof(room));
    h = (struct proxy_header){.version = 2, .from = addr("10.0.0.1:1")};
    CHECK_EQ_INT(proxy_header_write(&h, &t), 0);
    CHECK(slice_eq(text_slice(&t), SLICE(SIG "\x21\0\0\0")));
    t = text_on(room, sizeof(room));
    h = (struct proxy_header){.version = 1, .local = true};
    CHECK_EQ_INT(proxy_header_write(&h, &t), 0);
    CHECK_TEXT(t.ptr, t.len, "PROXY UNKNOWN\r\n");
    t = text_on(room, 10);
    CHECK_EQ_INT(proxy_header_write(&h, &t), E_TOO_LARGE);
}

TAP_MAIN(takes_good_ones, a_unix_client_has_no_address, a_usual_line_takes_few_reads,
         refuses_bad_ones, what_cannot_become_one_is_refused_at_once,
         reads_what_matters_of_the_rest, a_certificate_that_was_not_verified_does_not_count,
         the_unique_id_has_a_limit, a_checksum_is_verified, writes_lines,
         what_is_written_is_read_back, without_addresses_it_says_so)
