/* What Python hands over: a list of steps with their buffers, and the batch they run on.
 *
 * nexus_chain/engine/native_library.py mirrors these structures with ctypes; keep both in step.
 */
#ifndef NEXUS_STEPS_H
#define NEXUS_STEPS_H

#include <stdint.h>

#include "kinds.h"

typedef struct {
    int32_t kind;    /* an enum Kind */
    int32_t sampled; /* 1: one row per sampled position, 0: one row per position */
    int32_t chained; /* 1: row by row together with the step before */
    int32_t barrier; /* 1: wait for all threads before this step */
    void *in[6];
    void *out[5];
    const void *weight[3];
    int64_t p[8];
} Step;

/* A weight matrix i8[N, K] with what goes beside it; an expert product has a table of them. */
typedef struct {
    const int8_t *weight;
    const int32_t *scale; /* [N, 2] */
    const int32_t *bias;  /* [N], or null */
} Matrix;

/* Tensors of one sequence at one attention op; strides follow from the capacity. */
typedef struct {
    int8_t *keys;         /* [G, capacity, D] */
    int32_t *mantissas;   /* [G, capacity] */
    int32_t *exponents;   /* [G, capacity] */
    int8_t *values;       /* [G, D, capacity] */
    int32_t *magnitudes;  /* [G, capacity] */
} LayerCache;

typedef struct {
    int64_t row;      /* first row of this sequence in the batch */
    int64_t count;    /* rows of this sequence */
    int64_t position; /* position of its first row */
    int64_t capacity; /* positions the cache holds, a multiple of 64 */
    const LayerCache *cache;
} Sequence;

typedef struct {
    int64_t rows, sequences, sampled, threads;
    const Sequence *sequence;
    const int32_t *positions;    /* [rows] */
    const int64_t *sampled_rows; /* [sampled] */
    const int64_t *sampling;     /* [sampled, 3]: beta, key 0, key 1 */
} Batch;

#endif
