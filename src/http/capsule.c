// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing capsules (http/capsule.h). Integers are those of RFC 9000 16: the first two bits
// say how many bytes there are; they need not be the fewest.

#include "http/capsule.h"

#include <string.h>

#include "base/error.h"
#include "base/num.h"

enum { VALUE_MAX = CAPSULE_PAYLOAD_MAX + 8 }; // with the longest context

void capsule_reader_init(struct capsule_reader *r, struct chunk_pool *pool)
{
    *r = (struct capsule_reader){.pool = pool};
}

void capsule_reader_fini(struct capsule_reader *r)
{
    if (r->held != NULL) {
        chunk_unref(r->held);
        r->held = NULL;
    }
}

bool capsule_reader_is_between(const struct capsule_reader *r)
{
    return !r->in_value && r->head_len == 0;
}

/** How many bytes the integer has; 0: not all of them are there. */
static size_t read_integer(struct slice in, uint64_t *out)
{
    if (in.len == 0) {
        return 0;
    }
    size_t bytes = (size_t)1 << ((unsigned char)in.ptr[0] >> 6);
    if (in.len < bytes) {
        return 0;
    }
    uint64_t v = (unsigned char)in.ptr[0] & 0x3f;
    for (size_t i = 1; i < bytes; i++) {
        v = v << 8 | (unsigned char)in.ptr[i];
    }
    *out = v;
    return bytes;
}

/** 0 when the head is complete: the value begins. */
static int begin_value(struct capsule_reader *r)
{
    uint64_t type = 0;
    uint64_t length = 0;
    struct slice head = slice_of(r->head, r->head_len);
    size_t n = read_integer(head, &type);
    if (n == 0 || read_integer(slice_from(head, n), &length) == 0) {
        return E_AGAIN;
    }
    r->head_len = 0;
    r->skips = type != CAPSULE_DATAGRAM;
    if (length > (r->skips ? CAPSULE_OTHER_MAX : VALUE_MAX)) {
        return E_TOO_LARGE;
    }
    if (!r->skips && length == 0) {
        return E_PROTOCOL; // not even a context
    }
    r->left = length;
    r->in_value = length > 0;
    return 0;
}

static int read_head(struct capsule_reader *r, struct slice *in)
{
    while (in->len > 0) {
        r->head[r->head_len++] = in->ptr[0];
        *in = slice_from(*in, 1);
        int e = begin_value(r);
        if (e != E_AGAIN) {
            return e;
        }
        ensure(r->head_len < CAPSULE_HEAD_MAX);
    }
    return E_AGAIN;
}

/** Keeps what there is of a value that is not complete. */
static int gather(struct capsule_reader *r, struct slice part)
{
    if (r->held == NULL) {
        uint64_t whole = r->left;
        r->held =
            whole > CHUNK_BYTES ? chunk_new_large(r->pool, (uint32_t)whole) : chunk_new(r->pool);
        if (r->held == NULL) {
            return E_NO_MEMORY;
        }
    }
    memcpy(r->held->data + r->held->used, part.ptr, part.len);
    r->held->used += (uint32_t)part.len;
    return 0;
}

/** The value of a DATAGRAM is complete. E_AGAIN: its context means nothing here. */
static int open_value(struct slice value, struct slice *out)
{
    uint64_t context = 0;
    size_t n = read_integer(value, &context);
    if (n == 0) {
        return E_PROTOCOL;
    }
    *out = slice_from(value, n);
    if (out->len > CAPSULE_PAYLOAD_MAX) {
        return E_TOO_LARGE;
    }
    return context == 0 ? 0 : E_AGAIN;
}

static int read_value(struct capsule_reader *r, struct slice *in, struct slice *out)
{
    struct slice part = slice_sub(*in, 0, (size_t)num_min_u64(in->len, r->left));
    *in = slice_from(*in, part.len);
    bool last = part.len == r->left;
    if (!r->skips && (!last || r->held != NULL)) {
        int e = part.len > 0 ? gather(r, part) : 0;
        if (e < 0) {
            return e;
        }
    }
    r->left -= part.len;
    if (!last) {
        return E_AGAIN;
    }
    r->in_value = false;
    if (r->skips) {
        return E_AGAIN;
    }
    r->given = r->held != NULL;
    return open_value(r->given ? slice_of(r->held->data, r->held->used) : part, out);
}

static void drop_given(struct capsule_reader *r)
{
    if (r->given) {
        capsule_reader_fini(r);
        r->given = false;
    }
}

int capsule_read(struct capsule_reader *r, struct slice *in, struct slice *out)
{
    drop_given(r);
    while (in->len > 0) {
        bool value = r->in_value;
        int e = value ? read_value(r, in, out) : read_head(r, in);
        if ((e < 0 && e != E_AGAIN) || (e == 0 && value)) {
            return e;
        }
        drop_given(r); // of a context that means nothing here
    }
    return E_AGAIN;
}

size_t capsule_datagram_head(char out[CAPSULE_DATAGRAM_HEAD_MAX], size_t len)
{
    ensure(len <= CAPSULE_PAYLOAD_MAX);
    uint64_t length = len + 1;
    size_t n = 0;
    out[n++] = CAPSULE_DATAGRAM;
    if (length < 64) {
        out[n++] = (char)length;
    } else if (length < 16384) {
        out[n++] = (char)(0x40 | length >> 8);
        out[n++] = (char)(length & 0xff);
    } else {
        out[n++] = (char)0x80;
        out[n++] = (char)(length >> 16);
        out[n++] = (char)(length >> 8 & 0xff);
        out[n++] = (char)(length & 0xff);
    }
    out[n++] = 0; // the context
    return n;
}
