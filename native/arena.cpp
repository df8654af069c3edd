#include "arena.h"

#include <cstdlib>

#include "memory.h"

namespace fastlstm {
namespace {

#if defined(__SANITIZE_ADDRESS__)
// Each piece is a block of its own, so that the address sanitizer sees the first value past its end.
constexpr size_t kUnit = 1, kFirstBlock = 0, kKept = 0;
void* take_memory(size_t bytes) { return allocate(bytes); }
void return_memory(void* block) { std::free(block); }
#else
constexpr size_t kUnit = kAlignment, kFirstBlock = size_t(1) << 20;
constexpr size_t kKept =
    size_t(256) << 20;  // what is more than this may serve other calls, and other threads
void* take_memory(size_t bytes) { return take_block(bytes); }
void return_memory(void* block) { return_block(block); }
#endif

}  // namespace

Arena::~Arena() {
  for (Block& block : blocks_) return_memory(block.data);
}

void Arena::reset() {
  used_ = 0;
  size_t total = 0;
  for (Block& block : blocks_) total += block.size;
  if (blocks_.size() <= 1 && total <= kKept) return;
  for (Block& block : blocks_) return_memory(block.data);
  blocks_.clear();
  if (total <= kKept)
    blocks_.push_back({static_cast<char*>(take_memory(total)), total});  // next time one block serves
}

void* Arena::take(size_t bytes) {
  bytes = round_up(bytes, kUnit);
  if (blocks_.empty() || used_ + bytes > blocks_.back().size) {
    const size_t size = bytes > kFirstBlock ? bytes : kFirstBlock;
    blocks_.push_back({static_cast<char*>(take_memory(size)), size});
    used_ = 0;
  }
  char* data = blocks_.back().data + used_;
  used_ += bytes;
  return data;
}

Arena& fresh_arena() {
  thread_local Arena arena;
  arena.reset();
  return arena;
}

}  // namespace fastlstm
