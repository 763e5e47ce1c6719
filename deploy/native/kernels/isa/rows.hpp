// Layers and plain products for many rows at once: strips of two vectors of outputs, whose weights go from memory to
// the nearest cache once and are read there for every next few rows.
#pragma once

#include "linear.hpp"

namespace {

using haltere::kernels::kNarrow;

// Rows whose sums for two vectors fit the registers.
constexpr int kTile = kSums / 2;

#if defined(__AVX512BF16__) && HALTERE_LANES == 16
#define HALTERE_BFLOAT_PRODUCTS 1

// Both factors are bfloat16; sums of two products are added in float32. Denormals count as zero.
struct BothBfloat {
  using Weight = std::uint32_t;  // as for Bfloat
  using Value = std::uint16_t;

  template <int NV, int M, int U, bool A>
  HALTERE_INLINE void multiply(const Part<std::uint32_t, std::uint16_t> &part, const float *bias, const float *,
                               const float *, Vec (&out)[M][NV]) {
    static_assert(U == 1);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) out[m][j] = load(bias + j * kLanes);
    const std::uint32_t *w = part.w;
    for (std::int64_t k = 0; k < part.inputs; k += 2, w += part.stride) {
      part.template fetch<A>(k / 2);
      __m512bh weight[NV];
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) weight[j] = (__m512bh)_mm512_loadu_si512(w + j * kLanes);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        std::int32_t pair;
        std::memcpy(&pair, part.x + m * part.ldx + k, sizeof pair);
        const auto both = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) out[m][j] = (Vec)_mm512_dpbf16_ps((__m512)out[m][j], weight[j], both);
      }
    }
  }
};

// Nearest bfloat16 of `inputs` values; a zero follows an odd number of them.
HALTERE_INLINE void to_bfloat(const float *x, std::int64_t inputs, std::uint16_t *to) {
  for (std::int64_t i = 0; i < inputs; i += kLanes)
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to + i),
                        (__m256i)_mm512_cvtneps_pbh((__m512)load_some(x + i, inputs - i)));
}
#else
#define HALTERE_BFLOAT_PRODUCTS 0
#endif

template <class Codec>
constexpr std::int64_t steps_of(std::int64_t inputs) {
  return (inputs + kTaken<Codec> - 1) / kTaken<Codec>;
}

// `M` rows from `row` on by the strip `part`.
template <class Codec, int NV, int M>
HALTERE_INLINE void tile(const Part<typename Codec::Weight, typename Codec::Value> &part, const float *bias,
                         const float *scale, const Task<Codec> &task, std::int64_t row) {
  Vec out[M][NV];
  const std::int64_t fetched = row / kTile * part.pace * steps_of<Codec>(part.inputs);  // by the tiles before
  Codec::template multiply<NV, M, 1, true>({part.w, part.stride, task.x + row * task.ldx, task.ldx, part.inputs,
                                            part.ahead + fetched, part.pace},
                                           bias, scale, task.step + row, out);
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store(task.y + (row + m) * task.ldy + j * kLanes, out[m][j]);
}

// NV vectors of outputs for all rows. The number of rows decides how they are taken together, and so nothing else may.
template <class Codec, int NV>
__attribute__((noinline)) void strip(const Part<typename Codec::Weight, typename Codec::Value> &part, const float *bias,
                                     const float *scale, const Task<Codec> &task, std::int64_t rows) {
  std::int64_t row = 0;
  for (; row + kTile <= rows; row += kTile) tile<Codec, NV, kTile>(part, bias, scale, task, row);
  if (kTile > 4 && row + 4 <= rows) {
    tile<Codec, NV, 4>(part, bias, scale, task, row);
    row += 4;
  }
  if (row + 2 <= rows) {
    tile<Codec, NV, 2>(part, bias, scale, task, row);
    row += 2;
  }
  if (row < rows) tile<Codec, NV, 1>(part, bias, scale, task, row);
}

// Each strip fetches the next one, which follows it, while it is computed: from beyond the nearest caches, reading takes
// as long as computing, and one shouldn't wait for the other.
template <class Codec>
HALTERE_INLINE void strips(const Matrix &matrix, const Task<Codec> &task, std::int64_t rows) {
  const auto *w = static_cast<const typename Codec::Weight *>(matrix.panels);
  const std::int64_t steps = steps_of<Codec>(matrix.inputs), tiles = (rows + kTile - 1) / kTile;
  for (std::int64_t vector = 0; vector < matrix.vectors; vector += kNarrow) {
    const std::int64_t taken = matrix.vectors - vector < kNarrow ? 1 : kNarrow, first = vector * kLanes;
    const std::int64_t stride = kWidth<Codec> * taken * kLanes;
    const auto pace = stride * static_cast<std::int64_t>(sizeof(typename Codec::Weight)) / tiles;
    const Part<typename Codec::Weight, typename Codec::Value> part{
        w, stride, task.x, task.ldx, matrix.inputs, reinterpret_cast<const char *>(w + stride * steps), pace};
    const Task<Codec> here{task.x, task.ldx, task.step, task.y + first, task.ldy};
    if (taken == 1) strip<Codec, 1>(part, matrix.bias + first, matrix.scale + first, here, rows);
    else strip<Codec, kNarrow>(part, matrix.bias + first, matrix.scale + first, here, rows);
    w += stride * steps;
  }
}

// linear() for a matrix of narrow panels, and rows by the dozen; where the processor can, bfloat16 weights meet
// activations that are rounded to bfloat16, too.
HALTERE_INLINE void linear_rows(const Matrix &matrix, const float *x, std::int64_t ldx, float *y, std::int64_t ldy,
                                std::int64_t rows, float *spare) {
  float step[kMostRows];
  const std::int64_t size = (matrix.inputs + 2 * kLanes) / kLanes * kLanes;
  if (matrix.precision == HALTERE_F32) return strips<Float>(matrix, {x, ldx, step, y, ldy}, rows);
  if (matrix.precision == HALTERE_BF16) {
#if HALTERE_BFLOAT_PRODUCTS
    auto *rounded = reinterpret_cast<std::uint16_t *>(spare);
    for (std::int64_t row = 0; row < rows; ++row) to_bfloat(x + row * ldx, matrix.inputs, rounded + row * size);
    return strips<BothBfloat>(matrix, {rounded, size, step, y, ldy}, rows);
#else
    return strips<Bfloat>(matrix, {x, ldx, step, y, ldy}, rows);
#endif
  }
  auto *rounded = reinterpret_cast<std::int16_t *>(spare);
  for (std::int64_t row = 0; row < rows; ++row)
    step[row] = round_off(x + row * ldx, matrix.inputs, matrix.steps, rounded + row * size);
  strips<Int8>(matrix, {rounded, size, step, y, ldy}, rows);
}

// y[row] = sum over i of x[row][i] w[i], where each w[i] is `vectors` vectors and follows the one before closely.
HALTERE_INLINE void product_rows(const float *w, std::int64_t vectors, const float *x, std::int64_t ldx,
                                 std::int64_t inputs, float *y, std::int64_t ldy, std::int64_t rows) {
  alignas(64) static constexpr float kZeros[kNarrow * kLanes] = {};
  for (std::int64_t vector = 0; vector < vectors; vector += kNarrow) {
    const std::int64_t first = vector * kLanes;
    const Part<float, float> part{w + first, vectors * kLanes, x, ldx, inputs, reinterpret_cast<const char *>(w), 0};
    const Task<Float> task{x, ldx, nullptr, y + first, ldy};
    if (vectors - vector < kNarrow) strip<Float, 1>(part, kZeros, kZeros, task, rows);
    else strip<Float, kNarrow>(part, kZeros, kZeros, task, rows);
  }
}

}  // namespace
