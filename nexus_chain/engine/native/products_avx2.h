/* Exact products with AVX2 alone, over rows of 16 bits: the 15 bits of a row in one pass.
 *
 * Few rows: the weights stream past once, as they lie, and every sum is folded from the lanes of a register. Many rows:
 * weights are first packed so that a lane belongs to one column. That costs a pass over the block and saves the folding
 * and the widening of bytes, so that multiplying and adding is all that the tiles do. Sums are whole doubles.
 */
#ifndef NEXUS_PRODUCTS_AVX2_H
#define NEXUS_PRODUCTS_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define PAIR_ROWS 3       /* rows of 16 bits per tile of few rows: 12 accumulators of the 16 registers */
#define PAIR_COLUMNS 4096 /* a lane sums 256 pairs of at most 2 * 16512 * 128: below 2^31 */
#define PAIR_AHEAD 8192   /* bytes of weights that are on their way to the second-level cache: the next columns lie behind */
#define PACKED_ROWS 5     /* rows per tile of packed columns, two registers each: with six, sums go through memory */
#define PACKED_COLUMNS 16
#define PACKED_DEPTH 576  /* a lane sums 288 pairs: below 2^31, too; what is packed stays in the first-level cache */
#define PACK_FROM 8       /* rows from which packing pays */
#define BLOCK_WORKSPACE (PACKED_COLUMNS * PACKED_DEPTH * 2)

/* Eight lanes, whose sum may be beyond 32 bits, as four doubles. */
static inline __m256d joined_lanes(__m256i v) {
    return _mm256_add_pd(_mm256_cvtepi32_pd(_mm256_castsi256_si128(v)), _mm256_cvtepi32_pd(_mm256_extracti128_si256(v, 1)));
}

/* out[n] += the sum of all lanes of sum[n], for the columns of a panel. */
static inline void add_lane_sums(const __m256i *sum, double *out) {
    const __m256d a = _mm256_hadd_pd(joined_lanes(sum[0]), joined_lanes(sum[1]));
    const __m256d b = _mm256_hadd_pd(joined_lanes(sum[2]), joined_lanes(sum[3]));
    const __m256d whole = _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_loadu_pd(out), whole));
}

#define FETCH_AHEAD(weights) _mm_prefetch((const char *)(weights) + PAIR_AHEAD, _MM_HINT_T1)

#define DEFINE_PAIR_TILE(ROWS)                                                                         \
    static void pair_tile_##ROWS(const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t k,     \
                                 double *out, int64_t ldo) {                                           \
        __m256i sum[ROWS][PANEL];                                                                      \
        _Pragma("GCC unroll 3") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) sum[r][n] = _mm256_setzero_si256(); \
        const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];                                   \
        for (int64_t c = 0; c < k; c += 16) {                                                          \
            const int8_t *from[PANEL] = {w0 + c, w1 + c, w2 + c, w3 + c};                              \
            if (c % 64 == 0)                                                                           \
                _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) FETCH_AHEAD(from[n]);          \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) {                                  \
                __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)from[n]));           \
                _Pragma("GCC unroll 3") for (int r = 0; r < ROWS; r++) {                               \
                    __m256i u = _mm256_loadu_si256((const __m256i *)(x + r * ldx + c));                \
                    sum[r][n] = _mm256_add_epi32(sum[r][n], _mm256_madd_epi16(u, v));                  \
                }                                                                                      \
            }                                                                                          \
        }                                                                                              \
        for (int r = 0; r < ROWS; r++) add_lane_sums(sum[r], out + r * ldo);                           \
    }

DEFINE_PAIR_TILE(2)
DEFINE_PAIR_TILE(3)

/* One row: what limits it is reading the weights, which is fastest along one weight row after the other. */
static void pair_tile_1(const int16_t *x, const int8_t *const *w, int64_t k, double *out) {
    __m256i whole[PANEL];
    _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) {
        __m256i sum[4] = {0};
        int64_t c = 0;
#define ADD_PAIRS(lane, at)                                                                             \
    sum[lane] = _mm256_add_epi32(                                                                       \
        sum[lane], _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)(x + (at))),                   \
                                     _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w[n] + (at))))))
        for (; c + 64 <= k; c += 64) {
            FETCH_AHEAD(w[n] + c);
            ADD_PAIRS(0, c);
            ADD_PAIRS(1, c + 16);
            ADD_PAIRS(2, c + 32);
            ADD_PAIRS(3, c + 48);
        }
        for (; c < k; c += 16) ADD_PAIRS(0, c);
#undef ADD_PAIRS
        whole[n] = _mm256_add_epi32(_mm256_add_epi32(sum[0], sum[1]), _mm256_add_epi32(sum[2], sum[3]));
    }
    add_lane_sums(whole, out);
}

static inline void pair_tile(int64_t rows, const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t k,
                             double *out, int64_t ldo) {
    switch (rows) {
        case 1: pair_tile_1(x, w, k, out); break;
        case 2: pair_tile_2(x, ldx, w, k, out, ldo); break;
        default: pair_tile_3(x, ldx, w, k, out, ldo); break;
    }
}

/* The last columns [from, k) of a panel. */
static void pair_tail(int64_t rows, const int16_t *x, int64_t ldx, const int8_t *const *w, int64_t from, int64_t k,
                      double *out, int64_t ldo) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < PANEL; n++)
            for (int64_t c = from; c < k; c++) out[r * ldo + n] += x[r * ldx + c] * w[n][c];
}

static void panel_rows(const int8_t **panel, const int8_t *w, int64_t ldw, int64_t n, int64_t columns, int64_t count) {
    for (int64_t i = 0; i < count; i++) panel[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
}

static void product_streamed(const int16_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw, int64_t columns,
                             int64_t k, double *out, int64_t ldo) {
    const int64_t whole = k & ~(int64_t)15;
    for (int64_t n = 0; n < columns; n += PANEL) {
        const int8_t *panel[PANEL];
        panel_rows(panel, w, ldw, n, columns, PANEL);
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

/* Eight columns' 16 bytes, as pairs, become pairs of eight columns: out[i] holds pair i of each. */
static inline void transpose_pairs(const int8_t *const *w, int64_t at, __m128i *out) {
    __m128i a[8], b[8];
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) a[i] = _mm_loadu_si128((const __m128i *)(w[i] + at));
    _Pragma("GCC unroll 4") for (int i = 0; i < 8; i += 2) {
        b[i] = _mm_unpacklo_epi16(a[i], a[i + 1]);
        b[i + 1] = _mm_unpackhi_epi16(a[i], a[i + 1]);
    }
    _Pragma("GCC unroll 2") for (int i = 0; i < 8; i += 4) {
        a[i] = _mm_unpacklo_epi32(b[i], b[i + 2]);
        a[i + 1] = _mm_unpackhi_epi32(b[i], b[i + 2]);
        a[i + 2] = _mm_unpacklo_epi32(b[i + 1], b[i + 3]);
        a[i + 3] = _mm_unpackhi_epi32(b[i + 1], b[i + 3]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
        out[2 * i] = _mm_unpacklo_epi64(a[i], a[i + 4]);
        out[2 * i + 1] = _mm_unpackhi_epi64(a[i], a[i + 4]);
    }
}

/* Columns w[0 .. 16), bytes [from, to), whole lines of 16: pair by pair, 16 columns side by side as 16-bit numbers. The
 * next columns, `ldw` bytes apart like these, are fetched meanwhile. */
static void pack(const int8_t *const *w, int64_t ldw, int64_t from, int64_t to, int16_t *packed) {
    for (int64_t c = from; c < to; c += 16) {
        if (c % 64 == 0)
            for (int64_t n = 0; n < PACKED_COLUMNS; n++)
                _mm_prefetch((const char *)w[n] + PACKED_COLUMNS * ldw + c, _MM_HINT_T1);
        for (int64_t n = 0; n < PACKED_COLUMNS; n += 8) {
            __m128i pair[8];
            transpose_pairs(w + n, c, pair);
            int16_t *into = packed + (c - from) * PACKED_COLUMNS + 2 * n;
            _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
                _mm256_store_si256((__m256i *)(into + i * 2 * PACKED_COLUMNS), _mm256_cvtepi8_epi16(pair[i]));
        }
    }
}

/* out[0 .. 8) (+)= sum */
static inline void flush_sums(__m256i sum, int first, double *out) {
    __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(sum)), high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(sum, 1));
    if (!first) low = _mm256_add_pd(low, _mm256_loadu_pd(out)), high = _mm256_add_pd(high, _mm256_loadu_pd(out + 4));
    _mm256_storeu_pd(out, low);
    _mm256_storeu_pd(out + 4, high);
}

/* Has the compiler take up a row once it has done with the one before. It would load all rows at once, have no register
 * left for their sums, and keep those in memory: a third slower. */
#define AFTER(value, done) __asm__("" : "+x"(value), "+x"(done))

/* sum += value, in the register that holds the sum. Compilers would put it into another one, and copy it back. */
#define ADD_TO(sum, value) __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(value))

/* Sums of ROWS rows and PACKED_COLUMNS packed columns over `pairs` pairs. */
#define DEFINE_PACKED_TILE(ROWS)                                                                       \
    static void packed_tile_##ROWS(const int16_t *x, int64_t ldx, const int16_t *packed, int64_t pairs, int first, \
                                   double *out, int64_t ldo) {                                         \
        __m256i sum[ROWS][2];                                                                          \
        _Pragma("GCC unroll 5") for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256(); \
        for (int64_t i = 0; i < pairs; i++) {                                                          \
            const __m256i *line = (const __m256i *)(packed + i * 2 * PACKED_COLUMNS);                  \
            const __m256i u = _mm256_load_si256(line), v = _mm256_load_si256(line + 1);                \
            _Pragma("GCC unroll 5") for (int r = 0; r < ROWS; r++) {                                   \
                int32_t pair;                                                                          \
                memcpy(&pair, x + r * ldx + 2 * i, 4);                                                 \
                __m256i both = _mm256_set1_epi32(pair);                                                \
                AFTER(both, sum[r ? r - 1 : 0][1]);                                                    \
                ADD_TO(sum[r][0], _mm256_madd_epi16(both, u));                                         \
                ADD_TO(sum[r][1], _mm256_madd_epi16(both, v));                                         \
            }                                                                                          \
        }                                                                                              \
        _Pragma("GCC unroll 5") for (int r = 0; r < ROWS; r++) {                                       \
            flush_sums(sum[r][0], first, out + r * ldo);                                               \
            flush_sums(sum[r][1], first, out + r * ldo + 8);                                           \
        }                                                                                              \
    }

DEFINE_PACKED_TILE(1)
DEFINE_PACKED_TILE(2)
DEFINE_PACKED_TILE(3)
DEFINE_PACKED_TILE(4)
DEFINE_PACKED_TILE(5)

static inline void packed_tile(int64_t rows, const int16_t *x, int64_t ldx, const int16_t *packed, int64_t pairs,
                               int first, double *out, int64_t ldo) {
    switch (rows) {
        case 1: packed_tile_1(x, ldx, packed, pairs, first, out, ldo); break;
        case 2: packed_tile_2(x, ldx, packed, pairs, first, out, ldo); break;
        case 3: packed_tile_3(x, ldx, packed, pairs, first, out, ldo); break;
        case 4: packed_tile_4(x, ldx, packed, pairs, first, out, ldo); break;
        default: packed_tile_5(x, ldx, packed, pairs, first, out, ldo); break;
    }
}

static void product_packed(const int16_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw, int64_t columns,
                           int64_t k, double *out, int64_t ldo, int16_t *packed) {
    const int64_t whole = k & ~(int64_t)15;
    for (int64_t n = 0; n < columns; n += PACKED_COLUMNS) {
        const int8_t *column[PACKED_COLUMNS];
        panel_rows(column, w, ldw, n, columns, PACKED_COLUMNS);
        for (int64_t c = 0; c < whole; c += PACKED_DEPTH) {
            const int64_t to = whole - c < PACKED_DEPTH ? whole : c + PACKED_DEPTH;
            pack(column, ldw, c, to, packed);
            for (int64_t r = 0; r < rows; r += PACKED_ROWS)
                packed_tile(rows - r < PACKED_ROWS ? rows - r : PACKED_ROWS, x + r * ldx + c, ldx, packed, (to - c) / 2,
                            c == 0, out + r * ldo + n, ldo);
        }
        for (int64_t i = 0; i < PACKED_COLUMNS; i += PANEL)
            pair_tail(rows, x, ldx, column + i, whole, k, out + n + i, ldo);
    }
}

/* out[r, n] = sum_c x[r, c] * w[n, c] for r < rows, n < columns, as whole doubles.
 * x: i16 in [-16512, 16383], row stride ldx. w: i8, row stride ldw. out: row stride ldo, with room for columns rounded
 * up to PACKED_COLUMNS. workspace: BLOCK_WORKSPACE bytes, aligned to 64. */
static void product_pairs(const int16_t *x, int64_t ldx, int64_t rows, const int8_t *w, int64_t ldw, int64_t columns,
                          int64_t k, double *out, int64_t ldo, void *workspace) {
    if (rows < PACK_FROM || k < 16)
        product_streamed(x, ldx, rows, w, ldw, columns, k, out, ldo);
    else
        product_packed(x, ldx, rows, w, ldw, columns, k, out, ldo, workspace);
}

#endif
