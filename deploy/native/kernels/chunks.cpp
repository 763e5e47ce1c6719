#include <cmath>
#include <vector>

#include "op.hpp"

namespace haltere::kernels {

namespace {

// Places of the weights.
enum {
  kSummaryQuery,
  kSummaryQueryBias,
  kSummaryKey,
  kQuery,
  kQueryBias,
  kKey,
  kValue,
  kValueBias,
  kOut,
  kOutBias
};

class Chunks final : public haltere_op {
 public:
  explicit Chunks(const Request &request) : haltere_op(request) {
    const Tensors w = request.weights;
    expect("summary_query_w", w[kSummaryQuery], {kAny, kAny});
    const std::int64_t d = w[kSummaryQuery].dim[0];
    check(w, d);
    net_.width = d;
    net_.padded = padded(kernels, d);
    net_.heads = request.attributes.get("heads");
    expect_within("heads", net_.heads, 1, d);
    if (d % net_.heads != 0)
      throw Refusal("heads must divide the width " + std::to_string(d) + ", got " + std::to_string(net_.heads));
    net_.top_k = request.attributes.get("top_k");
    expect_within("top_k", net_.top_k, 1, kMaxChosen);
    net_.block = block_of(info.name, [&](std::int64_t block) { return floats(block); });
    pack_relevance(request);
    pack_heads(request);
    net_.out = pack(arena, kernels, {w[kOut].data, w[kOutBias].data, d, d}, request.precision);
  }

  void shapes(Tensors in, std::span<haltere_tensor> out) const override {
    expect("query", in[0], {kAny, net_.width});
    const std::int64_t lanes = in[0].dim[0];
    expect("summary", in[1], {lanes, kAny, net_.width});
    expect("memory", in[2], {lanes, in[1].dim[1], kAny, net_.width});
    if (in.size() > 3) expect("valid", in[3], {lanes, in[1].dim[1]});
    set_shape(out[0], {lanes, net_.width});
    set_shape(out[1], {lanes, in[1].dim[1]});
  }

  std::int64_t lanes(Tensors in) const override { return in[0].dim[0]; }

  std::int64_t scratch(Tensors in) const override {
    return floats(net_.block) + padded(kernels, in[2].dim[1]) + net_.heads * padded(kernels, in[2].dim[2]);
  }

  void run(Tensors in, Tensors out, std::int64_t begin, std::int64_t end, float *scratch) const override {
    const float *from[] = {in[0].data, in[1].data, in[2].data, in.size() > 3 ? in[3].data : nullptr};
    float *to[] = {out[0].data, out[1].data};
    kernels.chunks(net_, {in[2].dim[1], in[2].dim[2]}, from, to, begin, end, scratch);
  }

 private:
  static void check(Tensors w, std::int64_t d) {
    expect("summary_query_w", w[kSummaryQuery], {d, d});
    expect("summary_query_b", w[kSummaryQueryBias], {d});
    expect("summary_key_w", w[kSummaryKey], {d, d});
    expect("query_w", w[kQuery], {d, d});
    expect("query_b", w[kQueryBias], {d});
    expect("key_w", w[kKey], {d, d});
    expect("value_w", w[kValue], {d, d});
    expect("value_b", w[kValueBias], {d});
    expect("out_w", w[kOut], {d, d});
    expect("out_b", w[kOutBias], {d});
  }

  // relevance = summary . (summary_key^T (summary_query x + b)) / sqrt(d): the two matrices become one.
  void pack_relevance(const Request &request) {
    const Tensors w = request.weights;
    const std::int64_t d = net_.width;
    const double scale = 1.0 / std::sqrt(static_cast<double>(d));
    const auto both = product(w[kSummaryKey].data, w[kSummaryQuery].data, d, true, scale);
    std::vector<float> bias(static_cast<std::size_t>(d));
    for (std::int64_t i = 0; i < d; ++i) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < d; ++k)
        sum += static_cast<double>(w[kSummaryKey].data[k * d + i]) * w[kSummaryQueryBias].data[k];
      bias[static_cast<std::size_t>(i)] = static_cast<float>(scale * sum);
    }
    net_.relevance = pack(arena, kernels, {both.data(), bias.data(), d, d}, request.precision);
  }

  void pack_heads(const Request &request) {
    const Tensors w = request.weights;
    const std::int64_t d = net_.width, part = d / net_.heads;
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(part)));
    std::vector<float> query(w[kQuery].data, w[kQuery].data + d * d), bias(w[kQueryBias].data, w[kQueryBias].data + d);
    for (float &value : query) value *= scale;
    for (float &value : bias) value *= scale;
    net_.query = pack(arena, kernels, {query.data(), bias.data(), d, d}, request.precision);
    auto *key = arena.take<Matrix>(static_cast<std::size_t>(net_.heads));
    auto *value = arena.take<Matrix>(static_cast<std::size_t>(net_.heads));
    std::vector<float> turned(static_cast<std::size_t>(d * part));
    for (std::int64_t head = 0; head < net_.heads; ++head) {
      const float *rows = w[kKey].data + head * part * d;
      for (std::int64_t i = 0; i < d; ++i)
        for (std::int64_t k = 0; k < part; ++k) turned[static_cast<std::size_t>(i * part + k)] = rows[k * d + i];
      key[head] = pack(arena, kernels, {turned.data(), nullptr, d, part}, request.precision);
      value[head] = pack(arena, kernels, {w[kValue].data + head * part * d, w[kValueBias].data + head * part, part, d},
                         request.precision);
    }
    net_.key = key;
    net_.value = value;
  }

  // As ChunksScratch cuts it, without what depends on the sizes of a run.
  std::int64_t floats(std::int64_t block) const {
    return block * (3 * (net_.padded + kernels.lanes) + 2 * net_.heads * net_.padded) +
           rounded_scratch(block, net_.width);
  }

  ChunksNet net_{};
};

}  // namespace

std::unique_ptr<haltere_op> make_chunks(const Request &request) { return std::make_unique<Chunks>(request); }

}  // namespace haltere::kernels
