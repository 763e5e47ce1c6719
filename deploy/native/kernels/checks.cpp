// What all operators check in the same words.
#include <algorithm>

#include "op.hpp"

namespace haltere::kernels {

std::string shape_text(const haltere_tensor &tensor) {
  std::string text = "(";
  for (std::int32_t i = 0; i < tensor.rank; ++i) text += (i ? ", " : "") + std::to_string(tensor.dim[i]);
  return text + ")";
}

// Nothing is put into words, and so nothing allocated, unless it is wrong: every run comes through here.
void expect(std::string_view what, const haltere_tensor &tensor, std::initializer_list<std::int64_t> wanted) {
  bool fits = tensor.rank == static_cast<std::int32_t>(wanted.size());
  const std::int64_t *got = tensor.dim;
  for (const std::int64_t size : wanted) fits = fits && (size == kAny || *got == size) && ++got;
  if (fits) return;
  std::string text;
  for (const std::int64_t size : wanted)
    text += (text.empty() ? "" : ", ") + (size == kAny ? "any" : std::to_string(size));
  throw Refusal(std::string(what) + " must be (" + text + "), got " + shape_text(tensor));
}

void expect_within(std::string_view what, std::int64_t got, std::int64_t least, std::int64_t most) {
  if (got >= least && got <= most) return;
  throw Refusal(std::string(what) + " must be from " + std::to_string(least) + " to " + std::to_string(most) +
                ", got " + std::to_string(got));
}

void set_shape(haltere_tensor &tensor, std::initializer_list<std::int64_t> shape) {
  tensor.rank = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.dim);
}

std::int64_t rows_of(const haltere_tensor &tensor) {
  std::int64_t rows = 1;
  for (std::int32_t i = 0; i + 1 < tensor.rank; ++i) rows *= tensor.dim[i];
  return rows;
}

std::int64_t Attributes::get(std::string_view name) const {
  for (const haltere_attribute &attribute : given_)
    if (attribute.name && name == attribute.name) return attribute.value;
  throw Refusal("attribute '" + std::string(name) + "' is missing");
}

}  // namespace haltere::kernels
