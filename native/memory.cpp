#include "memory.h"

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
  void* take(size_t bytes) {
    bytes = size_class(bytes);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = idle_.find(bytes);
      if (found != idle_.end()) {
        void* block = found->second;
        idle_.erase(found);
        idle_bytes_ -= bytes;
        return block;
      }
    }
    void* block = allocate(bytes);
    std::lock_guard<std::mutex> lock(mutex_);
    sizes_[block] = bytes;
    return block;
  }

  void give_back(void* block) {
    std::lock_guard<std::mutex> lock(mutex_);
    const size_t bytes = sizes_.at(block);
    idle_.emplace(bytes, block);
    idle_bytes_ += bytes;
    while (idle_bytes_ > kIdleLimit) {  // the smallest go first: they are the cheapest to have again
      const auto smallest = idle_.begin();
      idle_bytes_ -= smallest->first;
      sizes_.erase(smallest->second);
      std::free(smallest->second);
      idle_.erase(smallest);
    }
  }

 private:
  std::mutex mutex_;
  std::multimap<size_t, void*> idle_;
  std::unordered_map<void*, size_t> sizes_;
  size_t idle_bytes_ = 0;
};

Store& store() {
  static Store* const kept = new Store;  // never destroyed: tensors may outlive the module
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
