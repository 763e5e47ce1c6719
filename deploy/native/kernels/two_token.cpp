#include <cmath>

#include "op.hpp"

namespace haltere::kernels {

namespace {

class TwoToken final : public haltere_op {
 public:
  explicit TwoToken(const Request &request) : haltere_op(request) {
    const Tensors w = request.weights;
    expect("query", w[0], {kAny, kAny});
    const std::int64_t h = w[0].dim[0];
    expect("query", w[0], {h, h});
    expect("key", w[1], {h, h});
    expect("value", w[2], {h, h});
    expect("out", w[3], {h, h});
    expect("norm_w", w[4], {h});
    expect("norm_b", w[5], {h});
    net_.width = h;
    net_.padded = padded(kernels, h);
    const std::int64_t block = block_of(info.name, [&](std::int64_t count) { return floats(count); });
    net_ = pack_two_token(arena, request, w, h);
    net_.block = block;
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    expect("first", in[0], {kAny, net_.width});
    expect("second", in[1], {in[0].dim[0], net_.width});
    set_shape(out[0], {in[0].dim[0], 2, net_.width});
    set_shape(out[1], {in[0].dim[0], 2});
  }

  std::int64_t lanes(Tensors in) const override { return in[0].dim[0]; }

  std::int64_t scratch(Tensors) const override { return floats(net_.block); }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data, in[1].data};
    float *to[] = {out[0].data, out[1].data};
    kernels.two_token(net_, from, to, begin, end, scratch);
  }

 private:
  // Both tokens and their difference, both attended tokens, and what attend() takes.
  std::int64_t floats(std::int64_t block) const {
    return 8 * block * net_.padded + rounded_scratch(2 * block, net_.width);
  }

  TwoTokenNet net_{};
};

}  // namespace

TwoTokenNet pack_two_token(Arena &arena, const Request &request, Tensors w, std::int64_t width) {
  const Kernels &kernels = request.kernels;
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const auto score = product(w[0].data, w[1].data, width, true, scale);
  const auto mix = product(w[3].data, w[2].data, width, false, 1.0);
  TwoTokenNet net{};
  net.score = pack(arena, kernels, {score.data(), nullptr, width, width}, request.precision);
  net.mix = pack(arena, kernels, {mix.data(), nullptr, width, width}, request.precision);
  net.norm_w = pack_vector(arena, kernels, w[4].data, width);
  net.norm_b = pack_vector(arena, kernels, w[5].data, width);
  net.width = width;
  net.padded = padded(kernels, width);
  return net;
}

std::unique_ptr<haltere_op> make_two_token(const Request &request) { return std::make_unique<TwoToken>(request); }

}  // namespace haltere::kernels
