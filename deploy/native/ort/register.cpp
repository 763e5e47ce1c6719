// The operators' way into a session of ONNX Runtime; see haltere/ort.h.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <mutex>

#include "operator.hpp"
#include "packs.hpp"

using namespace haltere::ort;

namespace {

constexpr const char *kVersions[] = {"1.31.1"};
constexpr const char *kDomain = "haltere";
constexpr int kMaxThreads = 256;

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

int64_t haltere_ort_bytes(void) { return packed_bytes(); }

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
