/* Exact products of unsigned bytes with signed bytes, both with the summed index contiguous.
 *
 * One routine serves linear layers (rows of activations, offset by 128 to be unsigned, times rows
 * of the weight matrix as it lies on disk) and attention (planes of softmax weights times rows of
 * transposed values). With AVX-512 VNNI it uses vpdpbusd, which neither saturates nor rounds; any
 * other CPU gets plain C whose int32 sums are just as exact.
 */
#ifndef NEXUS_PRODUCTS_H
#define NEXUS_PRODUCTS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define NEXUS_VNNI 1
#include <immintrin.h>
#else
#define NEXUS_VNNI 0
#endif

#define PANEL 4      /* weight rows per tile */
#define TILE_ROWS 6  /* activation rows per tile: 24 accumulators of the 32 registers */

static inline int64_t padded(int64_t n) { return (n + 63) & ~(int64_t)63; }

#if NEXUS_VNNI
/* sum += four-byte dot products of u (unsigned) and v (signed). Written as assembly because GCC 12
 * copies and spills the accumulators of the intrinsic, which halves the speed. */
static inline __attribute__((always_inline)) __m512i dot4(__m512i sum, __m512i u, __m512i v) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(v));
    return sum;
}

/* The four lane sums of a, b, c, d. */
static inline __m128i lane_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
#define FOLD(v) _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1))
    __m256i ab = _mm256_hadd_epi32(FOLD(a), FOLD(b)), cd = _mm256_hadd_epi32(FOLD(c), FOLD(d));
#undef FOLD
    __m256i all = _mm256_hadd_epi32(ab, cd);
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

#define DEFINE_TILE(ROWS)                                                                              \
    static void tile_##ROWS(const uint8_t *x, int64_t ldx, const int8_t *const *w, int64_t k,          \
                            int32_t *out, int64_t ldo) {                                               \
        __m512i sum[ROWS][PANEL];                                                                      \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) sum[r][n] = _mm512_setzero_si512(); \
        const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];                                   \
        int64_t c = 0;                                                                                 \
        for (; c + 64 <= k; c += 64) {                                                                 \
            __m512i v[PANEL] = {_mm512_loadu_si512(w0 + c), _mm512_loadu_si512(w1 + c),                \
                                _mm512_loadu_si512(w2 + c), _mm512_loadu_si512(w3 + c)};               \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                   \
                __m512i u = _mm512_loadu_si512(x + r * ldx + c);                                       \
                _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++)                                \
                    sum[r][n] = dot4(sum[r][n], u, v[n]);                                              \
            }                                                                                          \
        }                                                                                              \
        if (c < k) {                                                                                   \
            __mmask64 tail = ~0ULL >> (64 - (k - c));                                                  \
            __m512i v[PANEL] = {                                                                       \
                _mm512_maskz_loadu_epi8(tail, w0 + c), _mm512_maskz_loadu_epi8(tail, w1 + c),          \
                _mm512_maskz_loadu_epi8(tail, w2 + c), _mm512_maskz_loadu_epi8(tail, w3 + c)};         \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                   \
                __m512i u = _mm512_maskz_loadu_epi8(tail, x + r * ldx + c);                            \
                _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++)                                \
                    sum[r][n] = dot4(sum[r][n], u, v[n]);                                              \
            }                                                                                          \
        }                                                                                              \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) _mm_storeu_si128(                       \
            (__m128i *)(out + r * ldo), lane_sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]));        \
    }
#else
#define DEFINE_TILE(ROWS)                                                                              \
    static void tile_##ROWS(const uint8_t *x, int64_t ldx, const int8_t *const *w, int64_t k,          \
                            int32_t *out, int64_t ldo) {                                               \
        for (int r = 0; r < ROWS; r++)                                                                 \
            for (int n = 0; n < PANEL; n++) {                                                          \
                const uint8_t *restrict u = x + r * ldx;                                               \
                const int8_t *restrict v = w[n];                                                       \
                int32_t sum = 0;                                                                       \
                for (int64_t c = 0; c < k; c++) sum += (int32_t)((int16_t)u[c] * (int16_t)v[c]);       \
                out[r * ldo + n] = sum;                                                                \
            }                                                                                          \
    }
#endif

DEFINE_TILE(1)
DEFINE_TILE(2)
DEFINE_TILE(3)
DEFINE_TILE(4)
DEFINE_TILE(5)
DEFINE_TILE(6)

static inline void tile(int64_t rows, const uint8_t *x, int64_t ldx, const int8_t *const *w, int64_t k,
                        int32_t *out, int64_t ldo) {
    switch (rows) {
        case 1: tile_1(x, ldx, w, k, out, ldo); break;
        case 2: tile_2(x, ldx, w, k, out, ldo); break;
        case 3: tile_3(x, ldx, w, k, out, ldo); break;
        case 4: tile_4(x, ldx, w, k, out, ldo); break;
        case 5: tile_5(x, ldx, w, k, out, ldo); break;
        default: tile_6(x, ldx, w, k, out, ldo); break;
    }
}

/* out[r, n] = sum_c x[r, c] * w[n, c] for r < rows, n < columns.
 * x: u8, row stride ldx. w: i8, row stride ldw. out: i32, row stride ldo; out must have room for
 * columns rounded up to PANEL. The true sums must fit in int32 modulo 2^32. */
static void product(const uint8_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw,
                    int64_t columns, int64_t k, int32_t *out, int64_t ldo) {
    for (int64_t n = 0; n < columns; n += PANEL) {
        const int8_t *panel[PANEL];
        for (int64_t i = 0; i < PANEL; i++) panel[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
        for (int64_t r = 0; r < rows; r += TILE_ROWS)
            tile(rows - r < TILE_ROWS ? rows - r : TILE_ROWS, x + r * ldx, ldx, panel, k, out + r * ldo + n, ldo);
    }
}

/* Row sums of w i8[rows, k], needed to undo the offset of 128. */
static void row_sums(const int8_t *w, int64_t rows, int64_t k, int32_t *out) {
    for (int64_t n = 0; n < rows; n++) {
        const int8_t *restrict v = w + n * k;
        int32_t sum = 0;
        for (int64_t c = 0; c < k; c++) sum += v[c];
        out[n] = sum;
    }
}

#endif
