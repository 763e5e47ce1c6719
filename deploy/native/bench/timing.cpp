// Calls timed one by one, with nothing between the call and the clock.
#include <time.h>

#include <cstring>

#include "bench.h"

#define HALTERE_EXPORT __attribute__((visibility("default")))

namespace {

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

HALTERE_EXPORT int haltere_bench_abi(void) { return HALTERE_BENCH_ABI; }

HALTERE_EXPORT int haltere_bench_empty_step(void*, int) { return 0; }

HALTERE_EXPORT int haltere_bench_program_step(void* context, int index) {
  const auto* program = static_cast<const haltere_bench_program*>(context);
  const haltere_bench_copy* copies = program->copies + static_cast<int64_t>(index) * program->copies_each;
  for (int i = 0; i < program->copies_each; ++i) std::memcpy(copies[i].to, copies[i].from, copies[i].bytes);
  return program->run(program->context);
}

HALTERE_EXPORT int haltere_bench_run_kernel(void* context) {
  const auto* kernel = static_cast<const haltere_bench_kernel*>(context);
  kernel->run(kernel->call);
  return 0;
}

HALTERE_EXPORT int haltere_bench_run_ort(void* context) {
  const auto* ort = static_cast<const haltere_bench_ort*>(context);
  void* status = ort->run_with_binding(ort->session, nullptr, ort->binding);
  if (!status) return 0;
  ort->release_status(status);
  return 1;
}

HALTERE_EXPORT int haltere_bench_each(haltere_step step, void* context, int inputs, int64_t calls, int64_t* ns) {
  int index = 0;
  for (int64_t call = 0; call < calls; ++call) {
    const int64_t start = now_ns();
    const int error = step(context, index);
    ns[call] = now_ns() - start;
    if (error) return error;
    if (++index == inputs) index = 0;
  }
  return 0;
}

HALTERE_EXPORT int haltere_bench_together(haltere_step step, void* context, int inputs, int64_t calls, int64_t* ns) {
  int index = 0;
  const int64_t start = now_ns();
  for (int64_t call = 0; call < calls; ++call) {
    if (const int error = step(context, index)) return error;
    if (++index == inputs) index = 0;
  }
  *ns = now_ns() - start;
  return 0;
}
