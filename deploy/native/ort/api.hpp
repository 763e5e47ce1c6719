// What of ONNX Runtime's C interface the operators use, declared here, because its wheel has no headers.
//
// The interface is one table of function pointers that new versions only add to (microsoft/onnxruntime,
// onnxruntime_c_api.cc, ort_api_1_to_*: "NEVER remove or rearrange"). Each function is known by its place in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "haltere/ort.h"

struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtValue;
struct OrtCustomOp;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;

using OrtTable = void *const *;

struct OrtApiBase {
  OrtTable (*GetApi)(std::uint32_t version);
  const char *(*GetVersionString)();
};

// Layout of version 16, the first whose CreateKernelV2 and KernelComputeV2 can fail with a sentence.
struct OrtCustomOp {
  std::uint32_t version;
  void *(*CreateKernel)(const OrtCustomOp *, OrtTable, const OrtKernelInfo *);
  const char *(*GetName)(const OrtCustomOp *);
  const char *(*GetExecutionProviderType)(const OrtCustomOp *);
  int (*GetInputType)(const OrtCustomOp *, std::size_t);
  std::size_t (*GetInputTypeCount)(const OrtCustomOp *);
  int (*GetOutputType)(const OrtCustomOp *, std::size_t);
  std::size_t (*GetOutputTypeCount)(const OrtCustomOp *);
  void (*KernelCompute)(void *, OrtKernelContext *);
  void (*KernelDestroy)(void *);
  int (*GetInputCharacteristic)(const OrtCustomOp *, std::size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp *, std::size_t);
  int (*GetInputMemoryType)(const OrtCustomOp *, std::size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp *);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp *);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp *);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp *);
  OrtStatus *(*CreateKernelV2)(const OrtCustomOp *, OrtTable, const OrtKernelInfo *, void **);
  OrtStatus *(*KernelComputeV2)(void *, OrtKernelContext *);
};

namespace haltere::ort {

constexpr std::uint32_t kApiVersion = 16;
constexpr int kFail = 1, kInvalidArgument = 2;              // OrtErrorCode
constexpr int kFloat = 1;                                   // ONNXTensorElementDataType
constexpr int kRequired = 0, kOptional = 1, kDefaultMemory = 0;

// Place, name, type. tests/deploy/ort_slots.py tries each of them on the pinned version.
#define HALTERE_ORT_SLOTS(SLOT)                                                                                   \
  SLOT(0, CreateStatus, OrtStatus *(int code, const char *message))                                               \
  SLOT(26, CreateCustomOpDomain, OrtStatus *(const char *name, OrtCustomOpDomain **domain))                       \
  SLOT(27, CustomOpDomain_Add, OrtStatus *(OrtCustomOpDomain *, const OrtCustomOp *))                             \
  SLOT(28, AddCustomOpDomain, OrtStatus *(OrtSessionOptions *, OrtCustomOpDomain *))                              \
  SLOT(51, GetTensorMutableData, OrtStatus *(OrtValue *, void **data))                                            \
  SLOT(60, GetTensorElementType, OrtStatus *(const OrtTensorTypeAndShapeInfo *, int *type))                       \
  SLOT(61, GetDimensionsCount, OrtStatus *(const OrtTensorTypeAndShapeInfo *, std::size_t *count))                \
  SLOT(62, GetDimensions, OrtStatus *(const OrtTensorTypeAndShapeInfo *, std::int64_t *dims, std::size_t count))  \
  SLOT(65, GetTensorTypeAndShape, OrtStatus *(const OrtValue *, OrtTensorTypeAndShapeInfo **))                    \
  SLOT(86, KernelInfoGetAttribute_int64, OrtStatus *(const OrtKernelInfo *, const char *name, std::int64_t *))    \
  SLOT(90, KernelContext_GetInput, OrtStatus *(const OrtKernelContext *, std::size_t index, const OrtValue **))   \
  SLOT(91, KernelContext_GetOutput,                                                                               \
       OrtStatus *(OrtKernelContext *, std::size_t index, const std::int64_t *dims, std::size_t, OrtValue **))    \
  SLOT(93, ReleaseStatus, void(OrtStatus *))                                                                      \
  SLOT(99, ReleaseTensorTypeAndShapeInfo, void(OrtTensorTypeAndShapeInfo *))                                      \
  SLOT(230, KernelInfo_GetInputCount, OrtStatus *(const OrtKernelInfo *, std::size_t *count))                     \
  SLOT(237, HasSessionConfigEntry, OrtStatus *(const OrtSessionOptions *, const char *key, int *has))             \
  SLOT(238, GetSessionConfigEntry,                                                                                \
       OrtStatus *(const OrtSessionOptions *, const char *key, char *value, std::size_t *size))                   \
  SLOT(249, KernelInfoGetConstantInput_tensor,                                                                    \
       OrtStatus *(const OrtKernelInfo *, std::size_t index, int *constant, const OrtValue **))

// The table with names.
struct Api {
  OrtTable table;

#define HALTERE_ORT_METHOD(place, name, ...)                                             \
  template <class... Arguments>                                                          \
  auto name(Arguments... arguments) const {                                              \
    return reinterpret_cast<std::add_pointer_t<__VA_ARGS__>>(table[place])(arguments...); \
  }
  HALTERE_ORT_SLOTS(HALTERE_ORT_METHOD)
#undef HALTERE_ORT_METHOD
};

}  // namespace haltere::ort
