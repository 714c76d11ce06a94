// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the codec share: a head parsed from text in one call, and its fields as text.

#pragma once

#include "base/error.h"
#include "base/text.h"
#include "h1/codec.h"
#include "tap.h"

static const struct h1_limits test_limits = {
    .head_bytes = 16384, .target_bytes = 4096, .fields = 100};

struct parsed {
    struct arena arena;
    struct http_head head;
    enum h1_framing framing;
    int rc;
    size_t head_len;
};

__attribute__((unused)) static void parsed_init(struct parsed *m)
{
    memset(m, 0, sizeof(*m));
    arena_init(&m->arena, NULL, 0, NULL, 1 << 20);
    http_head_init(&m->head, &m->arena, 65536, 200);
}

__attribute__((unused)) static void parsed_fini(struct parsed *m)
{
    arena_fini(&m->arena);
}

// The bytes are given in an allocation of their exact size, so that ASan sees a read beyond it.
__attribute__((unused)) static char *exact_copy(const char *p, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    REQUIRE(copy != NULL);
    if (n > 0) {
        memcpy(copy, p, n);
    }
    return copy;
}

__attribute__((unused)) static void parse_bytes(struct parsed *m, const char *p, size_t n,
                                                const struct h1_limits *limits,
                                                const struct http_head *request)
{
    parsed_init(m);
    char *copy = exact_copy(p, n);
    struct h1_scan scan = {0};
    m->rc = h1_scan_head(&scan, limits, copy, n, &m->head_len);
    if (m->rc == 0 && request != NULL) {
        m->rc = h1_parse_response(copy, m->head_len, limits, request, &m->head, &m->framing);
    } else if (m->rc == 0) {
        m->rc = h1_parse_request(copy, m->head_len, limits, &m->head, &m->framing);
    }
    // Nothing may point into the buffer: it is gone before anybody looks.
    free(copy);
}

__attribute__((unused)) static void parse_request(struct parsed *m, const char *text)
{
    parse_bytes(m, text, strlen(text), &test_limits, NULL);
}

__attribute__((unused)) static void parse_response(struct parsed *m, const char *text,
                                                   const struct http_head *request)
{
    parse_bytes(m, text, strlen(text), &test_limits, request);
}

// "name=value;name=value" of all fields, in a static buffer.
__attribute__((unused)) static const char *fields_text(const struct fields *f)
{
    static char buffer[8192];
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    for (uint16_t i = 0; i < f->count; i++) {
        text_put(&t, field_name(f, &f->entries[i]));
        text_char(&t, '=');
        text_put(&t, field_value(f, &f->entries[i]));
        text_char(&t, ';');
    }
    buffer[t.len] = '\0';
    return buffer;
}

__attribute__((unused)) static bool slice_is(struct slice s, const char *want)
{
    return slice_eq(s, slice_str(want));
}

// ---- tables of bad requests --------------------------------------------------------------------------

#define START "GET / HTTP/1.1\r\n"
#define HOST  "Host: a.example\r\n"
#define GET   START HOST

struct bad {
    const char *head; // ends before the final empty line, which is added
    int error;
};

__attribute__((unused)) static void check_bad(const struct bad *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[1024];
        int len = snprintf(text, sizeof(text), "%s\r\n", table[i].head);
        REQUIRE(len > 0 && (size_t)len < sizeof(text));
        struct parsed m;
        parse_request(&m, text);
        if (!CHECK_STR(m.rc == 0 ? "good" : error_name(m.rc), error_name(table[i].error))) {
            printf("# in entry %zu:\n%s\n", i, text);
        }
        parsed_fini(&m);
    }
}
