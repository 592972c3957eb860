/* Mean over the positions before and at each, one block of columns of one sequence at a time.
 *
 * Formulas: nexus_chain/program/OPERATORS.md.
 */
#ifndef NEXUS_ENCODER_H
#define NEXUS_ENCODER_H

#include "fixed_point.h"
#include "steps.h"

#define MEAN_COLUMNS 64

/* A sum below 2^51 over a divisor up to 2^20 differs from the next integer by 2^-20 or more, and the
 * nearest double of a quotient below 2^31 by at most 2^-22 from the quotient: the floor is the same. */
static void mean_columns(const int32_t *restrict x, int64_t stride, int64_t count, int64_t width, int64_t columns,
                         int32_t *restrict out) {
    int64_t sums[MEAN_COLUMNS] = {0};
    for (int64_t t = 0; t < count; t++)
        for (int64_t i = 0; i < columns; i++) {
            sums[i] += read_element(x[i * stride + t]);
            out[t * width + i] = (int32_t)__builtin_floor((double)sums[i] / (double)(t + 1));
        }
}

static void prefix_mean(const Step *s, const Batch *b, int64_t *cursor) {
    const int64_t width = s->p[0], across = (width + MEAN_COLUMNS - 1) / MEAN_COLUMNS;
    int64_t item;
    while ((item = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED)) < across * b->sequences) {
        const Sequence *q = b->sequence + item / across;
        const int64_t first = item % across * MEAN_COLUMNS;
        mean_columns((const int32_t *)s->in[0] + first * b->rows + q->row, b->rows, q->count, width,
                     width - first < MEAN_COLUMNS ? width - first : MEAN_COLUMNS,
                     (int32_t *)s->out[0] + q->row * width + first);
    }
}

#endif
