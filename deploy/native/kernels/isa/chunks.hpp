// Hierarchical attention of one query over chunks of remembered steps. No step is projected: a head's query is carried
// back through the key matrix instead, and the value matrix comes after the weighted sum.
#pragma once

#include "choice.hpp"
#include "dense.hpp"

namespace {

using haltere::kernels::ChunksNet;
using haltere::kernels::ChunksSizes;

// What one lane's attention reads and writes. Rows of `padded` floats for each head.
struct Heads {
  const float *query;
  float *context;
  float *score;  // rows of `steps` in whole vectors
  std::int64_t width, padded, steps;
};

// `W`: the width is a whole number of vectors.
template <bool W>
HALTERE_INLINE Vec load_part(const float *from, std::int64_t left) {
  return W ? load(from) : load_some(from, left);
}

// score[h][t] = query[h] . x[t] for H heads and S steps.
template <bool W, int H, int S>
HALTERE_INLINE void score_steps(const Heads &heads, const float *x, std::int64_t head, std::int64_t step) {
  constexpr int kSets = (H * S + kLanes - 1) / kLanes;
  Vec sum[kSets][kLanes] = {};
  const float *row = x + step * heads.width, *query = heads.query + head * heads.padded;
  for (std::int64_t i = 0; i < heads.width; i += kLanes) {
    Vec value[S];
    for (int s = 0; s < S; ++s) value[s] = load_part<W>(row + s * heads.width + i, heads.width - i);
    for (int h = 0; h < H; ++h) {
      const Vec q = load(query + h * heads.padded + i);
      for (int s = 0; s < S; ++s) sum[(h * S + s) / kLanes][(h * S + s) % kLanes] += q * value[s];
    }
  }
  float score[kSets * kLanes];
  for (int set = 0; set < kSets; ++set) store(score + set * kLanes, sums_of(sum[set]));
  for (int h = 0; h < H; ++h)
    for (int s = 0; s < S; ++s) heads.score[(head + h) * whole(heads.steps) + step + s] = score[h * S + s];
}

// context[h] += sum over steps of score[h][t] x[t] for H heads and V vectors of the width.
template <bool W, int H, int V>
HALTERE_INLINE void add_steps(const Heads &heads, const float *x, std::int64_t head, std::int64_t from) {
  Vec sum[H][V];
  float *context = heads.context + head * heads.padded + from;
  const float *score = heads.score + head * whole(heads.steps);
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) sum[h][v] = load(context + h * heads.padded + v * kLanes);
  for (std::int64_t step = 0; step < heads.steps; ++step) {
    Vec value[V];
    const float *row = x + step * heads.width + from;
    for (int v = 0; v < V; ++v) value[v] = load_part<W>(row + v * kLanes, heads.width - from - v * kLanes);
    for (int h = 0; h < H; ++h)
      for (int v = 0; v < V; ++v) sum[h][v] += score[h * whole(heads.steps) + step] * value[v];
  }
  for (int h = 0; h < H; ++h)
    for (int v = 0; v < V; ++v) store(context + h * heads.padded + v * kLanes, sum[h][v]);
}

// Attend inside one chunk of steps x with H heads at once; the result counts `weight`.
template <bool W, int H>
__attribute__((noinline)) void attend_steps(const Heads &heads, const float *x, std::int64_t head, float weight) {
  constexpr int kSteps = kSums / H < 4 ? kSums / H : 4;
  std::int64_t step = 0;
  for (; step + kSteps <= heads.steps; step += kSteps) score_steps<W, H, kSteps>(heads, x, head, step);
  for (; step < heads.steps; ++step) score_steps<W, H, 1>(heads, x, head, step);
  for (int h = 0; h < H; ++h) softmax(heads.score + (head + h) * whole(heads.steps), heads.steps, weight);
  std::int64_t i = 0;
  for (; i + kSteps * kLanes <= heads.padded; i += kSteps * kLanes) add_steps<W, H, kSteps>(heads, x, head, i);
  for (; i < heads.padded; i += kLanes) add_steps<W, H, 1>(heads, x, head, i);
}

template <bool W>
HALTERE_INLINE void attend_chunk(const Heads &heads, const float *x, std::int64_t count, float weight) {
  std::int64_t head = 0;
  for (; head + 4 <= count; head += 4) attend_steps<W, 4>(heads, x, head, weight);
  if (head + 2 <= count) {
    attend_steps<W, 2>(heads, x, head, weight);
    head += 2;
  }
  if (head < count) attend_steps<W, 1>(heads, x, head, weight);
}

// relevance[c] = query . summary[c] for the next kLanes chunks, or as many as there are.
template <bool W>
HALTERE_INLINE void compare(const float *query, const float *summary, std::int64_t count, std::int64_t width,
                            float *relevance) {
  Vec sum[kLanes] = {};
  for (std::int64_t i = 0; i < width; i += kLanes) {
    const Vec q = load(query + i);
#pragma GCC unroll 16
    for (int c = 0; c < kLanes; ++c)
      if (c < count) sum[c] += q * load_part<W>(summary + c * width + i, width - i);
  }
  store(relevance, sums_of(sum));
}

// Scratch of one block, as ChunksNet's sizes cut it.
struct ChunksScratch {
  float *relevant, *query, *carried, *context, *joined, *relevance, *score, *spare;

  ChunksScratch(const ChunksNet &net, const ChunksSizes &sizes, std::int64_t block, float *from) {
    const std::int64_t row = block * (net.padded + kLanes), heads = block * net.heads * net.padded;
    relevant = from;
    query = relevant + row;
    carried = query + row;
    context = carried + heads;
    joined = context + heads;
    relevance = joined + row;
    score = relevance + whole(sizes.chunks);
    spare = score + net.heads * whole(sizes.steps);
  }
};

// Choose the chunks of one lane and attend inside them; leaves the lane's context. Returns how many were chosen.
template <bool W>
HALTERE_INLINE std::int64_t read_memory(const ChunksNet &net, const ChunksSizes &sizes, const float *const *in,
                                        std::int64_t lane, std::int64_t row, const ChunksScratch &scratch,
                                        float *weights) {
  const std::int64_t width = net.width, chunks = sizes.chunks, per_head = net.heads * net.padded;
  const float *memory = in[2] + lane * chunks * sizes.steps * width;
  const float *relevant = scratch.relevant + row * net.padded, *summary = in[1] + lane * chunks * width;
  Chosen chosen;
  for (std::int64_t chunk = 0; chunk < chunks; chunk += kLanes)
    compare<W>(relevant, summary + chunk * width, chunks - chunk, width, scratch.relevance + chunk);
  choose(scratch.relevance, in[3] ? in[3] + lane * chunks : nullptr, chunks, net.top_k, chosen);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) weights[chunk] = 0.0f;
  float *context = scratch.context + row * per_head;
  for (std::int64_t i = 0; i < per_head; i += kLanes) store(context + i, Vec{});
  if (chosen.count == 0) return 0;
  softmax(chosen.weight, chosen.count, 1.0f);
  const Heads heads{scratch.carried + row * per_head, context, scratch.score, width, net.padded, sizes.steps};
  for (std::int64_t i = 0; i < chosen.count; ++i) {
    weights[chosen.index[i]] = chosen.weight[i];
    attend_chunk<W>(heads, memory + chosen.index[i] * sizes.steps * width, net.heads, chosen.weight[i]);
  }
  return chosen.count;
}

void run_chunks(const ChunksNet &net, const ChunksSizes &sizes, const float *const *in, float *const *out,
                std::int64_t begin, std::int64_t end, float *memory) {
  const std::int64_t width = net.width, padded = net.padded, part = width / net.heads, per_head = net.heads * padded;
  const std::int64_t row_size = padded + kLanes, block = least(net.block, end - begin);
  const ChunksScratch scratch(net, sizes, block, memory);
  for (std::int64_t lane = begin; lane < end; lane += block) {
    const std::int64_t rows = least(block, end - lane);
    const float *query = in[0] + lane * width;
    linear(net.relevance, query, width, scratch.relevant, padded, rows, scratch.spare);
    linear(net.query, query, width, scratch.query, row_size, rows, scratch.spare);
    for (std::int64_t head = 0; head < net.heads; ++head)
      linear(net.key[head], scratch.query + head * part, row_size, scratch.carried + head * padded, per_head, rows,
             scratch.spare);
    std::int64_t found[kMostRows];
    for (std::int64_t row = 0; row < rows; ++row) {
      float *weights = out[1] + (lane + row) * sizes.chunks;
      found[row] = width == padded ? read_memory<true>(net, sizes, in, lane + row, row, scratch, weights)
                                   : read_memory<false>(net, sizes, in, lane + row, row, scratch, weights);
    }
    // A head's part may end inside a vector: what fills that up is overwritten by the next head.
    for (std::int64_t head = 0; head < net.heads; ++head)
      linear(net.value[head], scratch.context + head * padded, per_head, scratch.joined + head * part, row_size, rows,
             scratch.spare);
    linear(net.out, scratch.joined, row_size, scratch.query, padded, rows, scratch.spare);
    copy_rows(scratch.query, padded, out[0] + lane * width, width, rows);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t i = 0; i < width && found[row] == 0; ++i) out[0][(lane + row) * width + i] = 0.0f;
  }
}

}  // namespace
