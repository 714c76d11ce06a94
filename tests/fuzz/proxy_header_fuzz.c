// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes PROXY headers. The first byte says how many bytes come at once; the rest is what a peer sends,
// header and what follows. However it is cut, the same header is found at the same place; what is asked
// for is never more than the header has; and what it says can be written and read back.

#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// How far a reader gets that takes at most `step` bytes at once, and with what.
static int take(struct slice all, size_t step, size_t *used)
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
        ensure(*used <= PROXY_HEADER_MAX);
    }
}

// What a broken one has too little of may be missed in what follows it, so how it is cut decides when
// it is found to be broken, but not whether.
static int outcome(struct slice all, size_t step, size_t *used, struct proxy_header *h)
{
    int e = take(all, step, used);
    if (e == 0) {
        e = proxy_header_parse(slice_sub(all, 0, *used), h);
        ensure(e == 0 || e == E_PROXY_MALFORMED || e == E_PROXY_CHECKSUM);
    }
    return e;
}

static void check_inside(struct slice all, struct slice part)
{
    ensure(part.len == 0 || (part.ptr >= all.ptr && part.ptr + part.len <= all.ptr + all.len));
}

static void check_same(const struct proxy_header *a, const struct proxy_header *b)
{
    ensure(a->local == b->local);
    ensure(a->local || a->from.kind == b->from.kind);
    ensure(a->local || a->from.kind == OS_ADDR_UNIX || os_addr_eq(&a->from, &b->from));
    ensure(a->local || a->from.kind == OS_ADDR_UNIX || os_addr_eq(&a->to, &b->to));
    ensure(slice_eq(a->alpn, b->alpn) && slice_eq(a->authority, b->authority));
    ensure(slice_eq(a->unique_id, b->unique_id) && a->secure == b->secure);
}

static void write_back(const struct proxy_header *h)
{
    char room[PROXY_HEADER_MAX];
    struct text t = text_on(room, sizeof(room));
    struct proxy_header back;
    size_t used = 0;
    ensure(proxy_header_write(h, &t) == 0);
    ensure(take(text_slice(&t), SIZE_MAX, &used) == 0);
    ensure(used == t.len);
    ensure(proxy_header_parse(text_slice(&t), &back) == 0);
    check_same(h, &back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    // A copy of its own, so that a sanitizer sees a byte read beyond it.
    char *copy = malloc(size);
    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data + 1, size - 1);
    struct slice all = slice_of(copy, size - 1);
    size_t used = 0;
    size_t used_at_once = 0;
    struct proxy_header h;
    struct proxy_header at_once;
    int e = outcome(all, (size_t)data[0] + 1, &used, &h);
    int other = outcome(all, SIZE_MAX, &used_at_once, &at_once);
    ensure((e == 0) == (other == 0));
    ensure(e == other || e == E_AGAIN || other == E_AGAIN);
    if (e == 0) {
        struct slice header = slice_sub(all, 0, used);
        ensure(used == used_at_once);
        check_same(&h, &at_once);
        check_inside(header, h.alpn);
        check_inside(header, h.authority);
        check_inside(header, h.unique_id);
        check_inside(header, h.version_tls);
        check_inside(header, h.cipher);
        check_inside(header, h.client_name);
        write_back(&h);
    }
    free(copy);
    return 0;
}
