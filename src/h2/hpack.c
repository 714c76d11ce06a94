// SPDX-License-Identifier: Apache-2.0
//
// HPACK by nghttp2: the only file that includes it.
//
// Each allocation carries its size in front of it, so that the connection's sum is known without
// asking the allocator.

#include "h2/hpack.h"

#include <nghttp2/nghttp2.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"

enum { HPACK_MAGIC = 0x68706b31, SIZE_HEAD = 16 };

struct h2_hpack {
    uint32_t magic;
    size_t bytes;
    nghttp2_mem mem;
    nghttp2_hd_inflater *inflater; // NULL: no block has come yet
    nghttp2_hd_deflater *deflater; // NULL: none was written yet
    uint32_t table_least;          // what the peer has allowed until then: the least
    uint32_t table_last;           // and what it said last; both H2_HPACK_TABLE: nothing
};

// Fields of the block that is being written. Blocks are written in one go, so a thread needs one.
static _Thread_local nghttp2_nv block_fields[H2_HPACK_FIELDS_MAX];

// ---- memory ----------------------------------------------------------------------------------------

static void *hook_malloc(size_t size, void *user)
{
    struct h2_hpack *h = user;
    if (size > H2_HPACK_BYTES_MAX || h->bytes > H2_HPACK_BYTES_MAX - size) {
        return NULL;
    }
    char *p = mem_alloc(SIZE_HEAD + size);
    if (p == NULL) {
        return NULL;
    }
    memcpy(p, &size, sizeof(size));
    h->bytes += size;
    return p + SIZE_HEAD;
}

static size_t size_of(const void *p)
{
    size_t size;
    memcpy(&size, (const char *)p - SIZE_HEAD, sizeof(size));
    return size;
}

static void hook_free(void *p, void *user)
{
    struct h2_hpack *h = user;
    if (p != NULL) {
        size_t size = size_of(p);
        ensure(h->bytes >= size);
        h->bytes -= size;
        mem_free((char *)p - SIZE_HEAD);
    }
}

static void *hook_calloc(size_t n, size_t size, void *user)
{
    size_t total;
    if (!num_mul_size(n, size, &total)) {
        return NULL;
    }
    void *p = hook_malloc(total, user);
    if (p != NULL) {
        memset(p, 0, total);
    }
    return p;
}

static void *hook_realloc(void *p, size_t size, void *user)
{
    void *fresh = hook_malloc(size, user);
    if (fresh != NULL && p != NULL) {
        memcpy(fresh, p, num_min_size(size, size_of(p)));
        hook_free(p, user);
    }
    return fresh;
}

struct h2_hpack *h2_hpack_new(void)
{
    struct h2_hpack *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        return NULL;
    }
    h->magic = HPACK_MAGIC;
    h->mem = (nghttp2_mem){.mem_user_data = h,
                           .malloc = hook_malloc,
                           .free = hook_free,
                           .calloc = hook_calloc,
                           .realloc = hook_realloc};
    h->table_least = H2_HPACK_TABLE;
    h->table_last = H2_HPACK_TABLE;
    return h;
}

// Each direction has some 1.5 KiB of tables, which a tunnel that nobody visits never needs.

static bool ready_to_decode(struct h2_hpack *h)
{
    return h->inflater != NULL || nghttp2_hd_inflate_new2(&h->inflater, &h->mem) == 0;
}

static bool change_table(struct h2_hpack *h, uint32_t max)
{
    return nghttp2_hd_deflate_change_table_size(h->deflater, max) == 0;
}

static bool ready_to_encode(struct h2_hpack *h)
{
    if (h->deflater != NULL) {
        return true;
    }
    if (nghttp2_hd_deflate_new2(&h->deflater, H2_HPACK_TABLE, &h->mem) != 0) {
        return false;
    }
    // The first block tells of the least size that the table was to have, and of the last (RFC 7541 4.2).
    if (h->table_least == H2_HPACK_TABLE ||
        (change_table(h, h->table_least) && change_table(h, h->table_last))) {
        return true;
    }
    nghttp2_hd_deflate_del(h->deflater);
    h->deflater = NULL;
    return false;
}

void h2_hpack_free(struct h2_hpack *h)
{
    ensure_magic(h, HPACK_MAGIC);
    if (h->inflater != NULL) {
        nghttp2_hd_inflate_del(h->inflater);
    }
    if (h->deflater != NULL) {
        nghttp2_hd_deflate_del(h->deflater);
    }
    ensure(h->bytes == 0);
    h->magic = 0;
    mem_free(h);
}

// ---- decoding --------------------------------------------------------------------------------------

int h2_decode(struct h2_hpack *h, struct slice piece, bool last, h2_field_fn *fn, void *user)
{
    ensure_magic(h, HPACK_MAGIC);
    const uint8_t *p = (const uint8_t *)piece.ptr;
    size_t left = piece.len;
    if (!ready_to_decode(h)) {
        return E_NO_MEMORY;
    }
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, p, left, last);
        if (used < 0) {
            return used == NGHTTP2_ERR_NOMEM ? E_NO_MEMORY : E_BAD_COMPRESSION;
        }
        p += used;
        left -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            fn(user, slice_of((const char *)nv.name, nv.namelen),
               slice_of((const char *)nv.value, nv.valuelen),
               (nv.flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            nghttp2_hd_inflate_end_headers(h->inflater);
            return 0;
        }
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0 && left == 0) {
            return 0;
        }
    }
}

// ---- encoding --------------------------------------------------------------------------------------

void h2_block_begin(struct h2_block *b, struct h2_hpack *h)
{
    ensure_magic(h, HPACK_MAGIC);
    b->hpack = h;
    b->count = 0;
    b->error = ready_to_encode(h) ? 0 : E_NO_MEMORY;
}

void h2_block_add(struct h2_block *b, struct slice name, struct slice value, bool secret)
{
    if (b->count == H2_HPACK_FIELDS_MAX) {
        b->error = E_TOO_MANY_FIELDS;
        return;
    }
    block_fields[b->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
        .flags = (uint8_t)(NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE |
                           (secret ? NGHTTP2_NV_FLAG_NO_INDEX : 0)),
    };
}

size_t h2_block_bound(struct h2_block *b)
{
    if (b->error != 0) {
        return 0;
    }
    return nghttp2_hd_deflate_bound(b->hpack->deflater, block_fields, b->count);
}

ptrdiff_t h2_block_end(struct h2_block *b, char *out, size_t room)
{
    ensure(b->error == 0);
    ssize_t n =
        nghttp2_hd_deflate_hd(b->hpack->deflater, (uint8_t *)out, room, block_fields, b->count);
    if (n < 0) {
        return n == NGHTTP2_ERR_NOMEM ? E_NO_MEMORY : E_HEAD_TOO_LARGE;
    }
    return n;
}

int h2_encoder_table_max(struct h2_hpack *h, uint32_t bytes)
{
    ensure_magic(h, HPACK_MAGIC);
    uint32_t max = bytes < H2_HPACK_TABLE ? bytes : H2_HPACK_TABLE;
    if (h->deflater == NULL) {
        h->table_least = max < h->table_least ? max : h->table_least;
        h->table_last = max;
        return 0;
    }
    return change_table(h, max) ? 0 : E_NO_MEMORY;
}
