// ONNX Runtime's values as the kernels' tensors, and its failures as exceptions.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "api.hpp"

namespace haltere::ort {

// One sentence for ONNX Runtime's user.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A failure that ONNX Runtime has already put into words.
class Failed : public std::exception {
 public:
  explicit Failed(OrtStatus *status) : status(status) {}
  const char *what() const noexcept override { return "ONNX Runtime failed"; }
  OrtStatus *status;
};

inline void check(OrtStatus *status) {
  if (status) throw Failed(status);
}

// Run `work`, and turn whatever it throws into a status; no exception may pass into ONNX Runtime.
template <class Work>
OrtStatus *guarded(Api api, const Work &work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const Failed &failure) {
    return failure.status;
  } catch (const Refusal &refusal) {
    return api.CreateStatus(kInvalidArgument, refusal.what());
  } catch (const std::exception &error) {
    return api.CreateStatus(kFail, error.what());
  }
}

// A float32 tensor with its shape; throws Refusal where it's something else. Allocates nothing of its own.
inline haltere_tensor tensor_of(Api api, const OrtValue *value, const char *what) {
  OrtTensorTypeAndShapeInfo *info = nullptr;
  check(api.GetTensorTypeAndShape(value, &info));
  haltere_tensor tensor{};
  int type = 0;
  std::size_t rank = 0;
  OrtStatus *status = api.GetTensorElementType(info, &type);
  if (!status) status = api.GetDimensionsCount(info, &rank);
  if (!status && rank <= HALTERE_MAX_RANK) status = api.GetDimensions(info, tensor.dim, rank);
  api.ReleaseTensorTypeAndShapeInfo(info);
  check(status);
  if (type != kFloat) throw Refusal(std::string(what) + " must be float32");
  if (rank > HALTERE_MAX_RANK) throw Refusal(std::string(what) + " has " + std::to_string(rank) + " axes, more than 6");
  tensor.rank = static_cast<std::int32_t>(rank);
  void *data = nullptr;
  check(api.GetTensorMutableData(const_cast<OrtValue *>(value), &data));
  tensor.data = static_cast<float *>(data);
  return tensor;
}

}  // namespace haltere::ort
