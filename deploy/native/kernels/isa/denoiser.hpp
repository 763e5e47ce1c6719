// One block of a transformer over the tokens of a chunk, steered by one vector: two layer norms, shifted and scaled,
// attention among all tokens, a feed-forward part, and a gate for each of the two.
#pragma once

#include "choice.hpp"
#include "dense.hpp"
#include "rows.hpp"

namespace {

using haltere::kernels::DenoiserNet;
using haltere::kernels::DenoiserSizes;

constexpr float kDenoiserEps = 1e-6f;

// Shift, scale and gate of one half of the block.
struct Steered {
  const float *shift, *scale, *gate;

  Steered(const float *steer, std::int64_t width) : shift(steer), scale(steer + width), gate(steer + 2 * width) {}
};

// As floats() of denoiser.cpp counts it; attention and the feed-forward part use the same place in turn.
struct DenoiserScratch {
  float *steer, *turned, *part, *spare;
  float *key, *value, *score;  // one head: keys by component, values by token; scores of a block of queries
  float *sum, *hidden, *hidden_turned;

  DenoiserScratch(const DenoiserNet &net, const DenoiserSizes &sizes, std::int64_t block, float *from) {
    const std::int64_t each = net.width / net.heads, widest = net.into[0].vectors * kLanes;
    const std::int64_t most = net.down[0].inputs;
    steer = from;
    turned = steer + whole(6 * net.width) + kLanes;
    part = turned + haltere::kernels::turned_scratch(block, net.width, kLanes);
    spare = part + block * (widest > net.padded ? widest : net.padded) + kLanes;
    key = spare + haltere::kernels::rounded_scratch(block, most > net.width ? most : net.width);
    value = key + each * whole(sizes.tokens);
    score = value + sizes.tokens * whole(each);
    sum = key;
    hidden = sum + block * net.padded;
    hidden_turned = hidden + block * whole(most);
  }
};

// Layer norm of each row, times 1 + scale, plus shift. Rows are written in whole vectors.
HALTERE_INLINE void norm_rows(const float *x, std::int64_t ldx, std::int64_t rows, std::int64_t width,
                              const Steered &steered, float *to, std::int64_t ldto) {
  const float share = 1.0f / static_cast<float>(width);
  for (std::int64_t row = 0; row < rows; ++row, x += ldx, to += ldto) {
    Vec sum = Vec{};
    for (std::int64_t i = 0; i < width; i += kLanes) sum += load_some(x + i, width - i);
    const Vec mean = sum_of(sum) * share;
    Vec square = Vec{};
    for (std::int64_t i = 0; i < width; i += kLanes) {
      const Vec off = (load_some(x + i, width - i) - mean) * valid(i, width);
      store(to + i, off);
      square += off * off;
    }
    const Vec factor = fill(1.0f / __builtin_sqrtf((sum_of(square) * share)[0] + kDenoiserEps));
    for (std::int64_t i = 0; i < width; i += kLanes)
      store(to + i, load(to + i) * factor * (1.0f + load(steered.scale + i)) + load(steered.shift + i));
  }
}

// to = x + gate * part, in whole vectors.
HALTERE_INLINE void let_through(const float *x, std::int64_t ldx, const float *gate, const float *part,
                                std::int64_t padded, std::int64_t width, float *to, std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < width; i += kLanes)
      store(to + row * padded + i,
            load_some(x + row * ldx + i, width - i) + load(gate + i) * load(part + row * padded + i));
}

HALTERE_INLINE void copy_some(const float *from, float *to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) store_some(to + i, load(from + i), count - i);
}

// Queries, keys and values of one head for all tokens of a lane. A query waits where its head's result will be written.
HALTERE_INLINE void project_head(const DenoiserNet &net, std::int64_t tokens, std::int64_t block, std::int64_t head,
                                 const float *x, float *y, Turned &turned, const DenoiserScratch &scratch) {
  const Matrix &into = net.into[head];
  const std::int64_t width = net.width, each = width / net.heads, ld = into.vectors * kLanes;
  const std::int64_t across = whole(tokens), deep = whole(each);
  for (std::int64_t d = 0; d < each; ++d) store(scratch.key + (d + 1) * across - kLanes, Vec{});
  for (std::int64_t first = 0; first < tokens; first += block) {
    const std::int64_t rows = least(block, tokens - first);
    if (head == 0 || tokens > block) {  // else they are still there
      norm_rows(x + first * width, width, rows, width, {scratch.steer, width}, scratch.part, net.padded);
      prepare(into, scratch.part, net.padded, rows, scratch.spare, turned);
    }
    linear_rows(into, turned, scratch.part, ld);
    for (std::int64_t row = 0; row < rows; ++row) {
      const float *part = scratch.part + row * ld;
      copy_some(part, y + (first + row) * width + head * each, each);
      copy_some(part + 2 * each, scratch.value + (first + row) * deep, each);
      for (std::int64_t d = 0; first % kLanes && d < each; ++d) scratch.key[d * across + first + row] = part[each + d];
    }
    if (first % kLanes == 0) turn(scratch.part + each, ld, rows, each, scratch.key + first, across);
  }
}

// What each token takes from the others by one head, in the place of its query.
HALTERE_INLINE void attend_head(const DenoiserNet &net, std::int64_t tokens, std::int64_t block, std::int64_t head,
                                float *y, const DenoiserScratch &scratch) {
  const std::int64_t width = net.width, each = width / net.heads;
  const std::int64_t across = whole(tokens), deep = whole(each);
  for (std::int64_t first = 0; first < tokens; first += block) {
    const std::int64_t rows = least(block, tokens - first);
    float *to = y + first * width + head * each;
    product_rows(scratch.key, across / kLanes, to, width, each, scratch.score, across, rows);
    for (std::int64_t row = 0; row < rows; ++row) softmax(scratch.score + row * across, tokens, 1.0f);
    product_rows(scratch.value, deep / kLanes, scratch.score, across, tokens, scratch.part, deep, rows);
    for (std::int64_t row = 0; row < rows; ++row) copy_some(scratch.part + row * deep, to + row * width, each);
  }
}

// From what a block of tokens has taken from the others, in `y`, to their results in the same place.
HALTERE_INLINE void feed_forward(const DenoiserNet &net, const float *x, float *y, std::int64_t rows, Turned &turned,
                                 const DenoiserScratch &scratch) {
  const std::int64_t width = net.width, padded = net.padded, ld = whole(net.down[0].inputs);
  const Steered attended(scratch.steer, width), fed(scratch.steer + 3 * width, width);
  prepare(net.out, y, width, rows, scratch.spare, turned);
  linear_rows(net.out, turned, scratch.part, padded);
  let_through(x, width, attended.gate, scratch.part, padded, width, scratch.sum, rows);
  norm_rows(scratch.sum, padded, rows, width, fed, scratch.part, padded);
  prepare(net.up[0], scratch.part, padded, rows, scratch.spare, turned);
  Turned hidden{scratch.hidden_turned};
  for (std::int64_t part = 0; part < net.parts; ++part) {
    linear_rows(net.up[part], turned, scratch.hidden, ld);
    map(scratch.hidden, ld, rows, net.up[part].vectors * kLanes, [](Vec value) { return gelu_tanh_of(value); });
    prepare(net.down[part], scratch.hidden, ld, rows, scratch.spare, hidden);
    linear_rows(net.down[part], hidden, scratch.part, padded, part > 0);
  }
  let_through(scratch.sum, padded, fed.gate, scratch.part, padded, width, scratch.sum, rows);
  copy_rows(scratch.sum, padded, y, width, rows);
}

// The six vectors, where whole ones can be read behind the last.
HALTERE_INLINE void steer(const DenoiserNet &net, const float *from, const DenoiserScratch &scratch) {
  if (net.given) {
    const std::int64_t all = 6 * net.width;
    for (std::int64_t i = 0; i < all; i += kLanes) store(scratch.steer + i, load_some(from + i, all - i));
    return;
  }
  for (std::int64_t i = 0; i < net.width; i += kLanes)
    store(scratch.turned + i, silu_of(load_some(from + i, net.width - i)));
  linear(net.steer, scratch.turned, net.padded, scratch.steer, 0, 1, scratch.spare);
}

void run_denoiser(const DenoiserNet &net, const DenoiserSizes &sizes, const float *const *in, float *const *out,
                  std::int64_t begin, std::int64_t end, float *memory) {
  const std::int64_t width = net.width, tokens = sizes.tokens, block = least(net.block, tokens);
  const DenoiserScratch scratch(net, sizes, block, memory);
  Turned turned{scratch.turned};
  for (std::int64_t lane = begin; lane < end; ++lane) {
    const float *x = in[0] + lane * tokens * width;
    float *y = out[0] + lane * tokens * width;
    steer(net, in[1] + lane * (net.given ? 6 * width : width), scratch);
    for (std::int64_t head = 0; head < net.heads; ++head) {
      project_head(net, tokens, block, head, x, y, turned, scratch);
      attend_head(net, tokens, block, head, y, scratch);
    }
    for (std::int64_t first = 0; first < tokens; first += block)
      feed_forward(net, x + first * width, y + first * width, least(block, tokens - first), turned, scratch);
  }
}

}  // namespace
