// The tests, and how they go through all kernels.
#pragma once

#include "kernel_call.h"
#include "problems.h"

namespace native_tests {

// Values: correctness.cpp.
void test_reference();
void test_random_shapes();
void test_special_shapes();
void test_large_products();
void test_rounded_products();
void test_empty_sequences();
// other_kernels.cpp.
void test_bfloat16();
void test_linear();
void test_stacks();
// Threads, processes, modes, memory: safety.cpp.
void test_callers_at_once();
void test_fork();
void test_failing_threads();
void test_denormals();
void test_nan();
void test_blocks();
void test_blocks_again();
void test_dispatch();

using fastlstm::CellKind;
constexpr CellKind kCells[] = {CellKind::kLstm, CellKind::kCoupledLstm, CellKind::kGru, CellKind::kRnnTanh,
                               CellKind::kRnnRelu};

inline std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> found;
  const fastlstm::KernelList all = fastlstm::compiled_kernels();
  for (int i = 0; i < all.count; ++i)
    if (all.data[i]->supported()) found.push_back(all.data[i]);
  return found;
}

// Under the thread sanitizer, which takes ten times as long, one thread alone has nothing to show, and how
// threads share work is the same for all vectors but the narrowest and the widest.
#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadsAlone = true;
#else
constexpr bool kThreadsAlone = false;
#endif
constexpr int kFewestThreads = kThreadsAlone ? 2 : 1;

// Calls test(kernels, Real{}) for every instruction set and both precisions; float64 once where two sets
// share it.
template <class Test>
void for_each_kernel(const std::string& about, Test&& test) {
  const std::vector<const Kernels*> all = supported_kernels();
  for (const Kernels* kernels : all) {
    if (kThreadsAlone && kernels != all.front() && kernels != all.back()) continue;
    context = std::string(kernels->name) + " float32, " + about;
    test(*kernels, float{});
    if (kernels->forward16 && !kThreadsAlone) continue;
    context = std::string(kernels->name) + " float64, " + about;
    test(*kernels, double{});
  }
}

}  // namespace native_tests
