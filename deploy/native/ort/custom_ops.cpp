// The table of kernels as custom operators of ONNX Runtime; see haltere/ort.h.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "values.hpp"

using namespace haltere::ort;

namespace {

constexpr const char *kVersions[] = {"1.31.1"};
constexpr const char *kDomain = "haltere";
constexpr int kMaxOps = 64, kMaxArrays = 8, kMaxThreads = 256;

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

std::atomic<std::int64_t> calls[kMaxOps];

// One operator for sessions of the same settings. ONNX Runtime holds a pointer to its base for as long as it likes.
struct Operator : OrtCustomOp {
  Operator(int index, const haltere_op_info &info, Api api, Settings settings);

  int index;
  const char *name;
  Names inputs, weights, outputs, attributes;
  Api api;
  Settings settings;
};

// A node of one session.
struct Kernel {
  const Operator *type;
  std::unique_ptr<haltere_op, decltype(&haltere_op_destroy)> op;
};

const Operator &self(const OrtCustomOp *op) { return *static_cast<const Operator *>(op); }

std::vector<haltere_tensor> constants(const Operator &type, const OrtKernelInfo *info) {
  std::size_t given = 0;
  check(type.api.KernelInfo_GetInputCount(info, &given));
  const std::size_t first = type.inputs.size();
  const std::size_t count = given > first ? std::min(given - first, type.weights.size()) : 0;
  std::vector<haltere_tensor> tensors;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string what = std::string(type.name) + ": " + type.weights.names[i];
    int constant = 0;
    const OrtValue *value = nullptr;
    check(type.api.KernelInfoGetConstantInput_tensor(info, first + i, &constant, &value));
    if (!constant || !value) throw Refusal(what + " must be a constant of the model, because it's packed only once");
    tensors.push_back(tensor_of(type.api, value, what.c_str()));
  }
  return tensors;
}

std::vector<haltere_attribute> attributes(const Operator &type, const OrtKernelInfo *info) {
  std::vector<haltere_attribute> found;
  for (const std::string &name : type.attributes.names) {
    haltere_attribute attribute{name.c_str(), 0};
    // A missing one is the kernel's to refuse; some may be left out.
    if (OrtStatus *missing = type.api.KernelInfoGetAttribute_int64(info, attribute.name, &attribute.value))
      type.api.ReleaseStatus(missing);
    else
      found.push_back(attribute);
  }
  return found;
}

OrtStatus *create(const OrtCustomOp *base, OrtTable, const OrtKernelInfo *info, void **made) {
  const Operator &type = self(base);
  return guarded(type.api, [&] {
    const auto weights = constants(type, info);
    const auto numbers = attributes(type, info);
    auto kernel = std::make_unique<Kernel>(Kernel{&type, {nullptr, &haltere_op_destroy}});
    kernel->op.reset(haltere_op_create(type.name, weights.data(), static_cast<int>(weights.size()), numbers.data(),
                                       static_cast<int>(numbers.size()), type.settings.precision));
    if (!kernel->op) throw Refusal(std::string(type.name) + ": " + haltere_error());
    *made = kernel.release();
  });
}

// The node's inputs of this run; returns how many there are.
int gather(const Operator &type, const OrtKernelContext *context, haltere_tensor *inputs) {
  int count = 0;
  for (std::size_t i = 0; i < type.inputs.size(); ++i) {
    const OrtValue *value = nullptr;
    check(type.api.KernelContext_GetInput(context, i, &value));
    if (!value) continue;
    if (count != static_cast<int>(i)) throw Refusal(std::string(type.name) + ": an input before the last is missing");
    inputs[count++] = tensor_of(type.api, value, type.inputs.names[i].c_str());
  }
  return count;
}

OrtStatus *compute(void *kernel, OrtKernelContext *context) {
  const Kernel &node = *static_cast<const Kernel *>(kernel);
  const Operator &type = *node.type;
  return guarded(type.api, [&] {
    haltere_tensor inputs[kMaxArrays], outputs[kMaxArrays];
    const int given = gather(type, context, inputs), wanted = static_cast<int>(type.outputs.size());
    if (haltere_op_shapes(node.op.get(), inputs, given, outputs, wanted))
      throw Refusal(std::string(type.name) + ": " + haltere_error());
    for (int i = 0; i < wanted; ++i) {
      const auto rank = static_cast<std::size_t>(outputs[i].rank);
      OrtValue *value = nullptr;
      check(type.api.KernelContext_GetOutput(context, static_cast<std::size_t>(i), outputs[i].dim, rank, &value));
      if (!value) throw Refusal(std::string(type.name) + ": every output must have a name");
      void *data = nullptr;
      check(type.api.GetTensorMutableData(value, &data));
      outputs[i].data = static_cast<float *>(data);
    }
    if (haltere_op_run(node.op.get(), inputs, given, outputs, wanted, type.settings.threads))
      throw Refusal(std::string(type.name) + ": " + haltere_error());
    calls[type.index].fetch_add(1, std::memory_order_relaxed);
  });
}

Operator::Operator(int place, const haltere_op_info &info, Api table, Settings chosen)
    : OrtCustomOp{},
      index(place),
      name(info.name),
      inputs(info.inputs),
      weights(info.weights),
      outputs(info.outputs),
      attributes(info.attributes),
      api(table),
      settings(chosen) {
  if (std::max(inputs.size(), outputs.size()) > kMaxArrays)
    throw Refusal(std::string(name) + " has more inputs or outputs than ONNX Runtime's operators provide for");
  version = kApiVersion;
  GetName = [](const OrtCustomOp *op) { return self(op).name; };
  GetExecutionProviderType = [](const OrtCustomOp *) { return "CPUExecutionProvider"; };
  GetInputType = GetOutputType = [](const OrtCustomOp *, std::size_t) { return kFloat; };
  GetInputTypeCount = [](const OrtCustomOp *op) { return self(op).inputs.size() + self(op).weights.size(); };
  GetOutputTypeCount = [](const OrtCustomOp *op) { return self(op).outputs.size(); };
  GetInputCharacteristic = [](const OrtCustomOp *op, std::size_t i) {
    const std::size_t first = self(op).inputs.size();
    const Names &names = i < first ? self(op).inputs : self(op).weights;
    return (i < first ? i : i - first) < names.needed ? kRequired : kOptional;
  };
  GetOutputCharacteristic = [](const OrtCustomOp *, std::size_t) { return kRequired; };
  GetInputMemoryType = [](const OrtCustomOp *, std::size_t) { return kDefaultMemory; };
  GetVariadicInputMinArity = GetVariadicInputHomogeneity = [](const OrtCustomOp *) { return 1; };
  GetVariadicOutputMinArity = GetVariadicOutputHomogeneity = [](const OrtCustomOp *) { return 1; };
  KernelDestroy = [](void *kernel) { delete static_cast<Kernel *>(kernel); };
  CreateKernelV2 = create;
  KernelComputeV2 = compute;
}

// All operators with the same settings, made at the first session that wants them and kept: sessions come and go, and
// ONNX Runtime doesn't say when the last one has let go.
struct Domain {
  OrtTable table;
  Settings settings;
  std::deque<Operator> operators;
  OrtCustomOpDomain *handle = nullptr;
};

OrtCustomOpDomain *domain(Api api, Settings settings) {
  static std::mutex mutex;
  static auto *const domains = new std::list<Domain>;  // never destroyed: sessions may outlive static objects
  const std::lock_guard lock(mutex);
  for (const Domain &known : *domains)
    if (known.table == api.table && known.settings == settings) return known.handle;
  Domain made{api.table, settings, {}, nullptr};
  for (int i = 0; const haltere_op_info *info = haltere_op_at(i); ++i) {
    if (i == kMaxOps) throw Refusal("the kernels' table is longer than ONNX Runtime's operators provide for");
    made.operators.emplace_back(i, *info, api, settings);
  }
  Domain &kept = domains->emplace_back(std::move(made));
  try {
    check(api.CreateCustomOpDomain(kDomain, &kept.handle));
    for (const Operator &each : kept.operators) check(api.CustomOpDomain_Add(kept.handle, &each));
  } catch (...) {
    domains->pop_back();
    throw;
  }
  return kept.handle;
}

// A session's own setting, or an empty text.
std::string entry(Api api, const OrtSessionOptions *options, const char *key) {
  int has = 0;
  check(api.HasSessionConfigEntry(options, key, &has));
  if (!has) return "";
  char value[32] = "";
  std::size_t size = sizeof value;
  check(api.GetSessionConfigEntry(options, key, value, &size));
  return value;
}

Settings settings_of(Api api, const OrtSessionOptions *options) {
  Settings settings;
  const std::string threads = entry(api, options, "haltere.threads");
  const bool digits = threads.size() <= 3 && std::all_of(threads.begin(), threads.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
  if (!threads.empty()) settings.threads = digits ? std::atoi(threads.c_str()) : 0;
  if (settings.threads < 1 || settings.threads > kMaxThreads)
    throw Refusal("haltere.threads must be from 1 to " + std::to_string(kMaxThreads) + ", got '" + threads + "'");
  const std::string precision = entry(api, options, "haltere.precision");
  if (precision == "bf16")
    settings.precision = HALTERE_BF16;
  else if (precision == "int8")
    settings.precision = HALTERE_INT8;
  else if (!precision.empty() && precision != "fp32")
    throw Refusal("haltere.precision must be fp32, bf16 or int8, got '" + precision + "'");
  return settings;
}

OrtStatus *refuse(const OrtApiBase *base, const char *version) {
  // Version 1 of the table, whose first place makes a status: the one thing that no version can have changed.
  const Api first{base->GetApi(1)};
  const std::string text = "haltere's operators know ONNX Runtime " + std::string(kVersions[0]) + ", and this is " +
                           (version ? version : "one without a version");
  return first.table ? first.CreateStatus(kFail, text.c_str()) : nullptr;
}

}  // namespace

extern "C" {

OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
  const char *version = base->GetVersionString();
  const Api api{haltere_ort_supports(version) ? base->GetApi(kApiVersion) : nullptr};
  if (!api.table) return refuse(base, version);
  return guarded(api, [&] {
    const Settings settings = settings_of(api, options);
    haltere_reserve_threads(settings.threads);
    check(api.AddCustomOpDomain(options, domain(api, settings)));
  });
}

int haltere_ort_supports(const char *version) {
  return version && std::any_of(std::begin(kVersions), std::end(kVersions),
                                [&](const char *known) { return std::strcmp(known, version) == 0; });
}

int haltere_ort_slot(int index, const char **name) {
  struct Slot {
    int place;
    const char *name;
  };
#define HALTERE_ORT_ROW(place, name, ...) {place, #name},
  static constexpr Slot slots[] = {HALTERE_ORT_SLOTS(HALTERE_ORT_ROW)};
#undef HALTERE_ORT_ROW
  if (index < 0 || index >= static_cast<int>(std::size(slots))) return -1;
  *name = slots[index].name;
  return slots[index].place;
}

int64_t haltere_ort_calls(const char *name) {
  std::int64_t sum = 0;
  for (int i = 0; i < kMaxOps; ++i) {
    const haltere_op_info *info = haltere_op_at(i);
    if (!info) break;
    if (!name || std::strcmp(info->name, name) == 0) sum += calls[i].load(std::memory_order_relaxed);
  }
  return sum;
}

}  // extern "C"
