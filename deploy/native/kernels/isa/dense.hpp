// One layer with its activation.
#pragma once

#include "linear.hpp"

namespace {

using haltere::kernels::DenseNet;

constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Values in as many whole vectors as `count` of them need.
constexpr std::int64_t whole(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Rows of whole vectors, copied to rows of `size` floats that follow each other closely.
HALTERE_INLINE void copy_rows(const float *from, std::int64_t ldfrom, float *to, std::int64_t size, std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < size; i += kLanes)
      store_some(to + row * size + i, load(from + row * ldfrom + i), size - i);
}

void run_dense(const DenseNet &net, const float *const *in, float *const *out, std::int64_t begin, std::int64_t end,
               float *scratch) {
  const std::int64_t inputs = net.layer.inputs, outputs = net.layer.outputs, padded = net.layer.vectors * kLanes;
  const std::int64_t block = least(net.block, end - begin);
  float *spare = scratch + block * padded;
  for (std::int64_t lane = begin; lane < end; lane += block) {
    const std::int64_t rows = least(block, end - lane);
    linear(net.layer, in[0] + lane * inputs, inputs, scratch, padded, rows, spare);
    activate(net.activation, scratch, padded, rows, padded);
    copy_rows(scratch, padded, out[0] + lane * outputs, outputs, rows);
  }
}

}  // namespace
