// Large pieces of memory, and a store of those given back: fresh pages cost more than the arithmetic that
// fills them.
#pragma once

#include <cstddef>

namespace fastlstm {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector
constexpr size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Aligned for any vector, huge pages asked for where it is large enough; std::bad_alloc where there is none.
// Freed with std::free.
void* allocate(size_t bytes);

// A block of at least so many bytes, given back with return_block(). What is given back is kept for the next
// that asks, up to a limit. Safe to call from any thread.
void* take_block(size_t bytes);
void return_block(void* block);

}  // namespace fastlstm
