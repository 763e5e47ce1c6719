// Packed weights that several nodes have in common.
#pragma once

#include <memory>
#include <span>

#include "operator.hpp"

namespace haltere::ort {

using Packed = std::shared_ptr<const haltere_op>;

// The operator of these constants: one that another node which names the same ones holds at this moment, or a new one.
// A chunk's refinements that are laid out one after another name each weight once for each of them; packed anew
// every time, they would no longer fit the caches. Throws Refusal where the constants don't fit.
Packed packed(const Operator &type, std::span<const haltere_tensor> weights, std::span<const haltere_attribute> numbers);

// Bytes of all that nodes hold at this moment.
std::int64_t packed_bytes();

}  // namespace haltere::ort
