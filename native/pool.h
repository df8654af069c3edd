// Threads to compute on: those of the OpenMP runtime that the process (torch, that is) already has, else a
// pool of its own, whose threads spin for a moment after a job and then park.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastlstm {

// Runs body(context, 0) … body(context, threads - 1) at the same time, the first on the calling thread, and
// returns when all have. One job runs at a time; another caller waits for its turn.
void run_parallel(int threads, void (*body)(void* context, int index), void* context);

template <class Body>
void run_parallel(int threads, Body& body) {
  run_parallel(threads, [](void* context, int index) { (*static_cast<Body*>(context))(index); }, &body);
}

// All of `count` threads wait until the last has come. For short waits: it spins, and yields only when that
// is long.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}
  void wait();

 private:
  const int count_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> round_{0};
};

// How far a thread is whose results others read while it goes on.
class Progress {
 public:
  void reach(int64_t step) { reached_.store(step, std::memory_order_release); }
  void wait_for(int64_t step) const;  // as a barrier does

 private:
  alignas(64) std::atomic<int64_t> reached_{0};
};

}  // namespace fastlstm
