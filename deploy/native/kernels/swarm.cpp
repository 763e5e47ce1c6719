#include "op.hpp"

namespace haltere::kernels {

namespace {

constexpr std::int64_t kMaxNeighbours = 8;

class Swarm final : public haltere_op {
 public:
  explicit Swarm(const Request &request) : haltere_op(request) {
    const Tensors w = request.weights;
    expect("self_w", w[0], {kAny, 13});
    const std::int64_t h = w[0].dim[0];
    expect("neighbour_w", w[2], {h, kAny});
    const std::int64_t inputs = w[2].dim[1];
    if (inputs % 6 != 0 || inputs / 6 > kMaxNeighbours)
      throw Refusal("neighbour_w must have 6 inputs for each of 1 to 8 neighbours, got " + shape_text(w[2]));
    check_rest(w, h);
    net_.neighbours = inputs / 6;
    net_.attention.width = h;
    net_.attention.padded = padded(kernels, h);
    const std::int64_t block = block_of(info.name, [&](std::int64_t count) { return floats(count); });
    // The first layers and the last one are small, and what they read and write has units: these stay as they are.
    const auto layer = [&](std::size_t i, haltere_precision precision) {
      return pack(arena, kernels, {w[i].data, w[i + 1].data, w[i].dim[0], w[i].dim[1]}, precision);
    };
    net_.self = layer(0, HALTERE_F32);
    net_.neighbour = layer(2, HALTERE_F32);
    net_.obstacle = layer(4, HALTERE_F32);
    net_.attention = pack_two_token(arena, request, w.subspan(6, 6), h);
    net_.attention.block = block;
    net_.fuse = layer(12, request.precision);
    net_.head = layer(14, HALTERE_F32);
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    expect("self", in[0], {kAny, 19});
    expect("neighbour", in[1], {in[0].dim[0], net_.neighbours, 6});
    expect("obstacle", in[2], {in[0].dim[0], 9});
    set_shape(out[0], {in[0].dim[0], 4});
    set_shape(out[1], {in[0].dim[0], 2});
  }

  std::int64_t lanes(Tensors in) const override { return in[0].dim[0]; }

  std::int64_t scratch(Tensors) const override { return floats(net_.attention.block); }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data, in[1].data, in[2].data};
    float *to[] = {out[0].data, out[1].data};
    kernels.swarm(net_, from, to, begin, end, scratch);
  }

 private:
  static void check_rest(Tensors w, std::int64_t h) {
    expect("self_b", w[1], {h});
    expect("neighbour_b", w[3], {h});
    expect("obstacle_w", w[4], {h, w[4].rank == 2 && w[4].dim[1] == 5 ? 5 : 4});  // 5: with the slope's steepness
    expect("obstacle_b", w[5], {h});
    expect("query", w[6], {h, h});
    expect("key", w[7], {h, h});
    expect("value", w[8], {h, h});
    expect("out", w[9], {h, h});
    expect("norm_w", w[10], {h});
    expect("norm_b", w[11], {h});
    expect("fuse_w", w[12], {h, 3 * h});
    expect("fuse_b", w[13], {h});
    expect("head_w", w[14], {4, h});
    expect("head_b", w[15], {4});
  }

  // The features, the three encoded vectors and a difference, both attended tokens, the fused vector, and what
  // attend() or the head takes.
  std::int64_t floats(std::int64_t block) const {
    const std::int64_t width = net_.attention.padded;
    return block * (kMaxFeatures + 10 * width + kernels.lanes) + rounded_scratch(2 * block, 3 * width);
  }

  SwarmNet net_{};
};

}  // namespace

std::unique_ptr<haltere_op> make_swarm(const Request &request) { return std::make_unique<Swarm>(request); }

}  // namespace haltere::kernels
