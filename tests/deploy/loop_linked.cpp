// A C++ control loop around what else haltere ships: generated C (-DGENERATED) or an op of the kernel library. Reads
// observations, one a line, as the bits of their floats in hexadecimal; prints the command of each in the same way.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>

#include <haltere/loop.hpp>

#include "policy_contract.hpp"

#if defined(GENERATED)
#include "policy.h"
#else
#include <haltere/kernels.h>
#endif

namespace {

struct StandingClock {
  static inline int64_t time = 0;
  static int64_t now_ns() { return time; }
  static void sleep_ns(int64_t duration) { time += duration; }
};

#if defined(GENERATED)
// The generated struct is the loop's observation: the same numbers in the same order.
static_assert(sizeof(haltere_observation) == sizeof(float) * policy::kContract.obs_size());
bool act(const float* obs, float* action) {
  haltere_observation in;
  haltere_output out;
  std::memcpy(&in, obs, sizeof in);
  if (!haltere_observation_ok(&in)) return false;
  haltere_policy(&in, &out);
  std::memcpy(action, out.action, sizeof out.action);
  return true;
}
#else
// tanh of half of each of the first two numbers, plus a quarter of the third.
bool act(const float* obs, float* action) {
  static float weights[] = {0.5f, 0.0f, 0.25f, 0.0f, 0.5f, 0.25f};
  static const haltere_tensor shaped = {weights, {2, 3}, 2};
  static haltere_op* op = haltere_op_create("DenseTanh", &shaped, 1, nullptr, 0, HALTERE_F32);
  const haltere_tensor in = {const_cast<float*>(obs), {1, 3}, 2}, out = {action, {1, 2}, 2};
  return op && haltere_op_run(op, &in, 1, &out, 1, 1) == 0;
}
#endif

}  // namespace

int main() {
  std::vector<float> obs(static_cast<size_t>(policy::kContract.obs_size()));
  haltere::Parts parts;
  parts.source = [&](float* into, int64_t&) { return std::copy(obs.begin(), obs.end(), into), true; };
  parts.policy = act;
  parts.sink = [](const haltere::Decision& decision) {
    for (size_t i = 0; i < policy::kContract.action_low.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, decision.command + i, sizeof bits);
      std::printf("%08x ", bits);
    }
    std::printf("%s\n", haltere::kOutcomeNames[static_cast<int>(decision.outcome)]);
    return true;
  };
  haltere::BasicControlLoop<StandingClock> loop(policy::kContract, {policy::kInputs, policy::kAction}, parts);
  for (std::string line, word; std::getline(std::cin, line);) {
    std::istringstream words(line);
    for (float& value : obs) {
      words >> word;
      const auto bits = static_cast<uint32_t>(std::stoul(word, nullptr, 16));
      std::memcpy(&value, &bits, sizeof value);
    }
    loop.step();
  }
}
