// SPDX-License-Identifier: Apache-2.0
//
// The search for the end of a head. Every byte below 0x20 and DEL is "special": in a good head these
// are the CRs and LFs of its lines and perhaps some tabs. Whole blocks are turned into bit masks, in
// which shifts tell whether each CR has its LF and where a line is empty; only where that is not so, or
// a byte is odd, the specials are looked at one by one.
//
// The state between two calls is a position before which all is good, and whether a line begins
// there. A CR whose LF has not come yet is looked at again. The results never depend on how the bytes
// were cut: limits are checked against positions, not against what happened to be in the buffer.

#include "base/error.h"
#include "base/num.h"
#include "h1/codec_int.h"
#include "h1/codec_simd_int.h"

enum {
    SCAN_LINE_SEEN = 1, // the first line has ended
    SCAN_IN_LINE = 2,   // scan->pos is not at the beginning of a line
};

enum { BLOCK_BYTES = 64 };

static int bad_byte(char c)
{
    return c == '\n' ? E_BARE_LF : E_CONTROL_BYTE;
}

// How far the first line may reach.
static size_t first_line_max(const struct h1_limits *limits, bool trailers)
{
    return trailers ? SIZE_MAX : (size_t)limits->target_bytes + H1_LINE_SLACK;
}

// ---- the reference ---------------------------------------------------------------------------------

static int scan_scalar(bool trailers, struct h1_scan *scan, const struct h1_limits *limits,
                       const char *p, size_t n, size_t *head_len)
{
    size_t line_max = first_line_max(limits, trailers);
    bool in_line = (scan->state & SCAN_IN_LINE) != 0;
    bool seen = trailers || (scan->state & SCAN_LINE_SEEN) != 0;
    size_t i = scan->pos;
    for (; i < n && i < limits->head_bytes; i++) {
        unsigned char c = (unsigned char)p[i];
        if (!seen && i > line_max) {
            return E_TARGET_TOO_LONG;
        }
        if (c != '\r') {
            if ((c < 0x20 && c != '\t') || c == 0x7f) {
                return bad_byte((char)c);
            }
            in_line = true;
            continue;
        }
        if (!trailers && i == 0) {
            return E_MALFORMED_LINE;
        }
        if (i + 1 >= n || i + 1 >= limits->head_bytes) {
            break;
        }
        if (p[i + 1] != '\n') {
            return E_BARE_CR;
        }
        if (!in_line) {
            *head_len = i + 2;
            return 0;
        }
        in_line = false;
        seen = true;
        i++;
    }
    scan->pos = (uint32_t)i;
    scan->state = (uint8_t)((seen ? SCAN_LINE_SEEN : 0) | (in_line ? SCAN_IN_LINE : 0));
    return n >= limits->head_bytes ? E_HEAD_TOO_LARGE : E_AGAIN;
}

// ---- masks of special bytes ------------------------------------------------------------------------

// Bits of 64 bytes: its line ends, and what else is special.
struct marks {
    uint64_t cr;
    uint64_t lf;
    uint64_t odd;
};

static inline struct marks marks_of(uint64_t special, uint64_t cr, uint64_t lf)
{
    return (struct marks){.cr = cr, .lf = lf, .odd = special & ~(cr | lf)};
}

// Of the bytes at p[0..64).
typedef struct marks block_fn(const char *p);

static inline struct marks block_simd16(const char *p)
{
    uint64_t special = 0;
    uint64_t cr = 0;
    uint64_t lf = 0;
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        simd16 v = simd_load(p + i);
        special |= (uint64_t)simd_mask((simd16)(v < simd_splat(0x20)) | simd_eq(v, 0x7f)) << i;
        cr |= (uint64_t)simd_mask(simd_eq(v, '\r')) << i;
        lf |= (uint64_t)simd_mask(simd_eq(v, '\n')) << i;
    }
    return marks_of(special, cr, lf);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i half_load(const char *p)
{
    __m256i v;
    memcpy(&v, p, sizeof(v));
    return v;
}

AVX2 static inline uint32_t half_eq(__m256i v, char c)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}

AVX2 static inline uint32_t half_special(__m256i v)
{
    __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
    __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(low, del));
}

AVX2 static inline struct marks block_avx2(const char *p)
{
    __m256i a = half_load(p);
    __m256i b = half_load(p + 32);
    return marks_of(half_special(a) | (uint64_t)half_special(b) << 32,
                    half_eq(a, '\r') | (uint64_t)half_eq(b, '\r') << 32,
                    half_eq(a, '\n') | (uint64_t)half_eq(b, '\n') << 32);
}
#endif

// Of p[from..n), of which at most 64 bytes are looked at. A block that would reach behind p[n) is read
// so that it ends there and shifted, or copied when all is shorter.
__attribute__((always_inline)) static inline struct marks marks_at(block_fn *block, const char *p,
                                                                   size_t from, size_t n)
{
    if (n - from >= BLOCK_BYTES) {
        return block(p + from);
    }
    size_t tail = n - from;
    if (n >= BLOCK_BYTES) {
        struct marks m = block(p + n - BLOCK_BYTES);
        unsigned shift = (unsigned)(BLOCK_BYTES - tail);
        return (struct marks){m.cr >> shift, m.lf >> shift, m.odd >> shift};
    }
    char copy[BLOCK_BYTES];
    memset(copy, 'x', sizeof(copy));
    memcpy(copy, p + from, tail);
    return block(copy);
}

// ---- the walk over the marks -----------------------------------------------------------------------

// What the walk knows, in one place so that the step function may change it.
struct walk {
    const char *p;
    size_t end;      // bytes that may be looked at
    size_t line;     // where the current line begins; SIZE_MAX: before what this call sees
    size_t done;     // bytes up to here were dealt with
    size_t line_max; // of the first line; SIZE_MAX once it has ended
    bool trailers;
};

enum { WALK_ON = 1, WALK_CLOSELY = 2 };

// Looks at the special byte at i. WALK_ON, 0 for the end of the head, E_AGAIN, or what is wrong.
static inline int step(struct walk *w, size_t i)
{
    char c = w->p[i];
    if (unlikely(i > w->line_max)) {
        return E_TARGET_TOO_LONG;
    }
    if (unlikely(c != '\r')) {
        return c == '\t' ? WALK_ON : bad_byte(c);
    }
    if (unlikely(i == 0 && !w->trailers)) {
        return E_MALFORMED_LINE;
    }
    if (unlikely(i + 1 >= w->end)) {
        w->done = i;
        return E_AGAIN;
    }
    if (unlikely(w->p[i + 1] != '\n')) {
        return E_BARE_CR;
    }
    w->done = i + 2;
    if (i == w->line) {
        return 0;
    }
    w->line = i + 2;
    w->line_max = SIZE_MAX;
    return WALK_ON;
}

// Looks at what is special in the block at `at`, byte by byte.
static int walk_closely(struct walk *w, size_t at, const struct marks *m)
{
    for (uint64_t left = m->cr | m->lf | m->odd; left != 0; left &= left - 1) {
        size_t i = at + (size_t)__builtin_ctzll(left);
        if (i < w->done) {
            continue; // the LF of a pair
        }
        int rc = step(w, i);
        if (rc != WALK_ON) {
            return rc;
        }
    }
    return WALK_ON;
}

// Takes a block at once when every CR in it has its LF and nothing else is special, as in nearly every
// head, however many lines there are. It does not begin behind a CR whose LF is to come.
static inline int walk_block(struct walk *w, size_t at, const struct marks *m)
{
    uint64_t blank = m->lf & (m->lf << 2 | (w->line == at ? 2 : 0)); // the LF of an empty line
    uint64_t ours = blank ^ (blank - 1);                             // up to the head's end, or all
    if (unlikely(((m->odd | (m->lf ^ m->cr << 1)) & ours) != 0)) {
        return WALK_CLOSELY;
    }
    if (w->line_max != SIZE_MAX && m->cr != 0) {
        size_t first = at + (size_t)__builtin_ctzll(m->cr);
        if (unlikely(first == 0 || first > w->line_max)) {
            return WALK_CLOSELY;
        }
    }
    if (blank != 0) {
        w->done = at + (size_t)__builtin_ctzll(blank) + 1;
        return 0;
    }
    if (m->lf != 0) {
        w->line = at + BLOCK_BYTES - (size_t)__builtin_clzll(m->lf);
        w->done = w->line;
        w->line_max = SIZE_MAX;
    }
    return WALK_ON;
}

// Inlined into one function per instruction set, each with its own `block`.
__attribute__((always_inline)) static inline int walk(block_fn *block, struct walk *w)
{
    for (size_t at = w->done; at < w->end; at += BLOCK_BYTES) {
        const struct marks m = marks_at(block, w->p, at, w->end);
        int rc = walk_block(w, at, &m);
        if (unlikely(rc == WALK_CLOSELY)) {
            rc = walk_closely(w, at, &m);
        }
        if (rc != WALK_ON) {
            return rc;
        }
        at -= m.cr >> (BLOCK_BYTES - 1); // a CR at the end is looked at again with what follows it
    }
    return WALK_ON;
}

static int walk_simd16(struct walk *w)
{
    return walk(block_simd16, w);
}

#if defined(__x86_64__)
AVX2 static int walk_avx2(struct walk *w)
{
    return walk(block_avx2, w);
}

bool h1_scan_has(enum h1_scan_way way)
{
    return way != H1_SCAN_AVX2 || __builtin_cpu_supports("avx2");
}
#else
static int walk_avx2(struct walk *w)
{
    return walk_simd16(w);
}

bool h1_scan_has(enum h1_scan_way way)
{
    return way != H1_SCAN_AVX2;
}
#endif

enum h1_scan_way h1_scan_best(void)
{
    return h1_scan_has(H1_SCAN_AVX2) ? H1_SCAN_AVX2 : H1_SCAN_SIMD16;
}

static int scan_marks(struct h1_scan_mode mode, struct h1_scan *scan,
                      const struct h1_limits *limits, const char *p, size_t n, size_t *head_len)
{
    bool seen = (scan->state & SCAN_LINE_SEEN) != 0;
    struct walk w = {
        .p = p,
        .end = num_min_size(n, limits->head_bytes),
        .line = (scan->state & SCAN_IN_LINE) != 0 ? SIZE_MAX : scan->pos,
        .done = scan->pos,
        .line_max = seen ? SIZE_MAX : first_line_max(limits, mode.trailers),
        .trailers = mode.trailers,
    };
    int rc = mode.way == H1_SCAN_AVX2 ? walk_avx2(&w) : walk_simd16(&w);
    if (rc == 0) {
        *head_len = w.done;
        return 0;
    }
    if (rc != WALK_ON && rc != E_AGAIN) {
        return rc;
    }
    if (rc == WALK_ON) {
        w.done = w.end > w.done ? w.end : w.done;
    }
    if (w.done > 0 && w.done - 1 > w.line_max) {
        return E_TARGET_TOO_LONG;
    }
    seen = seen || w.line_max == SIZE_MAX;
    scan->pos = (uint32_t)w.done;
    scan->state = (uint8_t)((seen ? SCAN_LINE_SEEN : 0) | (w.line != w.done ? SCAN_IN_LINE : 0));
    return n >= limits->head_bytes ? E_HEAD_TOO_LARGE : E_AGAIN;
}

int h1_scan_with(struct h1_scan_mode mode, struct h1_scan *scan, const struct h1_limits *limits,
                 const char *p, size_t n, size_t *head_len)
{
    ensure(scan->pos <= n);
    if (mode.way == H1_SCAN_SCALAR) {
        return scan_scalar(mode.trailers, scan, limits, p, n, head_len);
    }
    return scan_marks(mode, scan, limits, p, n, head_len);
}

int h1_scan_head(struct h1_scan *scan, const struct h1_limits *limits, const char *p, size_t n,
                 size_t *head_len)
{
    struct h1_scan_mode mode = {h1_scan_best(), false};
    return h1_scan_with(mode, scan, limits, p, n, head_len);
}
