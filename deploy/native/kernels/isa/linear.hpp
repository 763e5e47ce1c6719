// Layers: y = W x + b for one or several rows x, with the weights as pack.cpp lays them out.
#pragma once

#include <type_traits>

#include "functions.hpp"
#include "haltere/kernels.h"
#include "rounded.hpp"

namespace {

using haltere::kernels::kMostRows;
using haltere::kernels::Matrix;

// Sums that are under way at once: enough to cover the latency of a multiply-add, few enough for the registers.
constexpr int kSums = kLanes == 16 ? 16 : 8;

// Running sums of one output, over every U-th input or group of inputs; four are slower than two. The number depends
// on the panel alone, so that the order of additions, and with it every bit, is the same for one row and for many.
constexpr int streams(int vectors) { return vectors >= 8 ? 1 : 2; }

// What is multiplied: rows of x, `ldx` apart, by weights whose next step of inputs lies `stride` elements on.
template <class Weight, class Value>
struct Part {
  const Weight *w;
  std::int64_t stride;
  const Value *x;
  std::int64_t ldx, inputs;
};

template <int NV, int M, int U, class Sum>
HALTERE_INLINE void add_streams(Sum (&sum)[M][U][NV]) {
  for (int step = 1; step < U; step *= 2)
    for (int m = 0; m < M; ++m)
      for (int u = 0; u + step < U; u += 2 * step)
        for (int j = 0; j < NV; ++j) sum[m][u][j] += sum[m][u + step][j];
}

struct Float {
  using Weight = float;
  using Value = float;

  template <int NV, int M, int U>
  HALTERE_INLINE void multiply(const Part<float, float> &part, const float *bias, const float *, const float *,
                               Vec (&out)[M][NV]) {
    Vec sum[M][U][NV] = {};
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < NV; ++j) sum[m][0][j] = load(bias + j * kLanes);
    const float *w = part.w;
    std::int64_t k = 0;
    for (; k + U <= part.inputs; k += U)
      for (int u = 0; u < U; ++u, w += part.stride) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
          const Vec weight = load(w + j * kLanes);
#pragma GCC unroll 8
          for (int m = 0; m < M; ++m) sum[m][u][j] += part.x[m * part.ldx + k + u] * weight;
        }
      }
    for (; k < part.inputs; ++k, w += part.stride)
      for (int j = 0; j < NV; ++j)
        for (int m = 0; m < M; ++m) sum[m][0][j] += part.x[m * part.ldx + k] * load(w + j * kLanes);
    add_streams(sum);
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < NV; ++j) out[m][j] = sum[m][0][j];
  }
};

struct Bfloat {
  using Weight = std::uint32_t;  // two inputs' weights for one output, the first in the low half
  using Value = float;

  // A bfloat16 is the upper half of a float.
  HALTERE_INLINE Vec low(IVec both) { return as_float(both << 16); }
  HALTERE_INLINE Vec high(IVec both) { return as_float(both & (-65536 - IVec{})); }

  template <int NV, int M, int U>
  HALTERE_INLINE void multiply(const Part<std::uint32_t, float> &part, const float *bias, const float *, const float *,
                               Vec (&out)[M][NV]) {
    Vec sum[M][U][NV] = {};
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < NV; ++j) sum[m][0][j] = load(bias + j * kLanes);
    const std::uint32_t *w = part.w;
    std::int64_t k = 0;
    constexpr int kPairs = U > 1 ? U / 2 : 1;
    for (; k + 2 * kPairs <= part.inputs; k += 2 * kPairs)
      for (int u = 0; u < kPairs; ++u, w += part.stride) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
          const IVec both = *reinterpret_cast<const LooseIVec *>(w + j * kLanes);
#pragma GCC unroll 8
          for (int m = 0; m < M; ++m) {
            const float *x = part.x + m * part.ldx + k + 2 * u;
            sum[m][2 * u % U][j] += x[0] * low(both);
            sum[m][(2 * u + 1) % U][j] += x[1] * high(both);
          }
        }
      }
    for (; k < part.inputs; k += 2, w += part.stride)
      for (int j = 0; j < NV; ++j) {
        const IVec both = *reinterpret_cast<const LooseIVec *>(w + j * kLanes);
        for (int m = 0; m < M; ++m) {
          const float *x = part.x + m * part.ldx + k;
          sum[m][0][j] += x[0] * low(both);
          if (k + 1 < part.inputs) sum[m][0][j] += x[1] * high(both);
        }
      }
    add_streams(sum);
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < NV; ++j) out[m][j] = sum[m][0][j];
  }
};

struct Int8 {
  using Weight = std::int8_t;  // two inputs' weights side by side for each output
  using Value = std::int16_t;

  HALTERE_INLINE IVec pair_at(const std::int16_t *x) {
    std::int32_t both;
    std::memcpy(&both, x, sizeof both);
    return both - IVec{};
  }

  template <int NV, int M, int U>
  HALTERE_INLINE void multiply(const Part<std::int8_t, std::int16_t> &part, const float *bias, const float *scale,
                               const float *step, Vec (&out)[M][NV]) {
    IVec sum[M][U][NV] = {};
    const std::int8_t *w = part.w;
    std::int64_t k = 0;
    for (; k + 2 * U <= part.inputs; k += 2 * U)
      for (int u = 0; u < U; ++u, w += part.stride) {
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
          const IVec pair = pair_at(part.x + m * part.ldx + k + 2 * u);
          for (int j = 0; j < NV; ++j) sum[m][u][j] = add_products(sum[m][u][j], w + 2 * j * kLanes, pair);
        }
      }
    for (; k < part.inputs; k += 2, w += part.stride)
      for (int m = 0; m < M; ++m) {
        const IVec pair = pair_at(part.x + m * part.ldx + k);
        for (int j = 0; j < NV; ++j) sum[m][0][j] = add_products(sum[m][0][j], w + 2 * j * kLanes, pair);
      }
    add_streams(sum);
    for (int m = 0; m < M; ++m)
      for (int j = 0; j < NV; ++j)
        out[m][j] = __builtin_convertvector(sum[m][0][j], Vec) * (step[m] * load(scale + j * kLanes)) +
                    load(bias + j * kLanes);
  }
};

// Elements of Weight for one output in each step of the inputs, and inputs that a step takes.
template <class Codec>
constexpr std::int64_t kWidth = std::is_same_v<Codec, Int8> ? 2 : 1;
template <class Codec>
constexpr std::int64_t kTaken = std::is_same_v<Codec, Float> ? 1 : 2;

// What the panels of one matrix have in common for M rows of x, and where they write.
template <class Codec>
struct Task {
  const typename Codec::Value *x;
  std::int64_t ldx;
  const float *step;  // int8: of each row of x
  float *y;
  std::int64_t ldy;
};

// One panel of NV vectors for M rows, in parts whose sums fit the registers.
template <class Codec, int NV, int M>
__attribute__((noinline)) void panel(const Matrix &matrix, std::int64_t vector, const typename Codec::Weight *w,
                                     const Task<Codec> &task) {
  constexpr int U = streams(NV);
  constexpr int kFit = kSums / (M * U) < 1 ? 1 : kSums / (M * U);
  constexpr int kPart = kFit < NV ? kFit : NV;
  constexpr std::int64_t kStride = kWidth<Codec> * NV * kLanes;
  for (int j = 0; j < NV; j += kPart) {
    const std::int64_t first = (vector + j) * kLanes;
    Vec out[M][kPart];
    Codec::template multiply<kPart, M, U>({w + kWidth<Codec> * j * kLanes, kStride, task.x, task.ldx, matrix.inputs},
                                          matrix.bias + first, matrix.scale + first, task.step, out);
    for (int m = 0; m < M; ++m)
      for (int i = 0; i < kPart; ++i) store(task.y + m * task.ldy + first + i * kLanes, out[m][i]);
  }
}

template <class Codec, int M>
HALTERE_INLINE void panel_of(int vectors, const Matrix &matrix, std::int64_t first, const typename Codec::Weight *w,
                             const Task<Codec> &task, std::int64_t row) {
  const Task<Codec> rows{task.x + row * task.ldx, task.ldx, task.step + row, task.y + row * task.ldy, task.ldy};
  if (vectors == 8) panel<Codec, 8, M>(matrix, first, w, rows);
  else if (vectors == 4) panel<Codec, 4, M>(matrix, first, w, rows);
  else if (vectors == 2) panel<Codec, 2, M>(matrix, first, w, rows);
  else panel<Codec, 1, M>(matrix, first, w, rows);
}

// Panel by panel, so that a panel's weights are still in cache for the next rows.
template <class Codec>
HALTERE_INLINE void panels(const Matrix &matrix, const Task<Codec> &task, std::int64_t rows) {
  const auto *w = static_cast<const typename Codec::Weight *>(matrix.panels);
  const std::int64_t each = kWidth<Codec> * kLanes * ((matrix.inputs + kTaken<Codec> - 1) / kTaken<Codec>);
  for (std::int64_t vector = 0; vector < matrix.vectors;) {
    const std::int64_t left = matrix.vectors - vector;
    const int taken = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) panel_of<Codec, 4>(taken, matrix, vector, w, task, row);
    if (row + 2 <= rows) {
      panel_of<Codec, 2>(taken, matrix, vector, w, task, row);
      row += 2;
    }
    if (row < rows) panel_of<Codec, 1>(taken, matrix, vector, w, task, row);
    w += taken * each;
    vector += taken;
  }
}

// y[row] = W x[row] + b for up to kMostRows rows. Whole vectors are written: each row of y has room for matrix.vectors
// of them. `spare` is rounded_scratch of the rows and inputs.
HALTERE_INLINE void linear(const Matrix &matrix, const float *x, std::int64_t ldx, float *y, std::int64_t ldy,
                           std::int64_t rows, float *spare) {
  float step[kMostRows];
  if (matrix.precision == HALTERE_F32) return panels<Float>(matrix, {x, ldx, step, y, ldy}, rows);
  if (matrix.precision == HALTERE_BF16) return panels<Bfloat>(matrix, {x, ldx, step, y, ldy}, rows);
  auto *rounded = reinterpret_cast<std::int16_t *>(spare);
  const std::int64_t size = (matrix.inputs + 2 * kLanes) / kLanes * kLanes;
  for (std::int64_t row = 0; row < rows; ++row)
    step[row] = round_off(x + row * ldx, matrix.inputs, matrix.steps, rounded + row * size);
  panels<Int8>(matrix, {rounded, size, step, y, ldy}, rows);
}

}  // namespace
