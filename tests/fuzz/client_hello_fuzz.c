// SPDX-License-Identifier: Apache-2.0
//
// ClientHellos: whatever comes, the answer is one of the five, a longer piece of the same bytes does
// not take an answer back, and what was read is what may be routed by.

#include <stdlib.h>

#include "base/error.h"
#include "l4/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(const struct client_hello *h)
{
    for (size_t i = 0; i < h->name_len; i++) {
        char c = h->name[i];
        ensure((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_');
    }
    size_t at = 0;
    while (at < h->alpn_len) {
        ensure(h->alpn[at] > 0);
        at += 1U + h->alpn[at];
    }
    ensure(at == h->alpn_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > CLIENT_HELLO_BYTES_MAX) {
        return 0;
    }
    int before = E_AGAIN;
    size_t step = size / 16 + 1;
    for (size_t n = 0;; n += step) {
        size_t len = n < size ? n : size;
        char *copy = malloc(len > 0 ? len : 1); // exactly as long: a read beyond is seen
        ensure(copy != NULL);
        if (len > 0) {
            memcpy(copy, data, len);
        }
        struct client_hello h;
        int e = client_hello_parse(slice_of(copy, len), &h);
        ensure(e == 0 || e == E_AGAIN || e == E_TLS_NOT_TLS || e == E_TLS_HANDSHAKE ||
               e == E_TOO_LARGE);
        ensure(before == E_AGAIN || e == before);
        if (e == 0) {
            check_names(&h);
        }
        before = e;
        free(copy);
        if (len == size) {
            return 0;
        }
    }
}
