/* Linear layers: exact product, scales, bias and residual in one pass over the weights.
 *
 * Threads take blocks of output columns from a shared cursor, so one slow core does not hold the
 * other up. A block's weights stay in the second-level cache while the rows stream past.
 */
#ifndef NEXUS_LINEAR_H
#define NEXUS_LINEAR_H

#include "fixed_point.h"
#include "products.h"
#include "steps.h"

#define LINEAR_COLUMNS 64
#define LINEAR_ROW_BYTES (512 * 1024) /* packed activations kept hot */

/* How rows are packed for the product: as 16-bit numbers, or as planes of unsigned bytes. */
#if NEXUS_AVX2
typedef int16_t Packed;
typedef int64_t Sum;
#define LINEAR_PLANES(planes) 1
#define LINEAR_TILE PAIR_ROWS
#else
typedef uint8_t Packed;
typedef int32_t Sum;
#define LINEAR_PLANES(planes) (planes)
#define LINEAR_TILE TILE_ROWS
#endif

typedef struct {
    const Step *step;
    int64_t columns, width, planes, fraction;
    int64_t packed; /* packed planes of a row */
    int64_t stride; /* elements of a packed plane */
} LinearShape;

static LinearShape linear_shape(const Step *s) {
    const int64_t planes = s->p[2] == 15 ? 2 : 1;
    LinearShape l = {s, s->p[0], s->p[1], planes, s->p[3], LINEAR_PLANES(planes), padded(s->p[1])};
    return l;
}

static int64_t packed_bytes(const LinearShape *l) { return l->stride * l->packed * (int64_t)sizeof(Packed); }

/* Positions handled together: whole tiles, and blocks of about equal size, since each block of
 * positions costs one pass over the weights. */
static int64_t linear_block(const LinearShape *l, int64_t rows) {
    int64_t fit = LINEAR_ROW_BYTES / packed_bytes(l);
    fit = fit < 2 * LINEAR_TILE ? 2 * LINEAR_TILE : fit - fit % LINEAR_TILE;
    if (rows <= fit) return rows;
    int64_t even = rows / ((rows + fit - 1) / fit) + 1;
    return (even + LINEAR_TILE - 1) / LINEAR_TILE * LINEAR_TILE;
}

static int64_t linear_scratch(const Step *s, int64_t rows) {
    LinearShape l = linear_shape(s);
    return linear_block(&l, rows) * (packed_bytes(&l) + l.packed * LINEAR_COLUMNS * (int64_t)sizeof(Sum)) + 4096;
}

#if NEXUS_AVX2
/* Rows [0, rows) of x, their planes joined. */
static void pack_rows(const LinearShape *l, const int8_t *x, int64_t rows, Packed *restrict out) {
    for (int64_t r = 0; r < rows; r++) {
        const int8_t *restrict high = x + r * l->planes * l->width, *restrict low = high + l->width;
        Packed *restrict row = out + r * l->stride;
        if (l->planes == 1)
            for (int64_t c = 0; c < l->width; c++) row[c] = high[c];
        else
            for (int64_t c = 0; c < l->width; c++) row[c] = (Packed)(high[c] * 128 + low[c]);
    }
}

static void multiply(const LinearShape *l, const Packed *x, int64_t rows, int64_t n, int64_t count, Sum *sums) {
    const int8_t *weights = (const int8_t *)l->step->weight[0] + n * l->width;
    product_pairs(x, l->stride, rows, weights, l->width, count, l->width, sums, LINEAR_COLUMNS);
}

static void true_sums(const LinearShape *l, const Sum *restrict sums, int64_t n, int64_t count,
                      int64_t *restrict value) {
    (void)l, (void)n;
    for (int64_t i = 0; i < count; i++) value[i] = sums[i];
}
#else
/* Signed rows become unsigned by an offset of 128; the padding meets masked (zero) weights. */
static void pack_rows(const LinearShape *l, const int8_t *x, int64_t rows, Packed *out) {
    for (int64_t r = 0; r < rows * l->planes; r++)
        for (int64_t c = 0; c < l->width; c++) out[r * l->stride + c] = (Packed)x[r * l->width + c] ^ 0x80;
}

static void multiply(const LinearShape *l, const Packed *x, int64_t rows, int64_t n, int64_t count, Sum *sums) {
    const int8_t *weights = (const int8_t *)l->step->weight[0] + n * l->width;
    product(x, l->stride, rows * l->planes, weights, l->width, count, l->width, sums, LINEAR_COLUMNS);
}

/* The sums of a row, the offset undone and the planes joined. */
static void true_sums(const LinearShape *l, const Sum *restrict high, int64_t n, int64_t count,
                      int64_t *restrict value) {
    const int32_t *restrict offset = (const int32_t *)l->step->weight[3] + n, *restrict low = high + LINEAR_COLUMNS;
    if (l->planes == 1) {
        for (int64_t i = 0; i < count; i++) value[i] = (int32_t)(high[i] - 128 * offset[i]);
    } else {
        for (int64_t i = 0; i < count; i++)
            value[i] = 128 * (int64_t)(int32_t)(high[i] - 128 * offset[i]) + (int32_t)(low[i] - 128 * offset[i]);
    }
}
#endif

/* One output row, columns [n, n + count): accumulators to saturated integers. */
static void finish_row(const LinearShape *l, const Sum *sums, int64_t t, int64_t n, int64_t count) {
    const Step *s = l->step;
    const int64_t m = ((const int32_t *)s->in[1])[t];
    const int64_t shift = -(((const int32_t *)s->in[2])[t] + l->fraction + 12);
    const int32_t *restrict scale = (const int32_t *)s->weight[1] + 2 * n;
    const int32_t *restrict bias = s->weight[2] ? (const int32_t *)s->weight[2] + n : 0;
    const int32_t *restrict residual = s->in[3] ? (const int32_t *)s->in[3] + t * l->columns + n : 0;
    int32_t *restrict out = (int32_t *)s->out[0] + t * l->columns + n;
    int64_t value[LINEAR_COLUMNS];
    true_sums(l, sums, n, count, value);
    for (int64_t i = 0; i < count; i++) {
        int64_t v = ((value[i] * m + 2048) >> 12) * scale[2 * i];
        value[i] = saturate(round_shift(v, shift - scale[2 * i + 1]));
    }
    if (bias)
        for (int64_t i = 0; i < count; i++) value[i] = saturate(value[i] + saturate(bias[i]));
    if (residual)
        for (int64_t i = 0; i < count; i++) value[i] = saturate(value[i] + residual[i]);
    for (int64_t i = 0; i < count; i++) out[i] = (int32_t)value[i];
}

static void linear_block_columns(const LinearShape *l, const Packed *x, int64_t first, int64_t rows, int64_t n,
                                 Sum *sums) {
    const int64_t count = l->columns - n < LINEAR_COLUMNS ? l->columns - n : LINEAR_COLUMNS;
    multiply(l, x, rows, n, count, sums);
    for (int64_t r = 0; r < rows; r++) finish_row(l, sums + r * l->packed * LINEAR_COLUMNS, first + r, n, count);
}

/* Blocks are numbered row block first; every thread packs a row block once for all its columns. */
static void linear(const Step *s, int64_t rows, int64_t *cursor, char *scratch) {
    if (rows == 0) return;
    LinearShape l = linear_shape(s);
    const int64_t block = linear_block(&l, rows);
    const int64_t across = (l.columns + LINEAR_COLUMNS - 1) / LINEAR_COLUMNS, down = (rows + block - 1) / block;
    Packed *x = (Packed *)scratch;
    Sum *sums = (Sum *)(scratch + block * packed_bytes(&l));
    int64_t packed = -1, item;
    while ((item = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED)) < across * down) {
        const int64_t first = item / across * block, count = rows - first < block ? rows - first : block;
        if (packed != first) {
            pack_rows(&l, (const int8_t *)s->in[0] + first * l.planes * l.width, count, x);
            packed = first;
        }
        linear_block_columns(&l, x, first, count, item % across * LINEAR_COLUMNS, sums);
    }
}

#endif
