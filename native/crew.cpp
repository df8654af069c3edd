#include "crew.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "common.h"

namespace fastlstm {
namespace {

constexpr int64_t kSpin = 100'000;       // nanoseconds of a member's patience before it parks
constexpr int64_t kClose = 200'000;      // between calls that follow one another closely
constexpr int kSpinsBeforeYield = 1000;  // far more than a chunk takes: the member is not running
constexpr int kShortestRest = 64, kLongestRest = 1 << 14;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

constexpr uint64_t kNext = uint64_t(1) << 32;

Crew* crew = nullptr;
std::once_flag once;

}  // namespace

struct Crew::Member {
  // The next chunk of its share in the upper half, the end in the lower: one addition takes a chunk, or finds
  // that there is none.
  alignas(64) std::atomic<uint64_t> chunks{0};
  int64_t first = 0, last = 0;
  alignas(64) std::atomic<bool> parked{false};
  std::mutex mutex;
  std::condition_variable wake;
};

// Never destroyed: its threads live as long as the process. A forked child has none of them and starts
// afresh.
Crew* Crew::join(int threads) {
  std::call_once(once, [] {
    crew = new Crew;
    pthread_atfork(nullptr, nullptr, [] { crew = new Crew; });
  });
  Crew& found = *crew;
  if (found.taken_.exchange(true, std::memory_order_acquire)) return nullptr;
  if (found.rest_ > 0) {
    --found.rest_;
    found.taken_.store(false, std::memory_order_release);
    return nullptr;
  }
  if (!found.member_[0]) found.member_[0] = new Member;
  while (found.members_ < (threads < found.most_ ? threads : found.most_))
    if (!found.start_member()) found.most_ = found.members_;
  found.threads_ = threads < found.most_ ? threads : found.most_;
  found.wake_if_busy();
  return &found;
}

void Crew::leave() {
  last_job_ = now();
  if (stalled_) {
    next_rest_ = next_rest_ * 2 < kShortestRest  ? kShortestRest
                 : next_rest_ * 2 > kLongestRest ? kLongestRest
                                                 : next_rest_ * 2;
    rest_ = next_rest_;
    stalled_ = false;
  } else if (next_rest_ > 0) {
    --next_rest_;
  }
  taken_.store(false, std::memory_order_release);
}

// False where the system has no thread to give.
bool Crew::start_member() {
  const int index = members_;
  auto member = std::make_unique<Member>();
  member_[index] = member.get();  // the thread looks for it there
  try {
    std::thread([this, index] { work(index); }).detach();
  } catch (const std::system_error&) {
    member_[index] = nullptr;
    return false;
  }
  member.release();
  ++members_;
  return true;
}

void Crew::wake_if_busy() {
  if (now() - last_job_ > kClose) return;
  for (int i = 1; i < threads_; ++i) {
    Member& member = *member_[i];
    if (!member.parked.load(std::memory_order_relaxed)) continue;
    std::lock_guard<std::mutex> lock(member.mutex);
    member.parked.store(false, std::memory_order_relaxed);
    member.wake.notify_one();
  }
}

void Crew::run(int64_t chunks, bool descending, void (*body)(void*, int64_t), void* context) {
  body_ = body;
  context_ = context;
  descending_ = descending;
  unfinished_.store(chunks, std::memory_order_relaxed);
  for (int i = 0; i < threads_; ++i) {
    const Range own = share(chunks, i, threads_);
    Member& member = *member_[i];
    member.first = own.begin;
    member.last = own.end - 1;
    member.chunks.store((uint64_t)own.begin * kNext + (uint64_t)own.end, std::memory_order_release);
  }
  phase_.fetch_add(1, std::memory_order_release);
  for (int i = 0; i < threads_; ++i) take_chunks(*member_[i]);
  for (int spins = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpinsBeforeYield) {
      relax();
    } else {
      stalled_ = true;
      sched_yield();
    }
  }
}

void Crew::take_chunks(Member& member) {
  for (;;) {
    const uint64_t chunks = member.chunks.fetch_add(kNext, std::memory_order_acq_rel);
    const int64_t next = (int64_t)(chunks >> 32);
    if (next >= (int64_t)(chunks & (kNext - 1))) return;
    body_(context_, descending_ ? member.first + member.last - next : next);
    unfinished_.fetch_sub(1, std::memory_order_release);
  }
}

void Crew::work(int index) {
  Member& member = *member_[index];
  for (uint64_t seen = 0;;) {
    wait_for_job(member, seen);
    seen = phase_.load(std::memory_order_acquire);
    take_chunks(member);
  }
}

void Crew::wait_for_job(Member& member, uint64_t seen) {
  for (;;) {
    const int64_t until = now() + kSpin;
    do {
      for (int i = 0; i < 64; ++i) {
        if (phase_.load(std::memory_order_acquire) != seen) return;
        relax();
      }
    } while (now() < until);
    std::unique_lock<std::mutex> lock(member.mutex);
    member.parked.store(true, std::memory_order_relaxed);
    member.wake.wait(lock, [&] { return !member.parked.load(std::memory_order_relaxed); });
  }
}

}  // namespace fastlstm
