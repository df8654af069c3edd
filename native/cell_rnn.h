// The simple recurrent cell (Elman 1990): h = tanh(W_i x + b_i + W_h h + b_h), or relu of the same.
#pragma once

#include "cell.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, bool kRelu>
struct RnnCell {
  static constexpr int kGates = 1;
  static constexpr int kKept = 1;  // the new hidden state, before zoneout
  static constexpr int kPeepholes = 0;
  static constexpr int kVectors = kPeepholes;  // elementwise weights of a unit
  static constexpr bool kHasCell = false, kSeparate = false, kNormalised = false;
  static constexpr int L = kLanes<Real>;

  template <class Value>
  static void forward(const ForwardTile<Real, Value>& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Vec<Real> sum = load(tile.sums + r * L);
      Vec<Real> h;
      if constexpr (kRelu)
        h = sum < Vec<Real>{} ? Vec<Real>{} : sum;  // NaN stays NaN
      else
        h = hyperbolic_tangent<Real>(sum);
      store(tile.gates.data + r * tile.gates.stride, h);
      if (tile.rows.zoneout) {
        const Vec<Real> h_before = load_first(tile.rows.h_before[r] + tile.h_offset, tile.h_lanes);
        h = tile.rows.zoneout_h.mix(h, h_before, r, tile.h_offset);
      }
      store_first(tile.h[r] + tile.h_offset, h, tile.h_lanes);
    }
  }

  static void backward(const BackwardTile<Real>& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Vec<Real> h = load(tile.gates.data + r * tile.gates.stride);
      Vec<Real> dh = load(tile.dh.data + r * tile.dh.stride);
      if (tile.rows.zoneout) {
        const Vec<Real> kept = tile.rows.zoneout_h.kept(dh, r, tile.h_offset);
        dh -= kept;
        store(tile.dcarry.data + r * tile.dcarry.stride, tile.rows.forgets(r) ? Vec<Real>{} : kept);
      }
      if constexpr (kRelu)
        dh = h <= Vec<Real>{} ? Vec<Real>{} : dh;
      else
        dh *= Real(1) - h * h;
      store(tile.dsums.data + r * tile.dsums.stride, dh);
    }
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
