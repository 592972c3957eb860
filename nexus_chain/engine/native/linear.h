/* Linear layers: exact product, scales, bias, gate and residual in one pass over the weights.
 *
 * Threads take blocks of output columns from a shared cursor, so one slow core does not hold the
 * other up. A block's weights stay in the second-level cache while the rows stream past. Where every
 * row chooses its own expert's matrix, rows that chose the same one go together: each chosen matrix
 * is read once per batch, and the others are not touched.
 */
#ifndef NEXUS_LINEAR_H
#define NEXUS_LINEAR_H

#include "fixed_point.h"
#include "products.h"
#include "steps.h"

#if NEXUS_AVX2
typedef double Sum; /* whole numbers below 2^53 */
#define LINEAR_TILE PACKED_ROWS
#define LINEAR_ROW_BYTES (512 * 1024) /* packed activations kept hot */
#else
typedef int32_t Sum;
#define LINEAR_TILE TILE_ROWS
#define LINEAR_SUM_ROWS 768 /* rows whose sums of a block of columns stay in the second-level cache */
#endif

typedef struct {
    const Step *step;
    int64_t columns, width, planes, fraction;
    int64_t sums; /* rows of sums of one row: its planes, or 1 where they are joined */
} LinearShape;

/* The rows of a batch that meet one matrix. */
typedef struct {
    Matrix matrix;
    const int32_t *rows; /* their numbers, or null for 0, 1, ... */
    int64_t count;
} RowGroup;

/* A block of rows as the products take them, and the space for their sums. */
#if NEXUS_AVX2
typedef struct {
    int16_t *packed; /* [rows, stride] */
    int64_t stride;
    char *workspace;
    Sum *sums; /* [rows, BLOCK_COLUMNS] */
} RowBlock;
#else
typedef struct {
    const int8_t **row; /* [rows * planes]: in place */
    int32_t *start;     /* [rows * planes] */
    uint8_t *workspace;
    Sum *sums; /* [rows * planes, BLOCK_COLUMNS] */
} RowBlock;
#endif

static int64_t row_number(const RowGroup *g, int64_t i) { return g->rows ? g->rows[i] : i; }

static LinearShape linear_shape(const Step *s) {
    const int64_t planes = s->p[2] == 15 ? 2 : 1;
    LinearShape l = {s, s->p[0], s->p[1], planes, s->p[3], NEXUS_AVX2 ? 1 : planes};
    return l;
}

/* Positions handled together: whole tiles. */
static int64_t linear_fit(const LinearShape *l) {
#if NEXUS_AVX2
    int64_t fit = LINEAR_ROW_BYTES / (padded(l->width) * (int64_t)sizeof(int16_t));
#else
    int64_t fit = LINEAR_SUM_ROWS / l->planes;
#endif
    return fit < 2 * LINEAR_TILE ? 2 * LINEAR_TILE : fit - fit % LINEAR_TILE;
}

/* The same for this many rows: blocks of about equal size, since each costs one pass over the weights. */
static int64_t linear_block(const LinearShape *l, int64_t rows) {
    const int64_t fit = linear_fit(l);
    if (rows <= fit) return rows;
    int64_t even = rows / ((rows + fit - 1) / fit) + 1;
    return (even + LINEAR_TILE - 1) / LINEAR_TILE * LINEAR_TILE;
}

/* The largest block of any group of at most this many rows. */
static int64_t linear_limit(const LinearShape *l, int64_t rows) {
    const int64_t fit = linear_fit(l);
    return rows <= fit ? rows : fit + LINEAR_TILE;
}

#if NEXUS_AVX2
static RowBlock row_block(const LinearShape *l, int64_t rows, char *scratch) {
    const int64_t stride = padded(l->width), packed = rows * stride * (int64_t)sizeof(int16_t);
    RowBlock b = {(int16_t *)(scratch + BLOCK_WORKSPACE), stride, scratch, (Sum *)(scratch + BLOCK_WORKSPACE + packed)};
    return b;
}

static int64_t row_block_bytes(const LinearShape *l, int64_t rows) {
    return rows * (padded(l->width) * (int64_t)sizeof(int16_t) + BLOCK_COLUMNS * (int64_t)sizeof(Sum)) + BLOCK_WORKSPACE;
}

/* Rows [first, first + count) of a group, planes joined. */
static void gather_rows(const LinearShape *l, const RowGroup *g, int64_t first, int64_t count, RowBlock *b) {
    const int64_t width = l->width, planes = l->planes; /* stores could change what `l` points at: no vector code */
    for (int64_t i = 0; i < count; i++) {
        const int8_t *restrict high = (const int8_t *)l->step->in[0] + row_number(g, first + i) * planes * width;
        const int8_t *restrict low = high + width;
        int16_t *restrict out = b->packed + i * b->stride;
        if (planes == 1)
            for (int64_t c = 0; c < width; c++) out[c] = high[c];
        else
            for (int64_t c = 0; c < width; c++) out[c] = (int16_t)(high[c] * 128 + low[c]);
    }
}

static void multiply(const LinearShape *l, const Matrix *w, const RowBlock *b, int64_t rows, int64_t n, int64_t count,
                     int64_t next) {
    (void)next;
    product_pairs(b->packed, b->stride, rows, w->weight + n * l->width, l->width, count, l->width, b->sums,
                  BLOCK_COLUMNS, b->workspace);
}
#else
static RowBlock row_block(const LinearShape *l, int64_t rows, char *scratch) {
    const int64_t count = rows * l->planes, sums = count * BLOCK_COLUMNS * (int64_t)sizeof(Sum);
    char *workspace = scratch + sums, *row = workspace + BLOCK_WORKSPACE;
    RowBlock b = {(const int8_t **)row, (int32_t *)(row + count * 8), (uint8_t *)workspace, (Sum *)scratch};
    return b;
}

static int64_t row_block_bytes(const LinearShape *l, int64_t rows) {
    return rows * l->planes * (BLOCK_COLUMNS * (int64_t)sizeof(Sum) + 12) + BLOCK_WORKSPACE;
}

/* Rows [first, first + count) of a group, plane by plane. */
static void gather_rows(const LinearShape *l, const RowGroup *g, int64_t first, int64_t count, RowBlock *b) {
    const int8_t *x = l->step->in[0];
    for (int64_t i = 0; i < count * l->planes; i++)
        b->row[i] = x + (row_number(g, first + i / l->planes) * l->planes + i % l->planes) * l->width;
    for (int64_t i = 0; i < count * l->planes; i++) {
        /* Other cores wrote many of the rows: as many lines as possible should be on their way at once. */
        for (int64_t c = 0; i + 2 < count * l->planes && c < l->width; c += 64) __builtin_prefetch(b->row[i + 2] + c, 0, 2);
        b->start[i] = product_start(b->row[i], l->width);
    }
}

static void multiply(const LinearShape *l, const Matrix *w, const RowBlock *b, int64_t rows, int64_t n, int64_t count,
                     int64_t next) {
    product_block(b->row, b->start, rows * l->planes, w->weight + n * l->width, l->width, count, l->width, b->sums,
                  BLOCK_COLUMNS, b->workspace, next + BLOCK_COLUMNS > l->columns ? 0 : w->weight + next * l->width);
}
#endif

static int64_t linear_scratch(const Step *s, int64_t rows) {
    LinearShape l = linear_shape(s);
    return padded(row_block_bytes(&l, linear_limit(&l, rows))) + padded(rows * 4);
}

/* The weight of row t among those that choose an expert, where it is combined with the residual. */
static const int32_t *gate_of(const Step *s, int64_t t) {
    return s->in[5] ? (const int32_t *)s->in[5] + t * s->p[5] + s->p[6] : 0;
}

/* Scales and biases of a block of columns, as a row's sums take them. */
typedef struct {
    int64_t count, least, most; /* columns; range of their exponents */
    double largest;             /* magnitude of their mantissas */
    double scale[BLOCK_COLUMNS], bias[BLOCK_COLUMNS]; /* mantissa * 2^exponent */
} ColumnScales;

static void column_scales(const Matrix *w, int64_t n, int64_t count, ColumnScales *c) {
    c->count = count;
    c->least = INT32_MAX, c->most = INT32_MIN, c->largest = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t mantissa = w->scale[2 * (n + i)], exponent = w->scale[2 * (n + i) + 1];
        c->least = exponent < c->least ? exponent : c->least;
        c->most = exponent > c->most ? exponent : c->most;
        c->largest = mantissa < 0 ? (-mantissa > c->largest ? -mantissa : c->largest)
                                  : (mantissa > c->largest ? mantissa : c->largest);
        c->scale[i] = (double)mantissa * power_of_two(clamp(exponent, -300, 300));
        c->bias[i] = w->bias ? (double)saturate(w->bias[n + i]) : 0;
    }
}

static inline __attribute__((always_inline)) double joined_sum(int64_t sums, const Sum *high, int64_t i) {
    return sums == 1 ? (double)high[i] : 128 * (double)high[i] + (double)high[BLOCK_COLUMNS + i];
}

/* Whether every step of a row's scales is exact in doubles, its sums being at most `largest`. */
static int fits_doubles(const ColumnScales *c, double largest, int64_t m) {
    return largest * (double)m < 0x1p52 && (largest * (double)m * 0x1p-12 + 1) * c->largest < 0x1p52;
}

/* The same, and no shift is cut: then floor is the shift. Sums are looked at where what they can be is too much. */
static int exact_in_doubles(const LinearShape *l, const ColumnScales *c, const Sum *sums, int64_t m, int64_t shift) {
    if (shift - c->most < 1 || shift - c->least > 62) return 0;
    if (fits_doubles(c, (double)l->width * 128 * (l->planes == 1 ? 128 : 16384), m)) return 1;
    double largest = 0;
    for (int64_t i = 0; i < c->count; i++) {
        const double sum = __builtin_fabs(joined_sum(l->sums, sums, i));
        largest = sum > largest ? sum : largest;
    }
    return fits_doubles(c, largest, m);
}

/* What becomes of a row's sums: row, column and residual are those of its first column. */
typedef struct {
    int64_t m, shift;
    const int32_t *gate, *residual; /* or null */
    int32_t *out;
} RowEnd;

/* round(round(sum * m / 2^12) * scale / 2^shift), then bias, gate and residual, saturated after each: exact. One pass of
 * vector code; `sums` and `plain` (no bias, no gate) are constants where it is called. */
static inline __attribute__((always_inline)) void finish_in_doubles(int64_t sums, int plain, const Sum *restrict high,
                                                                    const ColumnScales *c, const RowEnd *end) {
    const double row = (double)end->m * 0x1p-12, down = power_of_two(-end->shift);
    const double gate = end->gate ? (double)clamp(*end->gate, 0, 65536) * 0x1p-16 : 1;
    const double *restrict scale = c->scale, *restrict bias = c->bias;
    const int32_t *restrict residual = end->residual;
    int32_t *restrict out = end->out;
    for (int64_t i = 0; i < c->count; i++) {
        const double scaled = __builtin_floor(joined_sum(sums, high, i) * row + 0.5) * (scale[i] * down);
        double value = saturate_double(__builtin_floor(scaled + 0.5));
        if (!plain) value = __builtin_floor(saturate_double(value + bias[i]) * gate + 0.5);
        if (residual) value = saturate_double(value + (double)read_element(residual[i]));
        out[i] = (int32_t)value;
    }
}

static void finish_in_integers(const LinearShape *l, const Matrix *w, int64_t n, const Sum *sums, const ColumnScales *c,
                               const RowEnd *end) {
    for (int64_t i = 0; i < c->count; i++) {
        const int64_t mantissa = w->scale[2 * (n + i)], exponent = w->scale[2 * (n + i) + 1];
        const int64_t v = (((int64_t)joined_sum(l->sums, sums, i) * end->m + 2048) >> 12) * mantissa;
        int64_t value = saturate(saturate(round_shift(v, end->shift - exponent)) + (int64_t)c->bias[i]);
        if (end->gate) value = round_shift(value * clamp(*end->gate, 0, 65536), 16);
        if (end->residual) value = saturate(value + read_element(end->residual[i]));
        end->out[i] = (int32_t)value;
    }
}

/* Output row t, columns [n, n + count): accumulators to saturated integers. */
static void finish_row(const LinearShape *l, const Matrix *w, const ColumnScales *c, const Sum *sums, int64_t t, int64_t n) {
    const Step *s = l->step;
    const int64_t at = t * l->columns + n;
    const RowEnd end = {
        read_mantissa(((const int32_t *)s->in[1])[t]),
        -(read_exponent(((const int32_t *)s->in[2])[t]) + l->fraction + 12),
        gate_of(s, t),
        s->in[3] ? (const int32_t *)s->in[3] + at : 0,
        (int32_t *)s->out[0] + at,
    };
    const int plain = !w->bias && !end.gate;
    if (!exact_in_doubles(l, c, sums, end.m, end.shift))
        finish_in_integers(l, w, n, sums, c, &end);
    else if (l->sums == 1 && plain)
        finish_in_doubles(1, 1, sums, c, &end);
    else if (l->sums == 1)
        finish_in_doubles(1, 0, sums, c, &end);
    else if (plain)
        finish_in_doubles(2, 1, sums, c, &end);
    else
        finish_in_doubles(2, 0, sums, c, &end);
}

static void linear_block_columns(const LinearShape *l, const RowGroup *g, const RowBlock *b, int64_t first,
                                 int64_t rows, int64_t n, int64_t next) {
    const int64_t count = l->columns - n < BLOCK_COLUMNS ? l->columns - n : BLOCK_COLUMNS;
    ColumnScales scales;
    column_scales(&g->matrix, n, count, &scales);
    multiply(l, &g->matrix, b, rows, n, count, next);
    for (int64_t r = 0; r < rows; r++)
        finish_row(l, &g->matrix, &scales, b->sums + r * l->sums * BLOCK_COLUMNS, row_number(g, first + r), n);
}

/* One thread's share of the blocks of all groups. */
typedef struct {
    int64_t *cursor;
    int64_t item; /* the block taken last */
    int64_t base; /* number of the group's first block */
    int64_t threads;
    char *scratch;
} Share;

static void take(Share *share) { share->item = __atomic_fetch_add(share->cursor, 1, __ATOMIC_RELAXED); }

/* Blocks are numbered row block first; every thread gathers a row block once for all its columns. */
static void linear_group(const LinearShape *l, const RowGroup *g, Share *share) {
    if (g->count == 0) return;
    const int64_t block = linear_block(l, g->count);
    const int64_t across = (l->columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS, down = (g->count + block - 1) / block;
    RowBlock rows = row_block(l, block, share->scratch);
    int64_t gathered = -1;
    for (; share->item < share->base + across * down; take(share)) {
        const int64_t item = share->item - share->base, first = item / across * block;
        const int64_t count = g->count - first < block ? g->count - first : block;
        if (gathered != first) gather_rows(l, g, first, count, &rows);
        gathered = first;
        const int64_t column = item % across * BLOCK_COLUMNS;
        /* Threads that are equally fast take turns, so the next block is as many further on as there are threads. */
        linear_block_columns(l, g, &rows, first, count, column, column + share->threads * BLOCK_COLUMNS);
    }
    share->base += across * down;
}

static void linear(const Step *s, int64_t rows, int64_t threads, int64_t *cursor, char *scratch) {
    LinearShape l = linear_shape(s);
    RowGroup all = {{s->weight[0], s->weight[1], s->weight[2]}, 0, rows};
    Share share = {cursor, 0, 0, threads, scratch};
    take(&share);
    linear_group(&l, &all, &share);
}

static int64_t expert_of(const Step *s, int64_t t) {
    return clamp(((const int32_t *)s->in[4])[t * s->p[5] + s->p[6]], 0, s->p[4] - 1);
}

/* Every thread sorts the rows by expert for itself: far cheaper than waiting for one that does. */
static void expert_linear(const Step *s, int64_t rows, int64_t threads, int64_t *cursor, char *scratch) {
    LinearShape l = linear_shape(s);
    const Matrix *experts = s->weight[0];
    int32_t *numbers = (int32_t *)scratch;
    Share share = {cursor, 0, 0, threads, scratch + padded(rows * 4)};
    take(&share);
    for (int64_t expert = 0; expert < s->p[4]; expert++) {
        RowGroup group = {experts[expert], numbers, 0};
        for (int64_t t = 0; t < rows; t++)
            if (expert_of(s, t) == expert) numbers[group.count++] = (int32_t)t;
        linear_group(&l, &group, &share);
    }
}

#endif
