// One instruction set's kernels. CMake compiles this file once for each of them.
#include "backward_separate.h"
#include "cell_choice.h"
#include "cell_normalised.h"
#include "forward.h"
#include "limits.h"
#include "linear.h"
#include "quantile_loss.h"
#include "smoothed_loss.h"

namespace fastlstm::FASTLSTM_ISA {
namespace {

#define FASTLSTM_NAME_OF(isa) #isa
#define FASTLSTM_NAME(isa) FASTLSTM_NAME_OF(isa)

// Calls body with the policy of a cell, normalised or not.
template <class Real, class Body>
auto with_any_cell(CellKind cell, bool layer_norm, Body&& body) {
  if (!layer_norm) return with_cell<Real>(cell, body);
  return cell == CellKind::kCoupledLstm ? body(NormalisedLstmCell<Real, true>())
                                        : body(NormalisedLstmCell<Real, false>());
}

template <class Real>
void forward(const Forward<Real>& call) {
  Arena& arena = fresh_arena();
  with_any_cell<Real>(call.sizes.cell, call.sizes.layer_norm,
                      [&](auto cell) { run_forward<ForwardPass<Real, decltype(cell)>>(call, arena); });
}

template <class Real>
void stack(const Forward<Real>* layers, int count) {
  Arena& arena = fresh_arena();
  const Sizes& sizes = layers[0].sizes;
  with_any_cell<Real>(sizes.cell, sizes.layer_norm,
                      [&](auto cell) { run_stack<ForwardPass<Real, decltype(cell)>>(layers, count, arena); });
}

template <class Real>
void backward(const Backward<Real>& call) {
  Arena& arena = fresh_arena();
  const Sizes& sizes = call.forward.sizes;
  with_any_cell<Real>(sizes.cell, sizes.layer_norm,
                      [&](auto cell) { run_backward<Real, decltype(cell)>(call, arena); });
}

template <class Real>
int64_t reserve_values(CellKind cell, bool layer_norm, int64_t hidden) {
  return with_any_cell<Real>(cell, layer_norm,
                             [&](auto policy) { return Reserve<Real, decltype(policy)>::values(hidden); });
}

template <class Real>
void linear(const Linear<Real>& call) {
  Arena& arena = fresh_arena();
  LinearForward<Real>(call, arena).run();
}

template <class Real>
void linear_gradient(const LinearGradient<Real>& call) {
  Arena& arena = fresh_arena();
  LinearBackward<Real>(call, arena).run();
}

template <class Real>
void quantile_loss(const QuantileLoss<Real>& call) {
  Arena& arena = fresh_arena();
  QuantileLossPass<Real>(call, arena).run();
}

template <class Real>
void smoothed_loss(const SmoothedLoss<Real>& call) {
  Arena& arena = fresh_arena();
  SmoothedLossPass<Real>(call, arena).run();
}

bool supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("fma");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels = {FASTLSTM_NAME(FASTLSTM_ISA),
                         supported,
                         reserve_values<float>,
                         reserve_values<double>,
                         forward<float>,
                         forward<double>,
                         stack<float>,
                         stack<double>,
                         nullptr,  // those of kernel_bf16.cpp alone
                         backward<float>,
                         backward<double>,
                         linear<float>,
                         linear<double>,
                         linear_gradient<float>,
                         linear_gradient<double>,
                         quantile_loss<float>,
                         quantile_loss<double>,
                         smoothed_loss<float>,
                         smoothed_loss<double>,
                         fma_peak,
                         read_rate};

}  // namespace fastlstm::FASTLSTM_ISA
