// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what a CA may say: the first byte picks what it is taken for (directory, order, authorisation,
// problem, renewal window, times, base64url), the rest is the answer. Whatever comes, URLs that are
// taken are https, tokens are fit for a path, counts are within their limits, and words for the log
// hold no control bytes.

#include "acme/http.h"
#include "acme/parse.h"
#include "base/error.h"
#include "tls/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        ensure((unsigned char)s.ptr[i] >= ' ' && s.ptr[i] != 0x7f);
    }
}

static void check_problem(const struct acme_problem *p)
{
    char buffer[4096];
    struct text t = text_on(buffer, sizeof(buffer));
    ensure(p->sub_count <= ACME_SUBPROBLEMS_MAX && p->kind < ACME_PROBLEM_COUNT);
    check_words(p->type);
    check_words(p->detail);
    acme_problem_words(p, SLICE("a.example"), &t);
    check_words(text_slice(&t));
    (void)acme_problem_permanent(p);
}

static void fuzz_directory(struct slice json, struct arena *a, struct text *why)
{
    struct acme_directory d;
    if (acme_parse_directory(json, a, &d, why) == 0) {
        ensure(acme_url_ok(d.new_nonce, false) && acme_url_ok(d.new_order, false));
        ensure(d.renewal_info.len == 0 || acme_url_ok(d.renewal_info, false));
        ensure(d.profile_count <= ACME_PROFILES_MAX);
    }
}

static void fuzz_order(struct slice json, struct arena *a, struct text *why)
{
    struct acme_order o;
    if (acme_parse_order(json, a, &o, why) == 0) {
        ensure(acme_url_ok(o.finalize, false));
        ensure(o.authorization_count <= ACME_NAMES_MAX);
        ensure(o.status != ACME_STATUS_VALID || acme_url_ok(o.certificate, false));
        check_problem(&o.problem);
    }
}

static void fuzz_authz(struct slice json, struct arena *a, struct text *why)
{
    struct acme_authz z;
    if (acme_parse_authz(json, a, &z, why) == 0) {
        ensure(z.name.len > 0 && z.offer_count <= 3);
        for (uint32_t i = 0; i < z.offer_count; i++) {
            ensure(acme_url_ok(z.offers[i].url, false) && acme_is_base64url(z.offers[i].token));
            check_problem(&z.offers[i].problem);
        }
    }
}

static void fuzz_times(struct slice s, struct arena *a)
{
    uint64_t at = 0;
    struct slice bytes;
    (void)!acme_parse_time(s, &at);
    (void)!acme_parse_http_date(s, &at);
    ensure(acme_retry_after_ms(s, 1000) <= (uint64_t)30 * 24 * 3600 * 1000);
    if (jws_base64url_read(s, a, &bytes) == 0) {
        ensure(bytes.len <= s.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > (256 << 10)) {
        return 0;
    }
    struct arena a;
    struct acme_window window = {.start = 0};
    struct acme_problem problem;
    char buffer[1024];
    struct text why = text_on(buffer, sizeof(buffer));
    struct slice s = slice_of((const char *)data + 1, size - 1);
    arena_init(&a, NULL, 0, NULL, 16 << 20);
    switch (data[0] % 6) {
    case 0:
        fuzz_directory(s, &a, &why);
        break;
    case 1:
        fuzz_order(s, &a, &why);
        break;
    case 2:
        fuzz_authz(s, &a, &why);
        break;
    case 3:
        if (acme_parse_problem(s, &a, &problem) == 0) {
            check_problem(&problem);
        }
        break;
    case 4:
        if (acme_parse_window(s, &window, &why) == 0) {
            ensure(window.start < window.end);
        }
        break;
    default:
        fuzz_times(s, &a);
        break;
    }
    check_words(text_slice(&why));
    arena_fini(&a);
    return 0;
}
