// The backward pass where weights are few: no thread waits for another.
#pragma once

#include <new>

#include "backward.h"

namespace fastlstm::FASTLSTM_ISA {

// Each thread takes the gradient of its own sequences all by itself, where the weights are few enough that
// every thread can sum up their gradient for itself: what another core has written is slow to read, and a
// barrier to wait at.
template <class Real, class Cell, class Product>
class SeparateBackward {
  static constexpr int64_t kFewWeights = 128 * 1024;
  static constexpr int kArrays = 10;  // of weights

 public:
  static bool pays(const Sizes& sizes, const Plan& plan) {
    return plan.batch_slices > 1 && plan.hidden_slices == 1 &&
           Cell::kGates * sizes.hidden * (sizes.inputs + sizes.outputs) <= kFewWeights;
  }

  SeparateBackward(const Backward<Real>& call, Arena& arena, const Plan& plan)
      : sizes_(call.forward.sizes), slices_(plan.batch_slices), barrier_(slices_) {
    calls_ = arena.take<Backward<Real>>(slices_);
    passes_ = arena.take<Pass*>(slices_);
    for (int slice = 0; slice < slices_; ++slice) {
      calls_[slice] = call;
      for (int d = 0; slice > 0 && d < sizes_.directions; ++d)  // the first writes where they belong
        for (int array = 0; array < kArrays; ++array)
          if (Real*& to = weights(slice, d, array)) to = arena.take<Real>(values(array));
      passes_[slice] =
          new (arena.take<Pass>(1)) Pass(calls_[slice], arena, plan, {0, sizes_.directions}, slice);
    }
  }

  void run() {
    auto body = [this](int slice) {
      passes_[slice]->run(0);
      barrier_.wait();
      for (int d = 0; d < sizes_.directions; ++d)
        for (int array = 0; array < kArrays; ++array)
          if (weights(0, d, array)) add_up(d, array, share(values(array), slice, slices_));
    };
    run_parallel(slices_, body);
  }

 private:
  using Pass = BackwardPass<Real, Cell, Product>;

  Real*& weights(int slice, int direction, int array) {
    auto& own = calls_[slice].dweights[direction];
    Real** const arrays[kArrays] = {&own.w_ih,     &own.w_hh,    &own.b_ih,    &own.b_hh,   &own.w_hr,
                                    &own.peephole, &own.gain_ih, &own.gain_hh, &own.gain_c, &own.bias_c};
    return *arrays[array];
  }
  int64_t values(int array) const {
    const int64_t H = sizes_.hidden, rows = Cell::kGates * H;
    const int64_t sizes[kArrays] = {rows * sizes_.inputs,
                                    rows * sizes_.outputs,
                                    rows,
                                    rows,
                                    sizes_.outputs * H,
                                    Cell::kPeepholes * H,
                                    rows,
                                    rows,
                                    H,
                                    H};
    return sizes[array];
  }
  void add_up(int direction, int array, Range own) {
    Real* to = weights(0, direction, array);
    for (int slice = 1; slice < slices_; ++slice) {
      const Real* from = weights(slice, direction, array);
      for (int64_t i = own.begin; i < own.end; ++i) to[i] += from[i];
    }
  }

  const Sizes& sizes_;
  const int slices_;
  Barrier barrier_;
  Backward<Real>* calls_;
  Pass** passes_;
};

// Both directions beside each other, each with a gradient of x of its own, which are added up at the end.
template <class Real, class Cell, class Product>
void run_both_backward(const Backward<Real>& call, Arena& arena, const Plan& plan) {
  using Pass = BackwardPass<Real, Cell, Product>;
  const Sizes& sizes = call.forward.sizes;
  const int64_t values = sizes.rows * sizes.inputs;
  Backward<Real> other = call;
  if (call.dx) other.dx = arena.take<Real>(values);
  Pass first(call, arena, plan, {0, 1}), second(other, arena, plan, {1, 2});
  const int crew = first.crew() + second.crew();
  Barrier barrier(crew);
  auto body = [&](int index) {
    index < first.crew() ? first.run(index) : second.run(index - first.crew());
    if (!call.dx) return;
    barrier.wait();
    const Range own = share(values, index, crew);
    for (int64_t i = own.begin; i < own.end; ++i) call.dx[i] += other.dx[i];
  };
  run_parallel(crew, body);
}

// A whole call.
template <class Real, class Cell, class Product = Operand<Real, Real>>
void run_backward(const Backward<Real>& call, Arena& arena) {
  const Sizes& sizes = call.forward.sizes;
  const Plan plan(sizes, call.forward.ragged, kept_grid(call.forward.reserve), arena);
  if (directions_at_once(sizes, kept_threads(call.forward.reserve)))
    return run_both_backward<Real, Cell, Product>(call, arena, plan);
  if (SeparateBackward<Real, Cell, Product>::pays(sizes, plan))
    return SeparateBackward<Real, Cell, Product>(call, arena, plan).run();
  BackwardPass<Real, Cell, Product> pass(call, arena, plan, {0, sizes.directions});
  auto body = [&](int index) { pass.run(index); };
  run_parallel(pass.crew(), body);
}

}  // namespace fastlstm::FASTLSTM_ISA
