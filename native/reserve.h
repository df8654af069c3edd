// What the forward pass keeps for the backward pass: for every row of the plan the gates, and the
// cell after it where there is one.
#pragma once

#include "gemm.h"
#include "packing.h"
#include "plan.h"

namespace fastlstm::FASTLSTM_ISA {

// The rows of one step and slice are stored unit panel by unit panel, one direction after the other.
template <class Real, class Cell>
class Reserve {
  static constexpr int L = kLanes<Real>, K = Cell::kKept;

 public:
  static int64_t values(int64_t hidden) { return vectors_for(hidden, L) * L * (K + Cell::kHasCell); }

  Reserve(Real* data, const Sizes& sizes, int direction) : panels_(vectors_for(sizes.hidden, L)) {
    if (!data) return;
    gates_ = data + kReserveHeader + direction * sizes.rows * values(sizes.hidden);
    cells_ = gates_ + sizes.rows * panels_ * L * K;
  }

  Rows<Real> gates_at(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return {gates_ + index(plan, step, slice, panel, row) * K * L, K * L};
  }
  Rows<Real> cells_at(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return {cells_ + index(plan, step, slice, panel, row) * L, L};
  }

 private:
  int64_t index(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return plan.base(step, slice) * panels_ + panel * plan.active(step, slice) + row;
  }

  int64_t panels_;
  Real *gates_ = nullptr, *cells_ = nullptr;
};

}  // namespace fastlstm::FASTLSTM_ISA
