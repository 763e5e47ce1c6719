// Compiled once for each instruction set: HALTERE_LANES floats in a vector, HALTERE_LOOPS the table's name.
#include "peaks_loops.hpp"

namespace haltere::bench {
namespace {

typedef float Vector __attribute__((vector_size(sizeof(float) * HALTERE_LANES)));

// Two multiply-adds of four cycles each can be under way: eight chains keep both units busy, twelve leave room.
constexpr int kChains = 12;
constexpr int kSums = 8;

double multiply_add(long rounds) {
  Vector sum[kChains];
  Vector factor = Vector{} + 0.999f, addend = Vector{} + 1e-3f;
  for (int i = 0; i < kChains; ++i) sum[i] = Vector{} + static_cast<float>(i);
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * factor + addend;
  }
  for (int i = 0; i < kChains; ++i) asm volatile("" ::"m"(sum[i]));  // as if somebody read the results
  return 2.0 * HALTERE_LANES * kChains * static_cast<double>(rounds);
}

float read(const float* data, size_t count) {
  const auto* at = reinterpret_cast<const Vector*>(data);
  Vector sum[kSums] = {};
  for (const auto* end = at + count / HALTERE_LANES; at != end; at += kSums) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) sum[i] += at[i];
  }
  for (int i = 1; i < kSums; ++i) sum[0] += sum[i];
  float total = 0.0f;
  for (int lane = 0; lane < HALTERE_LANES; ++lane) total += sum[0][lane];
  return total;
}

}  // namespace

const Loops HALTERE_LOOPS = {HALTERE_ISA, multiply_add, read};

}  // namespace haltere::bench
