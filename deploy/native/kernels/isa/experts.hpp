// A mixture of gated linear units: each lane goes through the few experts that its logits choose.
#pragma once

#include "choice.hpp"
#include "dense.hpp"

namespace {

using haltere::kernels::ExpertsNet;
using haltere::kernels::ExpertsSizes;

// total (+)= weight * down(silu(gate(x)) * up(x)) for `rows` lanes.
HALTERE_INLINE void add_expert(const ExpertsNet &net, std::int64_t expert, float weight, bool first, const float *x,
                               std::int64_t rows, float *total, float *scratch) {
  const std::int64_t inputs = net.gate[expert].inputs, hidden = net.gate[expert].vectors * kLanes;
  const std::int64_t padded = net.down[expert].vectors * kLanes;
  float *gate = scratch, *up = gate + rows * hidden, *part = up + rows * hidden;
  float *spare = part + rows * padded;
  linear(net.gate[expert], x, inputs, gate, hidden, rows, spare);
  linear(net.up[expert], x, inputs, up, hidden, rows, spare);
  for (std::int64_t i = 0; i < rows * hidden; i += kLanes)
    store(gate + i, weight * silu_of(load(gate + i)) * load(up + i));
  linear(net.down[expert], gate, hidden, part, padded, rows, spare);
  for (std::int64_t i = 0; i < rows * padded; i += kLanes)
    store(total + i, first ? load(part + i) : load(total + i) + load(part + i));
}

void run_experts(const ExpertsNet &net, const ExpertsSizes &sizes, const float *const *in, float *const *out,
                 std::int64_t begin, std::int64_t end, float *scratch) {
  const std::int64_t inputs = net.gate[0].inputs, outputs = net.down[0].outputs;
  const std::int64_t padded = net.down[0].vectors * kLanes, each = sizes.lanes_each;
  Chosen chosen;
  for (std::int64_t lane = begin, rows; lane < end; lane += rows) {
    const std::int64_t same = each - lane % each;  // lanes left that these logits are for
    rows = least(least(net.block, end - lane), same);
    choose(in[1] + lane / each * net.experts, nullptr, net.experts, net.top_k, chosen);
    softmax(chosen.weight, chosen.count, 1.0f);
    for (std::int64_t i = 0; i < chosen.count; ++i)
      add_expert(net, chosen.index[i], chosen.weight[i], i == 0, in[0] + lane * inputs, rows, scratch,
                 scratch + rows * padded);
    copy_rows(scratch, padded, out[0] + lane * outputs, outputs, rows);
  }
}

}  // namespace
