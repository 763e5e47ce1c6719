#include <algorithm>
#include <string_view>

#include "op.hpp"

namespace haltere::kernels {

namespace {

class Dense final : public haltere_op {
 public:
  explicit Dense(const Request &request) : haltere_op(request) {
    const Tensors w = request.weights;
    expect("w", w[0], {kAny, kAny});
    const std::int64_t outputs = w[0].dim[0], inputs = w[0].dim[1];
    if (w.size() > 1) expect("b", w[1], {outputs});
    net_.block = block_of(info.name, [&](std::int64_t block) {
      return block * padded(kernels, outputs) + rounded_scratch(block, inputs);
    });
    net_.layer = pack(arena, kernels, {w[0].data, w.size() > 1 ? w[1].data : nullptr, outputs, inputs},
                      request.precision);
    const std::string_view name = info.name;
    net_.activation = name == "DenseTanh"   ? Activation::kTanh
                      : name == "DenseGelu" ? Activation::kGelu
                      : name == "DenseSilu" ? Activation::kSilu
                                            : Activation::kNone;
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    if (in[0].rank < 1 || in[0].dim[in[0].rank - 1] != net_.layer.inputs)
      throw Refusal("x must be (..., " + std::to_string(net_.layer.inputs) + "), got " + shape_text(in[0]));
    out[0].rank = in[0].rank;
    std::copy_n(in[0].dim, in[0].rank, out[0].dim);
    out[0].dim[in[0].rank - 1] = net_.layer.outputs;
  }

  std::int64_t lanes(Tensors in) const override { return rows_of(in[0]); }

  std::int64_t scratch(Tensors) const override {
    return net_.block * net_.layer.vectors * kernels.lanes + rounded_scratch(net_.block, net_.layer.inputs);
  }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data};
    float *to[] = {out[0].data};
    kernels.dense(net_, from, to, begin, end, scratch);
  }

 private:
  DenseNet net_{};
};

}  // namespace

std::unique_ptr<haltere_op> make_dense(const Request &request) { return std::make_unique<Dense>(request); }

}  // namespace haltere::kernels
