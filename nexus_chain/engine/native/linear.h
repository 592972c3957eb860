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

typedef struct {
    const Step *step;
    int64_t columns, width, planes, fraction;
    int64_t stride; /* bytes of a packed row */
} LinearShape;

static LinearShape linear_shape(const Step *s) {
    LinearShape l = {s, s->p[0], s->p[1], s->p[2] == 15 ? 2 : 1, s->p[3], padded(s->p[1])};
    return l;
}

/* Positions handled together: whole tiles, and blocks of about equal size, since each block of
 * positions costs one pass over the weights. */
static int64_t linear_block(const LinearShape *l, int64_t rows) {
    int64_t fit = LINEAR_ROW_BYTES / (l->stride * l->planes);
    fit = fit < 2 * TILE_ROWS ? 2 * TILE_ROWS : fit - fit % TILE_ROWS;
    if (rows <= fit) return rows;
    int64_t even = rows / ((rows + fit - 1) / fit) + 1;
    return (even + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
}

static int64_t linear_scratch(const Step *s, int64_t rows) {
    LinearShape l = linear_shape(s);
    return linear_block(&l, rows) * l.planes * (l.stride + LINEAR_COLUMNS * 4) + 4096;
}

/* Signed rows become unsigned by an offset of 128; the padding meets masked (zero) weights. */
static void pack_rows(const int8_t *x, int64_t rows, int64_t width, int64_t stride, uint8_t *out) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++) out[r * stride + c] = (uint8_t)x[r * width + c] ^ 0x80;
}

/* One output row, columns [n, n + count): accumulators to saturated integers. */
static void finish_row(const LinearShape *l, const int32_t *restrict high, const int32_t *restrict low, int64_t t,
                       int64_t n, int64_t count) {
    const Step *s = l->step;
    const int64_t m = ((const int32_t *)s->in[1])[t];
    const int64_t shift = -(((const int32_t *)s->in[2])[t] + l->fraction + 12);
    const int32_t *restrict scale = (const int32_t *)s->weight[1] + 2 * n;
    const int32_t *restrict sums = (const int32_t *)s->weight[3] + n;
    const int32_t *restrict bias = s->weight[2] ? (const int32_t *)s->weight[2] + n : 0;
    const int32_t *restrict residual = s->in[3] ? (const int32_t *)s->in[3] + t * l->columns + n : 0;
    int32_t *restrict out = (int32_t *)s->out[0] + t * l->columns + n;
    int64_t value[LINEAR_COLUMNS];
    if (l->planes == 1) {
        for (int64_t i = 0; i < count; i++) value[i] = (int32_t)(high[i] - 128 * sums[i]);
    } else {
        for (int64_t i = 0; i < count; i++)
            value[i] = 128 * (int64_t)(int32_t)(high[i] - 128 * sums[i]) + (int32_t)(low[i] - 128 * sums[i]);
    }
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

static void linear_block_columns(const LinearShape *l, const uint8_t *x, int64_t first, int64_t rows, int64_t n,
                                 int32_t *sums) {
    const int64_t count = l->columns - n < LINEAR_COLUMNS ? l->columns - n : LINEAR_COLUMNS;
    product(x, l->stride, rows * l->planes, (const int8_t *)l->step->weight[0] + n * l->width, l->width, count,
            l->width, sums, LINEAR_COLUMNS);
    for (int64_t r = 0; r < rows; r++) {
        const int32_t *high = sums + r * l->planes * LINEAR_COLUMNS;
        finish_row(l, high, high + LINEAR_COLUMNS, first + r, n, count);
    }
}

/* Blocks are numbered row block first; every thread packs a row block once for all its columns. */
static void linear(const Step *s, int64_t rows, int64_t *cursor, char *scratch) {
    if (rows == 0) return;
    LinearShape l = linear_shape(s);
    const int64_t block = linear_block(&l, rows);
    const int64_t across = (l.columns + LINEAR_COLUMNS - 1) / LINEAR_COLUMNS, down = (rows + block - 1) / block;
    uint8_t *x = (uint8_t *)scratch;
    int32_t *sums = (int32_t *)(scratch + block * l.planes * l.stride);
    int64_t packed = -1, item;
    while ((item = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED)) < across * down) {
        const int64_t first = item / across * block, count = rows - first < block ? rows - first : block;
        if (packed != first) {
            pack_rows((const int8_t *)s->in[0] + first * l.planes * l.width, count * l.planes, l.width, l.stride, x);
            packed = first;
        }
        linear_block_columns(&l, x, first, count, item % across * LINEAR_COLUMNS, sums);
    }
}

#endif
