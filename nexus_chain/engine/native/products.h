/* Exact products of rows with signed bytes, both with the summed index contiguous.
 *
 * One routine serves linear layers (rows of activations times rows of the weight matrix as it lies
 * on disk) and attention (softmax weights times rows of transposed values). With AVX-512 VNNI, in
 * WebAssembly and in plain C it is `product`, over planes of bytes; with AVX2 alone it is `product_pairs`, over rows of
 * 16 bits.
 */
#ifndef NEXUS_PRODUCTS_H
#define NEXUS_PRODUCTS_H

#include <stdint.h>

#define PANEL 4          /* weight rows per tile */
#define BLOCK_COLUMNS 64 /* weight rows handled together: their sums are rows of so many */

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define NEXUS_VNNI 1
#define NEXUS_AVX2 0
#include "products_vnni.h"
#elif defined(__AVX2__)
#define NEXUS_VNNI 0
#define NEXUS_AVX2 1
#include "products_avx2.h"
#elif defined(__wasm_simd128__)
#define NEXUS_VNNI 0
#define NEXUS_AVX2 0
#include "products_wasm.h"
#else
#define NEXUS_VNNI 0
#define NEXUS_AVX2 0
#include "products_plain.h"
#endif

static inline int64_t padded(int64_t n) { return (n + 63) & ~(int64_t)63; }

#endif
