// Large pieces of memory, and a store of those given back: fresh pages cost more than the arithmetic that
// fills them.
#pragma once

#include <cstddef>

namespace fastlstm {

// Aligned for any vector, huge pages asked for where it is large enough; std::bad_alloc where there is none.
// Freed with std::free.
void* allocate(size_t bytes);

// A block of at least so many bytes, given back with return_block(). What is given back is kept for the next
// that asks, up to a limit. Safe to call from any thread.
void* take_block(size_t bytes);
void return_block(void* block);

}  // namespace fastlstm
