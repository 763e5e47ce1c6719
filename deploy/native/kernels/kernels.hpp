// What the two halves of the library share: plain packed networks, and the table of functions that run them.
//
// One half checks, folds and packs; it is compiled once, for any processor. The other (isa/) runs, and is compiled
// once for each instruction set. Only plain structures cross: an inline function that both halves used would exist
// once in the linked library, possibly compiled for instructions that the processor doesn't have. Functions here are
// therefore static.
#pragma once

#include <cstdint>

namespace haltere::kernels {

// Lanes that share one pass over the weights: the first of these whose scratch isn't too large.
constexpr std::int64_t kBlocks[] = {16, 4, 1};

// Rows of one layer at once: both tokens of a block's lanes.
constexpr std::int64_t kMostRows = 2 * kBlocks[0];

// Features of the swarm policy at most: 13 of its own, 6 for each of 8 neighbours, 5 of the grid; in whole vectors.
constexpr std::int64_t kMaxFeatures = 80;

// An op chooses so few at most.
constexpr std::int64_t kMaxChosen = 64;

enum class Activation : std::int32_t { kNone, kTanh, kGelu, kSilu };

// Vectors of the widest panel: of a layer for few rows, and of one for as many rows as there are tokens.
constexpr std::int64_t kWide = 8, kNarrow = 1;

// Beside haltere_precision: bfloat16's weights as whole multiples of a step for each output, at most kMostFixed of
// them.
constexpr std::int32_t kFixed = 3, kMostFixed = 8191;

// Inputs whose products with those are added up exactly before they are added to others as floats.
constexpr std::int64_t kRun = 64;

// A layer as the vector code reads it. Outputs go in panels of 8, 4, 2 and 1 vectors, as many as fit, or of one alone
// (kNarrow); a panel holds its outputs' weights for one input (for two, but of float32) after those for the one before.
// Outputs that only fill up the last vector have weights, bias and scale of zero.
struct Matrix {
  const void *panels;
  const float *bias;   // [vectors * lanes]
  const float *scale;  // whole numbers: what one step of the weights is worth, [vectors * lanes]
  std::int32_t outputs, inputs, vectors;
  std::int32_t precision;  // haltere_precision, or kFixed
  std::int32_t steps;      // whole numbers: the largest quantised activation, so small that no sum overflows 32 bits
};

struct DenseNet {
  Matrix layer;
  Activation activation;
  std::int64_t block;
};

struct TwoTokenNet {
  Matrix score;  // query^T key / sqrt(width)
  Matrix mix;    // out value
  const float *norm_w, *norm_b;
  std::int64_t width, padded;  // padded: width rounded up to whole vectors
  std::int64_t block;
};

struct SwarmNet {
  Matrix self, neighbour, obstacle, fuse, head;
  TwoTokenNet attention;
  std::int64_t neighbours;
};

struct ExpertsNet {
  const Matrix *gate, *up, *down;  // [experts]
  std::int64_t experts, top_k, block;
};

struct ChunksNet {
  Matrix relevance;     // summary_key^T summary_query / sqrt(width)
  Matrix query;         // / sqrt(width / heads)
  const Matrix *key;    // [heads]: transposed, from a head's query to the width
  const Matrix *value;  // [heads]: from the width to a head's part
  Matrix out;
  std::int64_t width, padded, heads, top_k, block;
};

struct DenoiserNet {
  Matrix steer;        // six vectors of the width from one: shift, scale and gate of either half
  bool given;          // those six are an input, and there is no such matrix
  const Matrix *into;  // [heads]: a head's query / sqrt(width / heads), key and value. Narrow, as those that follow
  Matrix out;
  const Matrix *up, *down;  // [parts]: to and from kPart of the hidden values each, and what is left of them
  std::int64_t width, padded, heads, parts, block;
};

// Hidden values that are computed, and used, before the next ones: so few that they stay in the nearest cache.
constexpr std::int64_t kPart = 256;

// Sizes of one run that the network doesn't fix.
struct ExpertsSizes {
  std::int64_t lanes_each;  // lanes that share one row of logits
};
struct ChunksSizes {
  std::int64_t chunks, steps;
};
struct DenoiserSizes {
  std::int64_t tokens;
};

// How one instruction set runs each network, on lanes [begin, end) of its batch.
struct Kernels {
  const char *name;
  std::int32_t lanes;  // floats in a vector
  std::int32_t fixed;  // 1: kFixed is faster than bfloat16
  void (*dense)(const DenseNet &net, const float *const *in, float *const *out, std::int64_t begin, std::int64_t end,
                float *scratch);
  void (*two_token)(const TwoTokenNet &net, const float *const *in, float *const *out, std::int64_t begin,
                    std::int64_t end, float *scratch);
  void (*swarm)(const SwarmNet &net, const float *const *in, float *const *out, std::int64_t begin, std::int64_t end,
                float *scratch);
  void (*experts)(const ExpertsNet &net, const ExpertsSizes &sizes, const float *const *in, float *const *out,
                  std::int64_t begin, std::int64_t end, float *scratch);
  void (*chunks)(const ChunksNet &net, const ChunksSizes &sizes, const float *const *in, float *const *out,
                 std::int64_t begin, std::int64_t end, float *scratch);
  void (*denoiser)(const DenoiserNet &net, const DenoiserSizes &sizes, const float *const *in, float *const *out,
                   std::int64_t begin, std::int64_t end, float *scratch);
};

// Floats of scratch for rows of activations rounded to 16 bits.
static inline std::int64_t rounded_scratch(std::int64_t rows, std::int64_t inputs) { return rows * (inputs / 2 + 32); }

// Floats of scratch for rows that are turned: an even number of inputs, and less than a vector behind the last.
static inline std::int64_t turned_scratch(std::int64_t rows, std::int64_t inputs, std::int64_t lanes) {
  return rows * (inputs + inputs % 2) + lanes;
}

}  // namespace haltere::kernels
