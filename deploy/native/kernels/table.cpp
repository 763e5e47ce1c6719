#include "op.hpp"

namespace haltere::kernels {

namespace {

constexpr Row kTable[] = {
    {{"Dense", "w [b]", "x", "y", "", "one layer"}, make_dense},
    {{"DenseTanh", "w [b]", "x", "y", "", "one layer and tanh"}, make_dense},
    {{"DenseGelu", "w [b]", "x", "y", "", "one layer and GELU, by erf"}, make_dense},
    {{"DenseSilu", "w [b]", "x", "y", "", "one layer and SiLU"}, make_dense},
    {{"TwoTokenAttention", "query key value out norm_w norm_b", "first second", "tokens weight", "",
      "self-attention over two tokens, residual, layer norm"},
     make_two_token},
    {{"SwarmPolicy",
      "self_w self_b neighbour_w neighbour_b obstacle_w obstacle_b query key value out norm_w norm_b fuse_w fuse_b "
      "head_w head_b",
      "self neighbour obstacle", "action attention", "", "a whole policy for one drone of a swarm"},
     make_swarm},
    {{"GluExperts", "gate up down", "x logits", "y", "top_k", "a mixture of gated linear units"}, make_experts},
    {{"ChunkAttention",
      "summary_query_w summary_query_b summary_key_w query_w query_b key_w value_w value_b out_w out_b",
      "query summary memory [valid]", "out relevance", "heads top_k",
      "hierarchical attention of one query over chunks of remembered steps"},
     make_chunks},
    {{"DenoiserBlock", "steer_w steer_b into_w into_b out_w out_b up_w up_b down_w down_b", "x steering", "y", "heads",
      "a block of a transformer whose layer norms one vector steers"},
     make_denoiser},
    {{"SteeredBlock", "into_w into_b out_w out_b up_w up_b down_w down_b", "x steer", "y", "heads",
      "the same block, given the shifts, scales and gates that the vector makes"},
     make_denoiser},
};

}  // namespace

std::span<const Row> table() { return kTable; }

}  // namespace haltere::kernels
