// Which command an actuator gets in each tick, decided without a clock, a thread or a device: time is an argument.
//
// The twin of deploy/runtime/governor.py and limits.py, which say the rules in words; a test drives both through the
// same scripts and compares every bit. Nothing here allocates after construction.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "contract.hpp"

namespace haltere {

// A request that can't be met; what() is one sentence.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Mode : uint8_t { kStarting, kRunning, kHolding, kSafe, kLatched, kStopping };
inline constexpr const char* kModeNames[] = {"starting", "running", "holding", "safe", "latched", "stopping"};

enum class Outcome : uint8_t {
  kGood, kMissing, kStale, kMalformed, kNonFinite, kSourceFailed, kPolicyFailed, kBadAction, kStalled, kUnsent, kStopped
};
inline constexpr const char* kOutcomeNames[] = {"good",          "missing",       "stale",      "malformed",
                                                "non_finite",    "source_failed", "policy_failed", "bad_action",
                                                "stalled",       "unsent",        "stopped"};
inline constexpr int kOutcomes = 11;

namespace detail {

// The nearest float may pass a limit by half a unit of the last place.
inline float rounded_down(double exact) {
  const float near = static_cast<float>(exact);
  return near > exact ? std::nextafter(near, -std::numeric_limits<float>::infinity()) : near;
}

// The largest float that isn't above the exact sum. The sum rounded to double may itself pass the exact one, and be a
// float; its error term is Knuth's (The Art of Computer Programming 2, 4.2.2, theorem B).
inline float sum_rounded_down(double a, double b) {
  const double total = a + b, part = total - a, error = (a - (total - part)) + (b - part);
  const float near = static_cast<float>(total);
  const bool above = near > total || (near == total && error < 0.0);
  return above ? std::nextafter(near, -std::numeric_limits<float>::infinity()) : near;
}

inline bool all_finite(const float* values, size_t count) {
  bool finite = true;
  for (size_t i = 0; i < count; ++i) finite &= std::isfinite(values[i]);
  return finite;
}

}  // namespace detail

// Bounds of every action component, its safe value, and its largest change from one tick's command to the next.
struct Limits {
  std::vector<float> low, high, safe, step;

  // The contract's bounds. `safe` and `slew` [action units/s] have one number for every component, one for each, or
  // none: then the safe action is the contract's, or the lower bound where it has none (motors off, for whatever
  // commands thrust), and the slew unlimited.
  static Limits of(const Contract& contract, const std::vector<float>& safe = {},
                   const std::vector<double>& slew = {}) {
    const size_t size = contract.action_low.size();
    Limits limits;
    limits.low.assign(contract.action_low.begin(), contract.action_low.end());
    limits.high.assign(contract.action_high.begin(), contract.action_high.end());
    const auto known = contract.safe_action.empty() ? contract.action_low : contract.safe_action;
    limits.safe = spread("safe", safe.empty() ? std::vector<float>(known.begin(), known.end()) : safe, size);
    for (const float bound : limits.low) check_bound(bound);
    for (const float bound : limits.high) check_bound(bound);
    for (size_t i = 0; i < size; ++i)
      if (!(limits.safe[i] >= limits.low[i] && limits.safe[i] <= limits.high[i]))
        throw Error("safe: component " + std::to_string(i) + " must be from " + std::to_string(limits.low[i]) + " to " +
                    std::to_string(limits.high[i]) + ", got " + std::to_string(limits.safe[i]));
    limits.step.assign(size, std::numeric_limits<float>::infinity());
    if (slew.empty()) return limits;
    const std::vector<double> rate = spread("slew", slew, size);
    for (size_t i = 0; i < size; ++i) {
      limits.step[i] = detail::rounded_down(rate[i] * (static_cast<double>(contract.period_ns) / 1e9));
      if (!(limits.step[i] > 0.0f)) throw Error("slew: must be above 0, got " + std::to_string(rate[i]));
    }
    return limits;
  }

  // Writes the command nearest to `target` that may follow `last`. No change is larger than from bound to bound, which
  // keeps infinity out of the arithmetic; adding zero makes -0 and +0 one.
  void apply(const float* target, const float* last, float* command) const {
    for (size_t i = 0; i < low.size(); ++i) {
      const double before = last[i], change = std::min<double>(step[i], 2.0 * (double{high[i]} - low[i]));
      const float floor = std::max(low[i], -detail::sum_rounded_down(-before, change));
      const float ceiling = std::min(high[i], detail::sum_rounded_down(before, change));
      command[i] = std::min(std::max(target[i], floor), ceiling) + 0.0f;
    }
  }

 private:
  // Beyond it, sums of commands overflow float; no actuator has a scale like that.
  static void check_bound(float bound) {
    if (!(std::abs(bound) <= 1e37f)) throw Error("a bound must be at most 1e37 in size, got " + std::to_string(bound));
  }

  template <class T>
  static std::vector<T> spread(const char* name, const std::vector<T>& values, size_t size) {
    if (values.size() == 1) return std::vector<T>(size, values[0]);
    if (values.size() == size) return values;
    throw Error(std::string(name) + ": must be one number or " + std::to_string(size) + ", got " +
                std::to_string(values.size()));
  }
};

// When to hold, when to give up, when to come back. All counted in ticks.
struct Rules {
  int64_t hold_ticks = 5;        // bad ticks in a row for which the last command is held
  int64_t recover_ticks = 10;    // good ticks in a row that end the safe action
  int64_t latch_after = 3;       // how many times the safe action may begin; the last of them latches
  int64_t forgive_ticks = 1000;  // good ticks in a row after which that count begins anew
  int64_t max_age_ticks = 2;     // age of a time stamp, in periods, above which an observation is stale
};

struct Decision {
  int64_t slot;          // the last slot that it is for
  int64_t slots;         // how many it is for
  Outcome outcome;       // how they ended
  Mode mode;             // after it
  const float* command;  // within bounds and slew limits, always; valid until the next decision
  bool alarm;            // whether the safe action begins here
};

struct Counters {
  int64_t outcomes[kOutcomes] = {};  // slots by how they ended
  int64_t overruns = 0;              // ticks that took longer than a period
  int64_t stalls = 0;                // ticks that were under way when the watchdog took their slot
  int64_t skipped = 0;               // slots that the watchdog took before any tick had begun in them
  int64_t alarms = 0;                // how often the safe action began
};

class Governor {
 public:
  Governor(Limits limits, Rules rules, int64_t period_ns)
      : limits_(std::move(limits)), rules_(rules), period_ns_(period_ns), watch_ns_(period_ns + period_ns / 8) {
    if (rules.hold_ticks < 0) throw Error("hold_ticks: must be at least 0, got " + std::to_string(rules.hold_ticks));
    for (const auto& [name, value] : {std::pair{"recover_ticks", rules.recover_ticks},
                                      std::pair{"latch_after", rules.latch_after},
                                      std::pair{"forgive_ticks", rules.forgive_ticks},
                                      std::pair{"max_age_ticks", rules.max_age_ticks}})
      if (value < 1) throw Error(std::string(name) + ": must be at least 1, got " + std::to_string(value));
    state_.last = limits_.safe;
    for (float& value : state_.last) value += 0.0f;
    before_ = state_;
  }

  const Limits& limits() const { return limits_; }
  const Rules& rules() const { return rules_; }
  const Counters& counters() const { return counters_; }
  int64_t period_ns() const { return period_ns_; }
  int64_t slot() const { return slot_; }
  int64_t begun() const { return begun_; }
  Mode mode() const { return state_.mode; }
  const std::vector<float>& last() const { return state_.last; }
  bool at_rest() const { return state_.last == limits_.safe; }

  void start(int64_t now_ns) { start_ns_ = now_ns; }
  int64_t due_ns(int64_t slot) const { return start_ns_ + slot * period_ns_; }
  int64_t deadline_ns() const { return due_ns(slot_) + watch_ns_; }

  bool is_stale(int64_t now_ns, int64_t at_ns) const {
    return at_ns > now_ns || now_ns - at_ns > rules_.max_age_ticks * period_ns_;
  }

  // A tick begins in the first slot that has no command; watch() comes before it.
  int64_t begin() { return begun_ = slot_; }

  // A tick ended. False where the watchdog has taken its slot, and the action comes too late to be used.
  bool finish(int64_t slot, int64_t now_ns, Outcome outcome, const float* action, Decision& out) {
    if (slot < slot_) return false;
    if (now_ns >= deadline_ns()) return watch(now_ns, out);
    counters_.overruns += now_ns > due_ns(slot + 1);
    out = decide(outcome, action, 1);
    return true;
  }

  // The watchdog's turn: one command for every slot whose deadline has passed. False where none has.
  bool watch(int64_t now_ns, Decision& out) {
    const int64_t late_ns = now_ns - deadline_ns();
    if (late_ns < 0) return false;
    const int64_t slots = late_ns / period_ns_ + 1;
    const int64_t under_way = begun_ == slot_;
    counters_.stalls += under_way;
    counters_.overruns += under_way;
    counters_.skipped += slots - under_way;
    out = decide(Outcome::kStalled, nullptr, slots);
    return true;
  }

  // The last decision didn't reach the actuator: take it back, and count its slots as bad.
  Decision unsent(const Decision& decision) {
    copy(before_, state_);
    counters_.outcomes[static_cast<int>(decision.outcome)] -= decision.slots;
    counters_.alarms -= decision.alarm;
    slot_ -= decision.slots;
    Decision instead = decide(Outcome::kUnsent, nullptr, decision.slots);
    state_.last = before_.last;
    return instead;
  }

  // From here on, the safe action.
  void stop() { state_.mode = Mode::kStopping; }

  // A person has looked: a latched fault is over, and the next good tick flies again.
  void reset() {
    if (state_.mode != Mode::kLatched) return;
    state_.mode = Mode::kStarting;
    state_.held = state_.streak = state_.entries = 0;
  }

 private:
  struct State {
    Mode mode = Mode::kStarting;
    std::vector<float> last;
    int64_t held = 0, streak = 0, entries = 0;
  };

  static void copy(const State& from, State& to) { to = from; }  // equal sizes: nothing is allocated

  Decision decide(Outcome outcome, const float* action, int64_t slots) {
    copy(state_, before_);
    if (outcome == Outcome::kGood) good();
    else bad(slots);
    const bool entered = state_.entries > before_.entries;
    const float* target = limits_.safe.data();
    if (state_.mode == Mode::kRunning && action) target = action;
    else if (state_.mode == Mode::kHolding) target = before_.last.data();
    limits_.apply(target, before_.last.data(), state_.last.data());
    slot_ += slots;
    counters_.outcomes[static_cast<int>(outcome)] += slots;
    counters_.alarms += entered;
    return {slot_ - 1, slots, outcome, state_.mode, state_.last.data(), entered};
  }

  void good() {
    state_.streak = std::min(state_.streak + 1, rules_.forgive_ticks);
    state_.held = 0;
    const bool resumes = state_.mode == Mode::kStarting || state_.mode == Mode::kHolding ||
                         (state_.mode == Mode::kSafe && state_.streak >= rules_.recover_ticks);
    if (resumes) state_.mode = Mode::kRunning;
    if (state_.streak >= rules_.forgive_ticks && state_.mode == Mode::kRunning) state_.entries = 0;
  }

  void bad(int64_t slots) {
    state_.held = std::min(state_.held + slots, int64_t{1} << 31);
    state_.streak = 0;
    if (state_.mode != Mode::kRunning && state_.mode != Mode::kHolding) return;
    if (state_.held <= rules_.hold_ticks) {
      state_.mode = Mode::kHolding;
      return;
    }
    state_.mode = ++state_.entries >= rules_.latch_after ? Mode::kLatched : Mode::kSafe;
  }

  Limits limits_;
  Rules rules_;
  int64_t period_ns_, watch_ns_, start_ns_ = 0, slot_ = 0, begun_ = -1;
  State state_, before_;
  Counters counters_;
};

}  // namespace haltere
