// SPDX-License-Identifier: Apache-2.0
//
// Request heads. Whatever is accepted: cut anywhere it gives the same result, its fields hold no byte
// that could end a line, and what is written from it is read as the same request by the same parser.

#include "h1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const struct http_head *h, enum h1_framing framing)
{
    fuzz_check_fields(&h->fields);
    ensure(http_is_token(h->method_text));
    ensure(h->target.len > 0 && h->target.len <= fuzz_limits.target_bytes);
    ensure(fuzz_clean(h->target));
    ensure(slice_find_char(h->target, ' ') < 0);
    ensure(fuzz_clean(h->authority) && fuzz_clean(h->host) && fuzz_clean(h->upgrade));
    ensure(h->version_minor <= 1);
    ensure(h->version_minor == 0 || h->host.len > 0);
    ensure(h->content_length >= 0);
    ensure((framing == H1_FRAMING_CHUNKED) == (h->body == HTTP_BODY_STREAM));
    ensure((framing == H1_FRAMING_LENGTH) == (h->body == HTTP_BODY_LENGTH));
    ensure(framing == H1_FRAMING_NONE || framing == H1_FRAMING_CHUNKED ||
           (framing == H1_FRAMING_LENGTH && h->content_length > 0));
    ensure(!h->has_length || framing != H1_FRAMING_CHUNKED);
    ensure(h->path.len == 0 || h->path.ptr == h->target.ptr);
    ensure(h->query.ptr == NULL || h->path.len + 1 + h->query.len == h->target.len);
}

static void check_same(const struct fuzz_head *a, const struct fuzz_head *b)
{
    ensure(b->rc == 0);
    ensure(a->framing == b->framing);
    ensure(a->head.method == b->head.method);
    ensure(slice_eq(a->head.method_text, b->head.method_text));
    ensure(slice_eq(a->head.target, b->head.target));
    ensure(slice_eq(a->head.path, b->head.path));
    ensure(slice_eq(a->head.authority, b->head.authority));
    ensure(slice_eq(a->head.host, b->head.host));
    ensure(slice_eq(a->head.upgrade, b->head.upgrade));
    ensure(a->head.content_length == b->head.content_length);
    ensure(a->head.has_length == b->head.has_length);
    ensure(a->head.te_trailers == b->head.te_trailers);
    ensure(a->head.expect_continue == b->head.expect_continue);
    ensure(b->head.keep_alive);
    fuzz_check_same_fields(&a->head.fields, &b->head.fields);
}

static void check_round_trip(const struct fuzz_head *first)
{
    char *bytes = malloc(FUZZ_WRITE_BYTES);
    ensure(bytes != NULL);
    struct text out = text_on(bytes, FUZZ_WRITE_BYTES);
    h1_write_request(&out, &first->head, first->framing);
    ensure(!out.overflow);
    // Without Host (HTTP/1.0) an empty one is written, which only a next hop may judge. What grew over
    // the limits by being written anew cannot be read again either.
    if (first->head.authority.len > 0 && out.len <= fuzz_limits.head_bytes) {
        struct fuzz_head second;
        fuzz_parse(&second, (const uint8_t *)out.ptr, out.len, NULL);
        bool limit = second.rc == E_TOO_MANY_FIELDS;
        if (!limit) {
            check_same(first, &second);
            ensure(second.len == out.len);
        }
        arena_fini(&second.arena);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct fuzz_head f;
    fuzz_parse(&f, data, size, NULL);
    for (size_t step = 1; step < size && step < 100; step += 1 + step / 2) {
        size_t len = 0;
        int rc = fuzz_scan(data, size, step, &len);
        ensure(rc == 0 ? len == f.len : rc == f.rc);
    }
    if (f.rc == 0) {
        check_head(&f.head, f.framing);
        check_round_trip(&f);
    }
    arena_fini(&f.arena);
    return 0;
}
