// Denormal numbers make arithmetic many times slower and mean nothing here: they are flushed to zero inside a
// kernel, and the thread's own setting is put back after it.
#pragma once

#include <cstdint>

#include "common.h"

namespace fastlstm::FASTLSTM_ISA {

class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : saved_(__builtin_ia32_stmxcsr()) {
    __builtin_ia32_ldmxcsr(saved_ | 0x8040);
  }  // FTZ and DAZ
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(saved_); }

 private:
  const uint32_t saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | (uint64_t(1) << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  uint64_t saved_;
#else
  FlushDenormals() {}
#endif
};

}  // namespace fastlstm::FASTLSTM_ISA
