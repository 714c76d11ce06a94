// SPDX-License-Identifier: Apache-2.0
//
// Response heads. The first byte says what they answer: a GET, a HEAD, or an upgrade.

#include "h1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_head requests[] = {
    {.method = HTTP_METHOD_GET},
    {.method = HTTP_METHOD_HEAD},
    {.method = HTTP_METHOD_GET, .upgrade = SLICE_INIT("websocket,x/1")},
};

static void check_head(const struct fuzz_head *f, const struct http_head *request)
{
    const struct http_head *h = &f->head;
    fuzz_check_fields(&h->fields);
    ensure(fuzz_clean(h->reason) && fuzz_clean(h->upgrade));
    ensure(h->status >= 100 && h->status <= 599);
    ensure(h->content_length >= 0);
    ensure((f->framing == H1_FRAMING_TUNNEL) == (h->status == 101));
    ensure(h->status != 101 || request->upgrade.len > 0);
    bool bodiless = request->method == HTTP_METHOD_HEAD || h->status < 200 || h->status == 204 ||
                    h->status == 304;
    ensure(!bodiless || h->status == 101 || h->body == HTTP_BODY_NONE);
    ensure(f->framing != H1_FRAMING_CLOSE || !h->keep_alive);
    ensure(bodiless || f->framing != H1_FRAMING_NONE || h->has_length);
}

static void check_round_trip(const struct fuzz_head *first, const struct http_head *request)
{
    char *bytes = malloc(FUZZ_WRITE_BYTES);
    ensure(bytes != NULL);
    struct text out = text_on(bytes, FUZZ_WRITE_BYTES);
    bool close = !first->head.keep_alive;
    h1_write_response(&out, &first->head, first->framing, close, 1, (struct slice){NULL, 0});
    ensure(!out.overflow);
    struct fuzz_head second;
    fuzz_parse(&second, (const uint8_t *)out.ptr, out.len, request);
    if (second.rc != E_TOO_MANY_FIELDS && second.rc != E_HEAD_TOO_LARGE) {
        const struct http_head *a = &first->head;
        const struct http_head *b = &second.head;
        ensure(second.rc == 0);
        ensure(second.len == out.len);
        ensure(first->framing == second.framing);
        ensure(a->status == b->status);
        ensure(a->reason.len == 0 || slice_eq(a->reason, b->reason));
        ensure(a->body == b->body);
        ensure(a->has_length == b->has_length);
        ensure(!a->has_length || a->content_length == b->content_length);
        ensure(slice_eq(a->upgrade, b->upgrade));
        ensure(a->status < 200 || a->keep_alive == b->keep_alive);
        fuzz_check_same_fields(&a->fields, &b->fields);
    }
    arena_fini(&second.arena);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct http_head *request = &requests[data[0] % array_len(requests)];
    struct fuzz_head f;
    fuzz_parse(&f, data + 1, size - 1, request);
    if (f.rc == 0) {
        check_head(&f, request);
        check_round_trip(&f, request);
    }
    arena_fini(&f.arena);
    return 0;
}
