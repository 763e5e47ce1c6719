// Writes the black box to files without keeping the control loop waiting: a thread of its own does it.
#pragma once

#include <atomic>
#include <cctype>
#include <ctime>
#include <mutex>
#include <thread>

#include "black_box.hpp"

namespace haltere {

class Recorder {
 public:
  static constexpr size_t kMostFiles = 16;  // of one run: a fault that returns mustn't fill the disk

  // Sets memory for one snapshot aside. Files go to `folder`; none are written where it is empty.
  Recorder(const BlackBox& box, std::string folder)
      : box_(box), folder_(std::move(folder)), rows_(box.room()), reason_(kLongestReason, '\0') {}

  void start() {
    thread_ = std::thread([this] { serve(); });
  }

  // Copies the box and the counters and has them written. False, and nothing done, where the last ones still are
  // being written. Waits for nothing and allocates nothing.
  bool take(std::string_view reason, const Governor& governor) {
    if (state_.load(std::memory_order_acquire) != kIdle) return false;
    reason_.assign(reason.substr(0, kLongestReason));
    used_ = box_.snapshot(rows_);
    slot_ = governor.slot();
    mode_ = governor.mode();
    period_ns_ = governor.period_ns();
    counters_ = governor.counters();
    state_.store(kTaken, std::memory_order_release);
    state_.notify_all();
    return true;
  }

  // Writes what was taken, then ends the thread.
  void end() {
    state_.wait(kTaken);
    state_ = kEnd;
    state_.notify_all();
    thread_.join();
  }

  std::vector<std::string> paths() {
    const std::lock_guard lock(written_);
    return paths_;
  }

  std::vector<std::string> errors() {
    const std::lock_guard lock(written_);
    return errors_;
  }

 private:
  static constexpr size_t kLongestReason = 96;
  enum State : int { kIdle, kTaken, kEnd };

  void serve() {
    while (true) {
      state_.wait(kIdle);
      if (state_ == kEnd) return;
      if (!folder_.empty()) write();
      state_.store(kIdle, std::memory_order_release);
      state_.notify_all();
    }
  }

  void write() {
    std::string slug;
    for (const char c : reason_) slug += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
    char stamp[32];
    const std::time_t now = std::time(nullptr);
    std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", std::gmtime(&now));
    std::string number = std::to_string(slot_);
    number.insert(0, number.size() < 8 ? 8 - number.size() : 0, '0');
    const std::filesystem::path path =
        std::filesystem::path(folder_) / (std::string(stamp) + "-" + number + "-" + slug.substr(0, 40) + ".npz");
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    const std::string wrong =
        paths_.size() >= kMostFiles ? std::to_string(kMostFiles) + " files written, no more for this run: " + reason_
                                    : box_.write(path, rows_, used_, about(stamp));
    const std::lock_guard lock(written_);
    if (wrong.empty()) paths_.push_back(path.string());
    else errors_.push_back(wrong);
  }

  // Members of reason.json that the run knows.
  std::string about(const char* stamp) const {
    const auto member = [](const char* name, int64_t value) {
      return ", " + detail::json_text(name) + ": " + std::to_string(value);
    };
    std::string text = "\"reason\": " + detail::json_text(reason_) + ", \"written\": " + detail::json_text(stamp) +
                       ", \"mode\": " + detail::json_text(kModeNames[static_cast<int>(mode_)]) +
                       member("slot", slot_) + member("period_ns", period_ns_) + ", \"counters\": {\"outcomes\": {";
    for (int i = 0; i < kOutcomes; ++i)
      text += member(kOutcomeNames[i], counters_.outcomes[i]).substr(i ? 0 : 2);
    return text + "}" + member("overruns", counters_.overruns) + member("stalls", counters_.stalls) +
           member("skipped", counters_.skipped) + member("alarms", counters_.alarms) + "}";
  }

  const BlackBox& box_;
  std::string folder_;
  Rows rows_;
  std::string reason_;
  size_t used_ = 0;
  int64_t slot_ = 0, period_ns_ = 0;
  Mode mode_ = Mode::kStarting;
  Counters counters_;
  std::atomic<int> state_{kIdle};
  std::thread thread_;
  std::mutex written_;
  std::vector<std::string> paths_, errors_;
};

}  // namespace haltere
