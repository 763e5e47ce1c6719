// Runs a model in ONNX Runtime as a robot's program would: no Python, no headers of ONNX Runtime, its library and ours
// opened at run time. Built for this processor and for another by test_aarch64.py.
//
//     ort_driver ONNXRUNTIME KERNELS PRECISION MODEL ARRAYS RESULTS OUTPUT...
//
// KERNELS and PRECISION may be "-": then the model runs its functions. ARRAYS holds each input as a line of name, rank
// and sizes, then its raw floats. RESULTS gets the raw floats of the outputs that are named. Prints how often a kernel
// ran; exits 1 with a sentence where anything fails.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

// Places of functions in ONNX Runtime's table, version 1.31.1; deploy/bench/ort_c.py and deploy/native/ort/api.hpp.
enum Place {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetIntraOpNumThreads = 24,
  kRegisterCustomOpsLibrary = 29,
  kCreateTensor = 49,
  kGetTensorMutableData = 51,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAddSessionConfigEntry = 130,
};
constexpr std::uint32_t kApiVersion = 16;
constexpr int kFatal = 4, kArena = 1, kDefaultMemory = 0, kFloat = 1;

struct ApiBase {
  void *const *(*get_api)(std::uint32_t version);
  const char *(*get_version)();
};

[[noreturn]] void fail(const std::string &what) {
  std::cerr << what << "\n";
  std::exit(1);
}

template <class Function>
Function symbol(void *library, const char *name) {
  void *found = library ? dlsym(library, name) : nullptr;
  if (!found) fail(std::string(name) + ": " + dlerror());
  return reinterpret_cast<Function>(found);
}

struct Runtime {
  void *const *table;

  // Call a function that returns a status, which must be none.
  template <class... Arguments>
  void operator()(Place place, Arguments... arguments) const {
    void *status = reinterpret_cast<void *(*)(Arguments...)>(table[place])(arguments...);
    if (status) fail(reinterpret_cast<const char *(*)(void *)>(table[kGetErrorMessage])(status));
  }
};

struct Array {
  std::string name;
  std::vector<std::int64_t> dims;
  std::vector<float> data;
};

std::vector<Array> read_arrays(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Array> arrays;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Array array;
    std::size_t rank = 0, size = 1;
    words >> array.name >> rank;
    array.dims.resize(rank);
    for (std::int64_t &dim : array.dims) {
      words >> dim;
      size *= static_cast<std::size_t>(dim);
    }
    array.data.resize(size);
    file.read(reinterpret_cast<char *>(array.data.data()), static_cast<std::streamsize>(size * sizeof(float)));
    if (!words || !file) fail(std::string(path) + " is cut off");
    arrays.push_back(std::move(array));
  }
  return arrays;
}

void write_floats(std::ofstream &file, const Runtime &ort, void *value) {
  void *info = nullptr, *data = nullptr;
  std::size_t rank = 0, size = 1;
  ort(kGetTensorTypeAndShape, value, &info);
  ort(kGetDimensionsCount, info, &rank);
  std::vector<std::int64_t> dims(rank);
  ort(kGetDimensions, info, dims.data(), rank);
  for (const std::int64_t dim : dims) size *= static_cast<std::size_t>(dim);
  ort(kGetTensorMutableData, value, &data);
  file.write(static_cast<const char *>(data), static_cast<std::streamsize>(size * sizeof(float)));
}

// Run the session and return its outputs.
std::vector<void *> run(const Runtime &ort, void *session, std::vector<Array> &arrays,
                        const std::vector<const char *> &wanted) {
  void *memory = nullptr;
  ort(kCreateCpuMemoryInfo, kArena, kDefaultMemory, &memory);
  std::vector<void *> inputs(arrays.size()), outputs(wanted.size());
  std::vector<const char *> names;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    Array &each = arrays[i];
    names.push_back(each.name.c_str());
    ort(kCreateTensor, memory, static_cast<void *>(each.data.data()), each.data.size() * sizeof(float),
        each.dims.data(), each.dims.size(), kFloat, &inputs[i]);
  }
  ort(kRun, session, static_cast<void *>(nullptr), names.data(), inputs.data(), inputs.size(), wanted.data(),
      wanted.size(), outputs.data());
  return outputs;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc < 8) fail("ort_driver ONNXRUNTIME KERNELS PRECISION MODEL ARRAYS RESULTS OUTPUT...");
  const bool fused = std::strcmp(argv[2], "-") != 0;
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library) fail(dlerror());
  const ApiBase *base = symbol<const ApiBase *(*)()>(library, "OrtGetApiBase")();
  const Runtime ort{base->get_api(kApiVersion)};
  void *env = nullptr, *options = nullptr, *session = nullptr, *kernels = nullptr;
  ort(kCreateEnv, kFatal, "driver", &env);
  ort(kCreateSessionOptions, &options);
  ort(kSetIntraOpNumThreads, options, 1);
  if (fused) {
    ort(kAddSessionConfigEntry, options, "haltere.precision", static_cast<const char *>(argv[3]));
    ort(kRegisterCustomOpsLibrary, options, static_cast<const char *>(argv[2]), &kernels);
  }
  ort(kCreateSession, env, static_cast<const char *>(argv[4]), options, &session);
  std::vector<Array> arrays = read_arrays(argv[5]);
  const std::vector<const char *> wanted(argv + 7, argv + argc);
  std::ofstream results(argv[6], std::ios::binary);
  for (void *value : run(ort, session, arrays, wanted)) write_floats(results, ort, value);
  const auto calls = fused ? symbol<std::int64_t (*)(const char *)>(kernels, "haltere_ort_calls")(nullptr) : 0;
  std::cout << base->get_version() << " " << calls << "\n";
  std::cout.flush();
  std::_Exit(results.flush() ? 0 : 1);  // nothing is given back: the process ends here
}
