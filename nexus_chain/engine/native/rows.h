/* Steps whose every output row depends on the same row of their inputs alone.
 *
 * Each function handles rows [from, to); the caller decides who runs which rows. Formulas:
 * nexus_chain/program/OPERATORS.md.
 */
#ifndef NEXUS_ROWS_H
#define NEXUS_ROWS_H

#include <string.h>

#include "fixed_point.h"
#include "norms.h"
#include "steps.h"

static void embed(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t vocabulary = s->p[0], width = s->p[1], shift = s->p[2];
    for (int64_t t = from; t < to; t++) {
        int64_t token = ((const int32_t *)s->in[0])[t];
        const int16_t *restrict source = (const int16_t *)s->weight[0] + clamp(token, 0, vocabulary - 1) * width;
        int32_t *restrict out = (int32_t *)s->out[0] + t * width;
        for (int64_t i = 0; i < width; i++) out[i] = (int32_t)saturate((int64_t)source[i] << shift);
    }
}

static int32_t largest_magnitude(const int32_t *restrict x, int64_t n) {
    int32_t largest = 1;
    for (int64_t i = 0; i < n; i++) {
        int32_t y = read_element(x[i]), a = y < 0 ? -y : y;
        largest = a > largest ? a : largest;
    }
    return largest;
}

static void row_max(const Step *s, const Batch *b, int64_t from, int64_t to) {
    for (int64_t t = from; t < to; t++)
        ((int32_t *)s->out[0])[t] =
            largest_magnitude((const int32_t *)s->in[0] + t * s->p[0] + s->p[1], s->p[2] - s->p[1]);
}

/* x moved to [-a, a]; short of types wider than its own, so that loops over it vectorise well. */
static inline int32_t inside(int32_t x, int32_t a) {
    x = x < -a ? -a : x;
    return x > a ? a : x;
}

static void row_squares(const Step *s, const Batch *b, int64_t from, int64_t to) {
    for (int64_t t = from; t < to; t++) {
        const int32_t *restrict x = (const int32_t *)s->in[0] + t * s->p[0];
        const int32_t a = read_maximum(((const int32_t *)s->in[1])[t]);
        const int h = (int)square_shift(a);
        int64_t sum = 0;
        for (int64_t i = s->p[1]; i < s->p[2]; i++) {
            const int32_t y = inside(x[i], a) >> h;
            sum += (int64_t)y * y;
        }
        ((int64_t *)s->out[0])[t] = sum;
    }
}

static void norm_scale(const Step *s, const Batch *b, int64_t from, int64_t to) {
    for (int64_t t = from; t < to; t++) {
        norm_scale_of(read_maximum(((const int32_t *)s->in[0])[t]), clamp(((const int64_t *)s->in[1])[t], 0, MOST_SQUARES),
                      s->p[0], (int32_t *)s->out[0] + t, (int32_t *)s->out[1] + t);
    }
}

static void row_scale(const Step *s, const Batch *b, int64_t from, int64_t to) {
    for (int64_t t = from; t < to; t++)
        scale16(read_maximum(((const int32_t *)s->in[0])[t]), (int32_t *)s->out[0] + t, (int32_t *)s->out[1] + t);
}

/* q[i] = (x[i] moved to [-a, a] * inverse + half) >> shift: round(x[i] * limit / a) with the quantiser's multiplier. */
static inline __attribute__((always_inline)) int32_t quantised(int32_t x, int32_t a, int64_t inverse, int64_t shift) {
    return (int32_t)((inside(x, a) * inverse + ((int64_t)1 << (shift - 1))) >> shift);
}

/* The same in doubles, which compilers make vector code of; exact where limit * 2^shift is below 2^53. */
static inline __attribute__((always_inline)) int32_t quantised_in_doubles(int32_t x, int32_t a, double scale) {
    return (int32_t)__builtin_floor((double)inside(x, a) * scale + 0.5);
}

/* out[i] = round(x[i] * 127 / a), a >= 1 */
static void quantise8(const int32_t *restrict x, int64_t n, int32_t a, int8_t *restrict out) {
    int64_t shift, inverse = quantiser(a, 127, &shift);
    const double scale = (double)inverse * power_of_two(-shift);
    if (shift <= 46)
        for (int64_t i = 0; i < n; i++) out[i] = (int8_t)quantised_in_doubles(x[i], a, scale);
    else
        for (int64_t i = 0; i < n; i++) out[i] = (int8_t)quantised(x[i], a, inverse, shift);
}

/* The same with 16383, as planes q >> 7 and q & 127. */
static void quantise15(const int32_t *restrict x, int64_t n, int32_t a, int8_t *restrict high, int8_t *restrict low) {
    int64_t shift, inverse = quantiser(a, 16383, &shift);
    const double scale = (double)inverse * power_of_two(-shift);
    for (int64_t i = 0; i < n; i++) {
        int32_t q = shift <= 39 ? quantised_in_doubles(x[i], a, scale) : quantised(x[i], a, inverse, shift);
        high[i] = (int8_t)(q >> 7);
        low[i] = (int8_t)(q & 127);
    }
}

static void quantise(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t n = s->p[2] - s->p[1];
    for (int64_t t = from; t < to; t++) {
        const int32_t *x = (const int32_t *)s->in[0] + t * s->p[0] + s->p[1];
        const int32_t a = read_maximum(((const int32_t *)s->in[1])[t]);
        int8_t *out = s->out[0];
        if (s->p[3] == 8) {
            quantise8(x, n, a, out + t * n);
        } else {
            quantise15(x, n, a, out + 2 * t * n, out + (2 * t + 1) * n);
        }
    }
}

static void rope_quantise(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t heads = s->p[0], size = s->p[1], half = size / 2;
    int32_t turned[size];
    for (int64_t t = from; t < to; t++) {
        const int16_t *restrict wave = (const int16_t *)s->weight[0] + b->positions[t] * size;
        for (int64_t h = 0; h < heads; h++) {
            const int64_t row = t * heads + h;
            const int32_t *restrict x = (const int32_t *)s->in[0] + row * size;
            for (int64_t i = 0; i < half; i++) {
                const int64_t cosine = wave[i], sine = wave[half + i];
                const int32_t first = read_element(x[i]), second = read_element(x[half + i]);
                turned[i] = (int32_t)saturate(round_shift(first * cosine - second * sine, 15));
                turned[half + i] = (int32_t)saturate(round_shift(second * cosine + first * sine, 15));
            }
            int32_t a = largest_magnitude(turned, size);
            quantise8(turned, size, a, (int8_t *)s->out[0] + row * size);
            ((int32_t *)s->out[1])[row] = a;
            scale16(a, (int32_t *)s->out[2] + row, (int32_t *)s->out[3] + row);
        }
    }
}

static void value_quantise(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t size = s->p[1];
    for (int64_t row = from * s->p[0]; row < to * s->p[0]; row++) {
        const int32_t *x = (const int32_t *)s->in[0] + row * size;
        int32_t a = largest_magnitude(x, size);
        quantise8(x, size, a, (int8_t *)s->out[0] + row * size);
        ((int32_t *)s->out[1])[row] = a;
    }
}

static void value_layout(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t heads = s->p[0], size = s->p[1], rows = b->rows;
    for (int64_t t = from; t < to; t++)
        for (int64_t g = 0; g < heads; g++) {
            const int8_t *source = (const int8_t *)s->in[0] + (t * heads + g) * size;
            for (int64_t i = 0; i < size; i++) ((int8_t *)s->out[0])[(g * size + i) * rows + t] = source[i];
            ((int32_t *)s->out[1])[g * rows + t] = ((const int32_t *)s->in[1])[t * heads + g];
        }
}

static const Sequence *sequence_of(const Batch *b, int64_t row) {
    int64_t low = 0, high = b->sequences - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (b->sequence[middle].row <= row) low = middle; else high = middle - 1;
    }
    return b->sequence + low;
}

/* Keys and values of the new positions go into their sequence's cache, scales as attention reads them. */
static void append(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t heads = s->p[1], size = s->p[2], rows = b->rows;
    for (int64_t t = from; t < to; t++) {
        const Sequence *q = sequence_of(b, t);
        const LayerCache *cache = q->cache + s->p[0];
        const int64_t j = q->position + t - q->row, capacity = q->capacity;
        for (int64_t g = 0; g < heads; g++) {
            const int64_t head = t * heads + g, slot = g * capacity + j;
            memcpy(cache->keys + slot * size, (const int8_t *)s->in[0] + head * size, (size_t)size);
            cache->mantissas[slot] = read_mantissa(((const int32_t *)s->in[1])[head]);
            cache->exponents[slot] = read_exponent(((const int32_t *)s->in[2])[head]);
            for (int64_t i = 0; i < size; i++)
                cache->values[(g * size + i) * capacity + j] = ((const int8_t *)s->in[3])[(g * size + i) * rows + t];
            cache->magnitudes[slot] = read_maximum(((const int32_t *)s->in[4])[g * rows + t]);
        }
    }
}

#define SILU_TILE 512

/* One tile of g * sigmoid(g) * u, as short loops that vectorise. Both quotients are below 2^24 with
 * divisors up to 2^24 and dividends below 2^47, so the nearest double of the true quotient has the
 * same floor: no quotient that is not an integer lies within half an ulp of one. */
static void silu_tile(const int32_t *restrict gate, const int32_t *restrict up, int32_t *restrict out, int64_t n,
                      const int32_t *restrict table) {
    int32_t power[SILU_TILE], above[SILU_TILE];
    for (int64_t i = 0; i < n; i++) {
        int64_t g = read_element(gate[i]), magnitude = g < 0 ? -g : g;
        power[i] = exponent_cut((magnitude * 23637 + 1024) >> 11);
    }
    exp2_negative(power, n, table);
    for (int64_t i = 0; i < n; i++) {
        int32_t p = power[i];
        above[i] = gate[i] >= 0 ? 1 << 23 : p;
    }
    for (int64_t i = 0; i < n; i++)
        above[i] = (int32_t)((double)above[i] * 8388608.0 / (double)((1 << 23) + power[i]));
    for (int64_t i = 0; i < n; i++) {
        int64_t y = ((int64_t)read_element(gate[i]) * above[i] + (1 << 22)) >> 23;
        out[i] = (int32_t)saturate((y * read_element(up[i]) + 2048) >> 12);
    }
}

static void silu_product(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t end = to * s->p[0];
    for (int64_t i = from * s->p[0]; i < end; i += SILU_TILE)
        silu_tile((const int32_t *)s->in[0] + i, (const int32_t *)s->in[1] + i, (int32_t *)s->out[0] + i,
                  end - i < SILU_TILE ? end - i : SILU_TILE, s->weight[0]);
}

/* x * P(x); the table is symmetric around 0, so negative elements read 2^23 minus its entry. */
static void gelu(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int32_t *restrict x = (const int32_t *)s->in[0], *restrict table = s->weight[0];
    int32_t *restrict out = s->out[0];
    for (int64_t i = from * s->p[0]; i < to * s->p[0]; i++) {
        const int32_t y = read_element(x[i]);
        int32_t a = y < 0 ? -y : y;
        a = a > 1 << 15 ? 1 << 15 : a;
        const int32_t k = a >> 6 < 511 ? a >> 6 : 511, r = a - (k << 6); /* r is 64 at the end of the table */
        int32_t p = table[k] + (((table[k + 1] - table[k]) * r + 32) >> 6);
        p = y < 0 ? (1 << 23) - p : p;
        out[i] = (int32_t)saturate(((int64_t)y * p + (1 << 22)) >> 23);
    }
}

#define ROUTE_SLOTS 8

/* Each slot takes the largest logit that is left, the first on a tie. */
static void choose_experts(const int32_t *restrict logits, int64_t experts, int64_t slots, int32_t *restrict index) {
    uint64_t taken = 0;
    for (int64_t slot = 0; slot < slots; slot++) {
        int64_t best = -1;
        for (int64_t x = 0; x < experts; x++)
            if (!(taken >> x & 1) && (best < 0 || read_element(logits[x]) > read_element(logits[best]))) best = x;
        taken |= (uint64_t)1 << best;
        index[slot] = (int32_t)best;
    }
}

static void route(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t experts = s->p[0], slots = s->p[1];
    for (int64_t t = from; t < to; t++) {
        const int32_t *logits = (const int32_t *)s->in[0] + t * experts;
        int32_t *index = (int32_t *)s->out[0] + t * slots, *gate = (int32_t *)s->out[1] + t * slots;
        int32_t power[ROUTE_SLOTS];
        int64_t total = 0;
        choose_experts(logits, experts, slots, index);
        for (int64_t i = 0; i < slots; i++)
            power[i] = exponent_cut((int64_t)read_element(logits[index[0]]) - read_element(logits[index[i]]));
        exp2_negative(power, slots, s->weight[0]);
        for (int64_t i = 0; i < slots; i++) total += power[i];
        total = total > 1 ? total : 1;
        for (int64_t i = 0; i < slots; i++) gate[i] = (int32_t)((((int64_t)power[i] << 16) + (total >> 1)) / total);
    }
}

static void select_rows(const Step *s, const Batch *b, int64_t from, int64_t to) {
    for (int64_t t = from; t < to; t++)
        memcpy((char *)s->out[0] + t * s->p[0], (const char *)s->in[0] + b->sampled_rows[t] * s->p[0], (size_t)s->p[0]);
}

/* Gumbel noise of vocabulary entry v in Q16. */
static inline int64_t gumbel(uint32_t v, uint32_t k0, uint32_t k1, const int32_t *restrict table) {
    uint32_t x = v ^ k0;
    x ^= x >> 16; x *= 0x7feb352dU;
    x ^= x >> 15; x *= 0x2c1b3c6dU;
    x ^= x >> 16; x += k1;
    x ^= x >> 15; x *= 0x2c1b3c6dU;
    x ^= x >> 12; x *= 0x297a2d39U;
    x ^= x >> 15;
    int64_t odd = 2 * (int64_t)x + 1, d = ((int64_t)1 << 33) - odd, e;
    if (d < (1 << 26)) {
        int64_t b = (d * 12102203) >> 16;
        e = b + ((b * d) >> 34);
    } else {
        e = ((33LL << 24) - log2_fixed(odd, table)) << 16;
    }
    return ((40LL << 24) - log2_fixed(e > 1 ? e : 1, table)) >> 8; /* no table may make it take a negative's log */
}

/* The largest element's index in x[from, to), the first of equal ones. Two passes: a maximum is vector code, its place is not. */
static int64_t first_largest(const int32_t *restrict x, int64_t from, int64_t to) {
    int32_t best = -INT32_MAX;
    for (int64_t i = from; i < to; i++) best = x[i] > best ? x[i] : best;
    while (read_element(x[from]) != best) from++;
    return from;
}

static void sample_blocks(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t width = s->p[0], vocabulary = s->p[1], block = s->p[2], blocks = (vocabulary + block - 1) / block;
    for (int64_t t = from; t < to; t++) {
        const int32_t *logits = (const int32_t *)s->in[0] + t * width;
        const int64_t beta = b->sampling[3 * t];
        const uint32_t k0 = (uint32_t)b->sampling[3 * t + 1], k1 = (uint32_t)b->sampling[3 * t + 2];
        for (int64_t n = 0; n < blocks; n++) {
            const int64_t end = (n + 1) * block < vocabulary ? (n + 1) * block : vocabulary;
            int64_t best = INT64_MIN, index = 0;
            if (!beta) index = first_largest(logits, n * block, end), best = read_element(logits[index]);
            for (int64_t v = n * block; beta && v < end; v++) {
                int64_t key = saturate(round_shift(read_element(logits[v]) * beta, 12));
                key += gumbel((uint32_t)v, k0, k1, s->weight[0]);
                if (key > best) best = key, index = v;
            }
            ((int64_t *)s->out[0])[t * blocks + n] = best;
            ((int32_t *)s->out[1])[t * blocks + n] = (int32_t)index;
        }
    }
}

static inline int64_t read_best(int64_t key) { return clamp(key, -((int64_t)1 << 40), (int64_t)1 << 40); }

static void sample(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t blocks = s->p[0];
    for (int64_t t = from; t < to; t++) {
        const int64_t *best = (const int64_t *)s->in[0] + t * blocks;
        int64_t chosen = 0;
        for (int64_t n = 1; n < blocks; n++)
            if (read_best(best[n]) > read_best(best[chosen])) chosen = n;
        ((int32_t *)s->out[0])[t] = ((const int32_t *)s->in[1])[t * blocks + chosen];
    }
}

static void position_embed(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t width = s->p[0], shift = s->p[1];
    for (int64_t t = from; t < to; t++) {
        const int16_t *restrict table = (const int16_t *)s->weight[0] + b->positions[t] * width;
        const int32_t *restrict x = (const int32_t *)s->in[0] + t * width;
        int32_t *restrict out = (int32_t *)s->out[0] + t * width;
        for (int64_t i = 0; i < width; i++) out[i] = (int32_t)saturate(read_element(x[i]) + ((int64_t)table[i] << shift));
    }
}

static void row_layout(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t width = s->p[0];
    for (int64_t t = from; t < to; t++)
        for (int64_t i = 0; i < width; i++)
            ((int32_t *)s->out[0])[i * b->rows + t] = ((const int32_t *)s->in[0])[t * width + i];
}

static void run_rows(const Step *s, const Batch *b, int64_t from, int64_t to) {
#define RUN(kind_of_step, kernel) case kind_of_step: kernel(s, b, from, to); break;
    switch (s->kind) { ROW_STEPS(RUN) }
#undef RUN
}

#endif
