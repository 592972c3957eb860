/* Integer arithmetic every kernel shares: rounding shifts, saturation, quotients, exp and log.
 *
 * The twin of nexus_chain/program/primitives.py; both must give the same bits for every input.
 * Compile with -fwrapv (two's complement everywhere) and without -ffast-math. Signed >> is
 * arithmetic on every compiler this targets.
 */
#ifndef NEXUS_FIXED_POINT_H
#define NEXUS_FIXED_POINT_H

#include <stdint.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define SATURATION 2147483647LL

static inline int64_t clamp_shift(int64_t s) { return s < 1 ? 1 : (s > 62 ? 62 : s); }

/* (x + 2^(s-1)) >> s with the count clamped to [1, 62], in an equal form that compilers vectorise. */
static inline int64_t round_shift(int64_t x, int64_t s) { return ((x >> (clamp_shift(s) - 1)) + 1) >> 1; }

static inline int64_t saturate(int64_t x) {
    x = x > SATURATION ? SATURATION : x;
    return x < -SATURATION ? -SATURATION : x;
}

/* The same for whole numbers in doubles. */
static inline double saturate_double(double x) {
    x = x > 2147483647.0 ? 2147483647.0 : x;
    return x < -2147483647.0 ? -2147483647.0 : x;
}

/* 2^e, exact for -1022 <= e <= 1023. */
static inline double power_of_two(int64_t e) {
    const uint64_t bits = (uint64_t)(e + 1023) << 52;
    double x;
    __builtin_memcpy(&x, &bits, 8);
    return x;
}

static inline int64_t clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : (x > high ? high : x); }

/* What every kernel makes of the bits that it finds, so that it takes any: "reads are normalised" in
 * nexus_chain/program/OPERATORS.md. Elements of rows, row maxima, mantissas and exponents. */
static inline int32_t read_element(int32_t x) { return x < -INT32_MAX ? -INT32_MAX : x; }
static inline int32_t read_maximum(int32_t a) { return a < 1 ? 1 : a; }
static inline int32_t read_mantissa(int32_t m) { return (int32_t)clamp(m, 0, 65535); }
static inline int32_t read_exponent(int32_t e) { return (int32_t)clamp(e, -128, 128); }

/* Number of bits of x >= 0; 0 for 0. */
static inline int64_t bit_length(int64_t x) { return x ? 64 - __builtin_clzll((uint64_t)x) : 0; }

/* floor(sqrt(n)) for 0 <= n < 2^62; the float is only a guess, two exact tests correct it. */
static inline int64_t integer_sqrt(int64_t n) {
    int64_t r = (int64_t)__builtin_sqrt((double)n);
    while (r * r > n) r--;
    while ((r + 1) * (r + 1) <= n) r++;
    return r;
}

/* a / b ~ m * 2^e with m in [2^15, 2^16); a and b in [1, 2^31). */
static inline void quotient16(int64_t a, int64_t b, int32_t *m, int32_t *e) {
    int64_t na = 31 - bit_length(a), nb = 31 - bit_length(b);
    int64_t z = ((a << na) << 16) / (b << nb);
    int64_t over = z >= 65536;
    *m = (int32_t)(over ? z >> 1 : z);
    *e = (int32_t)(over - 16 + nb - na);
}

/* a ~ m * 2^e with m in [2^15, 2^16); a in [1, 2^31). */
static inline void scale16(int64_t a, int32_t *m, int32_t *e) {
    int64_t b = bit_length(a), v;
    if (b <= 16) {
        v = a << (16 - b);
    } else {
        v = round_shift(a, b - 16);
    }
    int64_t over = v == 65536;
    *m = (int32_t)(over ? 32768 : v);
    *e = (int32_t)(b - 16 + over);
}

/* Registers of 32-bit numbers whose products of 64 bits are taken apart: compilers multiply 64 bits by 64 instead. */
#if defined(__AVX512F__)
typedef __m512i Lanes;
#define lanes_load(at) _mm512_loadu_si512(at)
#define lanes_product(x, y) _mm512_mul_epu32(x, y) /* of the lower halves of 64 bits */
#define lanes_all(x) _mm512_set1_epi64(x)
#define lanes_add(x, y) _mm512_add_epi64(x, y)
#define lanes_or(x, y) _mm512_or_si512(x, y)
#define lanes_down(x, by) _mm512_srl_epi64(x, _mm_cvtsi64_si128(by))
#define lanes_up32(x) _mm512_slli_epi64(x, 32)
#define lanes_down32(x) _mm512_srli_epi64(x, 32)
#define lanes_largest(x, y) _mm512_max_epi64(x, y)
#elif defined(__AVX2__)
typedef __m256i Lanes;
#define lanes_load(at) _mm256_loadu_si256((const __m256i *)(at))
#define lanes_product(x, y) _mm256_mul_epu32(x, y)
#define lanes_all(x) _mm256_set1_epi64x(x)
#define lanes_add(x, y) _mm256_add_epi64(x, y)
#define lanes_or(x, y) _mm256_or_si256(x, y)
#define lanes_down(x, by) _mm256_srl_epi64(x, _mm_cvtsi64_si128(by))
#define lanes_up32(x) _mm256_slli_epi64(x, 32)
#define lanes_down32(x) _mm256_srli_epi64(x, 32)
#define lanes_largest(x, y) _mm256_blendv_epi8(x, y, _mm256_cmpgt_epi64(y, x))
#endif
#if defined(__AVX2__)
#define LANES ((int64_t)(sizeof(Lanes) / 4))
#endif

/* The largest x[j] * y[j] of [from, to), at least 1; none is negative. */
static inline int64_t largest_product(const int32_t *restrict x, const int32_t *restrict y, int64_t from, int64_t to) {
    int64_t largest = 1, j = from;
#ifdef LANES
    int64_t found[LANES / 2];
    Lanes even = lanes_all(1), odd = even; /* apart: one would wait for the other */
    for (; j + LANES <= to; j += LANES) {
        const Lanes a = lanes_load(x + j), b = lanes_load(y + j);
        even = lanes_largest(even, lanes_product(a, b));
        odd = lanes_largest(odd, lanes_product(lanes_down32(a), lanes_down32(b)));
    }
    even = lanes_largest(even, odd);
    __builtin_memcpy(found, &even, sizeof found);
    for (int64_t i = 0; i < LANES / 2; i++) largest = found[i] > largest ? found[i] : largest;
#endif
    for (; j < to; j++) {
        const int64_t product = (int64_t)x[j] * y[j];
        largest = product > largest ? product : largest;
    }
    return largest;
}

/* From 24 on 2^-x is 0 in Q23, so arguments may be cut off there to fit 32 bits. */
static inline int32_t exponent_cut(int64_t x) { return (int32_t)(x > (24 << 15) ? (24 << 15) : x); }

#if defined(__AVX512F__)
/* table[k] of 16 k in [0, 256). Permutations beat gathers, which some processors carry out load by load. */
static inline __m512i look_up(const int32_t *table, __m512i k) {
    __m512i part[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        part[i] = _mm512_permutex2var_epi32(_mm512_loadu_si512(table + 32 * i), k, _mm512_loadu_si512(table + 32 * i + 16));
    for (int bit = 32, parts = 4; parts; bit *= 2, parts /= 2) {
        const __mmask16 second = _mm512_test_epi32_mask(k, _mm512_set1_epi32(bit));
        for (int i = 0; i < parts; i++) part[i] = _mm512_mask_blend_epi32(second, part[2 * i], part[2 * i + 1]);
    }
    return part[0];
}

/* 2^-x of 16 x, as below. */
static inline __m512i exp2_negative16(__m512i x, const int32_t *table) {
    const __m512i f = _mm512_and_si512(x, _mm512_set1_epi32(32767)), k = _mm512_srli_epi32(f, 7);
    const __m512i r = _mm512_and_si512(f, _mm512_set1_epi32(127)), y = look_up(table, k);
    const __m512i fall = _mm512_mullo_epi32(_mm512_sub_epi32(y, look_up(table + 1, k)), r);
    const __m512i part = _mm512_srai_epi32(_mm512_add_epi32(fall, _mm512_set1_epi32(64)), 7);
    return _mm512_srav_epi32(_mm512_sub_epi32(y, part), _mm512_srai_epi32(x, 15));
}
#endif

/* x[i] := 2^-x[i] in Q23 for x in Q15, 0 <= x <= 24. table: i32[257]. */
static inline void exp2_negative(int32_t *restrict x, int64_t n, const int32_t *restrict table) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_si512(x + i, exp2_negative16(_mm512_loadu_si512(x + i), table));
#endif
    for (; i < n; i++) {
        int32_t f = x[i] & 32767, k = f >> 7, r = f & 127;
        x[i] = (table[k] - (((table[k] - table[k + 1]) * r + 64) >> 7)) >> (x[i] >> 15);
    }
}

/* log2 z in Q24 for z >= 1. table: i32[257]. */
static inline int64_t log2_fixed(int64_t z, const int32_t *restrict table) {
    int64_t b = bit_length(z) - 1;
    int64_t f = (b <= 24 ? z << (24 - b) : z >> (b - 24)) - (1 << 24);
    int64_t i = f >> 16, r = f & 65535;
    return (b << 24) + table[i] + (((int64_t)(table[i + 1] - table[i]) * r) >> 16);
}

/* The quantiser's multiplier: q = (x * inverse + half) >> shift has |q| <= limit when |x| <= a. */
static inline int64_t quantiser(int64_t a, int64_t limit, int64_t *shift) {
    *shift = 16 + bit_length(a);
    return (limit << *shift) / a;
}

#endif
