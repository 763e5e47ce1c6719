// Vectors of kLanes floats by GCC's vector extensions.
//
// Everything is in an unnamed namespace: no symbol of one instruction set may stand in for another's.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef HALTERE_LANES
#error "compile isa/kernels.cpp with HALTERE_LANES and HALTERE_ISA"
#endif

#define HALTERE_INLINE static inline __attribute__((always_inline))

namespace {

constexpr int kLanes = HALTERE_LANES;

typedef float Vec __attribute__((vector_size(4 * HALTERE_LANES), may_alias));
typedef float LooseVec __attribute__((vector_size(4 * HALTERE_LANES), may_alias, aligned(4)));
typedef std::int32_t IVec __attribute__((vector_size(4 * HALTERE_LANES), may_alias));
typedef std::int32_t LooseIVec __attribute__((vector_size(4 * HALTERE_LANES), may_alias, aligned(4)));
typedef std::int16_t HalfVec __attribute__((vector_size(2 * HALTERE_LANES), may_alias, aligned(2)));

HALTERE_INLINE Vec load(const float *from) { return *reinterpret_cast<const LooseVec *>(from); }
HALTERE_INLINE void store(float *to, Vec value) { *reinterpret_cast<LooseVec *>(to) = value; }
HALTERE_INLINE Vec fill(float value) { return value - Vec{}; }

// The first `count` floats only, where the memory ends there; loaded, the rest is zero.
HALTERE_INLINE Vec load_some(const float *from, std::int64_t count) {
  if (count >= kLanes) return load(from);
#if HALTERE_LANES == 16 && defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
#else
  alignas(64) float all[kLanes] = {};
  std::memcpy(all, from, static_cast<std::size_t>(count) * sizeof(float));
  return load(all);
#endif
}

HALTERE_INLINE void store_some(float *to, Vec value, std::int64_t count) {
  if (count >= kLanes) return store(to, value);
#if HALTERE_LANES == 16 && defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), value);
#else
  alignas(64) float all[kLanes];
  store(all, value);
  std::memcpy(to, all, static_cast<std::size_t>(count) * sizeof(float));
#endif
}

// A NaN in `value` stays: both comparisons with it are false.
HALTERE_INLINE Vec at_most(Vec value, float limit) { return value > fill(limit) ? fill(limit) : value; }
HALTERE_INLINE Vec at_least(Vec value, float limit) { return value < fill(limit) ? fill(limit) : value; }

#if HALTERE_LANES == 16
#define HALTERE_SWAPS                                                         \
  {8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7},                     \
      {4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11},                 \
      {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13},                 \
      {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14}
constexpr int kSwaps = 4;
#elif HALTERE_LANES == 8
#define HALTERE_SWAPS {4, 5, 6, 7, 0, 1, 2, 3}, {2, 3, 0, 1, 6, 7, 4, 5}, {1, 0, 3, 2, 5, 4, 7, 6}
constexpr int kSwaps = 3;
#else
#define HALTERE_SWAPS {2, 3, 0, 1}, {1, 0, 3, 2}
constexpr int kSwaps = 2;
#endif

// The sum of all lanes, in every lane.
HALTERE_INLINE Vec sum_of(Vec value) {
  constexpr IVec kSwap[kSwaps] = {HALTERE_SWAPS};
#pragma GCC unroll 4
  for (int i = 0; i < kSwaps; ++i) value += __builtin_shuffle(value, kSwap[i]);
  return value;
}

// The largest of all lanes, in every lane.
template <class V>
HALTERE_INLINE V most_of(V value) {
  constexpr IVec kSwap[kSwaps] = {HALTERE_SWAPS};
#pragma GCC unroll 4
  for (int i = 0; i < kSwaps; ++i) {
    const V other = __builtin_shuffle(value, kSwap[i]);
    value = value > other ? value : other;
  }
  return value;
}

// The sum of each of kLanes vectors, the first one's in the first lane: at every step two vectors become one, whose
// lanes hold what is still to be added of the first where the lane's number has the step's bit off, of the second
// where it is on.
HALTERE_INLINE Vec sums_of(Vec (&value)[kLanes]) {
  constexpr IVec kSwap[kSwaps] = {HALTERE_SWAPS};
#pragma GCC unroll 4
  for (int i = 0, half = kLanes / 2; i < kSwaps; ++i, half /= 2) {
    IVec keep, take;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int from = lane & half ? kLanes : 0;
      keep[lane] = from + lane;
      take[lane] = from + kSwap[i][lane];
    }
#pragma GCC unroll 8
    for (int j = 0; j < half; ++j) {
      const Vec a = value[j], b = value[j + half];
      value[j] = __builtin_shuffle(a, b, keep) + __builtin_shuffle(a, b, take);
    }
  }
  return value[0];
}

// 1 in the lanes that hold one of the `count` values from lane `first` on, 0 in those that fill up.
HALTERE_INLINE Vec valid(std::int64_t first, std::int64_t count) {
  IVec lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const std::int64_t left = count - first;
  const std::int32_t inside = left > kLanes ? kLanes : static_cast<std::int32_t>(left);
  return lane < inside - IVec{} ? fill(1.0f) : fill(0.0f);
}

HALTERE_INLINE Vec as_float(IVec value) { return reinterpret_cast<Vec>(value); }
HALTERE_INLINE IVec as_int(Vec value) { return reinterpret_cast<IVec>(value); }

}  // namespace
