// The swarm policy: features in the body frame, three encoders, attention over two tokens, fuse, head.
#pragma once

#include "two_token.hpp"

namespace {

using haltere::kernels::SwarmNet;

// Row vector times the matrix from body to world: the vector in the body frame.
HALTERE_INLINE void turn(const float *v, const float *rotation, float factor, float *to) {
  for (int j = 0; j < 3; ++j)
    to[j] = factor * (v[0] * rotation[j] + v[1] * rotation[3 + j] + v[2] * rotation[6 + j]);
}

// What draw_in() of policies/swarm/model.py multiplies a position with.
HALTERE_INLINE float drawn_in(const float *v) {
  return 1.0f / (1.0f + __builtin_sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]));
}

// body_features() of policies/swarm/model.py for one lane: 13 of its own, 6 of each neighbour, 5 of the grid.
HALTERE_INLINE void body_features(const float *self, const float *neighbour, const float *grid, std::int64_t neighbours,
                                  float *to) {
  constexpr float kPitch_m = 0.1f, kFar_m = 1.0f;
  const float *rotation = self + 6;
  turn(self, rotation, drawn_in(self), to);
  turn(self + 3, rotation, 1.0f, to + 3);
  for (int i = 0; i < 7; ++i) to[6 + i] = self[12 + i];
  to += 13;
  for (std::int64_t n = 0; n < neighbours; ++n, neighbour += 6, to += 6) {
    turn(neighbour, rotation, drawn_in(neighbour), to);
    turn(neighbour + 3, rotation, 1.0f, to + 3);
  }
  constexpr float kSlope = 1.0f / (3.0f * 2.0f * kPitch_m);
  const float slope[3] = {kSlope * ((grid[6] - grid[0]) + (grid[7] - grid[1]) + (grid[8] - grid[2])),
                          kSlope * ((grid[2] - grid[0]) + (grid[5] - grid[3]) + (grid[8] - grid[6])), 0.0f};
  to[0] = grid[4] > kFar_m ? kFar_m : grid[4];
  turn(slope, rotation, 1.0f, to + 1);
  to[4] = slope[0] * slope[0] + slope[1] * slope[1];  // left unread by networks of 4 features
}

HALTERE_INLINE void tanh_rows(float *y, std::int64_t ldy, std::int64_t rows, std::int64_t padded) {
  activate(Activation::kTanh, y, ldy, rows, padded);
}

void run_swarm(const SwarmNet &net, const float *const *in, float *const *out, std::int64_t begin, std::int64_t end,
               float *scratch) {
  const std::int64_t width = net.attention.width, padded = net.attention.padded, others = net.neighbours;
  const std::int64_t features = 13 + 6 * others + 5, joint_size = 3 * padded;
  const std::int64_t block = least(net.attention.block, end - begin);
  float *seen = scratch;
  float *first = seen + block * haltere::kernels::kMaxFeatures;
  float *pair = first + block * padded;
  float *joint = pair + 2 * block * padded;
  float *fused = joint + block * joint_size;
  float *more = fused + block * padded;  // what attention needs, then the head
  for (std::int64_t lane = begin; lane < end; lane += block) {
    const std::int64_t rows = least(block, end - lane);
    for (std::int64_t row = 0; row < rows; ++row)
      body_features(in[0] + (lane + row) * 19, in[1] + (lane + row) * 6 * others, in[2] + (lane + row) * 9, others,
                    seen + row * features);
    linear(net.self, seen, features, joint, joint_size, rows, more);
    linear(net.neighbour, seen + 13, features, first, padded, rows, more);
    linear(net.obstacle, seen + 13 + 6 * others, features, pair, 2 * padded, rows, more);
    tanh_rows(joint, joint_size, rows, padded);
    tanh_rows(first, padded, rows, padded);
    tanh_rows(pair, 2 * padded, rows, padded);
    for (std::int64_t row = 0; row < rows; ++row)
      subtract(first + row * padded, pair + 2 * row * padded, pair + (2 * row + 1) * padded, padded);
    float weights[kMostRows];
    attend(net.attention, first, pair, rows, more, joint + width, joint_size, weights);
    linear(net.fuse, joint, joint_size, fused, padded, rows, more);
    tanh_rows(fused, padded, rows, padded);
    linear(net.head, fused, padded, more, kLanes, rows, more);
    for (std::int64_t row = 0; row < rows; ++row) {
      store_some(out[0] + 4 * (lane + row), tanh_of(load(more + row * kLanes)), 4);
      const float mean = 0.5f * (weights[2 * row] + weights[2 * row + 1]);
      out[1][2 * (lane + row)] = mean;
      out[1][2 * (lane + row) + 1] = 1.0f - mean;
    }
  }
}

}  // namespace
