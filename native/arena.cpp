#include "arena.h"

#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fastlstm {
namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kFirstBlock = size_t(1) << 20;
constexpr size_t kKept =
    size_t(256) << 20;  // an arena larger than this is given back to the system after its call

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

char* allocate(size_t bytes) {
  const size_t unit = bytes >= kHugePage ? kHugePage : kAlignment;
  void* data = nullptr;
  if (posix_memalign(&data, unit, round_up(bytes, unit)) != 0) throw std::bad_alloc();
#if defined(__linux__)
  if (unit == kHugePage) madvise(data, round_up(bytes, unit), MADV_HUGEPAGE);
#endif
  return static_cast<char*>(data);
}

}  // namespace

Arena::~Arena() {
  for (Block& block : blocks_) std::free(block.data);
}

void Arena::reset() {
  used_ = 0;
  size_t total = 0;
  for (Block& block : blocks_) total += block.size;
  if (blocks_.size() <= 1 && total <= kKept) return;
  for (Block& block : blocks_) std::free(block.data);
  blocks_.clear();
  if (total <= kKept) blocks_.push_back({allocate(total), total});  // next time one block serves
}

void* Arena::take(size_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (blocks_.empty() || used_ + bytes > blocks_.back().size) {
    const size_t size = bytes > kFirstBlock ? bytes : kFirstBlock;
    blocks_.push_back({allocate(size), size});
    used_ = 0;
  }
  char* data = blocks_.back().data + used_;
  used_ += bytes;
  return data;
}

Arena& thread_arena() {
  thread_local Arena arena;
  return arena;
}

}  // namespace fastlstm
