// What every operator is to the C interface.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "haltere/kernels.h"
#include "kernels.hpp"
#include "pack.hpp"

namespace haltere::kernels {

// One sentence for haltere_error.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Tensors = std::span<const haltere_tensor>;

// A size that may be anything from one on.
inline constexpr std::int64_t kAny = -1;

// "(4, 33)"
std::string shape_text(const haltere_tensor &tensor);

// Refuse `tensor` unless its shape is `wanted`.
void expect(std::string_view what, const haltere_tensor &tensor, std::initializer_list<std::int64_t> wanted);

// Refuse a number outside [least, most].
void expect_within(std::string_view what, std::int64_t got, std::int64_t least, std::int64_t most);

// Sets rank and dim.
void set_shape(haltere_tensor &tensor, std::initializer_list<std::int64_t> shape);

// Product of all sizes but the last.
std::int64_t rows_of(const haltere_tensor &tensor);

// The attributes that an op was given.
class Attributes {
 public:
  explicit Attributes(std::span<const haltere_attribute> given) : given_(given) {}
  std::int64_t get(std::string_view name) const;  // throws Refusal where it wasn't given

 private:
  std::span<const haltere_attribute> given_;
};

// All that a new op is made of. The counts fit the table, and the weights are finite.
struct Request {
  const haltere_op_info &info;
  Tensors weights;
  Attributes attributes;
  haltere_precision precision;
  const Kernels &kernels;
};

// How many lanes go through the weights at once, given the floats of scratch that `count` of them take. Throws Refusal
// where even one lane's are too many.
template <class Floats>
std::int64_t block_of(std::string_view op, const Floats &floats) {
  for (const std::int64_t block : kBlocks)
    if (floats(block) * static_cast<std::int64_t>(sizeof(float)) <= HALTERE_MAX_SCRATCH) return block;
  throw Refusal(std::string(op) + " of this size would take more than 256 KiB of scratch memory");
}

}  // namespace haltere::kernels

struct haltere_op {
  explicit haltere_op(const haltere::kernels::Request &request) : info(request.info), kernels(request.kernels) {}
  virtual ~haltere_op() = default;

  // Shapes of the outputs. Throws Refusal where the inputs, which are as many as the table says, don't fit.
  virtual void shapes(haltere::kernels::Tensors inputs, std::span<haltere_tensor> outputs) const = 0;
  // Lanes that these inputs, which fit, hold.
  virtual std::int64_t lanes(haltere::kernels::Tensors inputs) const = 0;
  // Floats of scratch for inputs that fit.
  virtual std::int64_t scratch(haltere::kernels::Tensors inputs) const = 0;
  virtual void run(haltere::kernels::Tensors inputs, haltere::kernels::Tensors outputs, std::int64_t begin,
                   std::int64_t end, float *scratch) const = 0;

  const haltere_op_info &info;
  const haltere::kernels::Kernels &kernels;
  haltere::kernels::Arena arena;
};

namespace haltere::kernels {

struct Row {
  haltere_op_info info;
  std::unique_ptr<haltere_op> (*make)(const Request &request);
};

// The table of operators, in table.cpp.
std::span<const Row> table();

std::unique_ptr<haltere_op> make_dense(const Request &request);
std::unique_ptr<haltere_op> make_two_token(const Request &request);
std::unique_ptr<haltere_op> make_swarm(const Request &request);
std::unique_ptr<haltere_op> make_experts(const Request &request);
std::unique_ptr<haltere_op> make_chunks(const Request &request);
std::unique_ptr<haltere_op> make_denoiser(const Request &request);

// The two matrices and the norm of attention over two tokens from query, key, value, out, norm_w and norm_b, all of
// which have been checked; in two_token.cpp.
TwoTokenNet pack_two_token(Arena &arena, const Request &request, Tensors weights, std::int64_t width);

// The instruction sets of this processor, the best one last; in processor.cpp.
std::span<const Kernels *const> instruction_sets();

}  // namespace haltere::kernels
