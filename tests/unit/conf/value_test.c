// SPDX-License-Identifier: Apache-2.0
//
// Typed values: what is taken, and that nothing near to it is.

#include "tap.h"

#include "base/error.h"
#include "conf/value.h"

static uint64_t duration(const char *s)
{
    uint64_t ms = 77;
    int rc = conf_value_duration(slice_str(s), &ms);
    return rc == 0 ? ms : rc == E_RANGE ? UINT64_MAX : UINT64_MAX - 1;
}

static uint64_t size(const char *s)
{
    uint64_t bytes = 77;
    int rc = conf_value_size(slice_str(s), &bytes);
    return rc == 0 ? bytes : rc == E_RANGE ? UINT64_MAX : UINT64_MAX - 1;
}

#define BAD      (UINT64_MAX - 1)
#define TOO_MUCH UINT64_MAX

static void durations(void)
{
    CHECK(duration("0") == 0);
    CHECK(duration("10s") == 10000);
    CHECK(duration("500ms") == 500);
    CHECK(duration("1m30s") == 90000);
    CHECK(duration("1d2h3m4s5ms") == 93784005);
    CHECK(duration("10") == BAD);
    CHECK(duration("") == BAD);
    CHECK(duration("s") == BAD);
    CHECK(duration("10 s") == BAD);
    CHECK(duration("10S") == BAD);
    CHECK(duration("-10s") == BAD);
    CHECK(duration("1.5s") == BAD);
    CHECK(duration("010s") == BAD);
    CHECK(duration("30s1m") == BAD); // from large to small
    CHECK(duration("1s1s") == BAD);
    CHECK(duration("1m30") == BAD);
    CHECK(duration("99999999999999999999s") == TOO_MUCH);
    CHECK(duration("18446744073709551s") == 18446744073709551000u);
    CHECK(duration("18446744073709552s") == TOO_MUCH);
}

static void sizes(void)
{
    CHECK(size("0") == 0);
    CHECK(size("512") == 512);
    CHECK(size("512B") == 512);
    CHECK(size("4KiB") == 4096);
    CHECK(size("4KB") == 4000);
    CHECK(size("1MiB") == 1 << 20);
    CHECK(size("1GiB") == 1 << 30);
    CHECK(size("2TB") == 2000000000000);
    CHECK(size("1k") == BAD);
    CHECK(size("1K") == BAD);
    CHECK(size("1kib") == BAD);
    CHECK(size("1 KiB") == BAD);
    CHECK(size("1.5MiB") == BAD);
    CHECK(size("1MiB1KiB") == BAD);
    CHECK(size("KiB") == BAD);
    CHECK(size("16777216TiB") == TOO_MUCH);
    CHECK(size("16777215TiB") == 16777215ull << 40);
}

static void switches(void)
{
    bool on = false;
    CHECK(conf_value_bool(SLICE("on"), &on) == 0 && on);
    CHECK(conf_value_bool(SLICE("off"), &on) == 0 && !on);
    CHECK(conf_value_bool(SLICE("true"), &on) == 0 && on);
    CHECK(conf_value_bool(SLICE("false"), &on) == 0 && !on);
    CHECK(conf_value_bool(SLICE("yes"), &on) == E_INVALID);
    CHECK(conf_value_bool(SLICE("On"), &on) == E_INVALID);
    CHECK(conf_value_bool(SLICE(""), &on) == E_INVALID);
}

static void numbers(void)
{
    int64_t n = 7;
    CHECK(conf_value_int(SLICE("0"), &n) == 0 && n == 0);
    CHECK(conf_value_int(SLICE("9223372036854775807"), &n) == 0 && n == INT64_MAX);
    CHECK(conf_value_int(SLICE("9223372036854775808"), &n) == E_RANGE);
    CHECK(conf_value_int(SLICE("010"), &n) == E_INVALID);
    CHECK(conf_value_int(SLICE("+1"), &n) == E_INVALID);
    CHECK(conf_value_int(SLICE("0x10"), &n) == E_INVALID);
    CHECK(conf_value_int(SLICE("1_000"), &n) == E_INVALID);
    CHECK(conf_value_int(SLICE("1e3"), &n) == E_INVALID);
}

static void percentages(void)
{
    uint64_t n = 7;
    CHECK(conf_value_percent(SLICE("0%"), &n) == 0 && n == 0);
    CHECK(conf_value_percent(SLICE("125%"), &n) == 0 && n == 125);
    CHECK(conf_value_percent(SLICE("99999999999999999999%"), &n) == E_RANGE);
    CHECK(conf_value_percent(SLICE("20"), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE("%"), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE(""), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE("020%"), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE("20 %"), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE("20%5"), &n) == E_INVALID);
    CHECK(conf_value_percent(SLICE("0.5%"), &n) == E_INVALID);
}

static void statuses(void)
{
    unsigned status = 0;
    CHECK(conf_value_status(SLICE("404"), false, &status) == 0 && status == 404);
    CHECK(conf_value_status(SLICE("5xx"), true, &status) == 0 && status == 5);
    CHECK(conf_value_status(SLICE("5xx"), false, &status) == E_INVALID);
    CHECK(conf_value_status(SLICE("6xx"), true, &status) == E_INVALID);
    CHECK(conf_value_status(SLICE("99"), false, &status) == E_INVALID);
    CHECK(conf_value_status(SLICE("600"), false, &status) == E_RANGE);
    CHECK(conf_value_status(SLICE("0404"), false, &status) == E_INVALID);
}

static void tokens(void)
{
    CHECK(conf_is_token(SLICE("x-user")));
    CHECK(conf_is_token(SLICE("!#$%&'*+-.^_`|~09AZaz")));
    CHECK(!conf_is_token(SLICE("")));
    CHECK(!conf_is_token(SLICE("x user")));
    CHECK(!conf_is_token(SLICE("x:")));
    CHECK(!conf_is_token(slice_of("x\0", 2)));
}

TAP_MAIN(durations, sizes, switches, numbers, percentages, statuses, tokens)
