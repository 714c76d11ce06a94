// SPDX-License-Identifier: Apache-2.0
//
// Sixteen bytes at a time, in the compilers' vector types: comparisons are plain operators and only
// the mask of a comparison needs an instruction of the machine. SSE2 is in every x86-64 and NEON in
// every 64-bit ARM; elsewhere the mask is a loop and everything still works.

#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef uint8_t simd16 __attribute__((vector_size(16)));

static inline simd16 simd_load(const char *p)
{
    simd16 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline simd16 simd_splat(uint8_t c)
{
    return (simd16){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c};
}

static inline simd16 simd_eq(simd16 v, uint8_t c)
{
    return (simd16)(v == simd_splat(c));
}

/** 0xff where first <= byte <= last. */
static inline simd16 simd_within(simd16 v, uint8_t first, uint8_t last)
{
    return (simd16)(v - simd_splat(first) <= simd_splat((uint8_t)(last - first)));
}

/** Bit i tells whether byte i of a comparison is 0xff. */
#if defined(__x86_64__)
static inline uint32_t simd_mask(simd16 v)
{
    return (uint32_t)_mm_movemask_epi8((__m128i)v);
}
#elif defined(__aarch64__)
static inline uint32_t simd_mask(simd16 v)
{
    const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t set = vandq_u8((uint8x16_t)v, bits);
    return (uint32_t)vaddv_u8(vget_low_u8(set)) | (uint32_t)vaddv_u8(vget_high_u8(set)) << 8;
}
#else
static inline uint32_t simd_mask(simd16 v)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < sizeof(v); i++) {
        mask |= (uint32_t)(v[i] & 1u) << i;
    }
    return mask;
}
#endif
