// Drives the C++ control loop for test_loop_cpp.py. The first argument says what is wanted; scripts come on standard
// input and answers go to standard output, floats as their bits in hexadecimal.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>
#include <random>
#include <sstream>

#include <haltere/loop.hpp>

#include "policy_contract.hpp"

static_assert(haltere::fits(policy::kContract, policy::kInputs, policy::kAction));

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

// Not inlined: the compiler would take the pair for one that doesn't match.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using haltere::Decision;
using haltere::Outcome;
constexpr int64_t kPeriod = policy::kContract.period_ns;
const haltere::Declared kDeclared{policy::kInputs, policy::kAction};

struct FakeClock {
  static inline int64_t time = 0;
  static int64_t now_ns() { return time; }
  static void sleep_ns(int64_t duration) { time += duration; }
};

float from_bits(const std::string& text) {
  const auto bits = static_cast<uint32_t>(std::stoul(text, nullptr, 16));
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void print_bits(const float* values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    std::printf(" %08x", bits);
  }
}

void print(const Decision& d) {
  std::printf("%lld %lld %s %s %d", static_cast<long long>(d.slot), static_cast<long long>(d.slots),
              haltere::kOutcomeNames[static_cast<int>(d.outcome)], haltere::kModeNames[static_cast<int>(d.mode)],
              d.alarm);
  print_bits(d.command, 2);
  std::printf("\n");
}

void print(const haltere::Counters& c, haltere::Mode mode) {
  std::printf("counters %lld %lld %lld %lld %s", static_cast<long long>(c.overruns), static_cast<long long>(c.stalls),
              static_cast<long long>(c.skipped), static_cast<long long>(c.alarms),
              haltere::kModeNames[static_cast<int>(mode)]);
  for (const int64_t count : c.outcomes) std::printf(" %lld", static_cast<long long>(count));
  std::printf("\n");
}

// As Doubling in robots.py: twice the first two numbers, a failure where the third is 77.
bool doubling(const float* obs, float* action) {
  if (obs[2] == 77.0f) throw std::runtime_error("seventy-seven");
  action[0] = obs[0] * 2.0f;
  action[1] = obs[1] * 2.0f;
  return true;
}

std::vector<float> floats(std::istringstream& words, int count) {
  std::vector<float> values;
  std::string word;
  while (count-- > 0 && words >> word) values.push_back(from_bits(word));
  return values;
}

struct Head {
  haltere::Rules rules;
  std::vector<float> safe;
  std::vector<double> slew;
};

// "new hold recover latch forgive age slew safe0 safe1"; a slew of 0 is none.
Head read_head(std::istringstream& words) {
  Head head;
  double slew;
  words >> head.rules.hold_ticks >> head.rules.recover_ticks >> head.rules.latch_after >> head.rules.forgive_ticks >>
      head.rules.max_age_ticks >> slew;
  if (slew > 0.0) head.slew = {slew};
  head.safe = floats(words, 2);
  return head;
}

// The governor alone, by calls in any order.
void governor_script() {
  std::unique_ptr<haltere::Governor> governor;
  Decision last{};
  for (std::string line, verb; std::getline(std::cin, line);) {
    std::istringstream words(line);
    words >> verb;
    if (verb == "new") {
      const Head head = read_head(words);
      governor = std::make_unique<haltere::Governor>(
          haltere::Limits::of(policy::kContract, head.safe, head.slew), head.rules, kPeriod);
      continue;
    }
    int64_t a = 0, b = 0;
    int outcome = 0;
    bool decided = false;
    if (verb == "start") words >> a, governor->start(a);
    if (verb == "begin") std::printf("%lld\n", static_cast<long long>(governor->begin()));
    if (verb == "watch") words >> a, decided = governor->watch(a, last);
    if (verb == "stale") words >> a >> b, std::printf("%d\n", governor->is_stale(a, b));
    if (verb == "stop") governor->stop();
    if (verb == "reset") governor->reset();
    if (verb == "unsent") last = governor->unsent(last), decided = true;
    if (verb == "finish") {
      words >> a >> b >> outcome;
      const std::vector<float> action = floats(words, 2);
      decided = governor->finish(a, b, static_cast<Outcome>(outcome), outcome == 0 ? action.data() : nullptr, last);
    }
    if (decided) print(last);
    if (verb == "end") print(governor->counters(), governor->mode());
  }
}

// The whole loop on a fake clock: "tick source_ns policy_ns kind stamp_age refuse obs*7", kind 0 fresh, 1 stamped,
// 2 missing, 3 raises.
void loop_script() {
  using Loop = haltere::BasicControlLoop<FakeClock>;
  std::unique_ptr<Loop> loop;
  int64_t source_ns = 0, policy_ns = 0, stamp_age = 0;
  int kind = 0, refuse = 0, forgotten = 0;
  std::vector<float> obs;
  for (std::string line, verb; std::getline(std::cin, line);) {
    std::istringstream words(line);
    words >> verb;
    if (verb == "new") {
      const Head head = read_head(words);
      FakeClock::time = 0;
      forgotten = 0;
      haltere::Parts parts;
      parts.source = [&](float* into, int64_t& at_ns) {
        FakeClock::time += source_ns;
        if (kind == 3) throw std::runtime_error("no radio");
        if (kind == 1) at_ns = FakeClock::time - stamp_age;
        std::copy(obs.begin(), obs.end(), into);
        return kind != 2;
      };
      parts.policy = [&](const float* in, float* action) {
        FakeClock::time += policy_ns;
        return doubling(in, action);
      };
      parts.sink = [&](const Decision& decision) {
        print(decision);
        return !refuse;
      };
      parts.forget = [&] { ++forgotten; };
      loop = std::make_unique<Loop>(policy::kContract, kDeclared, parts,
                                    haltere::Options{.safe = head.safe, .slew = head.slew, .rules = head.rules});
    } else if (verb == "tick") {
      words >> source_ns >> policy_ns >> kind >> stamp_age >> refuse;
      obs = floats(words, 7);
      loop->step();
    } else {
      const haltere::Report report = loop->report();
      print(report.counters, report.mode);
      std::printf("forgotten %d\n", forgotten);
    }
  }
}

// Observations and actions of any bits: whatever comes out is finite and inside of bounds and slew limits.
int hostile(int cases, uint32_t seed) {
  std::mt19937 random(seed);
  const auto bits = [&] {
    const uint32_t any = random() % 3 ? (random() & 0x807FFFFFu) | 0x3F000000u : random();
    float value;
    std::memcpy(&value, &any, sizeof value);
    return value;
  };
  int64_t commands = 0;
  for (int index = 0; index < cases; ++index) {
    FakeClock::time = 0;
    std::vector<float> received;
    const haltere::Limits limits = haltere::Limits::of(policy::kContract, {0.0f, 0.5f}, {30.0});
    received = limits.safe;
    bool refused = false, wrong = false;
    haltere::Parts parts;
    parts.source = [&](float* obs, int64_t& at_ns) {
      if (random() % 16 == 0) FakeClock::time += random() % (4 * kPeriod);
      if (random() % 8 == 0) at_ns = static_cast<int64_t>(random()) - static_cast<int64_t>(random());
      for (int i = 0; i < 7; ++i) obs[i] = random() % 8 ? 0.5f : bits();
      if (random() % 16 == 0) throw 1;
      return random() % 16 != 0;
    };
    parts.policy = [&](const float*, float* action) {
      action[0] = bits(), action[1] = bits();
      if (random() % 16 == 0) throw 1;
      return random() % 16 != 0;
    };
    parts.sink = [&](const Decision& decision) {
      ++commands;
      refused = random() % 8 == 0;
      for (int i = 0; i < 2; ++i) {
        const float value = decision.command[i];
        wrong |= !std::isfinite(value) || value < limits.low[i] || value > limits.high[i];
        wrong |= std::abs(double{value} - received[i]) > double{limits.step[i]};
        if (!refused) received[i] = value;
      }
      return !refused;
    };
    haltere::BasicControlLoop<FakeClock> loop(policy::kContract, kDeclared, parts,
                                              {.safe = {0.0f, 0.5f}, .slew = {30.0}, .black_box_s = 0.1});
    for (int tick = 0; tick < 20; ++tick) loop.step();
    if (wrong) return std::printf("case %d\n", index), 1;
  }
  std::printf("%lld commands\n", static_cast<long long>(commands));
  return 0;
}

bool canned(float* obs, int64_t& at_ns) {
  std::fill_n(obs, 7, 0.25f);
  at_ns = haltere::ControlLoop::now_ns();
  return true;
}

// A policy that gets stuck `count` times, for two and a half periods of real time: how soon does the watchdog command?
// With `patience` it stays stuck until somebody has, however long that takes.
void stalls(int count, int priority, bool patience) {
  std::atomic<int64_t> since{0}, commands{0};
  int calls = 0, injected = 0;
  std::vector<int64_t> caught;
  haltere::Parts parts;
  parts.source = canned;
  parts.policy = [&](const float* obs, float* action) {
    if (++calls % 12 == 0 && injected < count) {
      ++injected;
      since = haltere::ControlLoop::now_ns();
      const int64_t before = commands;
      if (patience)
        while (commands == before) haltere::SteadyClock::sleep_ns(500'000);
      else haltere::SteadyClock::sleep_ns(kPeriod * 5 / 2);
      since = 0;
    }
    return doubling(obs, action);
  };
  parts.sink = [&](const Decision& decision) {
    ++commands;
    if (const int64_t begun = since; begun && decision.outcome == Outcome::kStalled) {
      caught.push_back(haltere::ControlLoop::now_ns() - begun);
      since = 0;
    }
    return true;
  };
  haltere::ControlLoop loop(policy::kContract, kDeclared, parts, {.priority = priority});
  const double period_s = static_cast<double>(kPeriod) * 1e-9;
  const haltere::Report report = loop.run(period_s * (count * 16 + 24));
  int64_t worst = 0, in_time = 0;
  for (const int64_t ns : caught) worst = std::max(worst, ns), in_time += ns <= kPeriod * 3 / 2;
  std::printf("{\"injected\": %d, \"seen\": %zu, \"caught\": %lld, \"worst_periods\": %.3f, \"stalls\": %lld, "
              "\"at_rest\": %d}\n",
              injected, caught.size(), static_cast<long long>(in_time),
              static_cast<double>(worst) / static_cast<double>(kPeriod),
              static_cast<long long>(report.counters.stalls), report.at_rest);
}

// A flight with nothing wrong in it: latency, and how often memory was asked for while it flew.
void pace(double seconds, int priority) {
  int64_t first = -1, last = 0;
  haltere::Parts parts{.source = canned, .policy = doubling, .sink = [&](const Decision&) {
                         if (first < 0) first = allocations;
                         last = allocations;
                         return true;
                       }};
  haltere::ControlLoop loop(policy::kContract, kDeclared, parts, {.priority = priority});
  const haltere::Report report = loop.run(seconds);
  std::printf("{\"ticks\": %lld, \"median_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"most_us\": %.1f, "
              "\"period_us\": %.1f, \"allocations\": %lld}\n",
              static_cast<long long>(report.ticks), static_cast<double>(report.latency.median) / 1e3,
              static_cast<double>(report.latency.p99) / 1e3, static_cast<double>(report.latency.p999) / 1e3,
              static_cast<double>(report.latency.most) / 1e3, static_cast<double>(kPeriod) / 1e3,
              static_cast<long long>(last - first));
}

// A flight that ends in a fault: ten good ticks, then NaN. Prints the black box's name.
void fault(const std::string& folder) {
  int ticks = 0;
  haltere::Parts parts;
  parts.source = [&](float* obs, int64_t& at_ns) {
    canned(obs, at_ns);
    if (++ticks > 10) obs[6] = std::numeric_limits<float>::quiet_NaN();
    return true;
  };
  parts.policy = doubling;
  parts.sink = [](const Decision&) { return true; };
  haltere::ControlLoop loop(policy::kContract, kDeclared, parts, {.black_box = folder});
  for (const std::string& path : loop.run(static_cast<double>(kPeriod) * 30e-9).black_boxes)
    std::printf("%s\n", path.c_str());
}

// What is said where the robot means something else, one sentence a line.
void mismatches() {
  std::vector<haltere::TensorSpec> given(std::begin(policy::kInputs), std::end(policy::kInputs));
  const auto say = [&](const haltere::TensorSpec& action = policy::kAction) {
    std::printf("%s\n", haltere::mismatch(policy::kContract, given, action).c_str());
    given.assign(std::begin(policy::kInputs), std::end(policy::kInputs));
  };
  say();
  given[0].name = "obs.positoin", say();
  given[0].unit = "m, body frame", say();
  given[1].shape[1] = 3, say();
  given.pop_back(), say();
  given.push_back({"obs.wind", 1, {1}, "m/s"}), say();
  std::swap(given[0], given[1]), say();
  haltere::TensorSpec torque = policy::kAction;
  torque.name = "torque", say(torque);
  torque = policy::kAction, torque.unit = "N", say(torque);
  for (const std::function<void()>& wrong : std::vector<std::function<void()>>{
           [] { haltere::Limits::of(policy::kContract, {3.0f}); },
           [] { haltere::Limits::of(policy::kContract, {}, {1.0, 1.0, 1.0}); },
           [] { haltere::Limits::of(policy::kContract, {}, {0.0}); },
           [] { haltere::Governor(haltere::Limits::of(policy::kContract), {.hold_ticks = -1}, 1); }}) {
    try {
      wrong();
      std::printf("accepted\n");
    } catch (const haltere::Error& error) {
      std::printf("%s\n", error.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto number = [&](int index) { return argc > index ? std::atoi(argv[index]) : 0; };
  if (what == "governor") governor_script();
  else if (what == "loop") loop_script();
  else if (what == "hostile") return hostile(number(2), static_cast<uint32_t>(number(3)));
  else if (what == "stalls") stalls(number(2), number(3), number(4) != 0);
  else if (what == "pace") pace(std::atof(argv[2]), number(3));
  else if (what == "fault") fault(argv[2]);
  else if (what == "mismatches") mismatches();
  else return 2;
  return 0;
}
