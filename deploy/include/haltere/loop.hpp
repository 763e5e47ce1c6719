// The loop that flies a policy: fixed rate, every observation checked, every command bounded, every deadline watched.
//
// The twin of haltere.deploy.runtime.ControlLoop with the same rules (governor.hpp), counters and black box. It needs
// the standard library and a policy that can be called: an op of the kernel library, generated C, or anything else.
//
//     #include <cstring>
//     #include <haltere/loop.hpp>
//     #include "policy.h"                                 // haltere export TASK --target c; link its policy.c as well
//     #include "policy_contract.hpp"                      // haltere run MODEL --cpp policy_contract.hpp
//
//     bool newest_observation(float* obs, int64_t& at_ns);  // yours: all inputs end to end; false where there is none
//     bool write_motors(const float* command);              // yours: false where it didn't reach them
//
//     int main() {
//       // A robot with tables of its own in place of these two has them compared with the contract; see contract.hpp.
//       haltere::ControlLoop loop(policy::kContract, {policy::kInputs, policy::kAction}, {
//           .source = newest_observation,
//           .policy = [](const float* obs, float* action) {
//             haltere_observation in;                       // the same numbers in the same order
//             haltere_output out;
//             std::memcpy(&in, obs, sizeof in);
//             if (!haltere_observation_ok(&in)) return false;
//             haltere_policy(&in, &out);
//             std::memcpy(action, out.action, sizeof out.action);
//             return true;
//           },
//           .sink = [](const haltere::Decision& decision) { return write_motors(decision.command); },
//       }, {.slew = {20.0}, .black_box = "/var/log/haltere", .priority = 80});
//       haltere::Report report = loop.run();                // until loop.stop(), from a signal handler too
//       return report.at_rest ? 0 : 1;
//     }
//
// Where that header has the weights as well, its policy::Network takes the place of policy.h: `policy::Network network`
// before the loop, `.policy = std::ref(network)` in it, and libhaltere_kernels.so to link.
//
// Between construction and the end of run() the loop's own code allocates nothing but the files of a fault, and those
// in a thread of their own.
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include "black_box.hpp"
#include "contract.hpp"
#include "governor.hpp"
#include "recorder.hpp"

namespace haltere {

inline constexpr int64_t kNoStamp = std::numeric_limits<int64_t>::min();

// What a robot's code declares that it gives and takes.
struct Declared {
  std::span<const TensorSpec> inputs;
  TensorSpec action;
};

// The robot's own code. An exception counts as a failure of the part that threw it.
struct Parts {
  // Writes the newest observation, all inputs end to end; false where there is none. It may set `at_ns` to the time of
  // the measurement on ControlLoop::now_ns()'s clock, by which a stale one is told. It may block: the watchdog
  // commands meanwhile.
  std::function<bool(float* obs, int64_t& at_ns)> source;
  // Writes an action; false where it failed. Observations are finite.
  std::function<bool(const float* obs, float* action)> policy;
  // Hands a command to the actuators; false where it didn't reach them. Called by the loop and by the watchdog, one
  // at a time. It must not block.
  std::function<bool(const Decision& decision)> sink;
  // Clears the policy's memory, where it has one, after a safe action.
  std::function<void()> forget = [] {};
};

struct Options {
  std::vector<float> safe = {};   // as Limits::of
  std::vector<double> slew = {};  // [action units/s], as Limits::of
  Rules rules = {};
  std::string black_box = "";     // folder for the files that a fault leaves; none are written where empty
  double black_box_s = 10.0;      // how much the black box remembers [s]
  int priority = 0;               // SCHED_FIFO of the loop, 1 to 98, the watchdog gets one more; 0 leaves it
  int cpu = -1;                   // core to pin the loop to; -1 pins nothing
};

// Percentiles of a duration [ns].
struct Span {
  int64_t median = 0, p99 = 0, p999 = 0, most = 0;
};

struct Report {
  int64_t ticks;       // slots of a period each, every one with a command of its own
  Span latency;        // from the start of a slot to its command, the late waking of the system included; of the
                       // flight, without the way to the safe action at its end
  Counters counters;
  Mode mode;           // what the loop was doing at the end, before it was stopped
  bool at_rest;        // whether the last command was the safe action
  std::vector<std::string> black_boxes, errors;
};

namespace detail {

inline constexpr size_t kKeptLatencies = 1 << 17;  // twenty minutes at 100 Hz
inline constexpr int64_t kLongestNap_ns = 50'000'000;

inline void use_priority(int priority) {
#if defined(__linux__)
  if (priority <= 0) return;
  const sched_param parameters{.sched_priority = priority};
  if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) != 0)
    throw Error("realtime priority " + std::to_string(priority) + ": not permitted");
#else
  if (priority > 0) throw Error("realtime priority needs Linux");
#endif
}

inline void use_cpu(int cpu) {
#if defined(__linux__)
  if (cpu < 0) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(cpu, &cores);
  if (pthread_setaffinity_np(pthread_self(), sizeof cores, &cores) != 0)
    throw Error("cpu " + std::to_string(cpu) + ": this process may not run there");
#else
  if (cpu >= 0) throw Error("cpu needs Linux");
#endif
}

// While it lives, the calling thread has whatever priority and cores it is given; then those that it had.
class Scheduling {
 public:
#if defined(__linux__)
  Scheduling() {
    pthread_getschedparam(pthread_self(), &policy_, &parameters_);
    pthread_getaffinity_np(pthread_self(), sizeof cores_, &cores_);
  }
  ~Scheduling() {
    pthread_setschedparam(pthread_self(), policy_, &parameters_);
    pthread_setaffinity_np(pthread_self(), sizeof cores_, &cores_);
  }
  Scheduling(const Scheduling&) = delete;

 private:
  int policy_ = 0;
  sched_param parameters_{};
  cpu_set_t cores_{};
#endif
};

inline Span percentiles(std::vector<int64_t> values) {
  if (values.empty()) return {};
  const auto at = [&](double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size()))) - 1;
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank), values.end());
    return values[rank];
  };
  return {at(0.5), at(0.99), at(0.999), at(1.0)};
}

}  // namespace detail

// The system's monotonic clock.
struct SteadyClock {
  static int64_t now_ns() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  }
  static void sleep_ns(int64_t duration) { std::this_thread::sleep_for(std::chrono::nanoseconds(duration)); }
};

// ControlLoop is what a robot uses; a test brings a clock of its own.
template <class Clock>
class BasicControlLoop {
 public:
  // Compares what the robot declares with the model's contract, and sets all memory aside. Throws Error.
  BasicControlLoop(const Contract& contract, const Declared& declared, Parts parts, Options options = {})
      : options_(std::move(options)),
        contract_(contract),
        parts_(std::move(parts)),
        governor_(Limits::of(contract, options_.safe, options_.slew), options_.rules, contract.period_ns),
        box_(contract, options_.black_box_s),
        recorder_(box_, options_.black_box),
        obs_(static_cast<size_t>(contract.obs_size())),
        action_(contract.action_low.size()),
        latencies_(detail::kKeptLatencies) {
    const std::string wrong = mismatch(contract, declared.inputs, declared.action);
    if (!wrong.empty()) throw Error(wrong);
    if (!parts_.source || !parts_.policy || !parts_.sink) throw Error("a control loop needs source, policy and sink");
  }

  BasicControlLoop(const BasicControlLoop&) = delete;
  BasicControlLoop& operator=(const BasicControlLoop&) = delete;

  // The loop's clock [ns].
  static int64_t now_ns() { return Clock::now_ns(); }

  // Flies until stop() is called or `seconds` are over, then sends the safe action on the way that the slew limits
  // allow. The calling thread is the loop: where the policy never returns, neither does this, and the watchdog goes on
  // sending the safe action. A loop runs once. Throws Error where the priority isn't granted.
  Report run(double seconds = std::numeric_limits<double>::infinity()) {
    if (governor_.slot() > 0) throw Error("a control loop runs once; make another one");
    recorder_.start();  // before the priority: it has no deadline
    const detail::Scheduling before;
    std::exception_ptr refused;
    try {
      detail::use_priority(options_.priority ? options_.priority + 1 : 0);
      governor_.start(now_ns());
      std::thread watchdog([this] { watch(); });  // inherits the higher priority, and all cores
      try {
        detail::use_cpu(options_.cpu);
        detail::use_priority(options_.priority);
        const double ticks = seconds * 1e9 / static_cast<double>(governor_.period_ns());
        while (!stopping_ && static_cast<double>(governor_slot()) < ticks) step();
      } catch (...) {
        refused = std::current_exception();
      }
      settle();
      ended_ = true;
      watchdog.join();
    } catch (...) {
      refused = std::current_exception();
    }
    recorder_.end();
    if (refused) std::rethrow_exception(refused);
    return report();
  }

  // One tick: wait for its slot, observe, act, command. run() calls it; a program with a schedule of its own may too,
  // but nobody watches over it then.
  void step() {
    sleep_until(due_ns(), true);
    if (stopping_) return;
    int64_t slot;
    {
      const std::lock_guard gate(gate_);
      slot = take_slot();
    }
    const Outcome outcome = think(slot);
    const bool observed = outcome == Outcome::kGood || outcome == Outcome::kNonFinite ||
                          outcome == Outcome::kPolicyFailed || outcome == Outcome::kBadAction;
    const bool good = outcome == Outcome::kGood;
    const std::lock_guard gate(gate_);
    Decision decision;
    if (governor_.finish(slot, now_ns(), outcome, good ? action_.data() : nullptr, decision))
      carry_out(decision, BlackBox::kLoop, observed ? obs_.data() : nullptr, good ? action_.data() : nullptr);
  }

  // Lets run() end soon. May be called from a signal handler and from any thread.
  void stop() { stopping_ = true; }

  // A person has looked: lets a latched fault be over.
  void reset() {
    const std::lock_guard gate(gate_);
    governor_.reset();
  }

  // Has the black box written after the next command. May be called from a signal handler and from any thread;
  // `reason` must stay where it is, as a literal does.
  void request_dump(const char* reason) { dump_wanted_ = reason; }

  // How it went so far.
  Report report() {
    const std::lock_guard gate(gate_);
    std::vector<int64_t> kept(latencies_.begin(),
                              latencies_.begin() + static_cast<std::ptrdiff_t>(std::min(counted_, latencies_.size())));
    const Mode mode = governor_.mode() == Mode::kStopping ? last_mode_ : governor_.mode();
    return {governor_.slot(),    detail::percentiles(std::move(kept)), governor_.counters(), mode,
            governor_.at_rest(), recorder_.paths(),                    recorder_.errors()};
  }

 private:
  int64_t governor_slot() {
    const std::lock_guard gate(gate_);
    return governor_.slot();
  }

  int64_t due_ns() {
    const std::lock_guard gate(gate_);
    return governor_.due_ns(governor_.slot());
  }

  // Until `due`, or until somebody asks to stop where `until_stop` is set.
  void sleep_until(int64_t due, bool until_stop) const {
    for (int64_t left; (left = due - now_ns()) > 0 && !(until_stop && stopping_);)
      Clock::sleep_ns(std::min(left, detail::kLongestNap_ns));
  }
  // Begins a tick in the first slot that is still in time. The gate is held.
  int64_t take_slot() {
    const int64_t now = now_ns();
    Decision decision;
    if (governor_.watch(now, decision)) carry_out(decision, BlackBox::kLoop, nullptr, nullptr);
    begun_ns_ = now;
    return governor_.begin();
  }

  // Observation and policy: how the tick ended.
  Outcome think(int64_t slot) {
    int64_t at_ns = kNoStamp;
    try {
      if (!parts_.source(obs_.data(), at_ns)) return Outcome::kMissing;
    } catch (...) {
      return Outcome::kSourceFailed;
    }
    if (governor_slot() > slot) return Outcome::kStalled;  // the watchdog was here; what was read is old by now
    if (at_ns != kNoStamp && governor_.is_stale(now_ns(), at_ns)) return Outcome::kStale;
    if (!detail::all_finite(obs_.data(), obs_.size())) return Outcome::kNonFinite;
    try {
      if (forget_.exchange(false)) parts_.forget();
      if (!parts_.policy(obs_.data(), action_.data())) return Outcome::kPolicyFailed;
    } catch (...) {
      return Outcome::kPolicyFailed;
    }
    return detail::all_finite(action_.data(), action_.size()) ? Outcome::kGood : Outcome::kBadAction;
  }

  // Sends and records. The gate is held.
  void carry_out(Decision decision, uint8_t by, const float* obs, const float* action) {
    const int64_t first = decision.slot - decision.slots + 1;
    const int64_t start = governor_.due_ns(0);
    bool sent = false;
    try {
      sent = parts_.sink(decision);
    } catch (...) {
      sent = false;
    }
    if (!sent) decision = governor_.unsent(decision);
    const int64_t sent_ns = now_ns();
    box_.record(decision, by, governor_.begun() >= first ? begun_ns_ - start : -1, sent_ns - start, obs, action);
    if (governor_.mode() != Mode::kStopping)  // settle() doesn't ask the policy, so nothing tells of it
      latencies_[counted_++ % latencies_.size()] = sent_ns - governor_.due_ns(first);
    const bool safe = decision.mode == Mode::kSafe || decision.mode == Mode::kLatched;
    if (safe && decision.outcome != Outcome::kGood) forget_ = true;
    if (decision.alarm) dump_wanted_ = decision.mode == Mode::kLatched ? "latched" : "safe";
    if (const char* reason = dump_wanted_; reason && recorder_.take(reason, governor_)) dump_wanted_ = nullptr;
  }

  // The watchdog's thread: looks at every deadline.
  void watch() {
    int64_t deadline = 0;
    bool sink_stuck = false;
    while (!ended_) {
      if (gate_.try_lock_for(std::chrono::nanoseconds(governor_.period_ns() / 4))) {
        const std::lock_guard gate(gate_, std::adopt_lock);
        Decision decision;
        if (governor_.watch(now_ns(), decision)) carry_out(decision, BlackBox::kWatchdog, nullptr, nullptr);
        deadline = governor_.deadline_ns();
      } else if (!std::exchange(sink_stuck, true)) {
        // Without the gate, which the stuck sink holds: at worst the newest row is half written.
        recorder_.take("the sink is stuck", governor_);
      }
      for (int64_t left; !ended_ && (left = deadline - now_ns()) > 0;)
        Clock::sleep_ns(std::min(left, detail::kLongestNap_ns));
    }
  }

  // The safe action, at the loop's rate, until the slew limits have let it be reached.
  void settle() {
    double ticks = 0.0;
    {
      const std::lock_guard gate(gate_);
      last_mode_ = governor_.mode();
      governor_.stop();
      const Limits& limits = governor_.limits();
      for (size_t i = 0; i < limits.safe.size(); ++i)
        ticks = std::max(ticks, std::abs(double{governor_.last()[i]} - limits.safe[i]) / limits.step[i]);
    }
    // A few more than that: a sink that fails now may work again.
    const double most = std::ceil(ticks) + 1.0 + static_cast<double>(options_.rules.hold_ticks);
    for (double tick = 0.0; tick < most; ++tick) {
      sleep_until(due_ns(), false);
      const std::lock_guard gate(gate_);
      const int64_t slot = take_slot();
      Decision decision;
      if (governor_.finish(slot, now_ns(), Outcome::kStopped, nullptr, decision))
        carry_out(decision, BlackBox::kLoop, nullptr, nullptr);
      if (governor_.at_rest() && governor_.counters().outcomes[static_cast<int>(Outcome::kStopped)] > 0) return;
    }
  }

  Options options_;
  Contract contract_;
  Parts parts_;
  Governor governor_;
  BlackBox box_;
  Recorder recorder_;
  std::vector<float> obs_, action_;
  std::vector<int64_t> latencies_;
  size_t counted_ = 0;
  int64_t begun_ns_ = 0;
  Mode last_mode_ = Mode::kStarting;
  std::timed_mutex gate_;  // governor, black box, sink
  std::atomic<bool> stopping_{false}, ended_{false}, forget_{false};
  std::atomic<const char*> dump_wanted_{nullptr};
};

using ControlLoop = BasicControlLoop<SteadyClock>;

}  // namespace haltere
