/* Exact products with AVX-512 VNNI, over rows of signed bytes.
 *
 * vpdpbusd multiplies unsigned by signed bytes and neither saturates nor rounds. Weights become
 * unsigned on the way in, by an offset of 128; a row's sums therefore begin at -128 times the sum of
 * its bytes. All arithmetic is modulo 2^32, where the true sums fit.
 *
 * Few rows: the weights stream past once, as they lie, and every sum is folded from the lanes of a
 * register. Many rows: blocks of weights are first turned so that a lane belongs to one column; that
 * costs a pass over the block and saves the folding, and all loads of the tiles that follow hit the
 * first-level cache.
 */
#ifndef NEXUS_PRODUCTS_VNNI_H
#define NEXUS_PRODUCTS_VNNI_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define TILE_ROWS 6  /* with 4 registers a row: 24 accumulators of the 32 registers */
#if defined(__AMX_INT8__) && defined(__AMX_TILE__)
#define NEXUS_AMX 1
#include "products_amx.h"
#define TURNED_DEPTH 576 /* bytes of a column turned at a time: the block stays in the first-level cache */
#else
#define NEXUS_AMX 0
#define TURNED_DEPTH 320 /* the same: smaller, because several rows stay there too */
#endif
#define TURNED_ROWS 16   /* rows from which turning weights pays */
#define BLOCK_WORKSPACE (BLOCK_COLUMNS * TURNED_DEPTH)

/* sum += four-byte dot products of u (unsigned) and v (signed). Written as assembly because GCC 12
 * copies and spills the accumulators of the intrinsic, which halves the speed. */
static inline __attribute__((always_inline)) __m512i dot4(__m512i sum, __m512i u, __m512i v) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(v));
    return sum;
}

static inline __m512i offset128(__m512i v) { return _mm512_xor_si512(v, _mm512_set1_epi8(-128)); }

/* Where the sums of a row x i8[k] begin. */
static int32_t product_start(const int8_t *x, int64_t k) {
    __m512i sum = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
    int64_t c = 0;
    for (; c + 64 <= k; c += 64) sum = dot4(sum, ones, _mm512_loadu_si512(x + c));
    if (c < k) sum = dot4(sum, ones, _mm512_maskz_loadu_epi8(~0ULL >> (64 - (k - c)), x + c));
    return -128 * _mm512_reduce_add_epi32(sum);
}

/* The four lane sums of a, b, c, d. */
static inline __m128i lane_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
#define FOLD(v) _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1))
    __m256i ab = _mm256_hadd_epi32(FOLD(a), FOLD(b)), cd = _mm256_hadd_epi32(FOLD(c), FOLD(d));
#undef FOLD
    __m256i all = _mm256_hadd_epi32(ab, cd);
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

/* Part [from, to) of the sums of ROWS rows and PANEL columns. They begin at start, or go on if it is null. The columns
 * `ahead` bytes further on begin their way into the second-level cache: the processor itself fetches ahead within a
 * column, and waits at each new one. */
#define DEFINE_TILE(ROWS)                                                                              \
    static void tile_##ROWS(const int8_t *const *x, const int8_t *const *w, int64_t from, int64_t to,  \
                            int64_t ahead, const int32_t *start, int32_t *out, int64_t ldo) {          \
        __m512i sum[ROWS][PANEL];                                                                      \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++) sum[r][n] = _mm512_setzero_si512(); \
        const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3], *row[ROWS];                       \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) row[r] = x[r];                          \
        int64_t c = from;                                                                              \
        for (; c + 64 <= to; c += 64) {                                                                \
            __builtin_prefetch(w0 + ahead + c, 0, 2);                                                  \
            __builtin_prefetch(w1 + ahead + c, 0, 2);                                                  \
            __builtin_prefetch(w2 + ahead + c, 0, 2);                                                  \
            __builtin_prefetch(w3 + ahead + c, 0, 2);                                                  \
            __m512i u[PANEL] = {                                                                       \
                offset128(_mm512_loadu_si512(w0 + c)), offset128(_mm512_loadu_si512(w1 + c)),          \
                offset128(_mm512_loadu_si512(w2 + c)), offset128(_mm512_loadu_si512(w3 + c))};         \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                   \
                __m512i v = _mm512_loadu_si512(row[r] + c);                                            \
                _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++)                                \
                    sum[r][n] = dot4(sum[r][n], u[n], v);                                              \
            }                                                                                          \
        }                                                                                              \
        if (c < to) {                                                                                  \
            __mmask64 tail = ~0ULL >> (64 - (to - c));                                                 \
            __m512i u[PANEL] = {                                                                       \
                offset128(_mm512_maskz_loadu_epi8(tail, w0 + c)),                                      \
                offset128(_mm512_maskz_loadu_epi8(tail, w1 + c)),                                      \
                offset128(_mm512_maskz_loadu_epi8(tail, w2 + c)),                                      \
                offset128(_mm512_maskz_loadu_epi8(tail, w3 + c))};                                     \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                   \
                __m512i v = _mm512_maskz_loadu_epi8(tail, row[r] + c);                                 \
                _Pragma("GCC unroll 4") for (int n = 0; n < PANEL; n++)                                \
                    sum[r][n] = dot4(sum[r][n], u[n], v);                                              \
            }                                                                                          \
        }                                                                                              \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                       \
            __m128i *into = (__m128i *)(out + r * ldo);                                                \
            __m128i begin = start ? _mm_set1_epi32(start[r]) : _mm_loadu_si128(into);                  \
            _mm_storeu_si128(into, _mm_add_epi32(begin, lane_sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]))); \
        }                                                                                              \
    }

/* The same for `words` times four bytes of BLOCK_COLUMNS turned columns. */
#define DEFINE_TURNED_TILE(ROWS)                                                                       \
    static void turned_tile_##ROWS(const int8_t *const *x, const uint8_t *turned, int64_t from, int64_t words, \
                                   const int32_t *start, int32_t *out, int64_t ldo) {                  \
        __m512i sum[ROWS][4];                                                                          \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++)                                        \
                sum[r][n] = start ? _mm512_set1_epi32(start[r])                                        \
                                  : _mm512_loadu_si512(out + r * ldo + n * 16);                       \
        const int8_t *row[ROWS];                                                                       \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) row[r] = x[r] + from;                   \
        for (int64_t i = 0; i < words; i++) {                                                          \
            const uint8_t *w = turned + i * 4 * BLOCK_COLUMNS;                                        \
            __m512i u[4] = {_mm512_load_si512(w), _mm512_load_si512(w + 64), _mm512_load_si512(w + 128), \
                            _mm512_load_si512(w + 192)};                                               \
            _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++) {                                   \
                int32_t word;                                                                          \
                memcpy(&word, row[r] + 4 * i, 4);                                                      \
                __m512i v = _mm512_set1_epi32(word);                                                   \
                _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++) sum[r][n] = dot4(sum[r][n], u[n], v); \
            }                                                                                          \
        }                                                                                              \
        _Pragma("GCC unroll 6") for (int r = 0; r < ROWS; r++)                                         \
            _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++)                                        \
                _mm512_storeu_si512(out + r * ldo + n * 16, sum[r][n]);                               \
    }

#define FOR_TILE_ROWS(define) define(1) define(2) define(3) define(4) define(5) define(6)
FOR_TILE_ROWS(DEFINE_TILE)
FOR_TILE_ROWS(DEFINE_TURNED_TILE)

static inline void tile(int64_t rows, const int8_t *const *x, const int8_t *const *w, int64_t from, int64_t to,
                        int64_t ahead, const int32_t *start, int32_t *out, int64_t ldo) {
    switch (rows) {
        case 1: tile_1(x, w, from, to, ahead, start, out, ldo); break;
        case 2: tile_2(x, w, from, to, ahead, start, out, ldo); break;
        case 3: tile_3(x, w, from, to, ahead, start, out, ldo); break;
        case 4: tile_4(x, w, from, to, ahead, start, out, ldo); break;
        case 5: tile_5(x, w, from, to, ahead, start, out, ldo); break;
        default: tile_6(x, w, from, to, ahead, start, out, ldo); break;
    }
}

static inline void turned_tile(int64_t rows, const int8_t *const *x, const uint8_t *turned, int64_t from,
                               int64_t words, const int32_t *start, int32_t *out, int64_t ldo) {
    switch (rows) {
        case 1: turned_tile_1(x, turned, from, words, start, out, ldo); break;
        case 2: turned_tile_2(x, turned, from, words, start, out, ldo); break;
        case 3: turned_tile_3(x, turned, from, words, start, out, ldo); break;
        case 4: turned_tile_4(x, turned, from, words, start, out, ldo); break;
        case 5: turned_tile_5(x, turned, from, words, start, out, ldo); break;
        default: turned_tile_6(x, turned, from, words, start, out, ldo); break;
    }
}

/* Bytes [from, to) of the product of rows and columns, PANEL columns at a time. */
static void product_part(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                         int64_t columns, int64_t from, int64_t to, int32_t *out, int64_t ldo) {
    for (int64_t r = 0; r < rows; r += TILE_ROWS)
        for (int64_t n = 0; n < columns; n += PANEL) {
            const int8_t *panel[PANEL];
            for (int64_t i = 0; i < PANEL; i++) panel[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
            const int64_t ahead = n + 2 * PANEL <= columns ? PANEL * ldw : 0;
            tile(rows - r < TILE_ROWS ? rows - r : TILE_ROWS, x + r, panel, from, to, ahead, start ? start + r : 0,
                 out + r * ldo + n, ldo);
        }
}

/* out[r, n] = sum_c x[r][c] * w[n, c] for r < rows, n < columns.
 * x: rows of i8[k]; start: product_start of each. w: i8, row stride ldw. out: i32, row stride ldo,
 * with room for columns rounded up to PANEL. */
static void product(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                    int64_t columns, int64_t k, int32_t *out, int64_t ldo) {
    product_part(x, start, rows, w, ldw, columns, 0, k, out, ldo);
}

/* Columns w[0 .. 16) as they lie, 64 bytes each, become 16 lines of 16 columns: line i holds their bytes 4i .. 4i+3.
 * `flip`: what every byte is combined with, so that it is offset by 128 or not. */
static inline void turn16(const int8_t *const *w, int64_t at, __m512i flip, uint8_t *out) {
    __m512i a[16], b[16];
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i++) a[i] = _mm512_xor_si512(_mm512_loadu_si512(w[i] + at), flip);
    _Pragma("GCC unroll 8") for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    _Pragma("GCC unroll 4") for (int i = 0; i < 16; i += 4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    /* Lane l of a[4i + j] now holds word 4l + j of columns 4i .. 4i+3. */
    _Pragma("GCC unroll 4") for (int j = 0; j < 4; j++) {
        __m512i even = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88), odd = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xdd);
        __m512i even8 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
        __m512i odd8 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xdd);
        uint8_t *line = out + j * 4 * BLOCK_COLUMNS;
        _mm512_store_si512(line, _mm512_shuffle_i32x4(even, even8, 0x88));
        _mm512_store_si512(line + 4 * 4 * BLOCK_COLUMNS, _mm512_shuffle_i32x4(odd, odd8, 0x88));
        _mm512_store_si512(line + 8 * 4 * BLOCK_COLUMNS, _mm512_shuffle_i32x4(even, even8, 0xdd));
        _mm512_store_si512(line + 12 * 4 * BLOCK_COLUMNS, _mm512_shuffle_i32x4(odd, odd8, 0xdd));
    }
}

/* Bytes [from, to), whole lines of 64, of BLOCK_COLUMNS columns; those past the last repeat it. */
static void turn(const int8_t *w, int64_t ldw, int64_t columns, int64_t from, int64_t to, int flipped, uint8_t *turned) {
    const __m512i flip = _mm512_set1_epi8(flipped ? -128 : 0);
    for (int64_t n = 0; n < BLOCK_COLUMNS; n += 16) {
        const int8_t *column[16];
        for (int64_t i = 0; i < 16; i++) column[i] = w + (n + i < columns ? n + i : columns - 1) * ldw;
        for (int64_t c = from; c < to; c += 64) turn16(column, c, flip, turned + (c - from) * BLOCK_COLUMNS + n * 4);
    }
}

/* The first bytes of columns [first, last) begin their way into the second-level cache. */
static inline void fetch_columns(const int8_t *w, int64_t ldw, int64_t bytes, int64_t first, int64_t last) {
    for (int64_t n = first; n < last; n++)
        for (int64_t c = 0; c < bytes; c += 64) __builtin_prefetch(w + n * ldw + c, 0, 2);
}

/* Tiles of rows times a turned block; `ahead`: columns fetched meanwhile, or null. */
static void turned_block(const int8_t *const *x, const int32_t *start, int64_t rows, const uint8_t *turned, int64_t from,
                         int64_t bytes, int32_t *out, int64_t ldo, const int8_t *ahead, int64_t ldw, int64_t columns,
                         int64_t length) {
    const int64_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t r = 0, i = 0; r < rows; r += TILE_ROWS, i++) {
        if (ahead) fetch_columns(ahead, ldw, length, columns * i / tiles, columns * (i + 1) / tiles);
        turned_tile(rows - r < TILE_ROWS ? rows - r : TILE_ROWS, x + r, turned, from, bytes / 4, from ? 0 : start + r,
                    out + r * ldo, ldo);
    }
}

#if NEXUS_AMX
static void turned_block_amx(const int8_t *x, int64_t ldx, int64_t rows, const uint8_t *turned, int64_t from,
                             int64_t bytes, int32_t *out, int64_t ldo, const int8_t *ahead, int64_t ldw,
                             int64_t columns, int64_t length) {
    const int64_t tiles = (rows + AMX_ROWS - 1) / AMX_ROWS;
    amx_begin(AMX_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t r = i * AMX_ROWS;
        if (ahead) fetch_columns(ahead, ldw, length, columns * i / tiles, columns * (i + 1) / tiles);
        if (rows - r < AMX_ROWS) amx_begin(rows - r);
        amx_tile(x + r * ldx + from, ldx, turned, bytes / 64, from == 0, out + r * ldo, ldo);
    }
    _tile_release();
}
#endif

static void product_turned(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                           int64_t columns, int64_t k, int32_t *out, int64_t ldo, uint8_t *turned, const int8_t *next) {
    const int64_t whole = k & ~(int64_t)63;
#if NEXUS_AMX
    const int64_t ldx = whole == k && amx_allowed() ? even_stride(x, rows) : 0;
#else
    const int64_t ldx = 0;
#endif
    for (int64_t c = 0; c < whole; c += TURNED_DEPTH) {
        const int64_t to = whole - c < TURNED_DEPTH ? whole : c + TURNED_DEPTH;
        const int8_t *ahead = to < whole ? w + to : next;
        const int64_t length = to == whole || whole - to > TURNED_DEPTH ? TURNED_DEPTH : whole - to;
        turn(w, ldw, columns, c, to, !ldx, turned);
#if NEXUS_AMX
        if (ldx) turned_block_amx(x[0], ldx, rows, turned, c, to - c, out, ldo, ahead, ldw, columns, length);
#endif
        if (!ldx) turned_block(x, start, rows, turned, c, to - c, out, ldo, ahead, ldw, columns, length);
    }
    if (whole < k) product_part(x, whole ? 0 : start, rows, w, ldw, columns, whole, k, out, ldo);
}

/* As `product`, for at most BLOCK_COLUMNS columns and an out with room for as many.
 * workspace: BLOCK_WORKSPACE bytes, aligned to 64. next: columns that are likely to be asked for next, or null. */
static void product_block(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                          int64_t columns, int64_t k, int32_t *out, int64_t ldo, uint8_t *workspace,
                          const int8_t *next) {
    if (rows < TURNED_ROWS) {
        product(x, start, rows, w, ldw, columns, k, out, ldo);
    } else {
        product_turned(x, start, rows, w, ldw, columns, k, out, ldo, workspace, next);
    }
}

#endif
