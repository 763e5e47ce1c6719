#include <algorithm>
#include <cmath>
#include <vector>

#include "op.hpp"

namespace haltere::kernels {

namespace {

// Places of the weights; before those of a DenoiserBlock are steer_w and steer_b.
enum { kInto, kIntoBias, kOut, kOutBias, kUp, kUpBias, kDown, kDownBias };
constexpr std::size_t kSteers = 2;

// Bytes of weights from which on they get memory of their own.
constexpr std::int64_t kMuch = 1 << 20;

class Denoiser final : public haltere_op {
 public:
  explicit Denoiser(const Request &request) : haltere_op(request) {
    net_.given = std::string_view(info.name) == "SteeredBlock";
    const Tensors w = request.weights.subspan(net_.given ? 0 : kSteers);
    expect("out_w", w[kOut], {kAny, kAny});
    const std::int64_t d = w[kOut].dim[0];
    if (!net_.given) check_steer(request.weights, d);
    check(w, d);
    hidden_ = w[kUp].dim[0];
    net_.width = d;
    net_.padded = padded(kernels, d);
    net_.heads = request.attributes.get("heads");
    expect_within("heads", net_.heads, 1, d);
    if (d % net_.heads != 0)
      throw Refusal("heads must divide the width " + std::to_string(d) + ", got " + std::to_string(net_.heads));
    net_.block = block_of(info.name, [&](std::int64_t block) { return floats(block, block); });
    reserve(request);
    const auto layer = [&](Tensors from, std::int64_t widest) {
      return pack(arena, kernels, {from[0].data, from[1].data, from[0].dim[0], from[0].dim[1]}, request.precision,
                  widest);
    };
    if (!net_.given) net_.steer = layer(request.weights, kWide);
    pack_heads(request, w);
    net_.out = layer(w.subspan(kOut), kNarrow);
    pack_parts(request, w);
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    expect("x", in[0], {kAny, kAny, net_.width});
    if (net_.given)
      expect("steer", in[1], {in[0].dim[0], 1, 6 * net_.width});
    else
      expect("steering", in[1], {in[0].dim[0], net_.width});
    set_shape(out[0], {in[0].dim[0], in[0].dim[1], net_.width});
  }

  std::int64_t lanes(Tensors in) const override { return in[0].dim[0]; }

  std::int64_t scratch(Tensors in) const override {
    return floats(std::min(net_.block, in[0].dim[1]), in[0].dim[1]);
  }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data, in[1].data};
    float *to[] = {out[0].data};
    kernels.denoiser(net_, {in[0].dim[1]}, from, to, begin, end, scratch);
  }

 private:
  static void check_steer(Tensors w, std::int64_t d) {
    expect("steer_w", w[0], {6 * d, d});
    expect("steer_b", w[1], {6 * d});
  }

  static void check(Tensors w, std::int64_t d) {
    expect("into_w", w[kInto], {3 * d, d});
    expect("into_b", w[kIntoBias], {3 * d});
    expect("out_w", w[kOut], {d, d});
    expect("out_b", w[kOutBias], {d});
    expect("up_w", w[kUp], {kAny, d});
    expect("up_b", w[kUpBias], {w[kUp].dim[0]});
    expect("down_w", w[kDown], {d, w[kUp].dim[0]});
    expect("down_b", w[kDownBias], {d});
  }

  // All packed weights, where they are so many that it matters.
  void reserve(const Request &request) {
    const std::int64_t d = net_.width, size = request.precision == HALTERE_F32    ? 4
                                              : request.precision == HALTERE_BF16 ? 2
                                                                                  : 1;
    const std::int64_t bytes = size * ((net_.given ? 4 : 10) * d * d + 2 * d * hidden_);
    if (bytes >= kMuch) arena.reserve(static_cast<std::size_t>(bytes + bytes / 16));
  }

  // Each head by itself, so that its queries, keys and values are near when they meet.
  void pack_heads(const Request &request, Tensors w) {
    const float *from = w[kInto].data, *bias = w[kIntoBias].data;
    const std::int64_t d = net_.width, each = d / net_.heads;
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(each)));
    std::vector<float> weights(static_cast<std::size_t>(3 * each * d)), biases(static_cast<std::size_t>(3 * each));
    auto *into = arena.take<Matrix>(static_cast<std::size_t>(net_.heads));
    for (std::int64_t head = 0; head < net_.heads; ++head) {
      for (std::int64_t kind = 0; kind < 3; ++kind) {
        const std::int64_t first = kind * d + head * each;
        const float factor = kind == 0 ? scale : 1.0f;
        for (std::int64_t i = 0; i < each * d; ++i)
          weights[static_cast<std::size_t>(kind * each * d + i)] = factor * from[first * d + i];
        for (std::int64_t i = 0; i < each; ++i)
          biases[static_cast<std::size_t>(kind * each + i)] = factor * bias[first + i];
      }
      into[head] = pack(arena, kernels, {weights.data(), biases.data(), 3 * each, d}, request.precision, kNarrow);
    }
    round_once(into, net_.heads);
    net_.into = into;
  }

  // The feed-forward part for kPart hidden values by themselves, so that they needn't be kept.
  void pack_parts(const Request &request, Tensors w) {
    const std::int64_t d = net_.width;
    net_.parts = (hidden_ + kPart - 1) / kPart;
    auto *up = arena.take<Matrix>(static_cast<std::size_t>(net_.parts));
    auto *down = arena.take<Matrix>(static_cast<std::size_t>(net_.parts));
    std::vector<float> weights(static_cast<std::size_t>(d * kPart));
    for (std::int64_t part = 0; part < net_.parts; ++part) {
      const std::int64_t first = part * kPart, size = std::min(kPart, hidden_ - first);
      up[part] = pack(arena, kernels, {w[kUp].data + first * d, w[kUpBias].data + first, size, d}, request.precision,
                      kNarrow);
      for (std::int64_t output = 0; output < d; ++output)
        std::copy_n(w[kDown].data + output * hidden_ + first, size, weights.data() + output * size);
      const float *bias = part == 0 ? w[kDownBias].data : nullptr;
      down[part] = pack(arena, kernels, {weights.data(), bias, d, size}, request.precision, kNarrow);
    }
    round_once(up, net_.parts);
    net_.up = up;
    net_.down = down;
  }

  // Have matrices that multiply the same activations round them alike.
  static void round_once(Matrix *matrix, std::int64_t count) {
    const auto coarser = [](const Matrix &a, const Matrix &b) { return a.steps < b.steps; };
    const std::int32_t steps = std::min_element(matrix, matrix + count, coarser)->steps;
    for (std::int64_t i = 0; i < count; ++i) matrix[i].steps = steps;
  }

  // As DenoiserScratch cuts it.
  std::int64_t floats(std::int64_t block, std::int64_t tokens) const {
    const std::int64_t d = net_.width, each = d / net_.heads, wide = net_.padded;
    const std::int64_t across = padded(kernels, tokens), lanes = kernels.lanes, part = std::min(kPart, hidden_);
    const std::int64_t both = padded(kernels, 6 * d) + lanes + turned_scratch(block, d, lanes) +
                              block * std::max(wide, padded(kernels, 3 * each)) + lanes +
                              rounded_scratch(block, std::max(d, part));
    const std::int64_t attention = each * across + tokens * padded(kernels, each) + block * across;
    const std::int64_t feed_forward = block * (wide + padded(kernels, part)) + turned_scratch(block, part, lanes);
    return both + std::max(attention, feed_forward);
  }

  DenoiserNet net_{};
  std::int64_t hidden_ = 0;
};

}  // namespace

std::unique_ptr<haltere_op> make_denoiser(const Request &request) { return std::make_unique<Denoiser>(request); }

}  // namespace haltere::kernels
