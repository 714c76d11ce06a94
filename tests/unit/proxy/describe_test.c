// SPDX-License-Identifier: Apache-2.0
//
// What a panic says of an exchange, whole or broken.

#include "base/text.h"
#include "proxy/exchange_int.h"

#include "tap.h"

static char buffer[2048];

static struct slice described(struct exchange *x)
{
    struct text t = text_on(buffer, sizeof buffer);
    exchange_describe(x, &t);
    return text_slice(&t);
}

static void an_exchange_is_named(void)
{
    static struct exchange x;
    x.magic = EXCHANGE_MAGIC;
    x.state = EXCHANGE_WAITING;
    memset(x.id, 'a', sizeof x.id);
    x.request.authority = SLICE("example.com");
    x.original_target = SLICE("/a\"\n");
    struct slice got = described(&x);
    CHECK(slice_find(got, SLICE(" state=waiting ")) > 0);
    CHECK(slice_find(got, SLICE(" id=\"aaaaaaaaaaaaaaaa\"")) > 0);
    CHECK(slice_find(got, SLICE(" host=\"example.com\" target=\"/a\\\"\\n\"\n")) > 0);
}

static void a_broken_one_does_no_harm(void)
{
    static struct exchange x;
    x.magic = 7;
    struct slice got = described(&x);
    CHECK_TEXT(got.ptr, got.len, "exchange: not one\n");
    got = described(NULL);
    CHECK_TEXT(got.ptr, got.len, "exchange: not one\n");
    x.magic = EXCHANGE_MAGIC;
    x.state = 200;
    CHECK(slice_find(described(&x), SLICE(" state=unknown ")) > 0);
}

TAP_MAIN(an_exchange_is_named, a_broken_one_does_no_harm)
