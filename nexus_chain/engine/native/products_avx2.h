/* Exact products with AVX2 alone, over rows of 16 bits: the 15 bits of a row in one pass. */
#ifndef NEXUS_PRODUCTS_AVX2_H
#define NEXUS_PRODUCTS_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline int32_t lane_sum(__m256i v) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

#define BLOCK_WORKSPACE 0 /* bytes of scratch that a block of products takes */
#define PAIR_ROWS 3      /* rows of 16 bits per tile: 12 accumulators of the 16 registers */
#define PAIR_COLUMNS 4096 /* a lane sums 256 pairs of at most 2 * 16512 * 128: below 2^31 */

#define DEFINE_PAIR_TILE(ROWS)                                                                         \
    static void pair_tile_##ROWS(const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t k,     \
                                 int64_t *out, int64_t ldo) {                                          \
        __m256i sum[ROWS][PANEL];                                                                      \
        _Pragma("GCC unroll 3") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) sum[r][n] = _mm256_setzero_si256(); \
        const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];                                   \
        for (int64_t c = 0; c < k; c += 16) {                                                          \
            const int8_t *from[PANEL] = {w0 + c, w1 + c, w2 + c, w3 + c};                              \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) {                                  \
                __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)from[n]));           \
                _Pragma("GCC unroll 3") for (int r = 0; r < ROWS; r++) {                               \
                    __m256i u = _mm256_loadu_si256((const __m256i *)(x + r * ldx + c));                \
                    sum[r][n] = _mm256_add_epi32(sum[r][n], _mm256_madd_epi16(u, v));                  \
                }                                                                                      \
            }                                                                                          \
        }                                                                                              \
        for (int r = 0; r < ROWS; r++)                                                                 \
            for (int n = 0; n < PANEL; n++) out[r * ldo + n] += lane_sum(sum[r][n]);                   \
    }

DEFINE_PAIR_TILE(2)
DEFINE_PAIR_TILE(3)

/* One row: what limits it is reading the weights, which is fastest along one weight row after the other. */
static void pair_tile_1(const int16_t *x, const int8_t *const *w, int64_t k, int64_t *out) {
    for (int n = 0; n < PANEL; n++) {
        __m256i sum[4] = {0};
        int64_t c = 0;
#define ADD_PAIRS(lane, at)                                                                             \
    sum[lane] = _mm256_add_epi32(                                                                       \
        sum[lane], _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(x + (at))),                   \
                                     _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w[n] + (at))))))
        for (; c + 64 <= k; c += 64) {
            ADD_PAIRS(0, c);
            ADD_PAIRS(1, c + 16);
            ADD_PAIRS(2, c + 32);
            ADD_PAIRS(3, c + 48);
        }
        for (; c < k; c += 16) ADD_PAIRS(0, c);
#undef ADD_PAIRS
        sum[0] = _mm256_add_epi32(_mm256_add_epi32(sum[0], sum[1]), _mm256_add_epi32(sum[2], sum[3]));
        out[n] += lane_sum(sum[0]);
    }
}

static inline void pair_tile(int64_t rows, const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t k,
                             int64_t *out, int64_t ldo) {
    switch (rows) {
        case 1: pair_tile_1(x, w, k, out); break;
        case 2: pair_tile_2(x, ldx, w, k, out, ldo); break;
        default: pair_tile_3(x, ldx, w, k, out, ldo); break;
    }
}

/* The last k % 16 columns of a panel. */
static void pair_tail(int64_t rows, const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t from, int64_t k,
                      int64_t *out, int64_t ldo) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < PANEL; n++)
            for (int64_t c = from; c < k; c++) out[r * ldo + n] += x[r * ldx + c] * w[n][c];
}

/* out[r, n] = sum_c x[r, c] * w[n, c] for r < rows, n < columns.
 * x: i16 in [-16512, 16383], row stride ldx. w: i8, row stride ldw. out: i64, row stride ldo; out
 * must have room for columns rounded up to PANEL. */
static void product_pairs(const int16_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw, int64_t columns,
                          int64_t k, int64_t *out, int64_t ldo) {
    const int64_t whole = k & ~(int64_t)15;
    for (int64_t n = 0; n < columns; n += PANEL) {
        const int8_t *panel[PANEL];
        for (int64_t i = 0; i < PANEL; i++) panel[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
        for (int64_t r = 0; r < rows; r++) memset(out + r * ldo + n, 0, PANEL * sizeof *out);
        for (int64_t c = 0; c < whole; c += PAIR_COLUMNS) {
            const int8_t *part[PANEL] = {panel[0] + c, panel[1] + c, panel[2] + c, panel[3] + c};
            const int64_t wide = whole - c < PAIR_COLUMNS ? whole - c : PAIR_COLUMNS;
            for (int64_t r = 0; r < rows; r += PAIR_ROWS)
                pair_tile(rows - r < PAIR_ROWS ? rows - r : PAIR_ROWS, x + r * ldx + c, ldx, part, wide,
                          out + r * ldo + n, ldo);
        }
        pair_tail(rows, x, ldx, panel, whole, k, out + n, ldo);
    }
}

#endif
