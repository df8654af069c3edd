#include "pool.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "openmp.h"

namespace fastlstm {
namespace {

constexpr auto kSpin = std::chrono::microseconds(40);  // a worker's patience before it parks
constexpr int kSpinsBeforeYield = 500;  // some 5 to 30 microseconds: a pause is 40 to 140 cycles

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins while a condition holds, and yields once that is long.
template <class Condition>
void wait_while(Condition&& condition) {
  for (int spins = 0; condition(); ++spins) spins < kSpinsBeforeYield ? relax() : (void)sched_yield();
}

struct Worker {
  alignas(64) std::atomic<uint64_t> ticket{0};  // counts the jobs handed to this worker
  std::atomic<bool> parked{false};
  std::mutex mutex;
  std::condition_variable wake;
};

class Pool {
 public:
  void run(int threads, void (*body)(void*, int), void* context) {
    std::lock_guard<std::mutex> turn(turn_);
    while ((int)workers_.size() < threads - 1) start_worker();
    body_ = body;
    context_ = context;
    unfinished_.store(threads - 1, std::memory_order_relaxed);
    for (int i = 0; i < threads - 1; ++i) hand_over(*workers_[i]);
    body(context, 0);
    wait_while([&] { return unfinished_.load(std::memory_order_acquire) != 0; });
  }

 private:
  void start_worker() {
    auto made = std::make_unique<Worker>();
    Worker& worker = *made;
    const int index = (int)workers_.size() + 1;
    workers_.reserve(index);  // nothing may fail once the thread runs, and one that never did is not counted
    std::thread([this, &worker, index] { work(worker, index); }).detach();
    workers_.push_back(std::move(made));
  }

  static void hand_over(Worker& worker) {
    worker.ticket.fetch_add(1, std::memory_order_seq_cst);
    if (worker.parked.load(std::memory_order_seq_cst)) {
      std::lock_guard<std::mutex> lock(worker.mutex);
      worker.wake.notify_one();
    }
  }

  void work(Worker& worker, int index) {
    for (uint64_t seen = 0;; ++seen) {
      wait_for_ticket(worker, seen);
      body_(context_, index);
      unfinished_.fetch_sub(1, std::memory_order_release);
    }
  }

  static void wait_for_ticket(Worker& worker, uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 64; ++i) {
        if (worker.ticket.load(std::memory_order_acquire) != seen) return;
        relax();
      }
    } while (std::chrono::steady_clock::now() < until);
    std::unique_lock<std::mutex> lock(worker.mutex);
    worker.parked.store(true, std::memory_order_seq_cst);
    worker.wake.wait(lock, [&] { return worker.ticket.load(std::memory_order_seq_cst) != seen; });
    worker.parked.store(false, std::memory_order_relaxed);
  }

  std::mutex turn_;
  std::vector<std::unique_ptr<Worker>> workers_;
  void (*body_)(void*, int) = nullptr;
  void* context_ = nullptr;
  std::atomic<int> unfinished_{0};
};

// Never destroyed: its threads live as long as the process. A forked child has none of them and starts
// afresh.
Pool* pool = nullptr;
std::once_flag once;

Pool& the_pool() {
  std::call_once(once, [] {
    pool = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
  });
  return *pool;
}

}  // namespace

void run_parallel(int threads, void (*body)(void*, int), void* context) {
  if (threads <= 1) return body(context, 0);
  if (!run_on_openmp(threads, body, context)) the_pool().run(threads, body, context);
}

void Barrier::wait() {
  if (count_ == 1) return;
  const uint32_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  wait_while([&] { return round_.load(std::memory_order_acquire) == round; });
}

void Progress::wait_for(int64_t step) const {
  wait_while([&] { return reached_.load(std::memory_order_acquire) < step; });
}

}  // namespace fastlstm
