#include <utility>

#include "op.hpp"

#define HALTERE_JOIN_(a, b) a##b
#define HALTERE_JOIN(a, b) HALTERE_JOIN_(a, b)

namespace haltere::kernels {

// Defined by isa/kernels.cpp, once for each way that it is compiled.
extern const Kernels HALTERE_JOIN(kKernels_, HALTERE_BASELINE);
#if defined(__x86_64__)
extern const Kernels kKernels_avx2, kKernels_avx512, kKernels_avx512vnni, kKernels_avx512bf16;
#endif

namespace {

struct Found {
  const Kernels *sets[5] = {&HALTERE_JOIN(kKernels_, HALTERE_BASELINE)};
  std::size_t count = 1;

  Found() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    // These ask the operating system too: it has to save the wide registers.
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    sets[count++] = &kKernels_avx2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
      return;
    sets[count++] = &kKernels_avx512;
    if (!__builtin_cpu_supports("avx512vnni")) return;
    sets[count++] = &kKernels_avx512vnni;
    if (!__builtin_cpu_supports("avx512bf16")) return;
    sets[count++] = &kKernels_avx512bf16;
    // There these products were slower than those of float32.
    if (__builtin_cpu_is("intel")) std::swap(sets[count - 1], sets[count - 2]);
#endif
  }
};

}  // namespace

std::span<const Kernels *const> instruction_sets() {
  static const Found found;
  return {found.sets, found.count};
}

}  // namespace haltere::kernels
