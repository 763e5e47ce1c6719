// Activations rounded to 16 bits, and their exact products with whole weights.
#pragma once

#include "vector.hpp"

// Whether pairs of 16 bits are multiplied and added up twice as fast as floats. A processor that is as fast with
// bfloat16 multiplies that.
#if defined(__AVX512VNNI__) && !defined(__AVX512BF16__) && HALTERE_LANES == 16
#define HALTERE_FIXED_PRODUCTS 1
#else
#define HALTERE_FIXED_PRODUCTS 0
#endif

namespace {

// Round `inputs` values to whole multiples of a step such that the largest is `steps` of them. Returns the step: NaN
// where a value isn't finite, so that whatever is computed from these is NaN too. Pairs are whole: a zero follows an
// odd number of values.
HALTERE_INLINE float round_off(const float *x, std::int64_t inputs, std::int32_t steps, std::int16_t *to) {
  // As whole numbers, the absolute values of floats are ordered as they are, NaN above infinity.
  const IVec magnitude = 0x7fffffff - IVec{};
  IVec most = IVec{};
  std::int64_t i = 0;
  for (; i + kLanes <= inputs; i += kLanes) {
    const IVec value = as_int(load(x + i)) & magnitude;
    most = value > most ? value : most;
  }
  if (i < inputs) {
    const IVec value = as_int(load_some(x + i, inputs - i)) & magnitude;
    most = value > most ? value : most;
  }
  const float largest = as_float(most_of(most))[0];
  const bool finite = largest <= 3.4e38f;
  const float to_steps = finite && largest > 1e-30f ? static_cast<float>(steps) / largest : 0.0f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23, see exp_of
  for (i = 0; i + kLanes <= inputs; i += kLanes)
    *reinterpret_cast<HalfVec *>(to + i) = __builtin_convertvector(as_int(load(x + i) * to_steps + kRound), HalfVec);
  if (i < inputs) {
    const Vec rest = load_some(x + i, inputs - i);
    *reinterpret_cast<HalfVec *>(to + i) = __builtin_convertvector(as_int(rest * to_steps + kRound), HalfVec);
  } else {
    *reinterpret_cast<HalfVec *>(to + i) = HalfVec{};
  }
  return finite ? largest / static_cast<float>(steps) : __builtin_nanf("");
}

// sum + w[0] x[0] + w[1] x[1] for each lane; `w` holds the lanes' pairs of weights, `pair` two activations over and
// over.
HALTERE_INLINE IVec add_products(IVec sum, const std::int8_t *w, IVec pair) {
#if defined(__AVX512VNNI__) && HALTERE_LANES == 16
  const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(w)));
  return (IVec)_mm512_dpwssd_epi32((__m512i)sum, wide, (__m512i)pair);
#elif defined(__AVX512BW__) && HALTERE_LANES == 16
  const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(w)));
  return sum + (IVec)_mm512_madd_epi16(wide, (__m512i)pair);
#elif defined(__AVX2__) && HALTERE_LANES == 8
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(w)));
  return sum + (IVec)_mm256_madd_epi16(wide, (__m256i)pair);
#elif defined(__SSE2__) && HALTERE_LANES == 4
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(w));
  const __m128i wide = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
  return sum + (IVec)_mm_madd_epi16(wide, (__m128i)pair);
#elif defined(__ARM_NEON) && HALTERE_LANES == 4
  const int16x8_t wide = vmovl_s8(vld1_s8(w)), two = (int16x8_t)pair;
  const int32x4_t low = vmull_s16(vget_low_s16(wide), vget_low_s16(two));
  const int32x4_t high = vmull_s16(vget_high_s16(wide), vget_high_s16(two));
  return sum + (IVec)vpaddq_s32(low, high);
#else
  std::int16_t two[2];
  std::memcpy(two, &pair, sizeof two);
  for (int lane = 0; lane < kLanes; ++lane) sum[lane] += w[2 * lane] * two[0] + w[2 * lane + 1] * two[1];
  return sum;
#endif
}

#if HALTERE_FIXED_PRODUCTS
// The same for weights of 16 bits.
HALTERE_INLINE IVec add_products(IVec sum, const std::int16_t *w, IVec pair) {
  return (IVec)_mm512_dpwssd_epi32((__m512i)sum, _mm512_loadu_si512(w), (__m512i)pair);
}
#endif

}  // namespace
