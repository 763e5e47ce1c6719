#include "pack.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

namespace haltere::kernels {

namespace {

constexpr std::size_t kCacheLine = 64, kHugePage = std::size_t{1} << 21;
constexpr std::int64_t kInt8Steps = 127;

// Vectors of the panel that begins where `left` vectors remain.
std::int64_t panel_vectors(std::int64_t left, std::int64_t widest) {
  std::int64_t taken = widest;
  while (taken > left) taken /= 2;
  return taken;
}

// Memory for every weight, in groups of `group` inputs, those that fill up counted too.
template <class T>
T *take_weights(Arena &arena, const Matrix &matrix, std::int64_t lanes, std::int64_t group) {
  const std::int64_t inputs = (matrix.inputs + group - 1) / group * group;
  return arena.take<T>(static_cast<std::size_t>(matrix.vectors * lanes * inputs));
}

// Call `place(output, input, index)` for every weight, index being where it lies among them all.
template <class Place>
void lay_out(const Matrix &matrix, std::int64_t lanes, std::int64_t widest, std::int64_t group, const Place &place) {
  const std::int64_t groups = (matrix.inputs + group - 1) / group;
  std::int64_t base = 0;
  for (std::int64_t vector = 0; vector < matrix.vectors;) {
    const std::int64_t taken = panel_vectors(matrix.vectors - vector, widest);
    const std::int64_t across = taken * lanes, first = vector * lanes;
    const std::int64_t last = std::min<std::int64_t>(first + across, matrix.outputs);
    for (std::int64_t output = first; output < last; ++output)
      for (std::int64_t input = 0; input < matrix.inputs; ++input)
        place(output, input, base + (input / group * across + output - first) * group + input % group);
    base += groups * across * group;
    vector += taken;
  }
}

// Nearest bfloat16, of two equally near ones the even; never infinity.
std::uint16_t nearest_bfloat(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<std::uint16_t>((rounded & 0x7f80) == 0x7f80 ? rounded - 1 : rounded);
}

// What one of `steps` steps of an output's weights is worth; zero for a row so small that the inverse would be
// infinite.
float step_of(const float *row, std::int64_t inputs, std::int64_t steps) {
  float largest = 0.0f;
  for (std::int64_t i = 0; i < inputs; ++i) largest = std::max(largest, std::abs(row[i]));
  return largest < 1e-30f ? 0.0f : largest / static_cast<float>(steps);
}

// The largest activation of 16 bits, given the largest sum of weights that it may be multiplied with.
std::int32_t most_steps(std::int64_t weights) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(std::numeric_limits<std::int32_t>::max() / weights,
                                                          std::numeric_limits<std::int16_t>::max()));
}

void pack_int8(Arena &arena, std::int64_t lanes, std::int64_t widest, const Layer &layer, Matrix &matrix) {
  auto *to = take_weights<std::int8_t>(arena, matrix, lanes, 2);
  float *scale = arena.take<float>(static_cast<std::size_t>(matrix.vectors * lanes));
  for (std::int64_t output = 0; output < layer.outputs; ++output)
    scale[output] = step_of(layer.weight + output * layer.inputs, layer.inputs, kInt8Steps);
  lay_out(matrix, lanes, widest, 2, [&](std::int64_t output, std::int64_t input, std::int64_t index) {
    const float value = layer.weight[output * layer.inputs + input];
    to[index] = scale[output] > 0.0f ? static_cast<std::int8_t>(std::nearbyint(value / scale[output])) : 0;
  });
  matrix.panels = to;
  matrix.scale = scale;
  matrix.steps = most_steps(kInt8Steps * layer.inputs);
}

float as_float(std::uint16_t bfloat) {
  const std::uint32_t bits = std::uint32_t{bfloat} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// bfloat16's weights in whole steps: half a step is a 32nd of what bfloat16 itself may lose of a row's largest.
void pack_fixed(Arena &arena, std::int64_t lanes, std::int64_t widest, const Layer &layer, Matrix &matrix) {
  auto *to = take_weights<std::int16_t>(arena, matrix, lanes, 2);
  float *scale = arena.take<float>(static_cast<std::size_t>(matrix.vectors * lanes));
  for (std::int64_t output = 0; output < layer.outputs; ++output)
    scale[output] = step_of(layer.weight + output * layer.inputs, layer.inputs, kMostFixed);
  std::int64_t run = 0, largest = 1;  // sums of absolute values
  lay_out(matrix, lanes, widest, 2, [&](std::int64_t output, std::int64_t input, std::int64_t index) {
    const float value = as_float(nearest_bfloat(layer.weight[output * layer.inputs + input]));
    to[index] = scale[output] > 0.0f ? static_cast<std::int16_t>(std::nearbyint(value / scale[output])) : 0;
    run = (input % kRun ? run : 0) + std::abs(to[index]);
    largest = std::max(largest, run);
  });
  matrix.panels = to;
  matrix.scale = scale;
  matrix.steps = most_steps(largest);
  matrix.precision = kFixed;
}

}  // namespace

void Arena::Free::operator()(void *memory) const { std::free(memory); }

void Arena::reserve(std::size_t bytes) {
  left_ = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  std::unique_ptr<void, Free> block(std::aligned_alloc(kHugePage, left_));
  if (!block) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  madvise(block.get(), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // what it can't do is only slower
#endif
  free_ = static_cast<char *>(block.get());
  blocks_.push_back(std::move(block));
}

void *Arena::take_bytes(std::size_t bytes) {
  const std::size_t whole = std::max((bytes + kCacheLine - 1) / kCacheLine, std::size_t{1}) * kCacheLine;
  bytes_ += static_cast<std::int64_t>(whole);
  if (whole <= left_) {
    left_ -= whole;
    return std::memset(std::exchange(free_, free_ + whole), 0, whole);
  }
  std::unique_ptr<void, Free> block(std::aligned_alloc(kCacheLine, whole));
  if (!block) throw std::bad_alloc();
  std::memset(block.get(), 0, whole);
  blocks_.push_back(std::move(block));
  return blocks_.back().get();
}

Matrix pack(Arena &arena, const Kernels &kernels, const Layer &layer, haltere_precision precision,
            std::int64_t widest) {
  Matrix matrix{};
  matrix.outputs = static_cast<std::int32_t>(layer.outputs);
  matrix.inputs = static_cast<std::int32_t>(layer.inputs);
  matrix.vectors = static_cast<std::int32_t>(padded(kernels, layer.outputs) / kernels.lanes);
  matrix.precision = precision;
  float *bias = arena.take<float>(static_cast<std::size_t>(padded(kernels, layer.outputs)));
  if (layer.bias) std::copy_n(layer.bias, layer.outputs, bias);
  matrix.bias = matrix.scale = bias;
  if (precision == HALTERE_INT8) {
    pack_int8(arena, kernels.lanes, widest, layer, matrix);
  } else if (precision == HALTERE_BF16 && kernels.fixed && widest == kNarrow) {
    pack_fixed(arena, kernels.lanes, widest, layer, matrix);
  } else if (precision == HALTERE_BF16) {
    auto *to = take_weights<std::uint16_t>(arena, matrix, kernels.lanes, 2);
    lay_out(matrix, kernels.lanes, widest, 2, [&](std::int64_t output, std::int64_t input, std::int64_t index) {
      to[index] = nearest_bfloat(layer.weight[output * layer.inputs + input]);
    });
    matrix.panels = to;
  } else {
    auto *to = take_weights<float>(arena, matrix, kernels.lanes, 1);
    lay_out(matrix, kernels.lanes, widest, 1, [&](std::int64_t output, std::int64_t input, std::int64_t index) {
      to[index] = layer.weight[output * layer.inputs + input];
    });
    matrix.panels = to;
  }
  return matrix;
}

const float *pack_vector(Arena &arena, const Kernels &kernels, const float *values, std::int64_t count) {
  float *to = arena.take<float>(static_cast<std::size_t>(padded(kernels, count)));
  std::copy_n(values, count, to);
  return to;
}

std::vector<float> product(const float *a, const float *b, std::int64_t size, bool transpose_a, double scale) {
  std::vector<double> row(static_cast<std::size_t>(size));
  std::vector<float> out(static_cast<std::size_t>(size * size));
  for (std::int64_t i = 0; i < size; ++i) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::int64_t k = 0; k < size; ++k) {
      const double factor = scale * static_cast<double>(transpose_a ? a[k * size + i] : a[i * size + k]);
      for (std::int64_t j = 0; j < size; ++j) row[static_cast<std::size_t>(j)] += factor * b[k * size + j];
    }
    std::copy(row.begin(), row.end(), out.begin() + i * size);
  }
  return out;
}

}  // namespace haltere::kernels
