/* What `haltere bench` does in C: it times calls without Python between them, counts their heap allocations, and
 * measures what the processor could do at best. Called by ctypes; a C function `step` is whatever is to be timed.
 *
 * Nothing here is part of what flies. */
#ifndef HALTERE_BENCH_H
#define HALTERE_BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HALTERE_BENCH_ABI 1

/* One call on the index-th input; 0, or an error code that ends the measurement. */
typedef int (*haltere_step)(void *context, int index);

int haltere_bench_abi(void);

/* ---- steps: a runtime behind a haltere_step -------------------------------------------------------------------- */

/* An observation that is copied to where the runtime reads it. */
typedef struct {
  void *to;
  const void *from;
  size_t bytes;
} haltere_bench_copy;

/* Copies the inputs of one index, then runs. Every runtime that is timed here is one of these, so that copying the
 * observation in is part of each one's time. */
typedef struct {
  const haltere_bench_copy *copies; /* copies_each for index 0, then for index 1, and so on */
  int copies_each;
  int (*run)(void *context);
  void *context;
} haltere_bench_program;

/* A haltere_step; its context is a haltere_bench_program. */
int haltere_bench_program_step(void *program, int index);

/* Does nothing: timed like the others, it is what timing costs. */
int haltere_bench_empty_step(void *context, int index);

/* A fused kernel with its arguments bound: haltere_call_run of kernels.h, and the call. */
typedef struct {
  void (*run)(const void *call);
  const void *call;
} haltere_bench_kernel;

/* haltere_bench_program.run for a haltere_bench_kernel. */
int haltere_bench_run_kernel(void *kernel);

/* ONNX Runtime's RunWithBinding, and ReleaseStatus for when it fails. */
typedef struct {
  void *(*run_with_binding)(void *session, const void *run_options, const void *binding);
  void (*release_status)(void *status);
  void *session;
  const void *binding;
} haltere_bench_ort;

/* haltere_bench_program.run for a haltere_bench_ort. */
int haltere_bench_run_ort(void *ort);

/* ---- time ------------------------------------------------------------------------------------------------------ */

/* Calls step on inputs 0, 1, ... in turn and writes how long each call took [ns], two readings of the clock included.
 * Returns 0, or the step's error. */
int haltere_bench_each(haltere_step step, void *context, int inputs, int64_t calls, int64_t *ns);

/* The same calls with no clock between them; writes how long all of them took [ns]. */
int haltere_bench_together(haltere_step step, void *context, int inputs, int64_t calls, int64_t *ns);

/* ---- heap allocations ------------------------------------------------------------------------------------------ */

/* Sends every malloc, calloc, realloc, aligned_alloc, memalign, posix_memalign, valloc and pvalloc of every loaded
 * library through a counter, operator new among them, which calls malloc. Returns 0; 1 where the system has no ELF
 * tables that we know; 2 where the process doesn't allocate from the C library; 3 where it is done already. Nothing
 * that is loaded afterwards is counted. */
int haltere_bench_mallocs_watch(void);

/* Undoes haltere_bench_mallocs_watch. */
void haltere_bench_mallocs_unwatch(void);

/* Counts from here on, on this thread alone. */
void haltere_bench_mallocs_start(void);

/* Ends that, and returns the count. */
int64_t haltere_bench_mallocs_stop(void);

/* Calls step on inputs 0, 1, ... in turn and writes how often all of them allocated. Returns 0, or the step's error. */
int haltere_bench_mallocs_of(haltere_step step, void *context, int inputs, int64_t calls, int64_t *count);

/* ---- what the processor can do at best ------------------------------------------------------------------------- */

/* Instruction set of the two below: baseline, avx2, avx512 or neon. */
const char *haltere_bench_isa(void);

/* Multiply-adds of float32 that don't wait for each other, two operations each, best of several tries [1e9/s]. */
double haltere_bench_peak_gflops(void);

/* Reading `bytes` of memory over and over on one core, best of several tries [1e9 bytes/s]; 0 where it can't be had. */
double haltere_bench_peak_gbps(size_t bytes);

/* Size of the data cache of level 1, 2 or 3 that one core sees [bytes]; 0 where the system doesn't say. */
int64_t haltere_bench_cache_bytes(int level);

#ifdef __cplusplus
}
#endif
#endif
