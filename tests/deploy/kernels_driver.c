/* Runs the kernel library as a robot's program would: no Python, every array exactly as large as it has to be.
 *
 *     kernels_driver CASES OUTPUTS ISA THREADS
 *
 * CASES is text and raw floats in turn, as kernel_builds.py writes it: for each case its op with what it is made
 * of and its inputs, and the shapes of its outputs. OUTPUTS gets the raw floats of all outputs. Prints how often memory
 * was allocated in the runs; exits 1 with a sentence where anything fails. */
#include <haltere/kernels.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16, RUNS = 50 };

static long allocations;

#ifdef COUNT_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void *aligned_alloc(size_t alignment, size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
#endif

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, haltere_error());
  exit(1);
}

static void check(int good, const char *what) {
  if (!good) fail(what);
}

static size_t size_of(const haltere_tensor *tensor) {
  size_t size = 1;
  for (int i = 0; i < tensor->rank; ++i) size *= (size_t)tensor->dim[i];
  return size;
}

static void read_arrays(FILE *file, haltere_tensor *to, int count, int with_data) {
  for (int i = 0; i < count; ++i) {
    check(fscanf(file, " %d", &to[i].rank) == 1 && to[i].rank <= HALTERE_MAX_RANK, "rank");
    for (int j = 0; j < to[i].rank; ++j) {
      long dim;
      check(fscanf(file, "%ld", &dim) == 1, "dim");
      to[i].dim[j] = dim;
    }
    check(fgetc(file) == '\n', "line");
    const size_t size = size_of(&to[i]);
    to[i].data = malloc(size * sizeof(float));
    if (with_data) check(fread(to[i].data, sizeof(float), size, file) == size, "floats");
  }
}

static void free_arrays(haltere_tensor *arrays, int count) {
  for (int i = 0; i < count; ++i) free(arrays[i].data);
}

static void run_case(FILE *file, FILE *results, const char *name, int threads) {
  int precision, n_weights, n_attributes, n_inputs, n_outputs;
  check(fscanf(file, "%d %d %d %d %d", &precision, &n_attributes, &n_weights, &n_inputs, &n_outputs) == 5, "case");
  haltere_tensor weights[MOST], inputs[MOST], outputs[MOST], shapes[MOST];
  haltere_attribute attributes[MOST];
  char names[MOST][32];
  for (int i = 0; i < n_attributes; ++i) {
    long value;
    check(fscanf(file, " %31s %ld", names[i], &value) == 2, "attribute");
    attributes[i].name = names[i];
    attributes[i].value = value;
  }
  read_arrays(file, weights, n_weights, 1);
  read_arrays(file, inputs, n_inputs, 1);
  read_arrays(file, outputs, n_outputs, 0);

  haltere_op *op = haltere_op_create(name, weights, n_weights, attributes, n_attributes, (haltere_precision)precision);
  check(op != NULL, name);
  free_arrays(weights, n_weights);
  check(haltere_op_shapes(op, inputs, n_inputs, shapes, n_outputs) == 0, name);
  for (int i = 0; i < n_outputs; ++i)
    check(shapes[i].rank == outputs[i].rank &&
              memcmp(shapes[i].dim, outputs[i].dim, (size_t)shapes[i].rank * sizeof(int64_t)) == 0, "shapes");
  haltere_call *call = haltere_call_create(op, inputs, n_inputs, outputs, n_outputs, threads);
  check(call != NULL, name);

  const long before = allocations;
  for (int i = 0; i < RUNS; ++i) {
    check(haltere_op_run(op, inputs, n_inputs, outputs, n_outputs, threads) == 0, name);
    haltere_call_run(call);
  }
  printf("%s %ld\n", name, allocations - before);
  for (int i = 0; i < n_outputs; ++i) fwrite(outputs[i].data, sizeof(float), size_of(&outputs[i]), results);
  haltere_call_destroy(call);
  haltere_op_destroy(op);
  free_arrays(inputs, n_inputs);
  free_arrays(outputs, n_outputs);
}

int main(int argc, char **argv) {
  check(argc == 5, "arguments");
  check(haltere_abi() == HALTERE_ABI, "abi");
  check(haltere_use_isa(argv[3]) == 0, argv[3]);
  const int threads = atoi(argv[4]);
  check(haltere_reserve_threads(threads) == threads, "threads");
  FILE *file = fopen(argv[1], "rb"), *results = fopen(argv[2], "wb");
  check(file && results, "files");
  char name[32];
  while (fscanf(file, " %31s", name) == 1) run_case(file, results, name, threads);
  fclose(results);
  fclose(file);
  return 0;
}
