// What the processor could do at best, measured here and now: a figure from a data sheet isn't that of this machine,
// at this clock, beside whatever else runs on it.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bench.h"
#include "peaks_loops.hpp"

#define HALTERE_EXPORT __attribute__((visibility("default")))

namespace haltere::bench {
namespace {

constexpr int kTries = 12;
constexpr double kTrySeconds = 1.5e-3;  // shorter than a time slice, so that some tries run undisturbed

double now_s() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const Loops& loops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
  return kBaseline;
}

// Amount a second of work(rounds), which returns the amount: the best of several tries of about kTrySeconds each.
template <class Work>
double best_rate(Work work) {
  long rounds = 1;
  double seconds = 0.0;
  while (seconds < kTrySeconds) {
    const double start = now_s();
    work(rounds);
    seconds = now_s() - start;
    if (seconds < kTrySeconds) rounds *= 2;
  }
  double best = 0.0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const double start = now_s();
    const double amount = work(rounds);
    best = std::max(best, amount / (now_s() - start));
  }
  return best;
}

struct Free {
  void operator()(float* data) const { std::free(data); }
};

}  // namespace
}  // namespace haltere::bench

using namespace haltere::bench;

HALTERE_EXPORT const char* haltere_bench_isa(void) { return loops().isa; }

HALTERE_EXPORT double haltere_bench_peak_gflops(void) { return 1e-9 * best_rate(loops().multiply_add); }

HALTERE_EXPORT double haltere_bench_peak_gbps(size_t bytes) {
  const size_t count = std::max<size_t>(bytes / sizeof(float) / 256, 1) * 256;
  std::unique_ptr<float, Free> data(static_cast<float*>(std::aligned_alloc(64, count * sizeof(float))));
  if (!data) return 0.0;
  std::memset(data.get(), 0, count * sizeof(float));
  return 1e-9 * best_rate([&](long rounds) {
    for (long round = 0; round < rounds; ++round) {
      const float sum = loops().read(data.get(), count);
      asm volatile("" ::"g"(sum) : "memory");  // the next round must read again
    }
    return static_cast<double>(rounds) * static_cast<double>(count * sizeof(float));
  });
}

HALTERE_EXPORT int64_t haltere_bench_cache_bytes(int level) {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  const int name = level == 1   ? _SC_LEVEL1_DCACHE_SIZE
                   : level == 2 ? _SC_LEVEL2_CACHE_SIZE
                   : level == 3 ? _SC_LEVEL3_CACHE_SIZE
                                : -1;
  return name < 0 ? 0 : std::max<int64_t>(0, sysconf(name));
#else
  (void)level;
  return 0;
#endif
}
