// What ONNX Runtime calls of an operator: a node is made from its constants, and run on its inputs.
#include "operator.hpp"

#include "packs.hpp"

namespace haltere::ort {

std::atomic<std::int64_t> calls[kMaxOps];

namespace {

constexpr int kMaxArrays = 8;

// A node of one session.
struct Kernel {
  const Operator *type;
  Packed op;
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
    *made = new Kernel{&type, packed(type, weights, numbers)};
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

}  // namespace

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

}  // namespace haltere::ort
