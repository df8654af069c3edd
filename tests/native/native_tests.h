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

// Calls test(kernels, Real{}) for every instruction set and both precisions.
template <class Test>
void for_each_kernel(const std::string& about, Test&& test) {
  for (const Kernels* kernels : supported_kernels()) {
    context = std::string(kernels->name) + " float32, " + about;
    test(*kernels, float{});
    context = std::string(kernels->name) + " float64, " + about;
    test(*kernels, double{});
  }
}

}  // namespace native_tests
