// Work over threads. Who does what never changes a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace haltere::sight {

// job(which, worker) for each of count jobs; this thread is worker 0. A thread takes some 20 us to start, of a picture's
// millisecond, so that none is kept.
template <class Job>
void share(int threads, int count, const Job& job) {
  std::atomic<int> next{0};
  const auto work = [&](int worker) {
    for (int which = next++; which < count; which = next++) job(which, worker);
  };
  std::vector<std::thread> others;
  try {
    for (int worker = 1; worker < std::min(threads, count); ++worker) others.emplace_back(work, worker);
  } catch (const std::system_error&) {
    // No more threads to be had: those that there are do it all.
  }
  work(0);
  for (std::thread& other : others) other.join();
}

}  // namespace haltere::sight
