// SPDX-License-Identifier: Apache-2.0
//
// num: strict parsing and formatting, against the C library.

#include "base/num.h"

#include "base/error.h"
#include "base/rng.h"
#include "tap.h"

static int dec(const char *s, uint64_t max)
{
    uint64_t value = 77;
    int rc = num_parse_u64(slice_str(s), max, &value);
    return rc != 0 ? rc : (int)value;
}

static int hex(const char *s, uint64_t max)
{
    uint64_t value = 77;
    int rc = num_parse_hex_u64(slice_str(s), max, &value);
    return rc != 0 ? rc : (int)value;
}

static void parses_digits_only(void)
{
    CHECK_EQ_INT(dec("0", 9), 0);
    CHECK_EQ_INT(dec("0012", 99), 12);
    static const char *bad[] = {"", "+1", "-1", " 1", "1 ", "0x1", "1_0", "1.0", "1,2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ_INT(dec(bad[i], UINT64_MAX), E_INVALID);
        CHECK_EQ_INT(hex(bad[i], UINT64_MAX), E_INVALID);
    }
    CHECK_EQ_INT(hex("fF", 255), 255);
    CHECK_EQ_INT(num_hex_digit('A'), 10);
    CHECK_EQ_INT(num_hex_digit('@'), -1);
    CHECK_EQ_INT(hex("g", 255), E_INVALID);
    CHECK_EQ_INT(num_parse_u64(slice_of("1\0002", 3), 99, &(uint64_t){0}), E_INVALID);
}

static void knows_its_limits(void)
{
    uint64_t v = 0;
    CHECK_EQ_INT(num_parse_u64(SLICE("18446744073709551615"), UINT64_MAX, &v), 0);
    CHECK(v == UINT64_MAX);
    CHECK_EQ_INT(num_parse_u64(SLICE("18446744073709551616"), UINT64_MAX, &v), E_RANGE);
    CHECK_EQ_INT(num_parse_u64(SLICE("99999999999999999999999"), UINT64_MAX, &v), E_RANGE);
    CHECK_EQ_INT(num_parse_u64(SLICE("99999999999999999999999x"), UINT64_MAX, &v), E_INVALID);
    CHECK_EQ_INT(num_parse_hex_u64(SLICE("ffffffffffffffff"), UINT64_MAX, &v), 0);
    CHECK(v == UINT64_MAX);
    CHECK_EQ_INT(num_parse_hex_u64(SLICE("10000000000000000"), UINT64_MAX, &v), E_RANGE);
    CHECK_EQ_INT(num_parse_hex_u64(SLICE("00000000000000001"), UINT64_MAX, &v), 0);
    CHECK_EQ_INT(dec("11", 10), E_RANGE);
    CHECK_EQ_INT(hex("b", 10), E_RANGE);
}

static void formats_what_it_parses(void)
{
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = rng_u64(&r) >> rng_below(&r, 64);
        char want[32];
        char got[32];
        uint64_t back = 0;
        (void)snprintf(want, sizeof(want), "%" PRIu64, value);
        size_t n = num_format_u64(got, value);
        if (n != strlen(want) || memcmp(got, want, n) != 0 ||
            num_parse_u64(slice_of(got, n), UINT64_MAX, &back) != 0 || back != value) {
            CHECK_TEXT(got, n, want);
        }
        (void)snprintf(want, sizeof(want), "%" PRIx64, value);
        n = num_format_hex(got, value);
        if (n != strlen(want) || memcmp(got, want, n) != 0 ||
            num_parse_hex_u64(slice_of(got, n), UINT64_MAX, &back) != 0 || back != value) {
            CHECK_TEXT(got, n, want);
        }
    }
    char zero[1];
    CHECK(num_format_u64(zero, 0) == 1 && zero[0] == '0');
    CHECK(num_format_hex(zero, 0) == 1 && zero[0] == '0');
}

static void adds_with_care(void)
{
    size_t out = 0;
    CHECK(num_add_size(1, 2, &out) && out == 3);
    CHECK(!num_add_size(SIZE_MAX, 1, &out));
    CHECK(num_mul_size(3, 4, &out) && out == 12);
    CHECK(!num_mul_size(SIZE_MAX / 2, 3, &out));
    CHECK(num_min_size(1, 2) == 1 && num_min_u64(5, 4) == 4);
}

TAP_MAIN(parses_digits_only, knows_its_limits, formats_what_it_parses, adds_with_care)
