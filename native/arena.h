// Scratch memory that outlives a call: one arena a calling thread, so that no call pays for fresh pages.
#pragma once

#include <cstddef>
#include <vector>

#include "common.h"

namespace fastlstm {

class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void reset();              // everything taken so far is given back
  void* take(size_t bytes);  // aligned for any vector, not cleared
  template <class T>
  FASTLSTM_INLINE T* take(size_t count) {
    return static_cast<T*>(take(count * sizeof(T)));
  }

 private:
  struct Block {
    char* data;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

Arena& fresh_arena();  // the calling thread's, with nothing taken

}  // namespace fastlstm
