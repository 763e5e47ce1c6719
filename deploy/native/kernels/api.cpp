// The C interface: arguments in, one sentence out where they're wrong, and no exception past this file.
#include <alloca.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <new>

#include "op.hpp"
#include "pool.hpp"

using haltere::kernels::Attributes;
using haltere::kernels::Kernels;
using haltere::kernels::Refusal;
using haltere::kernels::Row;
using haltere::kernels::Tensors;

namespace {

constexpr std::size_t kMostArrays = 4;  // inputs or outputs of any op
constexpr std::int64_t kMostFloats = std::int64_t{1} << 40;
constexpr std::size_t kCacheLine = 64;

// One run, checked: what the threads that share it read.
struct Run {
  const haltere_op &op;
  Tensors inputs, outputs;
  std::size_t scratch;  // bytes
};

thread_local char last_error[512] = "";

std::atomic<const Kernels *> chosen{nullptr};

const Kernels &chosen_set() {
  const Kernels *set = chosen.load();
  return set ? *set : *haltere::kernels::instruction_sets().back();
}

// Do `work`; where it refuses, keep the sentence and return `failed`.
template <class T, class Work>
T guarded(T failed, const Work &work) {
  try {
    return work();
  } catch (const std::bad_alloc &) {
    std::snprintf(last_error, sizeof last_error, "not enough memory");
  } catch (const std::exception &error) {
    std::snprintf(last_error, sizeof last_error, "%s", error.what());
  }
  return failed;
}

// Names in a row of the table: all, and those that aren't in [brackets].
std::pair<int, int> count_names(std::string_view names) {
  int all = 0, needed = 0;
  for (std::size_t at = 0; at < names.size(); at = std::min(names.find(' ', at), names.size() - 1) + 1) {
    ++all;
    needed += names[at] != '[';
  }
  return {all, needed};
}

void check_count(const haltere_op_info &info, const char *kind, int got, const char *names) {
  const auto [all, needed] = count_names(names);
  if (got >= needed && got <= all) return;
  throw Refusal(std::string(info.name) + " has " + std::to_string(all) + " " + kind + " (" + names + "), got " +
                std::to_string(got));
}

Tensors span_of(const haltere_tensor *from, int count) {
  if (count < 0 || (count && !from)) throw Refusal("the arrays are missing");
  return {from, static_cast<std::size_t>(count)};
}

// Floats in an array. Throws Refusal where it can't be one.
std::int64_t check_array(const char *kind, std::size_t index, const haltere_tensor &tensor) {
  const auto what = [&] { return std::string(kind) + " " + std::to_string(index); };
  if (tensor.rank < 0 || tensor.rank > HALTERE_MAX_RANK)
    throw Refusal(what() + " must have a rank from 0 to 6, got " + std::to_string(tensor.rank));
  std::int64_t size = 1;
  for (int i = 0; i < tensor.rank; ++i) {
    if (tensor.dim[i] < 1 || tensor.dim[i] > kMostFloats / size)
      throw Refusal(what() + " has no possible shape: " + haltere::kernels::shape_text(tensor));
    size *= tensor.dim[i];
  }
  return size;
}

void check_data(const char *kind, std::size_t index, const haltere_tensor &tensor) {
  if (!tensor.data) throw Refusal(std::string(kind) + " " + std::to_string(index) + " has no data");
}

void check_inputs(const haltere_op &op, Tensors inputs) {
  check_count(op.info, "inputs", static_cast<int>(inputs.size()), op.info.inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) check_array("input", i, inputs[i]);
}

// Where an array lies in memory. It has been checked.
struct Extent {
  const float *begin, *end;

  explicit Extent(const haltere_tensor &tensor) : begin(tensor.data), end(tensor.data) {
    std::int64_t size = 1;
    for (int i = 0; i < tensor.rank; ++i) size *= tensor.dim[i];
    end += size;
  }
  bool meets(const Extent &other) const { return begin < other.end && other.begin < end; }
};

// A lane that is written must not be one that is yet to be read.
void check_apart(Tensors inputs, Tensors outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto refuse = [&](const char *kind, std::size_t j) {
      throw Refusal("output " + std::to_string(i) + " overlaps " + kind + " " + std::to_string(j));
    };
    for (std::size_t j = 0; j < inputs.size(); ++j)
      if (Extent(outputs[i]).meets(Extent(inputs[j]))) refuse("input", j);
    for (std::size_t j = 0; j < i; ++j)
      if (Extent(outputs[i]).meets(Extent(outputs[j]))) refuse("output", j);
  }
}

void check_outputs(const haltere_op &op, Tensors inputs, Tensors outputs) {
  check_count(op.info, "outputs", static_cast<int>(outputs.size()), op.info.outputs);
  haltere_tensor wanted[kMostArrays];
  op.shapes(inputs, {wanted, outputs.size()});
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check_array("output", i, outputs[i]);
    check_data("output", i, outputs[i]);
    if (wanted[i].rank != outputs[i].rank || !std::equal(wanted[i].dim, wanted[i].dim + wanted[i].rank, outputs[i].dim))
      throw Refusal("output " + std::to_string(i) + " must be " + haltere::kernels::shape_text(wanted[i]) + ", got " +
                    haltere::kernels::shape_text(outputs[i]));
  }
}

// Bytes of scratch that the run takes. Throws Refusal where an array doesn't fit.
std::size_t check_run(const haltere_op &op, Tensors inputs, Tensors outputs) {
  check_inputs(op, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) check_data("input", i, inputs[i]);
  check_outputs(op, inputs, outputs);
  check_apart(inputs, outputs);
  const auto bytes = static_cast<std::size_t>(op.scratch(inputs)) * sizeof(float);
  if (bytes > HALTERE_MAX_SCRATCH) throw Refusal("inputs of this size would take more than 256 KiB of scratch memory");
  return bytes;
}

// Lanes [begin, end) on this thread, with the scratch on its stack.
void run_part(const void *data, std::int64_t begin, std::int64_t end) {
  const Run &run = *static_cast<const Run *>(data);
  const auto address = reinterpret_cast<std::uintptr_t>(alloca(run.scratch + kCacheLine));
  run.op.run(run.inputs, run.outputs, begin, end,
             reinterpret_cast<float *>((address + kCacheLine - 1) / kCacheLine * kCacheLine));
}

void check_weights(const haltere_op_info &info, Tensors weights) {
  check_count(info, "weights", static_cast<int>(weights.size()), info.weights);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::int64_t size = check_array("weight", i, weights[i]);
    check_data("weight", i, weights[i]);
    if (!std::all_of(weights[i].data, weights[i].data + size, [](float value) { return std::isfinite(value); }))
      throw Refusal("weight " + std::to_string(i) + " holds NaN or infinity");
  }
}

}  // namespace

struct haltere_call {
  const haltere_op *op;
  haltere_tensor inputs[kMostArrays], outputs[kMostArrays];
  std::size_t n_inputs, n_outputs, scratch;
  std::int64_t lanes;
  int threads;
};

extern "C" {

int haltere_abi(void) { return HALTERE_ABI; }

const char *haltere_isa(void) { return chosen_set().name; }

const char *haltere_isa_name(int index) {
  const auto sets = haltere::kernels::instruction_sets();
  return index >= 0 && index < static_cast<int>(sets.size()) ? sets[static_cast<std::size_t>(index)]->name : nullptr;
}

int haltere_use_isa(const char *name) {
  return guarded(-1, [&] {
    std::string names;
    for (const Kernels *set : haltere::kernels::instruction_sets()) {
      if (name && std::string_view(set->name) == name) {
        chosen.store(set);
        return 0;
      }
      names += std::string(names.empty() ? "" : ", ") + set->name;
    }
    throw Refusal("no instruction set named '" + std::string(name ? name : "") + "' here (valid: " + names + ")");
  });
}

const char *haltere_error(void) { return last_error; }

const haltere_op_info *haltere_op_at(int index) {
  const auto rows = haltere::kernels::table();
  return index >= 0 && index < static_cast<int>(rows.size()) ? &rows[static_cast<std::size_t>(index)].info : nullptr;
}

haltere_op *haltere_op_create(const char *name, const haltere_tensor *weights, int n_weights,
                              const haltere_attribute *attributes, int n_attributes, haltere_precision precision) {
  return guarded(static_cast<haltere_op *>(nullptr), [&] {
    const auto rows = haltere::kernels::table();
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const Row &each) { return name && std::string_view(each.info.name) == name; });
    if (row == rows.end()) throw Refusal("no operator named '" + std::string(name ? name : "") + "'");
    haltere::kernels::expect_within("precision", precision, HALTERE_F32, HALTERE_INT8);
    const Tensors given = span_of(weights, n_weights);
    check_weights(row->info, given);
    if (n_attributes < 0 || (n_attributes && !attributes)) throw Refusal("the attributes are missing");
    const Attributes named({attributes, static_cast<std::size_t>(n_attributes)});
    return row->make({row->info, given, named, precision, chosen_set()}).release();
  });
}

void haltere_op_destroy(haltere_op *op) { delete op; }

int64_t haltere_op_bytes(const haltere_op *op) { return op->arena.bytes(); }

int haltere_op_shapes(const haltere_op *op, const haltere_tensor *inputs, int n_inputs, haltere_tensor *outputs,
                      int n_outputs) {
  return guarded(-1, [&] {
    const Tensors in = span_of(inputs, n_inputs);
    check_inputs(*op, in);
    check_count(op->info, "outputs", static_cast<int>(span_of(outputs, n_outputs).size()), op->info.outputs);
    op->shapes(in, {outputs, static_cast<std::size_t>(n_outputs)});
    return 0;
  });
}

int haltere_op_run(const haltere_op *op, const haltere_tensor *inputs, int n_inputs, const haltere_tensor *outputs,
                   int n_outputs, int threads) {
  return guarded(-1, [&] {
    const Tensors in = span_of(inputs, n_inputs), out = span_of(outputs, n_outputs);
    const Run run{*op, in, out, check_run(*op, in, out)};
    haltere::kernels::share(threads, op->lanes(in), run_part, &run);
    return 0;
  });
}

haltere_call *haltere_call_create(const haltere_op *op, const haltere_tensor *inputs, int n_inputs,
                                  const haltere_tensor *outputs, int n_outputs, int threads) {
  return guarded(static_cast<haltere_call *>(nullptr), [&] {
    const Tensors in = span_of(inputs, n_inputs), out = span_of(outputs, n_outputs);
    const std::size_t scratch = check_run(*op, in, out);
    auto call = std::make_unique<haltere_call>();
    call->op = op;
    std::copy(in.begin(), in.end(), call->inputs);
    std::copy(out.begin(), out.end(), call->outputs);
    call->n_inputs = in.size();
    call->n_outputs = out.size();
    call->scratch = scratch;
    call->lanes = op->lanes(in);
    call->threads = threads;
    return call.release();
  });
}

void haltere_call_run(const haltere_call *call) {
  const Run run{*call->op, {call->inputs, call->n_inputs}, {call->outputs, call->n_outputs}, call->scratch};
  haltere::kernels::share(call->threads, call->lanes, run_part, &run);
}

void haltere_call_destroy(haltere_call *call) { delete call; }

int haltere_reserve_threads(int threads) { return haltere::kernels::reserve_threads(threads); }

}  // extern "C"
