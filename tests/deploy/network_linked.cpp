// The policy of a header that haltere run --cpp wrote, in the control loop. Reads observations, one a line, as the bits
// of their floats in hexadecimal; prints what the loop commanded, then what the network gave, in the same way. Where
// there are no lines it flies for as many seconds as it is told, by the real clock, and prints how that went.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <sstream>

#include <haltere/loop.hpp>

#include "policy_contract.hpp"

namespace {

struct StandingClock {
  static inline int64_t time = 0;
  static int64_t now_ns() { return time; }
  static void sleep_ns(int64_t duration) { time += duration; }
};

void print(const float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    std::printf("%08x ", bits);
  }
}

void fly(const policy::Network& network, double seconds) {
  haltere::ControlLoop loop(policy::kContract, {policy::kInputs, policy::kAction}, {
      .source = [](float* obs, int64_t& at_ns) {
        std::fill_n(obs, policy::kContract.obs_size(), 0.25f);
        at_ns = haltere::ControlLoop::now_ns();
        return true;
      },
      .policy = std::ref(network),
      .sink = [](const haltere::Decision&) { return true; },
  });
  const haltere::Report report = loop.run(seconds);
  std::printf("%lld %lld %d\n", static_cast<long long>(report.ticks),
              static_cast<long long>(report.counters.outcomes[static_cast<int>(haltere::Outcome::kGood)]),
              report.at_rest);
}

}  // namespace

int main(int argc, char** argv) {
  const policy::Network network;
  if (argc > 1) return fly(network, std::atof(argv[1])), 0;
  std::vector<float> obs(static_cast<size_t>(policy::kContract.obs_size()));
  haltere::Parts parts;
  parts.source = [&](float* into, int64_t&) { return std::copy(obs.begin(), obs.end(), into), true; };
  parts.policy = std::ref(network);
  parts.sink = [](const haltere::Decision& decision) {
    print(decision.command, policy::kContract.action_low.size());
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
    policy::Outputs out;
    if (!network.run(obs.data(), out)) return 1;
    print(reinterpret_cast<const float*>(&out), sizeof out / sizeof(float));
    std::printf("\n");
  }
}
