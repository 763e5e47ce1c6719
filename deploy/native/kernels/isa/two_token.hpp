// Single-head self-attention over exactly two tokens, with residual and layer norm.
#pragma once

#include "dense.hpp"

namespace {

using haltere::kernels::TwoTokenNet;

constexpr float kNormEps = 1e-5f;

// Layer norm of token + mixed[0] + weight * mixed[1], written to `to` in whole vectors.
HALTERE_INLINE void norm_token(const TwoTokenNet &net, const float *token, const float *mixed, Vec weight, float *to) {
  const std::int64_t padded = net.padded;
  Vec sum = Vec{};
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    const Vec value = load(token + i) + (load(mixed + i) + weight * load(mixed + padded + i));
    store(to + i, value);
    sum += value;
  }
  const float share = 1.0f / static_cast<float>(net.width);
  const Vec mean = sum_of(sum) * share;
  Vec square = Vec{};
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    const Vec off = (load(to + i) - mean) * valid(i, net.width);
    store(to + i, off);
    square += off * off;
  }
  const float spread = __builtin_sqrtf((sum_of(square) * share)[0] + kNormEps);
  const Vec factor = fill(1.0f / spread);
  for (std::int64_t i = 0; i < padded; i += kLanes)
    store(to + i, load(to + i) * factor * load(net.norm_w + i) + load(net.norm_b + i));
}

// Attend for `rows` lanes. `pair` holds for each lane the second token and the difference of the two. Writes the two
// tokens at `to` and `to + width` (what fills up the first is overwritten by the second) and the two weights.
// Scratch: 3 rows padded floats and rounded_scratch(2 rows, width).
HALTERE_INLINE void attend(const TwoTokenNet &net, const float *first, const float *pair, std::int64_t rows,
                           float *scratch, float *to, std::int64_t ldto, float *weights) {
  const std::int64_t padded = net.padded;
  float *projected = scratch, *mixed = projected + rows * padded, *spare = mixed + 2 * rows * padded;
  linear(net.score, pair + padded, 2 * padded, projected, padded, rows, spare);
  linear(net.mix, pair, padded, mixed, padded, 2 * rows, spare);
  for (std::int64_t row = 0; row < rows; ++row) {
    const float *one = first + row * padded, *two = pair + 2 * row * padded, *z = projected + row * padded;
    Vec on_first = Vec{}, on_second = Vec{};
    for (std::int64_t i = 0; i < padded; i += kLanes) {
      on_first += load(one + i) * load(z + i);
      on_second += load(two + i) * load(z + i);
    }
    const Vec a = sigmoid_of(sum_of(on_first)), b = sigmoid_of(sum_of(on_second));
    norm_token(net, one, mixed + 2 * row * padded, a, to + row * ldto);
    norm_token(net, two, mixed + 2 * row * padded, b, to + row * ldto + net.width);
    weights[2 * row] = a[0];
    weights[2 * row + 1] = b[0];
  }
}

HALTERE_INLINE void subtract(const float *a, const float *b, float *to, std::int64_t padded) {
  for (std::int64_t i = 0; i < padded; i += kLanes) store(to + i, load(a + i) - load(b + i));
}

void run_two_token(const TwoTokenNet &net, const float *const *in, float *const *out, std::int64_t begin,
                   std::int64_t end, float *scratch) {
  const std::int64_t width = net.width, padded = net.padded, block = least(net.block, end - begin);
  float *first = scratch, *pair = first + block * padded, *attended = pair + 2 * block * padded;
  float *more = attended + 2 * block * padded;
  for (std::int64_t lane = begin; lane < end; lane += block) {
    const std::int64_t rows = least(block, end - lane);
    for (std::int64_t row = 0; row < rows; ++row) {
      float *one = first + row * padded, *two = pair + 2 * row * padded;
      for (std::int64_t i = 0; i < width; i += kLanes) {
        store(one + i, load_some(in[0] + (lane + row) * width + i, width - i));
        store(two + i, load_some(in[1] + (lane + row) * width + i, width - i));
      }
      subtract(one, two, two + padded, padded);
    }
    attend(net, first, pair, rows, more, attended, 2 * padded, out[1] + 2 * lane);
    copy_rows(attended, 2 * padded, out[0] + lane * 2 * width, 2 * width, rows);
  }
}

}  // namespace
