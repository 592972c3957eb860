/* Exact products of packed rows with signed bytes, both with the summed index contiguous.
 *
 * One routine serves linear layers (rows of activations times rows of the weight matrix as it lies
 * on disk) and attention (softmax weights times rows of transposed values). With AVX-512 VNNI and in
 * plain C it is `product`, over planes of unsigned bytes (activations are offset by 128): vpdpbusd
 * neither saturates nor rounds, and int32 sums are just as exact. With AVX2 alone it is
 * `product_pairs`, over rows of 16 bits, which takes the 15 bits of a row in one pass.
 */
#ifndef NEXUS_PRODUCTS_H
#define NEXUS_PRODUCTS_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define NEXUS_VNNI 1
#define NEXUS_AVX2 0
#include <immintrin.h>
#elif defined(__AVX2__)
#define NEXUS_VNNI 0
#define NEXUS_AVX2 1
#include <immintrin.h>
#else
#define NEXUS_VNNI 0
#define NEXUS_AVX2 0
#endif

#define PANEL 4      /* weight rows per tile */
#define TILE_ROWS 6  /* activation rows per tile: 24 accumulators of the 32 registers of AVX-512 */

static inline int64_t padded(int64_t n) { return (n + 63) & ~(int64_t)63; }

#if !NEXUS_AVX2
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
 * x: u8, row stride ldx. w: i8, row stride ldw. out: i32, row stride ldo; out must
 * have room for columns rounded up to PANEL. The true sums must fit in int32 modulo 2^32. */
static void product(const uint8_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw,
                    int64_t columns, int64_t k, int32_t *out, int64_t ldo) {
    for (int64_t n = 0; n < columns; n += PANEL) {
        const int8_t *panel[PANEL];
        for (int64_t i = 0; i < PANEL; i++) panel[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
        for (int64_t r = 0; r < rows; r += TILE_ROWS)
            tile(rows - r < TILE_ROWS ? rows - r : TILE_ROWS, x + r * ldx, ldx, panel, k, out + r * ldo + n, ldo);
    }
}
#endif /* !NEXUS_AVX2 */

#if NEXUS_AVX2
static inline int32_t lane_sum(__m256i v) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

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

/* As `product`, for rows x i16 in [-16512, 16383] and sums i64. */
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
