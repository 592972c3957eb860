/* Whole rows or heads divided by their spread: the normalise op.
 *
 * Shares its scale with norm_scale in rows.h. Formulas: nexus_chain/program/OPERATORS.md.
 */
#ifndef NEXUS_NORMS_H
#define NEXUS_NORMS_H

#include "fixed_point.h"
#include "steps.h"

#define MOST_SQUARES (((int64_t)1 << 61) - 1) /* what the sum of squares of a row is read as, at most */

static inline int64_t square_shift(int64_t largest) {
    int64_t h = bit_length(largest) - 23;
    return h > 0 ? h : 0;
}

/* `largest` over the root of the sum of squares of the row, as m * 2^e. */
static void norm_scale_of(int64_t largest, int64_t squares, int64_t epsilon, int32_t *m, int32_t *e) {
    const int64_t h = square_shift(largest);
    int64_t n = squares + (epsilon >> (2 * h));
    n = n > 1 ? n : 1;
    const int64_t half = (62 - bit_length(n)) >> 1;
    quotient16(largest, integer_sqrt(n << (2 * half)), m, e);
    *e += (int32_t)(half - h);
}

/* floor(a / b) for b > 0. */
static inline int64_t floor_quotient(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static int64_t floor_mean(const int32_t *restrict x, int64_t n) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += read_element(x[i]);
    return floor_quotient(sum, n);
}

/* One group. After the mean is gone the row fits 32 bits again, so the passes vectorise. */
static void normalise_group(const int32_t *restrict x, int64_t n, int centred, int64_t epsilon,
                            const int32_t *restrict gain, const int32_t *restrict bias, int32_t *restrict out) {
    const int64_t mean = centred ? floor_mean(x, n) : 0;
    int32_t largest = 1;
    for (int64_t i = 0; i < n; i++) {
        int32_t y = (int32_t)saturate(read_element(x[i]) - mean), a = y < 0 ? -y : y;
        out[i] = y;
        largest = a > largest ? a : largest;
    }
    const int h = (int)square_shift(largest);
    int64_t squares = 0, shift, inverse = quantiser(largest, 16383, &shift);
    for (int64_t i = 0; i < n; i++) squares += (int64_t)(out[i] >> h) * (out[i] >> h);
    int32_t m, e;
    norm_scale_of(largest, squares, epsilon, &m, &e);
    const int64_t half = (int64_t)1 << (shift - 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t q = (out[i] * inverse + half) >> shift;
        out[i] = (int32_t)saturate(round_shift(((q * m + 2048) >> 12) * saturate(gain[i]), 6 - e));
    }
    if (bias)
        for (int64_t i = 0; i < n; i++) out[i] = (int32_t)saturate(out[i] + saturate(bias[i]));
}

static void normalise(const Step *s, const Batch *b, int64_t from, int64_t to) {
    const int64_t groups = s->p[0], size = s->p[1];
    for (int64_t row = from * groups; row < to * groups; row++)
        normalise_group((const int32_t *)s->in[0] + row * size, size, (int)s->p[2], s->p[3], s->weight[0], s->weight[1],
                        (int32_t *)s->out[0] + row * size);
}

#endif
