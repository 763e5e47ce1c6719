// One row of the table of kernels as a custom operator of ONNX Runtime.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "values.hpp"

namespace haltere::ort {

constexpr int kMaxOps = 64;

// What a session asks for.
struct Settings {
  int threads = 1;
  haltere_precision precision = HALTERE_F32;
  bool operator==(const Settings &) const = default;
};

// Names of one row of the kernels' table; an optional one stands in [brackets].
struct Names {
  std::vector<std::string> names;
  std::size_t needed = 0;

  explicit Names(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find(' '), text.size());
      names.emplace_back(text.substr(0, end));
      needed += text[0] != '[';
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  std::size_t size() const { return names.size(); }
};

// One operator for sessions of the same settings. ONNX Runtime holds a pointer to its base for as long as it likes.
struct Operator : OrtCustomOp {
  Operator(int index, const haltere_op_info &info, Api api, Settings settings);

  int index;
  const char *name;
  Names inputs, weights, outputs, attributes;
  Api api;
  Settings settings;
};

// How often each row of the table was run.
extern std::atomic<std::int64_t> calls[kMaxOps];

}  // namespace haltere::ort
