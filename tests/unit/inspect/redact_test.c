// SPDX-License-Identifier: Apache-2.0
//
// What is left out by its name, and what stays.

#include "inspect/redact.h"
#include "tap.h"

static const struct {
    const char *name, *value, *shown;
} fields[] = {
    {"Authorization", "Bearer abc", "Bearer [redacted]"},
    {"authorization", "abc", "[redacted]"},
    {"Authorization", "a=b c", "[redacted]"},
    {"Proxy-Authorization", "Basic abc=", "Basic [redacted]"},
    {"Cookie", "a=b; c=d", "[redacted]"},
    {"Set-Cookie", "a=b; Path=/", "[redacted]"},
    {"X-Api-Key", "abc", "[redacted]"},
    {"X-API-KEY", "abc", "[redacted]"},
    {"apikey", "abc", "[redacted]"},
    {"X-Auth-Token", "abc", "[redacted]"},
    {"X-Auth", "abc", "[redacted]"},
    {"X-Gitlab-Token", "abc", "[redacted]"},
    {"X-CSRF-Token", "abc", "[redacted]"},
    {"X-Client-Secret", "abc", "[redacted]"},
    {"X-Password", "abc", "[redacted]"},
    {"Cookie", "", ""},
    {"X-Hub-Signature-256", "sha256=abc", "sha256=abc"},
    {"Stripe-Signature", "t=1,v1=abc", "t=1,v1=abc"},
    {"Idempotency-Key", "abc", "abc"},
    {"WWW-Authenticate", "Basic realm=\"a\"", "Basic realm=\"a\""},
    {"Content-Type", "text/plain", "text/plain"},
    {"X-Monkey", "abc", "abc"},
    {"Referer", "https://a/?token=abc&b=c", "https://a/?token=[redacted]&b=c"},
    {"Location", "/next?code=abc#x", "/next?code=[redacted]#x"},
    {"Link", "<https://a/?key=abc>; rel=next", "<https://a/?key=[redacted]; rel=next"},
    {"", "abc", "abc"},
};

static void leaves_out_fields(void)
{
    char buffer[256];
    for (size_t i = 0; i < array_len(fields); i++) {
        struct text t = text_on(buffer, sizeof(buffer));
        redact_field(&t, slice_str(fields[i].name), slice_str(fields[i].value));
        if (!CHECK_TEXT(t.ptr, t.len, fields[i].shown)) {
            printf("# %s: %s\n", fields[i].name, fields[i].value);
        }
    }
}

static const struct {
    const char *url, *shown;
} urls[] = {
    {"/", "/"},
    {"", ""},
    {"/?", "/?"},
    {"/token=abc", "/token=abc"},
    {"/?token=abc", "/?token=[redacted]"},
    {"/?TOKEN=abc", "/?TOKEN=[redacted]"},
    {"/?a=b&access_token=abc&c=d", "/?a=b&access_token=[redacted]&c=d"},
    {"/?a=b;key=abc;c=d", "/?a=b;key=[redacted];c=d"},
    {"/?%74oken=abc", "/?%74oken=[redacted]"},
    {"/?to%6Ben=abc", "/?to%6Ben=[redacted]"},
    {"/?%=abc&%7=abc&key=x", "/?%=abc&%7=abc&key=[redacted]"},
    {"/?token", "/?token"},
    {"/?token=", "/?token="},
    {"/?token=a=b=c&d", "/?token=[redacted]&d"},
    {"/?x=1?token=abc", "/?x=1?token=abc"},
    {"/??token=abc", "/??token=[redacted]"},
    {"/?X-Amz-Signature=abc&X-Amz-Date=1", "/?X-Amz-Signature=[redacted]&X-Amz-Date=1"},
    {"/?sig=abc&sigma=1", "/?sig=[redacted]&sigma=1"},
    {"/?api.key=abc&monkey=1&user[key=abc", "/?api.key=[redacted]&monkey=1&user[key=[redacted]"},
    {"/?secret=abc&signature=def&key=ghi",
     "/?secret=[redacted]&signature=[redacted]&key=[redacted]"},
    {"/?password=abc&pwd=def", "/?password=[redacted]&pwd=[redacted]"},
    {"/?keyword=abc&code=def&barcode=1", "/?keyword=abc&code=[redacted]&barcode=1"},
    {"/?=abc&&=", "/?=abc&&="},
};

static void leaves_out_parameters(void)
{
    char buffer[256];
    for (size_t i = 0; i < array_len(urls); i++) {
        struct text t = text_on(buffer, sizeof(buffer));
        redact_url(&t, slice_str(urls[i].url));
        if (!CHECK_TEXT(t.ptr, t.len, urls[i].shown)) {
            printf("# %s\n", urls[i].url);
        }
    }
}

static void a_name_without_an_end(void)
{
    static char url[4096];
    static char out[sizeof(url) * REDACT_FACTOR + REDACT_MORE];
    memset(url, 'k', sizeof(url));
    memcpy(url, "/?token", 7);
    memcpy(url + sizeof(url) - 4, "=abc", 4);
    struct text t = text_on(out, sizeof(out));
    redact_url(&t, slice_of(url, sizeof(url)));
    CHECK(slice_ends(text_slice(&t), SLICE("k=[redacted]")));
    for (size_t i = 0; i < sizeof(url); i++) { // as much as there can be
        url[i] = "&key=a"[i % 6];
    }
    url[0] = '?';
    t = text_on(out, sizeof(out));
    redact_url(&t, slice_of(url, sizeof(url)));
    CHECK(!t.overflow);
}

TAP_MAIN(leaves_out_fields, leaves_out_parameters, a_name_without_an_end)
