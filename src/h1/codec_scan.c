// SPDX-License-Identifier: Apache-2.0
//
// The search for the end of a head. Every byte below 0x20 and DEL is "special": in a good head these
// are the CRs and LFs of its lines and perhaps some tabs, so whole blocks are turned into bit masks
// of specials and only those are looked at one by one.
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

enum { BLOCK_BYTES = 64, BLOCKS_MAX = 8 };

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

// Bits of the bytes at p[0..64) that are special.
typedef uint64_t block_fn(const char *p);

static inline uint64_t block_simd16(const char *p)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        simd16 v = simd_load(p + i);
        simd16 special = (simd16)(v < simd_splat(0x20)) | simd_eq(v, 0x7f);
        mask |= (uint64_t)simd_mask(special) << i;
    }
    return mask;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline uint32_t half_avx2(const char *p)
{
    __m256i v;
    memcpy(&v, p, sizeof(v));
    __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
    __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(low, del));
}

__attribute__((target("avx2"))) static inline uint64_t block_avx2(const char *p)
{
    return half_avx2(p) | (uint64_t)half_avx2(p + 32) << 32;
}
#endif

// Masks of p[from..n) in blocks of 64, at most BLOCKS_MAX; returns how many. The last block would
// reach behind p[n): it is read so that it ends there and shifted, or copied when all is shorter.
// Inlined into one function per instruction set, each with its own `block`.
__attribute__((always_inline)) static inline unsigned fill_masks(block_fn *block, const char *p,
                                                                 size_t from, size_t n,
                                                                 uint64_t masks[BLOCKS_MAX])
{
    unsigned count = 0;
    for (; from + BLOCK_BYTES <= n && count < BLOCKS_MAX; from += BLOCK_BYTES) {
        masks[count++] = block(p + from);
    }
    if (count == BLOCKS_MAX || from >= n) {
        return count;
    }
    size_t tail = n - from;
    if (n >= BLOCK_BYTES) {
        masks[count++] = block(p + n - BLOCK_BYTES) >> (BLOCK_BYTES - tail);
        return count;
    }
    char copy[BLOCK_BYTES];
    memset(copy, 'x', sizeof(copy));
    memcpy(copy, p + from, tail);
    masks[count++] = block(copy);
    return count;
}

static unsigned masks_simd16(const char *p, size_t from, size_t n, uint64_t masks[BLOCKS_MAX])
{
    return fill_masks(block_simd16, p, from, n, masks);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static unsigned masks_avx2(const char *p, size_t from, size_t n,
                                                           uint64_t masks[BLOCKS_MAX])
{
    return fill_masks(block_avx2, p, from, n, masks);
}

bool h1_scan_has(enum h1_scan_way way)
{
    return way != H1_SCAN_AVX2 || __builtin_cpu_supports("avx2");
}
#else
static unsigned masks_avx2(const char *p, size_t from, size_t n, uint64_t masks[BLOCKS_MAX])
{
    return masks_simd16(p, from, n, masks);
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

// ---- the walk over the masks -----------------------------------------------------------------------

// What the walk knows, in one place so that the step function may change it.
struct walk {
    const char *p;
    size_t end;      // bytes that may be looked at
    size_t line;     // where the current line begins; SIZE_MAX: before what this call sees
    size_t done;     // bytes up to here were dealt with
    size_t line_max; // of the first line; SIZE_MAX once it has ended
    bool trailers;
};

enum { WALK_ON = 1 };

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

static int walk_masks(struct walk *w, size_t base, const uint64_t *masks, unsigned count)
{
    for (unsigned b = 0; b < count; b++) {
        for (uint64_t m = masks[b]; m != 0; m &= m - 1) {
            size_t i = base + (size_t)b * BLOCK_BYTES + (size_t)__builtin_ctzll(m);
            if (i < w->done) {
                continue; // the LF of a pair
            }
            int rc = step(w, i);
            if (rc != WALK_ON) {
                return rc;
            }
        }
    }
    return WALK_ON;
}

static int scan_masks(struct h1_scan_mode mode, struct h1_scan *scan,
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
    size_t pos = scan->pos;
    int rc = WALK_ON;
    while (pos < w.end && rc == WALK_ON) {
        uint64_t masks[BLOCKS_MAX];
        unsigned count = mode.way == H1_SCAN_AVX2 ? masks_avx2(p, pos, w.end, masks)
                                                  : masks_simd16(p, pos, w.end, masks);
        rc = walk_masks(&w, pos, masks, count);
        pos += (size_t)count * BLOCK_BYTES;
    }
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
    return scan_masks(mode, scan, limits, p, n, head_len);
}

int h1_scan_head(struct h1_scan *scan, const struct h1_limits *limits, const char *p, size_t n,
                 size_t *head_len)
{
    struct h1_scan_mode mode = {h1_scan_best(), false};
    return h1_scan_with(mode, scan, limits, p, n, head_len);
}
