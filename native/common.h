// Names that every file of the native room shares.
#pragma once

#include <cstdint>

// What kernels of different instruction sets both include must leave no symbol of its own behind: the linker
// would keep one copy, perhaps the one compiled for a newer CPU.
#define FASTLSTM_INLINE inline __attribute__((always_inline))

// The namespace of one instruction set's kernels, given on the compiler's command line.
#ifndef FASTLSTM_ISA
#define FASTLSTM_ISA generic
#endif

namespace fastlstm {

struct Range {
  int64_t begin, end;
};
// Part `index` of `count` parts of 0 … total, as even as they can be.
FASTLSTM_INLINE Range share(int64_t total, int64_t index, int64_t count) {
  return {total * index / count, total * (index + 1) / count};
}

}  // namespace fastlstm
