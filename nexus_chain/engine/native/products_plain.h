/* Exact products in plain C, with the interface of products_vnni.h. */
#ifndef NEXUS_PRODUCTS_PLAIN_H
#define NEXUS_PRODUCTS_PLAIN_H

#include <stdint.h>

#define TILE_ROWS 1
#define BLOCK_WORKSPACE 0

static int32_t product_start(const int8_t *x, int64_t k) {
    (void)x, (void)k;
    return 0;
}

static void product(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                    int64_t columns, int64_t k, int32_t *out, int64_t ldo) {
    for (int64_t n = 0; n < columns; n++)
        for (int64_t r = 0; r < rows; r++) {
            const int8_t *restrict u = x[r], *restrict v = w + n * ldw;
            int32_t sum = start[r];
            for (int64_t c = 0; c < k; c++) sum += (int32_t)((int16_t)u[c] * (int16_t)v[c]);
            out[r * ldo + n] = sum;
        }
}

static void product_block(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                          int64_t columns, int64_t k, int32_t *out, int64_t ldo, uint8_t *workspace,
                          const int8_t *next) {
    (void)workspace, (void)next;
    product(x, start, rows, w, ldw, columns, k, out, ldo);
}

#endif
