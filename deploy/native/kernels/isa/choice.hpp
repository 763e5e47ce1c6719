// The largest few of many scores, and their softmax.
#pragma once

#include "functions.hpp"

namespace {

using haltere::kernels::kMaxChosen;

struct Chosen {
  std::int64_t count;
  std::int64_t index[kMaxChosen];
  float weight[kMaxChosen];  // first the scores, then their softmax
};

// NaN counts as infinite, so that it is chosen, and spoils what depends on it.
HALTERE_INLINE float rank(float score) { return score == score ? score : __builtin_inff(); }

// The `most` largest scores among those whose mask is above zero (all where mask is nullptr), largest first; of equal
// ones the earlier.
HALTERE_INLINE void choose(const float *score, const float *mask, std::int64_t count, std::int64_t most, Chosen &to) {
  to.count = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (mask && !(mask[i] > 0.0f)) continue;
    const float mine = rank(score[i]);
    if (to.count == most && mine <= rank(to.weight[most - 1])) continue;
    std::int64_t at = to.count == most ? most - 1 : to.count++;
    for (; at > 0 && rank(to.weight[at - 1]) < mine; --at) {
      to.weight[at] = to.weight[at - 1];
      to.index[at] = to.index[at - 1];
    }
    to.weight[at] = score[i];
    to.index[at] = i;
  }
}

// factor * softmax of `count` values in place, of which there is a first; writes up to the next whole vector.
HALTERE_INLINE void softmax(float *value, std::int64_t count, float factor) {
  for (std::int64_t i = count; i % kLanes != 0; ++i) value[i] = value[0];
  Vec largest = load(value);
  for (std::int64_t i = kLanes; i < count; i += kLanes) {
    const Vec other = load(value + i);
    largest = other > largest ? other : largest;
  }
  largest = most_of(largest);
  Vec total = Vec{};
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const Vec part = exp_of(load(value + i) - largest) * valid(i, count);
    store(value + i, part);
    total += part;
  }
  const Vec scale = factor / sum_of(total);
  for (std::int64_t i = 0; i < count; i += kLanes) store(value + i, load(value + i) * scale);
}

}  // namespace
