// A model's contract as constants, and the check that a robot's code means the same numbers.
//
// The robot's code states what it measures and what it moves; a velocity in the wrong frame has the right shape, and
// no later check finds it:
//
//     #include "policy_contract.hpp"                     // haltere run MODEL --cpp policy_contract.hpp
//     constexpr haltere::TensorSpec kMeasured[] = {{"obs.self", 1, {19}, "position minus goal [m], ..."}, ...};
//     constexpr haltere::TensorSpec kMoved = {"action", 1, {4}, "thrust of each motor, ..."};
//     static_assert(haltere::fits(policy::kContract, kMeasured, kMoved));      // at compile time, or
//     if (auto wrong = haltere::mismatch(policy::kContract, kMeasured, kMoved); !wrong.empty()) fail(wrong);
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace haltere {

inline constexpr int kMaxRank = 8;

// One named array of float32, of one lane.
struct TensorSpec {
  std::string_view name;  // obs.<key> or action
  int32_t rank;
  int64_t shape[kMaxRank];
  std::string_view unit;  // unit and frame in words, as the task states them

  constexpr int64_t size() const {
    int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= shape[axis];
    return product;
  }
};

// What a runtime must know about a model. Observations lie end to end in the order of `inputs`.
struct Contract {
  std::string_view task;     // Gymnasium id of the task that it was trained for
  std::string_view policy;   // type of the network
  std::string_view weights;  // SHA-256 of the trained weights
  int64_t period_ns;         // control period
  std::span<const TensorSpec> inputs;
  TensorSpec action;
  std::span<const float> action_low, action_high;
  std::span<const float> safe_action = {};  // what the task calls safe; empty where it says nothing

  constexpr int64_t obs_size() const {
    int64_t sum = 0;
    for (const TensorSpec& input : inputs) sum += input.size();
    return sum;
  }
};

constexpr bool same_shape(const TensorSpec& a, const TensorSpec& b) {
  if (a.rank != b.rank) return false;
  for (int axis = 0; axis < a.rank; ++axis)
    if (a.shape[axis] != b.shape[axis]) return false;
  return true;
}

constexpr bool same(const TensorSpec& a, const TensorSpec& b) {
  return a.name == b.name && same_shape(a, b) && a.unit == b.unit;
}

// Whether a robot gives and takes what the model does: names, order, shapes and units.
constexpr bool fits(const Contract& model, std::span<const TensorSpec> inputs, const TensorSpec& action) {
  if (inputs.size() != model.inputs.size() || !same(action, model.action)) return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!same(inputs[i], model.inputs[i])) return false;
  return true;
}

namespace detail {

// Levenshtein's distance: how many letters must be put in, taken out or changed.
inline size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

inline std::string nearest(std::string_view name, std::span<const TensorSpec> others) {
  size_t best = name.size() / 2;
  std::string hint;
  for (const TensorSpec& other : others)
    if (const size_t distance = edits(name, other.name); distance < best) {
      best = distance;
      hint = " (is " + std::string(other.name) + " meant?)";
    }
  return hint;
}

inline std::string shape_text(const TensorSpec& tensor) {
  std::string text = "(";
  for (int axis = 0; axis < tensor.rank; ++axis) text += (axis ? ", " : "") + std::to_string(tensor.shape[axis]);
  return text + ")";
}

inline std::string difference(const char* who, const TensorSpec& got, const TensorSpec& wanted) {
  const std::string start = std::string(got.name) + ": the " + who + "'s ";
  if (!same_shape(got, wanted)) return start + "shape is " + shape_text(got) + ", the model's " + shape_text(wanted);
  if (got.unit == wanted.unit) return "";
  return start + "unit is '" + std::string(got.unit) + "', the model's '" + std::string(wanted.unit) + "'";
}

inline const TensorSpec* find(std::string_view name, std::span<const TensorSpec> in) {
  const auto at = std::find_if(in.begin(), in.end(), [&](const TensorSpec& tensor) { return tensor.name == name; });
  return at == in.end() ? nullptr : &*at;
}

}  // namespace detail

// The first thing in which a robot's declaration differs from the model's contract, as a sentence; empty where none.
inline std::string mismatch(const Contract& model, std::span<const TensorSpec> inputs, const TensorSpec& action) {
  for (const TensorSpec& wanted : model.inputs) {
    const TensorSpec* got = detail::find(wanted.name, inputs);
    if (!got) return "the source declares no " + std::string(wanted.name) + detail::nearest(wanted.name, inputs);
    if (std::string wrong = detail::difference("source", *got, wanted); !wrong.empty()) return wrong;
  }
  for (const TensorSpec& got : inputs)
    if (!detail::find(got.name, model.inputs))
      return "the model takes no " + std::string(got.name) + detail::nearest(got.name, model.inputs);
  if (action.name != model.action.name) return "the sink must declare 'action', got '" + std::string(action.name) + "'";
  if (std::string wrong = detail::difference("sink", action, model.action); !wrong.empty()) return wrong;
  if (fits(model, inputs, action)) return "";
  return "the source must declare each observation once, in the model's order, beginning with " +
         std::string(model.inputs.front().name);
}

}  // namespace haltere
