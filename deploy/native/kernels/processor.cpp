#include <cstdint>
#include <utility>

#if defined(HALTERE_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "op.hpp"

#define HALTERE_JOIN_(a, b) a##b
#define HALTERE_JOIN(a, b) HALTERE_JOIN_(a, b)

namespace haltere::kernels {

// Defined by isa/kernels.cpp, once for each way that it is compiled.
extern const Kernels HALTERE_JOIN(kKernels_, HALTERE_BASELINE);
#if defined(__x86_64__)
extern const Kernels kKernels_avx2, kKernels_avx512, kKernels_avx512vnni, kKernels_avx512bf16;
#if defined(HALTERE_AMX)
extern const Kernels kKernels_amx;
#endif
#endif

namespace {

#if defined(HALTERE_AMX)
// Whether there are tiles of bfloat16 that this process may use. Linux wants to be asked, once for the whole process,
// since they make the memory larger that it keeps of each thread.
bool tiles() {
  constexpr unsigned kBfloatTiles = 1u << 22, kTiles = 1u << 24;
  constexpr long kAsk = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool there = __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & kBfloatTiles && d & kTiles;
  return there && syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
}
#endif

struct Found {
  const Kernels *sets[6] = {&HALTERE_JOIN(kKernels_, HALTERE_BASELINE)};
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
#if defined(HALTERE_AMX)
    if (tiles()) sets[count++] = &kKernels_amx;
#endif
#endif
  }
};

}  // namespace

std::span<const Kernels *const> instruction_sets() {
  static const Found found;
  return {found.sets, found.count};
}

}  // namespace haltere::kernels
