// SPDX-License-Identifier: Apache-2.0
//
// The chunked coding with its trailer section: the same body and the same end however the bytes are
// cut, and a body that is written again decodes to itself.

#include "h1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decoded {
    uint8_t *body;
    size_t body_len;
    size_t used; // of the input, to the end of the message
    int rc;      // 0: complete, E_AGAIN: incomplete, or what is wrong
    struct arena arena;
    struct fields trailers;
};

static int take_trailers(struct h1_chunked *d, struct decoded *out, const uint8_t *p, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    ensure(copy != NULL);
    memcpy(copy, p, n);
    size_t used = 0;
    int rc = h1_parse_trailers(d, &fuzz_limits, copy, n, &used, &out->trailers);
    free(copy);
    ensure(rc <= 0);
    ensure(rc != 0 || used <= n);
    out->used += rc == 0 ? used : 0;
    return rc;
}

static void decode(struct decoded *out, const uint8_t *p, size_t n, size_t step)
{
    struct h1_chunked d = {0};
    memset(out, 0, sizeof(*out));
    arena_init(&out->arena, NULL, 0, NULL, 1 << 20);
    fields_init(&out->trailers, &out->arena, 65536, 128);
    out->body = malloc(n > 0 ? n : 1);
    ensure(out->body != NULL);
    out->rc = E_AGAIN;
    bool trailers = false;
    for (size_t have = 0; have < n && out->rc == E_AGAIN;) {
        have = step < n - have ? have + step : n;
        while (!trailers && out->rc == E_AGAIN && out->used < have) {
            struct slice run = {NULL, 0};
            size_t used = 0;
            int event =
                h1_chunked_next(&d, (const char *)p + out->used, have - out->used, &used, &run);
            if (event < 0) {
                out->rc = event;
                break;
            }
            ensure(used <= have - out->used);
            ensure(used > 0 || event == H1_CHUNKED_TRAILERS);
            ensure(event != H1_CHUNKED_MORE || used == have - out->used);
            if (event == H1_CHUNKED_DATA) {
                ensure(run.len > 0 && run.len <= used);
                memcpy(out->body + out->body_len, run.ptr, run.len);
                out->body_len += run.len;
            }
            out->used += used;
            trailers = event == H1_CHUNKED_TRAILERS;
            out->rc = event == H1_CHUNKED_END ? 0 : E_AGAIN;
        }
        if (trailers) {
            out->rc = take_trailers(&d, out, p + out->used, have - out->used);
        }
    }
    if (out->rc == 0) {
        fuzz_check_fields(&out->trailers);
    }
}

static void decoded_free(struct decoded *d)
{
    free(d->body);
    arena_fini(&d->arena);
}

static void check_round_trip(const struct decoded *first)
{
    char *bytes = malloc(FUZZ_WRITE_BYTES + 4 * first->body_len);
    ensure(bytes != NULL);
    struct text out = text_on(bytes, FUZZ_WRITE_BYTES + 4 * first->body_len);
    for (size_t at = 0, piece = 1; at < first->body_len; at += piece, piece = piece * 3 + 1) {
        piece = piece < first->body_len - at ? piece : first->body_len - at;
        char line[18];
        text_put(&out, slice_of(line, h1_write_chunk_size(line, piece)));
        text_put(&out, slice_of((const char *)first->body + at, piece));
        text_put(&out, SLICE("\r\n"));
    }
    h1_write_last_chunk(&out, &first->trailers);
    ensure(!out.overflow);
    struct decoded second;
    decode(&second, (const uint8_t *)out.ptr, out.len, out.len);
    ensure(second.rc == 0 || second.rc == E_HEAD_TOO_LARGE);
    if (second.rc == 0) {
        ensure(second.used == out.len);
        ensure(second.body_len == first->body_len);
        ensure(memcmp(second.body, first->body, first->body_len) == 0);
        fuzz_check_same_fields(&first->trailers, &second.trailers);
    }
    decoded_free(&second);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoded whole;
    decode(&whole, data, size, size > 0 ? size : 1);
    for (size_t step = 1; step < size && step < 200; step += 1 + step) {
        struct decoded cut;
        decode(&cut, data, size, step);
        ensure(cut.rc == whole.rc);
        ensure(cut.rc != 0 || cut.used == whole.used);
        ensure(cut.body_len == whole.body_len);
        ensure(memcmp(cut.body, whole.body, whole.body_len) == 0);
        decoded_free(&cut);
    }
    if (whole.rc == 0) {
        check_round_trip(&whole);
    }
    decoded_free(&whole);
    return 0;
}
