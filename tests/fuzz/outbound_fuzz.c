// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what proxies on the way out answer. The first byte says which kind it is, whether there is a
// login, and how the rest, which the proxy says, is cut; what is to be sent is sent whenever something
// is. However it is cut, the same becomes of it; it ends open only behind a whole answer; and nothing
// is said that is not in the protocol.

#include <stdlib.h>

#include "base/error.h"
#include "net/outbound_talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const struct outbound *proxy, struct slice in, size_t step, bool *open)
{
    struct outbound_talk *t = malloc(sizeof(*t));
    if (t == NULL) {
        abort();
    }
    ensure(outbound_talk_begin(t, proxy, SLICE("edge.example.com"), 443) == 0);
    int e = 0;
    while (e == 0 && in.len > 0) {
        outbound_talk_sent(t, outbound_talk_out(t).len);
        size_t n = in.len < step ? in.len : step;
        e = outbound_talk_take(t, slice_sub(in, 0, n));
        in = slice_from(in, n);
    }
    ensure(e == 0 || e == E_OUTBOUND_MALFORMED || e == E_OUTBOUND_LOGIN ||
           e == E_OUTBOUND_REFUSED || e == E_OUTBOUND_UNREACHABLE);
    *open = outbound_talk_is_open(t);
    ensure(!*open || outbound_talk_out(t).len == 0);
    char bytes[80];
    struct text reason = text_on(bytes, sizeof(bytes));
    outbound_talk_reason(t, &reason);
    ensure(!reason.overflow);
    free(t);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct outbound proxy;
    const char *why = NULL;
    static const char *const proxies[] = {"http://p", "http://a:b@p", "socks5://p",
                                          "socks5://a:b@p"};
    ensure(outbound_parse(slice_str(proxies[data[0] & 3]), &proxy, &why) == 0);
    size_t step = (size_t)(data[0] >> 2) + 1;
    char *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data + 1, size - 1);
    struct slice in = slice_of(copy, size - 1);
    bool open = false;
    bool open_slowly = false;
    int slow = run(&proxy, in, 1, &open_slowly);
    int e = run(&proxy, in, step, &open);
    // SOCKS takes turns: an answer that comes before its question was sent is an error, however right.
    bool turns = proxy.kind == OUTBOUND_SOCKS5 && step > 1;
    ensure(turns || (e == slow && open == open_slowly));
    // The same bytes are a URL and a list of exceptions as well.
    if (outbound_parse(in, &proxy, &why) == 0) {
        char bytes[300];
        struct text t = text_on(bytes, sizeof(bytes));
        outbound_text(&proxy, &t);
        ensure(!t.overflow && proxy.host_len > 0 && proxy.port != 0);
    }
    (void)outbound_is_exempt(in, SLICE("a.example.com"), 443);
    (void)outbound_is_exempt(SLICE("example.com 10.0.0.0/8 2001:db8::/32"), in, 443);
    free(copy);
    return 0;
}
