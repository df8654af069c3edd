// What the forward pass keeps for the backward pass: for every row of the plan the gates, the cell after it
// where there is one, and with layer normalisation the normalised sums and their statistics.
#pragma once

#include "cell_normalised.h"
#include "packing.h"
#include "plan.h"

namespace fastlstm::FASTLSTM_ISA {

// What the header tells: the threads that the forward pass was given, and the grid that it made of them, in
// whose order rows are stored.
template <class Real>
int kept_threads(const Real* reserve) {
  return (int)reserve[0];
}
template <class Real>
Grid kept_grid(const Real* reserve) {
  return {(int)reserve[1], (int)reserve[2]};
}
template <class Real>
void keep_header(int threads, const Grid& grid, Real* reserve) {
  __builtin_memset(reserve, 0, kReserveHeader * sizeof(Real));
  reserve[0] = (Real)threads;
  reserve[1] = (Real)grid.batch_slices;
  reserve[2] = (Real)grid.hidden_slices;
}

// The rows of one step and slice are stored unit panel by unit panel, one direction after the other.
template <class Real, class Cell>
class Reserve {
  static constexpr int L = kLanes<Real>, K = Cell::kKept;

 public:
  static int64_t values(int64_t hidden) {
    const int64_t units = vectors_for(hidden, L) * L;
    return units * (K + Cell::kHasCell) + (Cell::kNormalised ? units * 2 * K + kStatistics : 0);
  }

  Reserve(Real* data, const Sizes& sizes, int direction) : panels_(vectors_for(sizes.hidden, L)) {
    if (!data) return;
    gates_ = data + kReserveHeader + direction * sizes.rows * values(sizes.hidden);
    cells_ = gates_ + sizes.rows * panels_ * L * K;
    if (!Cell::kNormalised) return;
    sums_ = cells_ + sizes.rows * panels_ * L;
    input_sums_ = sums_ + sizes.rows * panels_ * L * K;
    statistics_ = reinterpret_cast<RowStatistics<Real>*>(input_sums_ + sizes.rows * panels_ * L * K);
  }

  Rows<Real> gates_at(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return {gates_ + index(plan, step, slice, panel, row) * K * L, K * L};
  }
  Rows<Real> cells_at(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return {cells_ + index(plan, step, slice, panel, row) * L, L};
  }

  // A row over all its panels.
  PanelRow<Real> gates_of(const Plan& plan, int64_t step, int slice, int64_t row) const {
    return {gates_at(plan, step, slice, 0, row).data, plan.active(step, slice) * K * L};
  }
  PanelRow<Real> cells_of(const Plan& plan, int64_t step, int slice, int64_t row) const {
    return {cells_at(plan, step, slice, 0, row).data, plan.active(step, slice) * L};
  }
  PanelRow<Real> sums_of(const Plan& plan, int64_t step, int slice, int64_t row) const {
    return {sums_ + index(plan, step, slice, 0, row) * K * L, plan.active(step, slice) * K * L};
  }
  PanelRow<Real> input_sums_of(const Plan& plan, int64_t step, int slice, int64_t row) const {
    return {input_sums_ + index(plan, step, slice, 0, row) * K * L, plan.active(step, slice) * K * L};
  }
  RowStatistics<Real>* statistics_of(const Plan& plan, int64_t step, int slice, int64_t row) const {
    return statistics_ + plan.base(step, slice) + row;
  }

 private:
  static constexpr int64_t kStatistics = sizeof(RowStatistics<Real>) / sizeof(Real);

  int64_t index(const Plan& plan, int64_t step, int slice, int64_t panel, int64_t row) const {
    return plan.base(step, slice) * panels_ + panel * plan.active(step, slice) + row;
  }

  int64_t panels_;
  Real *gates_ = nullptr, *cells_ = nullptr, *sums_ = nullptr, *input_sums_ = nullptr;
  RowStatistics<Real>* statistics_ = nullptr;
};

}  // namespace fastlstm::FASTLSTM_ISA
