// Threads for work of some ten microseconds, where the OpenMP threads of pool.h take too long to come
// together: whoever calls never waits for a thread that is not there. The work is cut into chunks; each
// member begins with its own share of them, always the same ones, which its cache may still hold; what a
// member has not begun the caller does itself. Between jobs members spin for a moment, then park, and are
// woken only while calls follow one another closely.
#pragma once

#include <atomic>
#include <cstdint>

namespace fastlstm {

class Crew {
 public:
  // A crew of so many threads, the caller included, and this call's alone until it leaves; null if another
  // thread has it, and for a while after a member was kept from its chunk: then the cores are busy.
  static Crew* join(int threads);
  void leave();

  // Runs body(context, chunk) for every chunk 0 … chunks - 1, on any member; each share of them in ascending
  // or in descending order. Returns when all have run.
  void run(int64_t chunks, bool descending, void (*body)(void* context, int64_t chunk), void* context);
  template <class Body>
  void run(int64_t chunks, bool descending, Body& body) {
    run(
        chunks, descending, [](void* context, int64_t chunk) { (*static_cast<Body*>(context))(chunk); },
        &body);
  }

 private:
  struct Member;
  Crew() = default;
  bool start_member();
  void work(int index);
  void wait_for_job(Member& member, uint64_t seen);
  void take_chunks(Member& member);
  void wake_if_busy();

  static constexpr int kMost = 64;
  std::atomic<bool> taken_{false};
  int threads_ = 1, members_ = 1;  // of this job; that exist, the caller included
  int most_ = kMost;               // that can be had
  Member* member_[kMost] = {};
  int64_t last_job_ = 0;  // when, in nanoseconds
  bool stalled_ = false;
  int rest_ = 0, next_rest_ = 0;  // calls to go without; how many it will be after the next stall

  // Of the current phase: written before a member's chunks are laid out, read after one has been taken.
  void (*body_)(void*, int64_t) = nullptr;
  void* context_ = nullptr;
  bool descending_ = false;
  alignas(64) std::atomic<uint64_t> phase_{0};
  alignas(64) std::atomic<int64_t> unfinished_{0};
};

}  // namespace fastlstm
