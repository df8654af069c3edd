#include "memory.h"

#include <pthread.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastlstm {
namespace {

constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kIdleLimit = size_t(512) << 20;  // bytes kept though nobody uses them

// Sizes in steps of an eighth, so that calls of nearly the same size can use the same block.
size_t size_class(size_t bytes) {
  size_t step = kAlignment;
  while (step * 8 < bytes) step *= 2;
  return round_up(bytes, step);
}

class Store {
 public:
  // The smallest block that is large enough, unless it is larger by more than a quarter.
  void* take(size_t bytes) {
    bytes = size_class(bytes);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = idle_.lower_bound(bytes);
      if (found != idle_.end() && found->first <= bytes + bytes / 4) {
        return remove(found);
      }
    }
    void* block = allocate(bytes);
    std::lock_guard<std::mutex> lock(mutex_);
    sizes_[block] = bytes;
    return block;
  }

  void give_back(void* block) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const size_t bytes = sizes_.at(block);
      const uint64_t age = ++returned_;
      by_age_.emplace(age, idle_.emplace(bytes, Idle{block, age}));
      idle_bytes_ += bytes;
    }
    while (void* victim = remove_one()) std::free(victim);  // which takes milliseconds of a large one
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Idle {
    void* block;
    uint64_t returned;  // when: how many had been before, and itself
  };
  using BySize = std::multimap<size_t, Idle>;

  void* remove(BySize::iterator idle) {
    void* block = idle->second.block;
    idle_bytes_ -= idle->first;
    by_age_.erase(idle->second.returned);
    idle_.erase(idle);
    return block;
  }
  // Where there is more than the limit, the one that was given back first.
  void* remove_one() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (idle_bytes_ <= kIdleLimit) return nullptr;
    void* block = remove(by_age_.begin()->second);
    sizes_.erase(block);
    return block;
  }

  std::mutex mutex_;
  BySize idle_;
  std::map<uint64_t, BySize::iterator> by_age_;
  std::unordered_map<void*, size_t> sizes_;
  size_t idle_bytes_ = 0;
  uint64_t returned_ = 0;
};

// Never destroyed: tensors may outlive the module. A process forks while no other thread is within.
Store& store() {
  static Store* const kept = [] {
    auto* made = new Store;
    pthread_atfork([] { store().lock(); }, [] { store().unlock(); }, [] { store().unlock(); });
    return made;
  }();
  return *kept;
}

}  // namespace

void* allocate(size_t bytes) {
  const bool huge = bytes >= kHugePage;
  if (huge) bytes = round_up(bytes, kHugePage);
  void* data = nullptr;
  if (posix_memalign(&data, huge ? kHugePage : kAlignment, bytes) != 0) throw std::bad_alloc();
#if defined(__linux__)
  if (huge) madvise(data, bytes, MADV_HUGEPAGE);
#endif
  return data;
}

void* take_block(size_t bytes) { return store().take(bytes); }

void return_block(void* block) { store().give_back(block); }

}  // namespace fastlstm
