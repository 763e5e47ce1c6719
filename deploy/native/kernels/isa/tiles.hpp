// Matrix products of bfloat16 in a processor's tiles (AMX): 16 rows by 16 outputs by 32 inputs an instruction.
//
// A tile of weights is what pack.cpp lays out for one vector of outputs anyway: 16 steps of two inputs, one after the
// other.
#pragma once

#include "linear.hpp"

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && HALTERE_LANES == 16
#define HALTERE_TILES 1
#else
#define HALTERE_TILES 0
#endif

#if HALTERE_TILES
namespace {

// Steps, of two inputs each, that a tile holds.
constexpr std::int64_t kDeep = 16;
// Bytes of one step: a row's of what is multiplied, and all 16 outputs' of the weights.
constexpr std::int64_t kPair = 4, kStepBytes = 64;

// Tiles 0 to 3 hold the sums of four vectors of outputs; then what is multiplied, whole tiles and the last steps that
// fill none. The compiler wants them spelled out.
#define HALTERE_ROWS 4
#define HALTERE_WEIGHTS 5
#define HALTERE_LAST_ROWS 6
#define HALTERE_LAST_WEIGHTS 7

// The processor's own layout of tile shapes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start = 0, unused[14] = {};
  std::uint16_t bytes[16] = {};  // of a row
  std::uint8_t rows[16] = {};

  TileShapes(std::int64_t tall, std::int64_t last) {
    for (int j = 0; j < 4; ++j) shape(j, tall, kStepBytes);
    shape(HALTERE_ROWS, tall, kDeep * kPair);
    shape(HALTERE_WEIGHTS, kDeep, kStepBytes);
    if (last == 0) return;
    shape(HALTERE_LAST_ROWS, tall, last * kPair);
    shape(HALTERE_LAST_WEIGHTS, last, kStepBytes);
  }

 private:
  void shape(int tile, std::int64_t high, std::int64_t wide) {
    rows[tile] = static_cast<std::uint8_t>(high);
    bytes[tile] = static_cast<std::uint16_t>(wide);
  }
};

// Rows of bfloat16 side by side, at most kDeep of them, that a matrix is multiplied with.
struct TileRows {
  const void *values;
  std::int64_t bytes;  // from one row to the next
  std::int64_t steps;  // of two inputs each
};

// NV vectors of outputs for all rows, which begin as what `from` has for them: every `from_bytes`, or all alike.
template <int NV>
__attribute__((noinline)) void tile_strip(const TileRows &x, const std::uint32_t *w, const float *from,
                                          std::int64_t from_bytes, float *y, std::int64_t ldy) {
  const std::int64_t across = x.steps * kLanes;
  const auto *row = static_cast<const char *>(x.values);
  _tile_loadd(0, from, from_bytes);
  if constexpr (NV > 1) _tile_loadd(1, from + kLanes, from_bytes);
  if constexpr (NV > 2) _tile_loadd(2, from + 2 * kLanes, from_bytes);
  if constexpr (NV > 3) _tile_loadd(3, from + 3 * kLanes, from_bytes);
#define HALTERE_MULTIPLY(j, rows, weights)            \
  if constexpr (NV > j) {                             \
    _tile_loadd(weights, w + j * across, kStepBytes); \
    _tile_dpbf16ps(j, rows, weights);                 \
  }
  std::int64_t step = 0;
  for (; step + kDeep <= x.steps; step += kDeep, row += kDeep * kPair, w += kDeep * kLanes) {
    _tile_loadd(HALTERE_ROWS, row, x.bytes);
    HALTERE_MULTIPLY(0, HALTERE_ROWS, HALTERE_WEIGHTS)
    HALTERE_MULTIPLY(1, HALTERE_ROWS, HALTERE_WEIGHTS)
    HALTERE_MULTIPLY(2, HALTERE_ROWS, HALTERE_WEIGHTS)
    HALTERE_MULTIPLY(3, HALTERE_ROWS, HALTERE_WEIGHTS)
  }
  if (step < x.steps) {
    _tile_loadd(HALTERE_LAST_ROWS, row, x.bytes);
    HALTERE_MULTIPLY(0, HALTERE_LAST_ROWS, HALTERE_LAST_WEIGHTS)
    HALTERE_MULTIPLY(1, HALTERE_LAST_ROWS, HALTERE_LAST_WEIGHTS)
    HALTERE_MULTIPLY(2, HALTERE_LAST_ROWS, HALTERE_LAST_WEIGHTS)
    HALTERE_MULTIPLY(3, HALTERE_LAST_ROWS, HALTERE_LAST_WEIGHTS)
  }
#undef HALTERE_MULTIPLY
  const std::int64_t bytes = ldy * static_cast<std::int64_t>(sizeof(float));
  _tile_stored(0, y, bytes);
  if constexpr (NV > 1) _tile_stored(1, y + kLanes, bytes);
  if constexpr (NV > 2) _tile_stored(2, y + 2 * kLanes, bytes);
  if constexpr (NV > 3) _tile_stored(3, y + 3 * kLanes, bytes);
}

// y[row] = W x[row] + b, or y[row] += W x[row], for `rows` rows, at most kDeep. W is packed in panels of kNarrow
// vectors.
HALTERE_INLINE void tile_rows(const Matrix &matrix, const TileRows &x, std::int64_t rows, float *y, std::int64_t ldy,
                              bool onto) {
  const TileShapes shapes(rows, x.steps % kDeep);
  // The compiler isn't told that loading tiles reads memory, nor how much of the shapes is read: what was written to
  // either has to be there by now.
  asm volatile("" : : "m"(shapes) : "memory");
  _tile_loadconfig(&shapes);
  const auto *w = static_cast<const std::uint32_t *>(matrix.panels);
  const std::int64_t from_bytes = onto ? ldy * static_cast<std::int64_t>(sizeof(float)) : 0;
  for (std::int64_t vector = 0; vector < matrix.vectors;) {
    const std::int64_t left = matrix.vectors - vector, at = vector * kLanes;
    const float *from = onto ? y + at : matrix.bias + at;
    const std::uint32_t *weights = w + vector * x.steps * kLanes;
    if (left >= 4) tile_strip<4>(x, weights, from, from_bytes, y + at, ldy);
    else if (left == 3) tile_strip<3>(x, weights, from, from_bytes, y + at, ldy);
    else if (left == 2) tile_strip<2>(x, weights, from, from_bytes, y + at, ldy);
    else tile_strip<1>(x, weights, from, from_bytes, y + at, ldy);
    vector += left >= 4 ? 4 : left;
  }
  _tile_release();
}

}  // namespace
#endif
