#include "pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace haltere::kernels {

namespace {

constexpr int kMostThreads = 256;
constexpr std::int64_t kGrain = 4;  // lanes that a part has at least
constexpr int kPartsEach = 4;       // parts for each thread: whoever starts late finds less to do
constexpr int kSpins = 200;         // some ten microseconds, before the caller sleeps too
constexpr std::size_t kStackBytes = std::size_t{1} << 20;

// What the helpers share. `cursor` holds the run's number, its parts and the next part: 32, 16 and 16 bits. A helper
// touches the rest only after it has taken a part, which the run then waits for; so a helper that wakes up late, in
// another run or in none, does no harm.
struct Pool {
  std::atomic<int> helpers{0};
  std::atomic<bool> taken{false};
  std::atomic<int> wake[kMostThreads];
  std::atomic<std::uint64_t> cursor{0};
  std::atomic<int> done{0};
  std::int64_t lanes = 0;
  void (*work)(const void *, std::int64_t, std::int64_t) = nullptr;
  const void *data = nullptr;
};

// Made with the first helper and never destroyed: the helpers may outlive everything else at exit.
std::atomic<Pool *> made{nullptr};

void rest() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr std::uint64_t parts_of(std::uint64_t cursor) { return cursor >> 16 & 0xffff; }
constexpr std::uint64_t next_of(std::uint64_t cursor) { return cursor & 0xffff; }

// Take and do parts of the run until there are none left.
void work_off(Pool &shared) {
  std::uint64_t seen = shared.cursor.load(std::memory_order_acquire);
  while (next_of(seen) < parts_of(seen)) {
    if (!shared.cursor.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) continue;
    const auto part = static_cast<std::int64_t>(next_of(seen)), parts = static_cast<std::int64_t>(parts_of(seen));
    const std::int64_t blocks = (shared.lanes + kGrain - 1) / kGrain;
    shared.work(shared.data, std::min(blocks * part / parts * kGrain, shared.lanes),
                std::min(blocks * (part + 1) / parts * kGrain, shared.lanes));
    if (shared.done.fetch_add(1, std::memory_order_acq_rel) + 1 == parts) shared.done.notify_one();
    seen = shared.cursor.load(std::memory_order_acquire);
  }
}

void *help(void *index) {
  Pool &shared = *made.load();
  std::atomic<int> &wake = shared.wake[reinterpret_cast<std::intptr_t>(index)];
  for (int seen = 0;; seen = wake.load(std::memory_order_acquire)) {
    wake.wait(seen, std::memory_order_acquire);
    work_off(shared);
  }
  return nullptr;
}

bool start(int index) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return false;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // The program's signals are for the program's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int failed = pthread_create(&thread, &attributes, help, reinterpret_cast<void *>(std::intptr_t{index}));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return failed == 0;
}

}  // namespace

int reserve_threads(int threads) {
  static std::mutex growing;
  const std::lock_guard<std::mutex> lock(growing);
  if (threads <= 1 && !made.load()) return 1;
  if (!made.load()) {
    // A forked child has none of the helpers.
    pthread_atfork(nullptr, nullptr, [] {
      made.load()->helpers.store(0);
      made.load()->taken.store(false);
    });
    made.store(new Pool);
  }
  Pool &shared = *made.load();
  int helpers = shared.helpers.load();
  for (; helpers + 1 < std::min(threads, kMostThreads); ++helpers) {
    shared.wake[helpers].store(0);
    if (!start(helpers)) break;
  }
  shared.helpers.store(helpers);
  return helpers + 1;
}

void share(int threads, std::int64_t lanes, void (*work)(const void *, std::int64_t, std::int64_t), const void *data) {
  Pool *const found = made.load(std::memory_order_acquire);
  if (threads <= 1 || lanes <= kGrain || !found) return work(data, 0, lanes);
  Pool &shared = *found;
  const int helpers = std::min(threads - 1, shared.helpers.load(std::memory_order_relaxed));
  if (helpers < 1 || shared.taken.exchange(true, std::memory_order_acquire)) return work(data, 0, lanes);
  const auto parts = static_cast<std::uint64_t>(std::min<std::int64_t>((lanes + kGrain - 1) / kGrain,
                                                                      kPartsEach * (helpers + 1)));
  shared.lanes = lanes;
  shared.work = work;
  shared.data = data;
  shared.done.store(0, std::memory_order_relaxed);
  const std::uint64_t run = (shared.cursor.load(std::memory_order_relaxed) >> 32) + 1;
  shared.cursor.store(run << 32 | parts << 16, std::memory_order_release);
  for (int i = 0; i < helpers; ++i) {
    shared.wake[i].fetch_add(1, std::memory_order_release);
    shared.wake[i].notify_one();
  }
  work_off(shared);
  const int all = static_cast<int>(parts);
  for (int i = 0; i < kSpins && shared.done.load(std::memory_order_acquire) != all; ++i) rest();
  for (int done; (done = shared.done.load(std::memory_order_acquire)) != all;) shared.done.wait(done);
  shared.taken.store(false, std::memory_order_release);
}

}  // namespace haltere::kernels
