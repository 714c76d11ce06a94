// SPDX-License-Identifier: Apache-2.0
//
// What CAs say, good and bad.

#include "acme/parse.h"

#include "base/error.h"
#include "tap.h"

static struct arena a;
static char buffer[1024];
static struct text why;

static void setup(void)
{
    arena_init(&a, NULL, 0, NULL, 16 << 20);
}

static void reset(void)
{
    why = text_on(buffer, sizeof(buffer));
}

// ---- directories ----------------------------------------------------------------------------------

static void directories(void)
{
    struct acme_directory d;
    reset();
    CHECK_EQ_INT(
        acme_parse_directory(
            SLICE("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\","
                  "\"newOrder\":\"https://ca/o\",\"renewalInfo\":\"https://ca/r\",\"extra\":[1],"
                  "\"meta\":{\"externalAccountRequired\":true,\"profiles\":{\"classic\":\"x\","
                  "\"short\\u0020lived\":\"y\",\"shortlived\":\"z\"}}}"),
            &a, &d, &why),
        0);
    CHECK_TEXT(d.new_order.ptr, d.new_order.len, "https://ca/o");
    CHECK_TEXT(d.renewal_info.ptr, d.renewal_info.len, "https://ca/r");
    CHECK(d.external_account_required);
    CHECK_EQ_INT(d.profile_count, 2);
    CHECK_EQ_INT(acme_parse_directory(SLICE("{\"newNonce\":\"https://ca/n\",\"newAccount\":"
                                            "\"https://ca/a\",\"newOrder\":\"https://ca/o\","
                                            "\"meta\":7}"),
                                      &a, &d, &why),
                 0);
    CHECK_EQ_INT(d.renewal_info.len, 0);
    CHECK(!d.external_account_required);
}

static void bad_directories(void)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{",
        "null",
        "\"x\"",
        "{}",
        "{\"newNonce\":\"http://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/"
        "o\"}",
        "{\"newNonce\":7,\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\"}",
        "{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\"}",
        "{\"newNonce\":\"https://ca/n\",\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/"
        "a\","
        "\"newOrder\":\"https://ca/o\"}",
        "{\"newNonce\":\"https://c "
        "a/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\"}",
        "{\"newNonce\":\"https://\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\"}",
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct acme_directory d;
        reset();
        CHECK_EQ_INT(acme_parse_directory(slice_str(rows[i]), &a, &d, &why), E_INVALID);
        CHECK(why.len > 0);
    }
}

// ---- orders ---------------------------------------------------------------------------------------

static void orders(void)
{
    struct acme_order o;
    reset();
    CHECK_EQ_INT(
        acme_parse_order(SLICE("{\"status\":\"pending\",\"authorizations\":[\"https://ca/1\","
                               "\"https://ca/2\"],\"finalize\":\"https://ca/f\"}"),
                         &a, &o, &why),
        0);
    CHECK_EQ_INT(o.status, ACME_STATUS_PENDING);
    CHECK_EQ_INT(o.authorization_count, 2);
    CHECK(!o.failed);
    CHECK_EQ_INT(acme_parse_order(SLICE("{\"status\":\"valid\",\"finalize\":\"https://ca/f\","
                                        "\"certificate\":\"https://ca/c\"}"),
                                  &a, &o, &why),
                 0);
    CHECK_TEXT(o.certificate.ptr, o.certificate.len, "https://ca/c");
    CHECK_EQ_INT(acme_parse_order(SLICE("{\"status\":\"invalid\",\"finalize\":\"https://ca/f\","
                                        "\"error\":{\"type\":\"urn:ietf:params:acme:error:caa\","
                                        "\"detail\":\"no\\nway\"}}"),
                                  &a, &o, &why),
                 0);
    CHECK(o.failed);
    CHECK_EQ_INT(o.problem.kind, ACME_PROBLEM_CAA);
    CHECK_TEXT(o.problem.detail.ptr, o.problem.detail.len, "no way");
}

static void bad_orders(void)
{
    static const char *const rows[] = {
        "{\"status\":\"pending\"}",
        "{\"status\":\"odd\",\"finalize\":\"https://ca/f\"}",
        "{\"status\":\"valid\",\"finalize\":\"https://ca/f\"}",
        "{\"status\":\"pending\",\"finalize\":\"https://ca/f\",\"authorizations\":[7]}",
        "{\"status\":\"pending\",\"finalize\":\"https://ca/f\",\"authorizations\":[\"ftp://x\"]}",
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct acme_order o;
        reset();
        CHECK_EQ_INT(acme_parse_order(slice_str(rows[i]), &a, &o, &why), E_INVALID);
        CHECK(why.len > 0);
    }
}

static void an_order_with_too_many_authorisations(void)
{
    struct acme_order o;
    char json[4096];
    struct text t = text_on(json, sizeof(json));
    text_str(&t, "{\"status\":\"pending\",\"finalize\":\"https://ca/f\",\"authorizations\":[");
    for (int i = 0; i <= ACME_NAMES_MAX; i++) {
        text_printf(&t, "%s\"https://ca/%d\"", i > 0 ? "," : "", i);
    }
    text_str(&t, "]}");
    reset();
    CHECK_EQ_INT(acme_parse_order(text_slice(&t), &a, &o, &why), E_INVALID);
}

// ---- authorisations -------------------------------------------------------------------------------

static void authorisations(void)
{
    struct acme_authz z;
    reset();
    CHECK_EQ_INT(
        acme_parse_authz(
            SLICE(
                "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},"
                "\"wildcard\":true,\"challenges\":[{\"type\":\"odd-01\",\"url\":7},"
                "{\"type\":\"dns-01\",\"url\":\"https://ca/1\",\"token\":\"abc_-\","
                "\"status\":\"pending\"},"
                "{\"type\":\"dns-01\",\"url\":\"https://ca/again\",\"token\":\"abc\"},7,"
                "{\"type\":\"http-01\",\"url\":\"https://ca/"
                "2\",\"token\":\"t\",\"status\":\"invalid\","
                "\"error\":{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\"gone\","
                "\"subproblems\":[{\"type\":\"x\",\"identifier\":{\"value\":\"b.example\"}},7]}}]"
                "}"),
            &a, &z, &why),
        0);
    CHECK(z.wildcard && !z.is_ip);
    CHECK_EQ_INT(z.offer_count, 2);
    CHECK_EQ_INT(z.offers[0].kind, ACME_DNS_01);
    CHECK_TEXT(z.offers[0].url.ptr, z.offers[0].url.len, "https://ca/1");
    CHECK(!z.offers[0].failed && z.offers[1].failed);
    CHECK_EQ_INT(z.offers[1].problem.sub_count, 1);
    CHECK_TEXT(z.offers[1].problem.subs[0].name.ptr, z.offers[1].problem.subs[0].name.len,
               "b.example");
}

static void bad_authorisations(void)
{
    static const char *const rows[] = {
        "{\"status\":\"pending\"}",
        "{\"status\":\"odd\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"}}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"dns\",\"value\":\"\"}}",
        "{\"status\":\"valid\",\"identifier\":{\"type\":\"odd\",\"value\":\"a\"}}",
        "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"},\"challenges\":["
        "{\"type\":\"http-01\",\"url\":\"https://ca/1\",\"token\":\"../../etc\"}]}",
        "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"},\"challenges\":["
        "{\"type\":\"http-01\",\"url\":\"https://ca/1\",\"token\":\"\"}]}",
        "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"},\"challenges\":["
        "{\"type\":\"http-01\",\"url\":\"javascript:1\",\"token\":\"t\"}]}",
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct acme_authz z;
        reset();
        CHECK_EQ_INT(acme_parse_authz(slice_str(rows[i]), &a, &z, &why), E_INVALID);
        CHECK(why.len > 0);
    }
}

static void problems(void)
{
    struct acme_problem p;
    CHECK_EQ_INT(acme_parse_problem(SLICE("{\"type\":\"urn:ietf:params:acme:error:rateLimited\","
                                          "\"detail\":\"slow\\u001b[31m down\"}"),
                                    &a, &p),
                 0);
    CHECK_EQ_INT(p.kind, ACME_PROBLEM_RATE_LIMITED);
    CHECK_TEXT(p.detail.ptr, p.detail.len, "slow [31m down");
    CHECK_EQ_INT(acme_parse_problem(SLICE("{}"), &a, &p), E_INVALID);
    CHECK_EQ_INT(acme_parse_problem(SLICE("<html>"), &a, &p), E_INVALID);
    CHECK_EQ_INT(acme_parse_problem((struct slice){NULL, 0}, &a, &p), E_INVALID);
}

// ---- times ----------------------------------------------------------------------------------------

static void times(void)
{
    static const struct {
        const char *text;
        uint64_t want; // 0: refused
    } rows[] = {
        {"2026-11-23T09:15:00Z", 1795425300},
        {"2026-11-23t09:15:00z", 1795425300},
        {"2026-11-23T09:15:00.123456Z", 1795425300},
        {"2026-11-23T10:15:00+01:00", 1795425300},
        {"2026-11-23T04:15:00-05:00", 1795425300},
        {"2024-02-29T00:00:00Z", 1709164800},
        {"2023-02-29T00:00:00Z", 0},
        {"2026-11-31T00:00:00Z", 0},
        {"2026-13-01T00:00:00Z", 0},
        {"2026-11-23T24:00:00Z", 0},
        {"2026-11-23 09:15:00Z", 0},
        {"2026-11-23T09:15:00", 0},
        {"2026-11-23T09:15:00+1:00", 0},
        {"1969-12-31T23:59:59Z", 0},
        {"1970-01-01T00:00:01+01:00", 0},
        {"+026-11-23T09:15:00Z", 0},
        {"", 0},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        uint64_t got = 0;
        int rc = acme_parse_time(slice_str(rows[i].text), &got);
        CHECK_EQ_INT(rc, rows[i].want > 0 ? 0 : E_INVALID);
        CHECK_EQ_INT(got, rows[i].want);
    }
}

static void http_dates(void)
{
    uint64_t got = 0;
    CHECK_EQ_INT(acme_parse_http_date(SLICE("Mon, 23 Nov 2026 09:15:00 GMT"), &got), 0);
    CHECK_EQ_INT(got, 1795425300);
    CHECK_EQ_INT(acme_parse_http_date(SLICE("Mon, 23 Nov 2026 09:15:00 CET"), &got), E_INVALID);
    CHECK_EQ_INT(acme_parse_http_date(SLICE("Mon, 31 Nov 2026 09:15:00 GMT"), &got), E_INVALID);
    CHECK_EQ_INT(acme_parse_http_date(SLICE("Mon, 23 Nix 2026 09:15:00 GMT"), &got), E_INVALID);
    CHECK_EQ_INT(acme_parse_http_date(SLICE("Monday, 23-Nov-26 09:15:00 GMT"), &got), E_INVALID);
}

static void windows(void)
{
    struct acme_window w = {.start = 0};
    reset();
    CHECK_EQ_INT(acme_parse_window(SLICE("{\"suggestedWindow\":{\"start\":\"2026-11-23T09:15:00Z\","
                                         "\"end\":\"2026-11-24T09:15:00Z\"},\"explanationURL\":7}"),
                                   &w, &why),
                 0);
    CHECK_EQ_INT(w.end - w.start, 86400);
    static const char *const rows[] = {
        "{}",
        "[]",
        "{\"suggestedWindow\":{\"start\":\"2026-11-23T09:15:00Z\"}}",
        "{\"suggestedWindow\":{\"start\":\"2026-11-23T09:15:00Z\",\"end\":\"2026-11-23T09:15:00Z\"}"
        "}",
        "{\"suggestedWindow\":{\"start\":\"2026-11-23T09:15:00Z\",\"end\":\"2025-11-23T09:15:00Z\"}"
        "}",
        "{\"suggestedWindow\":{\"start\":1,\"end\":2}}",
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        reset();
        CHECK_EQ_INT(acme_parse_window(slice_str(rows[i]), &w, &why), E_INVALID);
        CHECK(why.len > 0);
    }
}

static void fini(void)
{
    arena_fini(&a);
}

TAP_MAIN(setup, directories, bad_directories, orders, bad_orders,
         an_order_with_too_many_authorisations, authorisations, bad_authorisations, problems, times,
         http_dates, windows, fini)
