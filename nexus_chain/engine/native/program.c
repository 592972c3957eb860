/* Runs a list of steps over a batch: the compiled form of a segment's op list.
 *
 * One parallel region covers the whole list; threads meet at the barriers that the planner put
 * where a step reads what other threads wrote. The file knows no model: everything comes in the
 * steps.
 */
#ifdef _OPENMP
#include <omp.h>
#include <sched.h>
#else /* one thread, as in a browser's worker */
static int omp_get_num_threads(void) { return 1; }
static int omp_get_thread_num(void) { return 0; }
static int sched_yield(void) { return 0; }
#endif
#include <stdlib.h>

#include "attention.h"
#include "encoder.h"
#include "fixed_point.h"
#include "linear.h"
#include "products.h"
#include "rows.h"
#include "steps.h"

#define ROW_BLOCK 16
#define LAYOUT_BLOCK 64 /* rows of steps that write them side by side: threads keep to their own cache lines */
#define SPINS 4000 /* some microseconds: longer than a fair wait, far shorter than a time slice */

/* A barrier that soon gives its core away. OpenMP's own spins for a whole time slice, which on a
 * machine with other work keeps the very thread it waits for from running. */
typedef struct {
    int32_t threads, arrived, phase;
} Gate;

static void meet(Gate *gate) {
    const int32_t phase = __atomic_load_n(&gate->phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&gate->arrived, 1, __ATOMIC_ACQ_REL) == gate->threads) {
        __atomic_store_n(&gate->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&gate->phase, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    for (int64_t spins = 0; __atomic_load_n(&gate->phase, __ATOMIC_ACQUIRE) == phase; spins++)
        if (spins > SPINS) sched_yield();
}

static int64_t rows_of(const Step *s, const Batch *b) { return s->sampled ? b->sampled : b->rows; }

static int64_t largest_scratch(const Step *steps, int64_t count, const Batch *b) {
    int64_t longest = 0, bytes = 64;
    for (int64_t n = 0; n < b->sequences; n++) {
        int64_t end = b->sequence[n].position + b->sequence[n].count;
        longest = end > longest ? end : longest;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t need = 0;
        if (steps[i].kind == LINEAR || steps[i].kind == EXPERT_LINEAR)
            need = linear_scratch(steps + i, rows_of(steps + i, b));
        if (steps[i].kind == ATTENTION) need = attention_scratch(steps + i, longest);
        bytes = need > bytes ? need : bytes;
    }
    return padded(bytes);
}

static int64_t most_rows(const Step *steps, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
        if (steps[i].kind == VALUE_LAYOUT || steps[i].kind == ROW_LAYOUT || steps[i].kind == APPEND) return LAYOUT_BLOCK;
    return ROW_BLOCK;
}

/* Steps [first, last) form a chain: each block of rows runs through all of them while it is hot. */
static void run_chain(const Step *steps, int64_t first, int64_t last, const Batch *b, int64_t *cursor) {
    const int64_t rows = rows_of(steps + first, b), most = most_rows(steps, first, last);
    int64_t block = (rows + b->threads - 1) / b->threads, item;
    block = block > most ? most : (block < 1 ? 1 : block);
    while ((item = __atomic_fetch_add(cursor, 1, __ATOMIC_RELAXED)) * block < rows) {
        int64_t end = (item + 1) * block < rows ? (item + 1) * block : rows;
        for (int64_t t = item * block; t < end; t++)
            for (int64_t i = first; i < last; i++) run_rows(steps + i, b, t, t + 1);
    }
}

static void run_steps(const Step *steps, int64_t count, const Batch *b, Gate *gate, int64_t *cursors, char *scratch) {
    for (int64_t i = 0; i < count;) {
        int64_t end = i + 1;
        if (steps[i].barrier) meet(gate);
        if (steps[i].kind == LINEAR) {
            linear(steps + i, rows_of(steps + i, b), b->threads, cursors + i, scratch);
        } else if (steps[i].kind == EXPERT_LINEAR) {
            expert_linear(steps + i, rows_of(steps + i, b), b->threads, cursors + i, scratch);
        } else if (steps[i].kind == ATTENTION) {
            attention(steps + i, b, cursors + i, scratch);
        } else if (steps[i].kind == PREFIX_MEAN) {
            prefix_mean(steps + i, b, cursors + i);
        } else {
            while (end < count && steps[end].chained) end++;
            run_chain(steps, i, end, b, cursors + i);
        }
        i = end;
    }
}

/* Returns 0, or 1 when scratch memory could not be had. */
int nexus_run(const Step *steps, int64_t count, const Batch *batch) {
    const int64_t bytes = largest_scratch(steps, count, batch), cursors = padded(count * 8);
    char *memory = aligned_alloc(64, (size_t)(cursors + bytes * batch->threads));
    if (!memory) return 1;
    memset(memory, 0, (size_t)cursors);
    Gate gate = {0, 0, 0};
#if NEXUS_VNNI && NEXUS_AMX
    amx_allowed();
#endif
#pragma omp parallel num_threads((int)batch->threads)
    {
#pragma omp single
        gate.threads = omp_get_num_threads();
        run_steps(steps, count, batch, &gate, (int64_t *)memory, memory + cursors + bytes * omp_get_thread_num());
    }
    free(memory);
    return 0;
}

/* Sizes of the shared structures, so that Python can check its mirror of them. */
void nexus_layout(int64_t *out) {
    out[0] = sizeof(Step);
    out[1] = sizeof(LayerCache);
    out[2] = sizeof(Sequence);
    out[3] = sizeof(Batch);
    out[4] = sizeof(Matrix);
}
