#include <algorithm>

#include "op.hpp"

namespace haltere::kernels {

namespace {

class Experts final : public haltere_op {
 public:
  explicit Experts(const Request &request) : haltere_op(request) {
    const Tensors w = request.weights;
    expect("gate", w[0], {kAny, kAny, kAny});
    const std::int64_t experts = w[0].dim[0], hidden = w[0].dim[1], inputs = w[0].dim[2];
    expect("up", w[1], {experts, hidden, inputs});
    expect("down", w[2], {experts, kAny, hidden});
    inputs_ = inputs;
    hidden_ = hidden;
    outputs_ = w[2].dim[1];
    net_.experts = experts;
    net_.top_k = request.attributes.get("top_k");
    expect_within("top_k", net_.top_k, 1, std::min(experts, kMaxChosen));
    net_.block = block_of(info.name, [&](std::int64_t block) { return floats(block); });
    net_.gate = each(request, w[0]);
    net_.up = each(request, w[1]);
    net_.down = each(request, w[2]);
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    if (in[0].rank < 1 || in[0].dim[in[0].rank - 1] != inputs_)
      throw Refusal("x must be (..., " + std::to_string(inputs_) + "), got " + shape_text(in[0]));
    if (in[1].rank < 1 || in[1].dim[in[1].rank - 1] != net_.experts)
      throw Refusal("logits must be (..., " + std::to_string(net_.experts) + "), got " + shape_text(in[1]));
    // Logits may leave out the last dimensions of x: (B, T, D) with (B, E).
    bool fits = in[1].rank <= in[0].rank;
    for (std::int32_t i = 0; fits && i + 1 < in[1].rank; ++i) fits = in[1].dim[i] == in[0].dim[i];
    if (!fits)
      throw Refusal("logits must have the first dimensions of x, " + shape_text(in[0]) + ", got " + shape_text(in[1]));
    out[0].rank = in[0].rank;
    std::copy_n(in[0].dim, in[0].rank, out[0].dim);
    out[0].dim[in[0].rank - 1] = outputs_;
  }

  std::int64_t lanes(Tensors in) const override { return rows_of(in[0]); }

  std::int64_t scratch(Tensors) const override { return floats(net_.block); }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data, in[1].data};
    float *to[] = {out[0].data};
    kernels.experts(net_, {rows_of(in[0]) / rows_of(in[1])}, from, to, begin, end, scratch);
  }

 private:
  // One matrix for each expert of `weights`, (experts, outputs, inputs).
  const Matrix *each(const Request &request, const haltere_tensor &weights) {
    auto *to = arena.take<Matrix>(static_cast<std::size_t>(weights.dim[0]));
    const std::int64_t size = weights.dim[1] * weights.dim[2];
    for (std::int64_t i = 0; i < weights.dim[0]; ++i)
      to[i] = pack(arena, kernels, {weights.data + i * size, nullptr, weights.dim[1], weights.dim[2]},
                   request.precision);
    return to;
  }

  // The sum, one expert's gate, up and result, and a block of activations rounded to 16 bits.
  std::int64_t floats(std::int64_t block) const {
    const std::int64_t hidden = padded(kernels, hidden_), outputs = padded(kernels, outputs_);
    return 2 * block * (outputs + hidden) + rounded_scratch(block, std::max(inputs_, hidden_));
  }

  ExpertsNet net_{};
  std::int64_t inputs_, hidden_, outputs_;
};

}  // namespace

std::unique_ptr<haltere_op> make_experts(const Request &request) { return std::make_unique<Experts>(request); }

}  // namespace haltere::kernels
