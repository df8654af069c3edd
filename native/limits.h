// What a machine gives at most, to measure kernels against: multiply-adds and bytes read a second.
#pragma once

#include <chrono>
#include <cstdlib>

#include "memory.h"
#include "pool.h"
#include "simd.h"

namespace fastlstm::FASTLSTM_ISA {

// Calls work(thread), which says how much it did, on every thread until the seconds are over; the sum of what
// the threads did a second.
template <class Work>
double rate(int threads, double seconds, Work&& work) {
  constexpr int kMostThreads = 256;
  using Clock = std::chrono::steady_clock;
  double rates[kMostThreads] = {};
  threads = threads < kMostThreads ? threads : kMostThreads;
  auto body = [&](int index) {
    const auto begin = Clock::now();
    double elapsed = 0, done = 0;
    while (elapsed < seconds) {
      done += work(index);
      elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
      rates[index] = done / elapsed;
    }
  };
  run_parallel(threads, body);
  double total = 0;
  for (int i = 0; i < threads; ++i) total += rates[i];
  return total;
}

// Independent chains of multiply-adds that never leave the registers: the most that a core can do.
inline double multiply_add(int64_t rounds) {
  constexpr int kChains = 12;
  Vec<float> chain[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) chain[c] = splat(1.0f);
  const Vec<float> factor = splat(0.999f), addend = splat(0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      chain[c] = chain[c] * factor + addend;
      asm volatile("" : "+x"(chain[c]));  // so that no round is left out
    }
  }
  return 2.0 * kChains * kLanes<float> * (double)rounds;
}
inline double fma_peak(int threads, double seconds) {
  constexpr int kRounds = 20000;
  return rate(threads, seconds, [](int) { return multiply_add(kRounds); });
}

constexpr int64_t kReadBlock = 1024;  // values: a multiple of what one round reads, for every instruction set

// Loads every value once and does nothing else, block by block, from the first or from the last on. Returns
// the bytes of the whole blocks, which it reads alone.
inline int64_t read(const float* values, int64_t count, bool backwards) {
  constexpr int kAtOnce = 8, L = kLanes<float>;
  static_assert(kReadBlock % (kAtOnce * L) == 0);
  Vec<float> sum[kAtOnce] = {};
  const int64_t blocks = count / kReadBlock;
  for (int64_t i = 0; i < blocks; ++i) {
    const float* block = values + (backwards ? blocks - 1 - i : i) * kReadBlock;
    for (int64_t k = 0; k < kReadBlock; k += kAtOnce * L) {
#pragma GCC unroll 8
      for (int v = 0; v < kAtOnce; ++v) sum[v] += load(block + k + v * L);
    }
  }
  for (int v = 0; v < kAtOnce; ++v) asm volatile("" : : "x"(sum[v]));
  return blocks * kReadBlock * (int64_t)sizeof(float);
}
// Bytes a second where threads read a buffer of so many bytes again and again, each its own share, back and
// forth as the step's kernel does: from whichever caches, or memory, hold what comes next.
inline double read_rate(int64_t bytes, int threads, double seconds) {
  constexpr int64_t kBytesBetweenLooks = 1 << 20;  // at the clock
  const int64_t least = threads * kReadBlock, asked = bytes / (int64_t)sizeof(float),
                count = asked > least ? asked : least;
  float* values = static_cast<float*>(allocate(count * sizeof(float)));
  for (int64_t i = 0; i < count; ++i) values[i] = 1;  // untouched pages are all the same zeros
  const double found = rate(threads, seconds, [=](int index) {
    const Range own = share(count, index, threads);
    double done = 0;
    for (bool backwards = false; done < kBytesBetweenLooks || backwards; backwards = !backwards)
      done += (double)read(values + own.begin, own.end - own.begin, backwards);
    return done;
  });
  std::free(values);
  return found;
}

}  // namespace fastlstm::FASTLSTM_ISA
