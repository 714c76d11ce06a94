// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets of the codec share: heads on a fresh arena, comparison of two heads, and the
// properties that every accepted head must have.

#pragma once

#include <stdlib.h>

#include "base/ensure.h"
#include "base/error.h"
#include "h1/codec.h"

enum { FUZZ_WRITE_BYTES = 1 << 18 };

static const struct h1_limits fuzz_limits = {
    .head_bytes = 32768, .target_bytes = 8192, .fields = 100};

struct fuzz_head {
    struct arena arena;
    struct http_head head;
    enum h1_framing framing;
    size_t len;
    int rc;
};

/** Scans p[0..n), given in pieces of `step` bytes, each in an allocation of its exact size. */
static inline int fuzz_scan(const uint8_t *p, size_t n, size_t step, size_t *len)
{
    struct h1_scan scan = {0};
    size_t have = 0;
    int rc = E_AGAIN;
    while (rc == E_AGAIN && have < n) {
        have = step < n - have ? have + step : n;
        char *copy = malloc(have);
        ensure(copy != NULL);
        memcpy(copy, p, have);
        rc = h1_scan_head(&scan, &fuzz_limits, copy, have, len);
        free(copy);
        ensure(rc <= 0);
        ensure(scan.pos <= have);
    }
    return rc;
}

/** request NULL: a request is parsed, else the response to it. */
static inline void fuzz_parse(struct fuzz_head *f, const uint8_t *p, size_t n,
                              const struct http_head *request)
{
    arena_init(&f->arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&f->head, &f->arena, 65536, 128);
    f->framing = H1_FRAMING_NONE;
    f->rc = fuzz_scan(p, n, n, &f->len);
    if (f->rc != 0) {
        return;
    }
    ensure(f->len <= n && f->len <= fuzz_limits.head_bytes);
    char *copy = malloc(f->len);
    ensure(copy != NULL);
    memcpy(copy, p, f->len);
    f->rc = request == NULL
                ? h1_parse_request(copy, f->len, &fuzz_limits, &f->head, &f->framing)
                : h1_parse_response(copy, f->len, &fuzz_limits, request, &f->head, &f->framing);
    free(copy);
    ensure(f->rc <= 0);
}

/** No byte that could end a line, no name that belongs to the connection. */
static inline void fuzz_check_fields(const struct fields *f)
{
    static const uint8_t hop[] = {HTTP_CONNECTION,
                                  HTTP_CONTENT_LENGTH,
                                  HTTP_HOST,
                                  HTTP_TRANSFER_ENCODING,
                                  HTTP_UPGRADE,
                                  HTTP_TE,
                                  HTTP_EXPECT,
                                  HTTP_KEEP_ALIVE,
                                  HTTP_PROXY_CONNECTION,
                                  HTTP_HTTP2_SETTINGS};
    ensure(f->count <= fuzz_limits.fields);
    for (size_t i = 0; i < array_len(hop); i++) {
        ensure(!fields_has(f, (enum http_name)hop[i]));
    }
    uint64_t present = 0;
    for (uint16_t i = 0; i < f->count; i++) {
        const struct field *e = &f->entries[i];
        ensure(http_is_token(field_name(f, e)));
        ensure(http_value_ok(field_value(f, e)));
        ensure(http_name_of(field_name(f, e)) == (enum http_name)e->id);
        present |= UINT64_C(1) << e->id;
    }
    ensure(present == f->present[0]);
}

static inline void fuzz_check_same_fields(const struct fields *a, const struct fields *b)
{
    ensure(a->count == b->count);
    for (uint16_t i = 0; i < a->count; i++) {
        ensure(slice_eq(field_name(a, &a->entries[i]), field_name(b, &b->entries[i])));
        ensure(slice_eq(field_value(a, &a->entries[i]), field_value(b, &b->entries[i])));
    }
}

static inline bool fuzz_clean(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}
