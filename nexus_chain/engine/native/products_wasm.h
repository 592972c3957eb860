/* Exact products for WebAssembly's vectors of 128 bits, with the interface of products_vnni.h.
 *
 * Bytes become numbers of 16 bits, whose products are added in pairs of 32 bits: nothing saturates. A panel of weight
 * rows meets a tile of rows, so that what was widened is used more than once.
 */
#ifndef NEXUS_PRODUCTS_WASM_H
#define NEXUS_PRODUCTS_WASM_H

#include <stdint.h>
#include <wasm_simd128.h>

#define TILE_ROWS 2
#define BLOCK_WORKSPACE 0
#define LANE_BYTES 16

static int32_t product_start(const int8_t *x, int64_t k) {
    (void)x, (void)k;
    return 0;
}

static inline int32_t lanes_sum(v128_t x) {
    return wasm_i32x4_extract_lane(x, 0) + wasm_i32x4_extract_lane(x, 1) + wasm_i32x4_extract_lane(x, 2) +
           wasm_i32x4_extract_lane(x, 3);
}

/* sums[r][n] = start[r] + x[r] . w[n]; `rows` and `columns` are constants where it is called. */
static inline __attribute__((always_inline)) void product_tile(int rows, int columns, const int8_t *const *x,
                                                               const int32_t *start, const int8_t *w, int64_t ldw,
                                                               int64_t k, int32_t *out, int64_t ldo) {
    v128_t sums[TILE_ROWS][PANEL];
    int64_t c = 0;
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < columns; n++) sums[r][n] = wasm_i32x4_splat(0);
    for (; c + LANE_BYTES <= k; c += LANE_BYTES) {
        v128_t low[TILE_ROWS], high[TILE_ROWS];
        for (int r = 0; r < rows; r++) {
            const v128_t bytes = wasm_v128_load(x[r] + c);
            low[r] = wasm_i16x8_extend_low_i8x16(bytes), high[r] = wasm_i16x8_extend_high_i8x16(bytes);
        }
        for (int n = 0; n < columns; n++) {
            const v128_t bytes = wasm_v128_load(w + n * ldw + c);
            const v128_t first = wasm_i16x8_extend_low_i8x16(bytes), second = wasm_i16x8_extend_high_i8x16(bytes);
            for (int r = 0; r < rows; r++)
                sums[r][n] = wasm_i32x4_add(sums[r][n], wasm_i32x4_add(wasm_i32x4_dot_i16x8(low[r], first),
                                                                       wasm_i32x4_dot_i16x8(high[r], second)));
        }
    }
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < columns; n++) {
            int32_t sum = start[r] + lanes_sum(sums[r][n]);
            for (int64_t i = c; i < k; i++) sum += (int32_t)x[r][i] * w[n * ldw + i];
            out[r * ldo + n] = sum;
        }
}

static void product_block(const int8_t *const *x, const int32_t *start, int64_t rows, const int8_t *w, int64_t ldw,
                          int64_t columns, int64_t k, int32_t *out, int64_t ldo, uint8_t *workspace,
                          const int8_t *next) {
    int64_t n = 0;
    (void)workspace, (void)next;
    for (; n + PANEL <= columns; n += PANEL) {
        int64_t r = 0;
        for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
            product_tile(TILE_ROWS, PANEL, x + r, start + r, w + n * ldw, ldw, k, out + r * ldo + n, ldo);
        for (; r < rows; r++) product_tile(1, PANEL, x + r, start + r, w + n * ldw, ldw, k, out + r * ldo + n, ldo);
    }
    for (; n < columns; n++)
        for (int64_t r = 0; r < rows; r++)
            product_tile(1, 1, x + r, start + r, w + n * ldw, ldw, k, out + r * ldo + n, ldo);
}

#endif
