// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes path matching: normalisation and wildcards. The input is a pattern, a newline and a path.
// Normalising twice changes nothing, the result never has a dot segment, and the wildcard matcher says
// what a naive one says that tries every way; what it caught, put back into the pattern, is the path.

#include "base/arena.h"
#include "base/error.h"
#include "http/head.h"
#include "proxy/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    NAIVE_BYTES_MAX = 64,
    NAIVE_STEPS_MAX = 200 * 1000,
    CAPTURES = 16,
};

// 1 yes, 0 no, -1 too much work to know.
static int naive(struct slice pattern, struct slice text, unsigned *steps)
{
    if (++*steps > NAIVE_STEPS_MAX) {
        return -1;
    }
    if (pattern.len == 0) {
        return text.len == 0;
    }
    if (pattern.ptr[0] != '*') {
        if (text.len == 0 || text.ptr[0] != pattern.ptr[0]) {
            return 0;
        }
        return naive(slice_from(pattern, 1), slice_from(text, 1), steps);
    }
    size_t stars = 0;
    while (stars < pattern.len && pattern.ptr[stars] == '*') {
        stars++;
    }
    for (size_t n = 0; n <= text.len; n++) {
        int found = naive(slice_from(pattern, stars), slice_from(text, n), steps);
        if (found != 0) {
            return found;
        }
        if (n < text.len && stars == 1 && text.ptr[n] == '/') {
            break;
        }
    }
    return 0;
}

// Puts the captures back where the wildcards were.
static void check_captures(const struct glob *g, struct slice text, const struct slice *captures)
{
    size_t at = 0;
    for (unsigned i = 0; i < g->count; i++) {
        const struct glob_token *t = &g->tokens[i];
        struct slice part = t->text;
        if (t->kind != GLOB_LITERAL) {
            if (t->capture >= CAPTURES) {
                return;
            }
            part = captures[t->capture];
            ensure(t->kind == GLOB_DOUBLE_STAR || slice_find_char(part, '/') < 0);
        }
        ensure(slice_eq(slice_sub(text, at, part.len), part));
        at += part.len;
    }
    ensure(at == text.len);
}

static void check_glob(struct slice pattern, struct slice text)
{
    struct arena a;
    const struct glob *g = NULL;
    struct slice captures[CAPTURES] = {{NULL, 0}};
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    if (glob_compile(pattern, &a, &g) == 0) {
        bool got = glob_match(g, text, captures, CAPTURES);
        if (got) {
            check_captures(g, text, captures);
        }
        unsigned steps = 0;
        if (text.len <= NAIVE_BYTES_MAX && pattern.len <= NAIVE_BYTES_MAX) {
            int want = naive(pattern, text, &steps);
            ensure(want < 0 || got == (want == 1));
        }
    }
    arena_fini(&a);
}

static void check_normal(struct slice path)
{
    static char first[65536];
    static char second[65536];
    struct slice once;
    struct slice twice;
    if (path.len > sizeof(first) || http_path_normalise(path, first, &once) != 0) {
        return;
    }
    ensure(once.len <= path.len);
    ensure(http_path_normalise(once, second, &twice) == 0);
    ensure(slice_eq(once, twice));
    if (once.ptr[0] == '/') {
        ensure(slice_find(once, SLICE("/../")) < 0);
        ensure(slice_find(once, SLICE("/./")) < 0);
        ensure(!slice_ends(once, SLICE("/..")));
        ensure(!slice_ends(once, SLICE("/.")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of((const char *)data, size);
    ptrdiff_t end = slice_find_char(input, '\n');
    if (end < 0) {
        return 0;
    }
    struct slice path = slice_from(input, (size_t)end + 1);
    check_glob(slice_sub(input, 0, (size_t)end), path);
    check_normal(path);
    return 0;
}
