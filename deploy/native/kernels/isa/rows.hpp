// Layers and plain products for many rows at once. The rows are turned first, so that what one step of the product
// takes of them lies side by side; then a vector of outputs, or two, goes through its weights from the first to the
// last.
//
// From beyond the nearest caches, reading takes as long as computing, and neither may wait for the other: what is
// needed next is fetched meanwhile. Where all rows fit the registers with one vector of outputs, no weight is read
// twice, and a cycle asks for half as many bytes as with two vectors.
#pragma once

#include "dense.hpp"
#include "tiles.hpp"

namespace {

using haltere::kernels::kFixed;
using haltere::kernels::kRun;

// Rows whose sums for one vector fit the registers, where there are as many; and for two vectors.
constexpr int kTall = 16;
constexpr int kTile = kSums / 2;

// Each lane of all vectors becomes a vector: at every step, two vectors exchange the halves (quarters, ...) that are in
// the wrong one.
HALTERE_INLINE void transpose(Vec (&value)[kLanes]) {
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
    IVec first, second;
    for (int lane = 0; lane < kLanes; ++lane) {
      first[lane] = lane & half ? kLanes + lane - half : lane;
      second[lane] = lane & half ? kLanes + lane : lane + half;
    }
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) {
      if (j & half) continue;
      const Vec a = value[j], b = value[j + half];
      value[j] = __builtin_shuffle(a, b, first);
      value[j + half] = __builtin_shuffle(a, b, second);
    }
  }
}

// to[i * ldto + row] = x[row * ldx + i]; zeros for rows that would fill the last vector, where the next i leaves them.
HALTERE_INLINE void turn(const float *x, std::int64_t ldx, std::int64_t rows, std::int64_t inputs, float *to,
                         std::int64_t ldto) {
  for (std::int64_t i = 0; i < inputs; i += kLanes)
    // The last rows first: where they don't fill a vector, the rest of it is written again afterwards.
    for (std::int64_t group = (rows - 1) / kLanes * kLanes; group >= 0; group -= kLanes) {
      const std::int64_t count = inputs - i, high = rows - group;
      Vec square[kLanes];
#pragma GCC unroll 16
      for (int row = 0; row < kLanes; ++row)
        square[row] = row < high ? load_some(x + (group + row) * ldx + i, count) : Vec{};
      transpose(square);
#pragma GCC unroll 16
      for (int j = 0; j < kLanes; ++j)
        if (j < count) store(to + (i + j) * ldto + group, square[j]);
    }
}

// Elements between what is computed and what is fetched meanwhile: far enough for slow memory, so near that it is still
// in the second cache when its turn comes. Matrices follow each other in the order of their use.
template <class W>
constexpr std::int64_t kAhead = 32768 / sizeof(W);

// A way through the weights of one vector of outputs, or two: `across` elements from one to the other, `steps` steps.
template <class W>
struct Walk {
  const W *w;
  std::int64_t across, steps, ahead;  // ahead: how far off lies what is fetched meanwhile

  __attribute__((always_inline)) void fetch(const W *at) const { __builtin_prefetch(at + ahead, 0, 2); }
};

// One step of the inputs takes a float of each row, or two (TwoFloats), or one word of two values of 16 bits.
struct OneFloat {
  using Weight = float;

  template <int NV, int M>
  HALTERE_INLINE void multiply(const Walk<float> &walk, const float *x, std::int64_t rows, Vec (&sum)[M][NV]) {
    const float *w = walk.w;
    for (std::int64_t k = 0; k < walk.steps; ++k, w += kLanes, x += rows) {
      walk.fetch(w);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        const Vec weight = load(w + j * walk.across);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[m][j] += x[m] * weight;
      }
    }
  }
};

struct TwoFloats {
  using Weight = std::uint32_t;

  template <int NV, int M>
  HALTERE_INLINE void multiply(const Walk<std::uint32_t> &walk, const float *x, std::int64_t rows,
                               Vec (&sum)[M][NV]) {
    const std::uint32_t *w = walk.w;
    for (std::int64_t k = 0; k < walk.steps; ++k, w += kLanes, x += 2 * rows) {
      walk.fetch(w);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        const IVec both = *reinterpret_cast<const LooseIVec *>(w + j * walk.across);
        const Vec low = Bfloat::low(both), high = Bfloat::high(both);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[m][j] += x[m] * low;
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[m][j] += x[rows + m] * high;
      }
    }
  }
};

#if defined(__AVX512BF16__) && HALTERE_LANES == 16
#define HALTERE_BFLOAT_PRODUCTS 1

// Both factors are bfloat16; sums of two products are added in float32. Denormals count as zero.
struct BothBfloat {
  using Weight = std::uint32_t;

  template <int NV, int M>
  HALTERE_INLINE void multiply(const Walk<std::uint32_t> &walk, const float *x, std::int64_t rows,
                               Vec (&sum)[M][NV]) {
    const std::uint32_t *w = walk.w;
    for (std::int64_t k = 0; k < walk.steps; ++k, w += kLanes, x += rows) {
      walk.fetch(w);
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        const auto weight = (__m512bh)_mm512_loadu_si512(w + j * walk.across);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m)
          sum[m][j] = (Vec)_mm512_dpbf16_ps((__m512)sum[m][j], weight, (__m512bh)_mm512_set1_ps(x[m]));
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

// Whole numbers: int8 weights, whose sums never overflow, or those of 16 bits (kFixed), whose sums go on as floats
// after every `kRun` inputs.
template <class W>
struct Whole {
  using Weight = W;
  static constexpr std::int64_t kSteps = std::is_same_v<W, std::int8_t> ? std::int64_t{1} << 40 : kRun / 2;

  template <int NV, int M>
  HALTERE_INLINE void multiply(const Walk<W> &walk, const float *x, std::int64_t rows, Vec (&sum)[M][NV]) {
    const W *w = walk.w;
    for (std::int64_t k = 0; k < walk.steps;) {
      IVec part[M][NV] = {};
      for (const std::int64_t end = least(k + kSteps, walk.steps); k < end; ++k, w += 2 * kLanes, x += rows) {
        walk.fetch(w);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
          const IVec pair = Int8::pair_at(reinterpret_cast<const std::int16_t *>(x + m));
#pragma GCC unroll 2
          for (int j = 0; j < NV; ++j) part[m][j] = add_products(part[m][j], w + j * walk.across, pair);
        }
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) sum[m][j] += __builtin_convertvector(part[m][j], Vec);
    }
  }
};

template <class Codec>
constexpr bool kWhole = std::is_same_v<Codec, Whole<std::int8_t>> || std::is_same_v<Codec, Whole<std::int16_t>>;

// Whether one vector for all rows is better than two for half of them: not where weights are unpacked, which is then
// done twice as often for each broadcast value.
template <class Codec>
constexpr bool kMayBeTall = kSums >= kTall && !std::is_same_v<Codec, TwoFloats>;

// Rows that are ready to be multiplied by any matrix of one precision and as many inputs.
struct Turned {
  float *values;  // [steps][rows]; for tiles of bfloat16 [rows][steps]
  std::int64_t rows = 0;
  float step[kMostRows] = {};  // of whole numbers: what one of them is worth in each row
};

// What one vector of outputs, or two, is made from and where it goes.
template <class Codec>
struct Strip {
  const typename Codec::Weight *w;
  std::int64_t across, steps;  // elements from one vector's weights to the next one's
  const float *bias, *scale;
  bool onto;  // add to what is there, in place of the bias
  float *y;
  std::int64_t ldy;
};

// `M` rows from `row` on by NV vectors.
template <class Codec, int NV, int M>
HALTERE_INLINE void tile(const Strip<Codec> &strip, const Turned &x, std::int64_t row) {
  Vec sum[M][NV];
  float *y = strip.y + row * strip.ldy;
  const auto begin = [&](int m, int j) { return load((strip.onto ? y + m * strip.ldy : strip.bias) + j * kLanes); };
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) sum[m][j] = kWhole<Codec> ? Vec{} : begin(m, j);
  // Each tile fetches for one of the vectors while there are any; what they don't need twice isn't fetched twice.
  const std::int64_t number = row / (M == kTall ? kTall : kTile);
  const std::int64_t ahead = number < NV ? number * strip.across + kAhead<typename Codec::Weight> : 0;
  Codec::template multiply<NV, M>({strip.w, strip.across, strip.steps, ahead}, x.values + row, x.rows, sum);
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      if constexpr (kWhole<Codec>)
        sum[m][j] = sum[m][j] * (x.step[row + m] * load(strip.scale + j * kLanes)) + begin(m, j);
      store(y + m * strip.ldy + j * kLanes, sum[m][j]);
    }
}

// NV vectors of outputs for all rows. The number of rows decides how they are taken together, and so nothing else may.
template <class Codec, int NV>
__attribute__((noinline)) void strip_rows(const Strip<Codec> &strip, const Turned &x) {
  std::int64_t row = 0;
  for (; row + kTile <= x.rows; row += kTile) tile<Codec, NV, kTile>(strip, x, row);
  if (kTile > 4 && row + 4 <= x.rows) {
    tile<Codec, NV, 4>(strip, x, row);
    row += 4;
  }
  if (row + 2 <= x.rows) {
    tile<Codec, NV, 2>(strip, x, row);
    row += 2;
  }
  if (row < x.rows) tile<Codec, NV, 1>(strip, x, row);
}

template <class Codec>
__attribute__((noinline)) void tall_strip(const Strip<Codec> &strip, const Turned &x) {
  tile<Codec, 1, kTall>(strip, x, 0);
}

template <class Codec>
HALTERE_INLINE void strips(const Matrix &matrix, const Turned &x, float *y, std::int64_t ldy, bool onto) {
  constexpr std::int64_t kEach = std::is_same_v<Codec, OneFloat> ? 1 : 2;  // inputs of a step
  constexpr std::int64_t kSize = kWhole<Codec> ? 2 * kLanes : kLanes;      // elements of a vector's weights for one
  const std::int64_t steps = (matrix.inputs + kEach - 1) / kEach, across = steps * kSize;
  const auto *w = static_cast<const typename Codec::Weight *>(matrix.panels);
  for (std::int64_t vector = 0; vector < matrix.vectors;) {
    const std::int64_t at = vector * kLanes;
    const auto *from = w + vector * across;
    const Strip<Codec> strip{from, across, steps, matrix.bias + at, matrix.scale + at, onto, y + at, ldy};
    const bool tall = kMayBeTall<Codec> && x.rows == kTall;
    const int taken = tall || vector + 1 == matrix.vectors ? 1 : 2;
    if (tall) tall_strip(strip, x);
    else if (taken == 1) strip_rows<Codec, 1>(strip, x);
    else strip_rows<Codec, 2>(strip, x);
    vector += taken;
  }
}

// Make `rows` rows of x ready for linear_rows. `spare` is rounded_scratch of the rows and inputs; x itself may not be
// where `to` is.
HALTERE_INLINE void prepare(const Matrix &matrix, const float *x, std::int64_t ldx, std::int64_t rows, float *spare,
                            Turned &to) {
  const std::int64_t inputs = matrix.inputs, size = (inputs + 2 * kLanes) / kLanes * kLanes;
  to.rows = rows;
  if (matrix.precision == HALTERE_F32) return turn(x, ldx, rows, inputs, to.values, rows);
  if (matrix.precision == HALTERE_BF16) {
#if HALTERE_TILES
    // In order, since what is written behind the end of a row is the next one's.
    auto *rounded = reinterpret_cast<std::uint16_t *>(to.values);
    for (std::int64_t row = 0; row < rows; ++row)
      to_bfloat(x + row * ldx, inputs, rounded + row * (inputs + inputs % 2));
    return;
#elif HALTERE_BFLOAT_PRODUCTS
    auto *rounded = reinterpret_cast<std::uint16_t *>(spare);
    for (std::int64_t row = 0; row < rows; ++row) to_bfloat(x + row * ldx, inputs, rounded + row * size);
#else
    turn(x, ldx, rows, inputs, to.values, rows);
    for (std::int64_t row = 0; inputs % 2 && row < rows; ++row) to.values[inputs * rows + row] = 0.0f;
    return;
#endif
  } else {
    auto *rounded = reinterpret_cast<std::int16_t *>(spare);
    for (std::int64_t row = 0; row < rows; ++row)
      to.step[row] = round_off(x + row * ldx, inputs, matrix.steps, rounded + row * size);
  }
  turn(spare, size / 2, rows, (inputs + 1) / 2, to.values, rows);
}

// y[row] = W x[row] + b, or y[row] += W x[row], in whole vectors. W is packed in panels of kNarrow vectors.
HALTERE_INLINE void linear_rows(const Matrix &matrix, const Turned &x, float *y, std::int64_t ldy, bool onto = false) {
  if (matrix.precision == HALTERE_F32) return strips<OneFloat>(matrix, x, y, ldy, onto);
  if (matrix.precision == HALTERE_INT8) return strips<Whole<std::int8_t>>(matrix, x, y, ldy, onto);
#if HALTERE_FIXED_PRODUCTS
  if (matrix.precision == kFixed) return strips<Whole<std::int16_t>>(matrix, x, y, ldy, onto);
#endif
#if HALTERE_TILES
  const std::int64_t steps = (matrix.inputs + 1) / 2;
  tile_rows(matrix, {x.values, steps * kPair, steps}, x.rows, y, ldy, onto);
#elif HALTERE_BFLOAT_PRODUCTS
  strips<BothBfloat>(matrix, x, y, ldy, onto);
#else
  strips<TwoFloats>(matrix, x, y, ldy, onto);
#endif
}

// y[row] = sum over i of x[row][i] w[i], where each w[i] is `vectors` vectors and follows the one before closely.
template <int NV, int M>
HALTERE_INLINE void product_tile(const float *w, std::int64_t stride, const float *x, std::int64_t ldx,
                                 std::int64_t inputs, float *y, std::int64_t ldy) {
  alignas(64) static constexpr float kZeros[NV * kLanes] = {};
  Vec out[M][NV];
  Float::multiply<NV, M, 1>({w, stride, x, ldx, inputs}, kZeros, kZeros, kZeros, out);
  for (int m = 0; m < M; ++m)
    for (int j = 0; j < NV; ++j) store(y + m * ldy + j * kLanes, out[m][j]);
}

template <int NV>
__attribute__((noinline)) void product_strip(const float *w, std::int64_t stride, const float *x, std::int64_t ldx,
                                             std::int64_t inputs, float *y, std::int64_t ldy, std::int64_t rows) {
  std::int64_t row = 0;
  for (; row + kTile <= rows; row += kTile)
    product_tile<NV, kTile>(w, stride, x + row * ldx, ldx, inputs, y + row * ldy, ldy);
  for (; row < rows; ++row) product_tile<NV, 1>(w, stride, x + row * ldx, ldx, inputs, y + row * ldy, ldy);
}

HALTERE_INLINE void product_rows(const float *w, std::int64_t vectors, const float *x, std::int64_t ldx,
                                 std::int64_t inputs, float *y, std::int64_t ldy, std::int64_t rows) {
  for (std::int64_t vector = 0; vector < vectors; vector += 2) {
    const std::int64_t first = vector * kLanes;
    if (vector + 1 == vectors) product_strip<1>(w + first, vectors * kLanes, x, ldx, inputs, y + first, ldy, rows);
    else product_strip<2>(w + first, vectors * kLanes, x, ldx, inputs, y + first, ldy, rows);
  }
}

}  // namespace
