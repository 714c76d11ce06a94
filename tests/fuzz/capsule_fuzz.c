// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the reader of capsules: the first byte is the size of the pieces. However it is cut, the same
// input gives the same datagrams and the same end, and nothing is left.

#include <stdlib.h>

#include "base/error.h"
#include "http/capsule.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
    uint64_t datagrams;
    uint64_t bytes;
    uint64_t sum;
    int end;
};

static struct story run(struct chunk_pool *pool, struct slice bytes, size_t step)
{
    struct story s = {.end = E_AGAIN};
    struct capsule_reader r;
    capsule_reader_init(&r, pool);
    while (bytes.len > 0 && s.end == E_AGAIN) {
        struct slice in = slice_sub(bytes, 0, bytes.len < step ? bytes.len : step);
        bytes = slice_from(bytes, in.len);
        struct slice out;
        while ((s.end = capsule_read(&r, &in, &out)) == 0) {
            ensure(out.len <= CAPSULE_PAYLOAD_MAX);
            s.datagrams++;
            s.bytes += out.len;
            for (size_t i = 0; i < out.len; i++) {
                s.sum = s.sum * 31 + (unsigned char)out.ptr[i];
            }
        }
    }
    capsule_reader_fini(&r);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    size_t step = (size_t)next_byte(&in) + 1;
    struct slice bytes = next_bytes(&in, in.left);
    struct chunk_pool pool;
    chunk_pool_init(&pool, 100, 4);
    struct story a = run(&pool, bytes, step);
    struct story b = run(&pool, bytes, bytes.len + 1);
    ensure(a.datagrams == b.datagrams && a.bytes == b.bytes && a.sum == b.sum && a.end == b.end);
    ensure(pool.in_use == 0);
    chunk_pool_fini(&pool);
    return 0;
}
