// The functions that networks are made of, on vectors. Minimax fits; the errors are before rounding.
#pragma once

#include "../kernels.hpp"
#include "vector.hpp"

namespace {

using haltere::kernels::Activation;

// tanh as x P(x^2) / Q(x^2) on |x| <= 9.02, relative error 2.1e-8; beyond, tanh is one to float's precision.
HALTERE_INLINE Vec tanh_of(Vec x) {
  x = at_least(at_most(x, 9.02f), -9.02f);
  const Vec u = x * x;
  Vec p = 1.33191757973e-8f * u + 2.05835635058e-5f;
  Vec q = 7.76206418706e-7f * u + 3.28310127126e-4f;
  p = p * u + 3.49403982455e-3f;
  q = q * u + 2.58710934659e-2f;
  p = p * u + 0.133797224464f;
  q = q * u + 0.46713037688f;
  p = p * u + 0.999999979018f;
  q = q * u + 1.0f;
  return at_least(at_most(x * p / q, 1.0f), -1.0f);
}

// exp as 2^n P(r), x = n log(2) + r, relative error 1.9e-9; between exp(-87.3) and exp(88.3), the range of floats.
HALTERE_INLINE Vec exp_of(Vec x) {
  x = at_least(at_most(x, 88.3f), -87.3f);
  // Adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits.
  constexpr float kRound = 12582912.0f;
  const Vec shifted = x * 1.44269504089f + kRound;
  const Vec n = shifted - kRound;
  const Vec r = x - n * 0.693359375f - n * -2.12194440e-4f;  // log(2) in two parts: the first product is exact
  Vec p = 0.00138368486181f * r + 0.00837482436861f;
  p = p * r + 0.0416682259099f;
  p = p * r + 0.166664200675f;
  p = p * r + 0.499999920768f;
  p = p * r + 1.00000003635f;
  p = p * r + 1.00000000055f;
  return p * as_float((as_int(shifted) << 23) + 0x3f800000);
}

// 1 / (1 + exp(-x)) to 6e-8.
HALTERE_INLINE Vec sigmoid_of(Vec x) { return 0.5f + 0.5f * tanh_of(0.5f * x); }

// x / (1 + exp(-x)): by exp, since an error of 6e-8 in the sigmoid would grow with x.
HALTERE_INLINE Vec silu_of(Vec x) { return x / (1.0f + exp_of(-x)); }

// x (1 + erf(x / sqrt(2))) / 2 as max(x, 0) - |x| exp(-x^2 / 2) P(|x|) / Q(|x|): the fraction is half of erfc without
// its exponential, and nothing cancels in the tail. Absolute error 5e-9.
HALTERE_INLINE Vec gelu_of(Vec x) {
  const Vec a = at_most(x < Vec{} ? -x : x, 13.0f);  // from there on the tail is below 1e-36
  Vec p = 0.0112122496831f * a + 0.0929347052588f;
  Vec q = 0.0281546607279f * a + 0.23190067559f;
  p = p * a + 0.311700293103f;
  q = q * a + 0.819895601324f;
  p = p * a + 0.499999997508f;
  q = q * a + 1.42128475313f;
  q = q * a + 1.0f;
  return at_least(x, 0.0f) - a * exp_of(-0.5f * a * a) * p / q;
}

// 1 / x to 1e-7 for an x from 1 on: where dividing takes longer than all the rest, by one step of Newton's method.
HALTERE_INLINE Vec inverse_of(Vec x) {
#if HALTERE_LANES == 16 && defined(__AVX512F__)
  const Vec near = (Vec)_mm512_rcp14_ps((__m512)x);  // relative error below 2^-14
  return near * (2.0f - x * near);
#else
  return 1.0f / x;
#endif
}

// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is x / (1 + exp(-2 ...)); Hendrycks and Gimpel 2016,
// arXiv:1606.08415, section 2.
HALTERE_INLINE Vec gelu_tanh_of(Vec x) {
  constexpr float kOnce = -1.5957691216f, kCubed = -0.0713548163f;  // -2 sqrt(2 / pi), and that times 0.044715
  return x * inverse_of(1.0f + exp_of(x * (kOnce + kCubed * x * x)));
}

template <class Function>
HALTERE_INLINE void map(float *y, std::int64_t ldy, std::int64_t rows, std::int64_t padded, const Function &function) {
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < padded; i += kLanes) store(y + row * ldy + i, function(load(y + row * ldy + i)));
}

// In place, whole vectors. All of these keep zero at zero, which is what fills up.
HALTERE_INLINE void activate(Activation kind, float *y, std::int64_t ldy, std::int64_t rows, std::int64_t padded) {
  if (kind == Activation::kTanh) map(y, ldy, rows, padded, [](Vec x) { return tanh_of(x); });
  else if (kind == Activation::kGelu) map(y, ldy, rows, padded, [](Vec x) { return gelu_of(x); });
  else if (kind == Activation::kSilu) map(y, ldy, rows, padded, [](Vec x) { return silu_of(x); });
}

}  // namespace
