/* Attention over the cache, causal or in both directions, one (sequence, kv head, few positions) at a time.
 *
 * All query heads that share a kv head are handled together. Scores and weights of a row are
 * virtual tensors: they live in this thread's scratch and are never stored. Formulas:
 * nexus_chain/program/OPERATORS.md.
 */
#ifndef NEXUS_ATTENTION_H
#define NEXUS_ATTENTION_H

#include <string.h>

#include "fixed_point.h"
#include "products.h"
#include "steps.h"

#define SCORE_BUDGET 65536 /* scores of one work item: bounds its scratch */
#define MOST_ROWS 64
#define WEIGHT_LEVELS 16256

/* How a row's weights are kept for the products: see products.h. */
#if NEXUS_AVX2
typedef int16_t Weight;   /* [rows, length] */
typedef double MixedSum;  /* [rows, mixed_width], whole */
#define WEIGHT_PLANES 1
#else
typedef int8_t Weight;    /* [2 rows, length]: two planes of 7 bits */
typedef int32_t MixedSum; /* [2 rows, mixed_width] */
#define WEIGHT_PLANES 2
#endif

typedef struct {
    const Step *step;
    int64_t heads, groups, size, block, window, scale, per_group; /* per_group: query heads of a kv head */
} AttentionShape;

typedef struct {
    const Sequence *sequence;
    const LayerCache *cache;
    int64_t group, first, count; /* rows of the batch */
    int64_t base, length;        /* keys base .. base + length are looked at; both multiples of 64 */
} AttentionItem;

typedef struct {
    int32_t *scores;  /* [rows, length], later the weights 2^-x */
    Weight *planes;
#if NEXUS_AVX2
    int16_t *queries; /* [rows, size] */
#else
    const int8_t **row; /* [2 rows]: what is multiplied, and where its sums begin */
    int32_t *start;
#endif
    uint8_t *workspace;
    MixedSum *sums;
    int32_t *mantissas, *shifts; /* [rows]: scale of the block in hand */
    double *scales;   /* [length] of the keys */
    int64_t *total;   /* [rows] sum of weights */
    int64_t *out;     /* [rows, size] */
} AttentionScratch;

static AttentionShape attention_shape(const Step *s) {
    AttentionShape a = {s, s->p[1], s->p[2], s->p[3], s->p[4], s->p[5], s->p[6], s->p[1] / s->p[2]};
    return a;
}

/* Positions per work item when keys up to `length` are looked at. */
static int64_t attention_positions(const AttentionShape *a, int64_t length) {
    int64_t rows = SCORE_BUDGET / length;
    rows = rows > MOST_ROWS ? MOST_ROWS : rows;
    return rows > a->per_group ? rows / a->per_group : 1;
}

/* End of the keys that rows [0, row) of the sequence look at: later keys count only in both directions. */
static int64_t keys_end(const AttentionShape *a, const Sequence *q, int64_t row) {
    return q->position + (a->window < 0 ? q->count : row);
}

/* Elements from one row of mixed sums to the next. */
static int64_t mixed_width(const AttentionShape *a) { return padded(a->size); }

static int64_t mixed_bytes(const AttentionShape *a) {
    return WEIGHT_PLANES * mixed_width(a) * (int64_t)sizeof(MixedSum);
}

/* What a row takes beside scores and sums for the products. */
static int64_t multiplier_bytes(const AttentionShape *a) {
    return NEXUS_AVX2 ? a->size * 2 : WEIGHT_PLANES * 12;
}

static int64_t attention_rows(const AttentionShape *a) {
    return a->per_group > MOST_ROWS ? a->per_group : MOST_ROWS;
}

static int64_t attention_scratch(const Step *s, int64_t longest) {
    AttentionShape a = attention_shape(s);
    int64_t rows = attention_rows(&a), scores = a.per_group * padded(longest);
    scores = scores > SCORE_BUDGET ? scores : SCORE_BUDGET;
    return scores * 6 + padded(longest) * 8 + rows * (multiplier_bytes(&a) + mixed_bytes(&a) + a.size * 8 + 16) + BLOCK_WORKSPACE + 11 * 64;
}

static char *carve(char **cursor, int64_t bytes) {
    char *start = *cursor;
    *cursor += padded(bytes);
    return start;
}

static AttentionScratch attention_buffers(const AttentionShape *a, int64_t rows, int64_t length, char *scratch) {
    AttentionScratch b;
    b.scores = (int32_t *)carve(&scratch, rows * length * 4);
    b.planes = (Weight *)carve(&scratch, rows * length * WEIGHT_PLANES * (int64_t)sizeof(Weight));
    b.sums = (MixedSum *)carve(&scratch, rows * mixed_bytes(a));
#if NEXUS_AVX2
    b.queries = (int16_t *)carve(&scratch, rows * multiplier_bytes(a));
#else
    b.row = (const int8_t **)carve(&scratch, WEIGHT_PLANES * rows * 8);
    b.start = (int32_t *)carve(&scratch, WEIGHT_PLANES * rows * 4);
#endif
    b.workspace = (uint8_t *)carve(&scratch, BLOCK_WORKSPACE);
    b.mantissas = (int32_t *)carve(&scratch, rows * 4);
    b.shifts = (int32_t *)carve(&scratch, rows * 4);
    b.scales = (double *)carve(&scratch, length * 8);
    b.total = (int64_t *)carve(&scratch, rows * 8);
    b.out = (int64_t *)carve(&scratch, rows * a->size * 8);
    return b;
}

/* Row r of a work item among all (position, head) rows. */
static int64_t head_row(const AttentionShape *a, const AttentionItem *w, int64_t r) {
    return (w->first + r / a->per_group) * a->heads + w->group * a->per_group + r % a->per_group;
}

static const int8_t *keys_of(const AttentionShape *a, const AttentionItem *w) {
    return w->cache->keys + (w->group * w->sequence->capacity + w->base) * a->size;
}

/* Keys from the base on that any row of the item looks at. */
static int64_t last_key(const AttentionShape *a, const AttentionItem *w) {
    return keys_end(a, w->sequence, w->first + w->count - w->sequence->row) - w->base;
}

/* score_products: scores[r, j] = q_r . k_(base + j), exact. Keys past the end of the sequence, which the cache
 * holds in whole blocks, give values nobody reads. */
#if NEXUS_AVX2
static void pack_queries(const AttentionShape *a, const AttentionItem *w, int16_t *out) {
    const int64_t size = a->size;
    for (int64_t r = 0; r < w->count * a->per_group; r++) {
        const int8_t *restrict query = (const int8_t *)a->step->in[0] + head_row(a, w, r) * size;
        int16_t *restrict packed = out + r * size;
        for (int64_t i = 0; i < size; i++) packed[i] = query[i];
    }
}

static void score_products(const AttentionShape *a, const AttentionItem *w, const AttentionScratch *b) {
    const int64_t rows = w->count * a->per_group, length = w->length;
    pack_queries(a, w, b->queries);
    for (int64_t j = 0; j < last_key(a, w); j += BLOCK_COLUMNS) {
        product_pairs(b->queries, a->size, rows, keys_of(a, w) + j * a->size, a->size, BLOCK_COLUMNS, a->size, b->sums,
                      BLOCK_COLUMNS, b->workspace);
        for (int64_t r = 0; r < rows; r++) {
            const MixedSum *restrict sums = b->sums + r * BLOCK_COLUMNS;
            int32_t *restrict scores = b->scores + r * length + j;
            for (int64_t i = 0; i < BLOCK_COLUMNS; i++) scores[i] = (int32_t)sums[i];
        }
    }
}
#else
static void score_products(const AttentionShape *a, const AttentionItem *w, const AttentionScratch *b) {
    const int64_t rows = w->count * a->per_group;
    for (int64_t r = 0; r < rows; r++) {
        b->row[r] = (const int8_t *)a->step->in[0] + head_row(a, w, r) * a->size;
        b->start[r] = product_start(b->row[r], a->size);
    }
    for (int64_t j = 0; j < last_key(a, w); j += BLOCK_COLUMNS)
        product_block(b->row, b->start, rows, keys_of(a, w) + j * a->size, a->size, BLOCK_COLUMNS, a->size,
                      b->scores + j, w->length, b->workspace, 0);
}
#endif

/* The scales of an item's keys, as its rows' scores take them. */
typedef struct {
    const int32_t *mantissa, *exponent;
    double *scale;       /* mantissa * 2^exponent */
    int64_t least, most; /* range of the exponents */
} KeyScales;

static void key_scales(KeyScales *k, int64_t keys) {
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t j = 0; j < keys; j++) {
        k->scale[j] = (double)k->mantissa[j] * power_of_two(k->exponent[j]);
        least = k->exponent[j] < least ? k->exponent[j] : least;
        most = k->exponent[j] > most ? k->exponent[j] : most;
    }
    k->least = least, k->most = most;
}

/* s := round(round(s * qs / 2^12) * mantissa / 2^shift). In doubles where no shift is cut: a product of two bytes
 * summed over a head stays below 2^31, the scales below 2^16, so every step is exact (see linear.h). */
static void scale_scores(int32_t *restrict s, int64_t from, int64_t to, int64_t qs, int64_t shift, const KeyScales *k) {
    if (shift - k->most >= 1 && shift - k->least <= 62 && qs > -65536 && qs < 65536) {
        const double row = (double)qs * 0x1p-12, down = power_of_two(-shift), *restrict scale = k->scale;
        for (int64_t j = from; j < to; j++)
            s[j] = (int32_t)saturate_double(
                __builtin_floor(__builtin_floor((double)s[j] * row + 0.5) * (scale[j] * down) + 0.5));
    } else {
        for (int64_t j = from; j < to; j++) {
            int64_t t = ((int64_t)s[j] * qs + 2048) >> 12;
            s[j] = (int32_t)saturate(round_shift(t * k->mantissa[j], shift - k->exponent[j]));
        }
    }
}

/* Scores [from, to) of one row become softmax weights 2^-(max - s) in Q23; returns their sum, 1 at least. */
static int64_t softmax_weights(int32_t *restrict s, int64_t from, int64_t to, int64_t qs, int64_t shift,
                               const KeyScales *keys, const int32_t *restrict table) {
    int32_t largest = INT32_MIN;
    scale_scores(s, from, to, qs, shift, keys);
    for (int64_t j = from; j < to; j++) largest = s[j] > largest ? s[j] : largest;
    for (int64_t j = from; j < to; j++) s[j] = exponent_cut((int64_t)largest - s[j]);
    exp2_negative(s + from, to - from, table);
    int64_t sum = 0;
    for (int64_t j = from; j < to; j++) sum += s[j];
    return sum > 1 ? sum : 1; /* a table may hold zeros, and the sum divides */
}

/* Weights of one row and block as the products take them; the two planes are `apart` elements apart. */
static inline void store_weight(Weight *out, int64_t apart, int32_t q) {
#if NEXUS_AVX2
    (void)apart;
    *out = (Weight)q;
#else
    out[0] = (Weight)(q >> 7);
    out[apart] = (Weight)(q & 127);
#endif
}

#ifdef LANES
static inline void store_weights(Weight *out, int64_t apart, Lanes q) {
#if NEXUS_VNNI
    _mm_storeu_si128((__m128i *)out, _mm512_cvtepi32_epi8(_mm512_srli_epi32(q, 7)));
    _mm_storeu_si128((__m128i *)(out + apart), _mm512_cvtepi32_epi8(_mm512_and_si512(q, _mm512_set1_epi32(127))));
#elif defined(__AVX512F__)
    (void)apart;
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi32_epi16(q));
#else
    (void)apart;
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(q, q), 0x08);
    _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(packed));
#endif
}
#endif

/* Weights times value magnitudes of one row and block, and the block's scale. */
static void weight_planes(const int32_t *restrict p, const int32_t *restrict magnitude, int64_t from, int64_t to,
                          int64_t total, Weight *restrict out, int64_t apart, int32_t *m, int32_t *e) {
    const int64_t largest = largest_product(p, magnitude, from, to);
    int64_t kb = bit_length(largest) - 31, ks = bit_length(total) - 31, shift, j = from;
    kb = kb > 0 ? kb : 0;
    ks = ks > 0 ? ks : 0;
    const int64_t inverse = quantiser(largest >> kb, WEIGHT_LEVELS, &shift), half = (int64_t)1 << (shift - 1);
#ifdef LANES
    const Lanes inverses = lanes_all(inverse), halves = lanes_all(half);
#define QUANTISED(a, b) \
    lanes_down(lanes_add(lanes_product(lanes_down(lanes_product(a, b), kb), inverses), halves), shift)
    for (; j + LANES <= to; j += LANES) {
        const Lanes a = lanes_load(p + j), b = lanes_load(magnitude + j);
        const Lanes odd = QUANTISED(lanes_down32(a), lanes_down32(b));
        store_weights(out + j, apart, lanes_or(QUANTISED(a, b), lanes_up32(odd)));
    }
#undef QUANTISED
#endif
    for (; j < to; j++)
        store_weight(out + j, apart, (int32_t)(((((int64_t)p[j] * magnitude[j]) >> kb) * inverse + half) >> shift));
    quotient16(largest >> kb, total >> ks, m, e);
    *e += (int32_t)(kb - ks);
}

/* Keys [from, to) relative to the item's base that row r may look at. */
static void allowed_keys(const AttentionShape *a, const AttentionItem *w, int64_t r, int64_t *from, int64_t *to) {
    const int64_t t = w->sequence->position + w->first + r / a->per_group - w->sequence->row;
    int64_t low = a->window > 0 ? t - a->window + 1 : 0;
    *from = (low > 0 ? low : 0) - w->base;
    *to = keys_end(a, w->sequence, t + 1 - w->sequence->position) - w->base;
}

/* sums = planes [start, stop) of the block times the columns of values. */
static void mix_products(const AttentionShape *a, const AttentionItem *w, const AttentionScratch *b, int64_t start,
                         int64_t stop) {
    const int64_t rows = w->count * a->per_group, capacity = w->sequence->capacity, wide = mixed_width(a);
    const int8_t *values = w->cache->values + w->group * a->size * capacity + w->base + start;
#if NEXUS_AVX2
    product_pairs(b->planes + start, w->length, rows, values, capacity, a->size, stop - start, b->sums, wide,
                  b->workspace);
#else
    for (int64_t i = 0; i < WEIGHT_PLANES * rows; i++) {
        b->row[i] = b->planes + i * w->length + start;
        b->start[i] = product_start(b->row[i], stop - start);
    }
    for (int64_t n = 0; n < a->size; n += BLOCK_COLUMNS)
        product_block(b->row, b->start, WEIGHT_PLANES * rows, values + n * capacity, capacity,
                      a->size - n < BLOCK_COLUMNS ? a->size - n : BLOCK_COLUMNS, stop - start, b->sums + n, wide,
                      b->workspace, 0);
#endif
}

static inline int64_t mixed_sum(const MixedSum *sums, int64_t wide, int64_t r, int64_t i) {
#if NEXUS_AVX2
    return (int64_t)sums[r * wide + i];
#else
    return 128 * (int64_t)sums[2 * r * wide + i] + sums[(2 * r + 1) * wide + i];
#endif
}

static void mix_block(const AttentionShape *a, const AttentionItem *w, const AttentionScratch *b, int64_t start,
                      int64_t stop) {
    const int64_t rows = w->count * a->per_group, wide = mixed_width(a), n = w->length;
    const int32_t *magnitudes = w->cache->magnitudes + w->group * w->sequence->capacity + w->base;
    for (int64_t r = 0; r < rows; r++) {
        int64_t from, to;
        allowed_keys(a, w, r, &from, &to);
        from = from > start ? from : start;
        to = to < stop ? to : stop;
        Weight *planes = b->planes + WEIGHT_PLANES * r * n;
        for (int64_t plane = 0; plane < WEIGHT_PLANES; plane++)
            memset(planes + plane * n + start, 0, (size_t)(stop - start) * sizeof(Weight));
        weight_planes(b->scores + r * n, magnitudes, from, to, b->total[r], planes, n, b->mantissas + r, b->shifts + r);
    }
    mix_products(a, w, b, start, stop);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t size = a->size, mantissa = b->mantissas[r], shift = 21 - b->shifts[r];
        int64_t *restrict out = b->out + r * size;
        for (int64_t i = 0; i < size; i++) out[i] += round_shift(mixed_sum(b->sums, wide, r, i) * mantissa, shift);
    }
}

static void attend(const AttentionShape *a, const AttentionItem *w, char *scratch) {
    const Step *s = a->step;
    const int64_t rows = w->count * a->per_group, capacity = w->sequence->capacity;
    AttentionScratch b = attention_buffers(a, rows, w->length, scratch);
    score_products(a, w, &b);
    KeyScales keys = {w->cache->mantissas + w->group * capacity + w->base,
                      w->cache->exponents + w->group * capacity + w->base, b.scales, 0, 0};
    key_scales(&keys, last_key(a, w));
    for (int64_t r = 0; r < rows; r++) {
        const int64_t head = head_row(a, w, r);
        int64_t from, to;
        allowed_keys(a, w, r, &from, &to);
        const int64_t qs = round_shift(read_mantissa(((const int32_t *)s->in[1])[head]) * a->scale, 16);
        const int64_t qe = read_exponent(((const int32_t *)s->in[2])[head]);
        b.total[r] = softmax_weights(b.scores + r * w->length, from, to, qs, 11 - qe, &keys, s->weight[0]);
    }
    memset(b.out, 0, (size_t)(rows * a->size * 8));
    for (int64_t start = 0; start < w->length;) {
        int64_t stop = ((w->base + start) / a->block + 1) * a->block - w->base;
        stop = stop < w->length ? stop : w->length;
        mix_block(a, w, &b, start, stop);
        start = stop;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t *restrict mixed = b.out + r * a->size;
        int32_t *restrict out = (int32_t *)s->out[0] + head_row(a, w, r) * a->size;
        for (int64_t i = 0; i < a->size; i++) out[i] = (int32_t)saturate(mixed[i]);
    }
}

/* Work items in order: sequence, positions, kv head. */
static void attention(const Step *s, const Batch *b, int64_t *cursor, char *scratch) {
    AttentionShape a = attention_shape(s);
    int64_t next = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED), item = 0;
    for (int64_t n = 0; n < b->sequences; n++) {
        const Sequence *q = b->sequence + n;
        const int64_t step = attention_positions(&a, padded(q->position + q->count));
        for (int64_t t = 0; t < q->count; t += step)
            for (int64_t g = 0; g < a.groups; g++, item++) {
                if (item != next) continue;
                int64_t count = q->count - t < step ? q->count - t : step, low = q->position + t - a.window + 1;
                int64_t base = a.window > 0 && low > 0 ? low & ~(int64_t)63 : 0;
                AttentionItem w = {q, q->cache + s->p[0], g, q->row + t, count, base,
                                   padded(keys_end(&a, q, t + count) - base)};
                attend(&a, &w, scratch);
                next = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED);
            }
    }
}

#endif
