// The gated recurrent unit (Cho et al. 2014) in PyTorch's form, whose reset gate acts on the recurrent sum:
//
//   r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
//   n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))      h = (1 - z) ⊙ n + z ⊙ h
#pragma once

#include "cell.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real>
struct GruCell {
  static constexpr int kGates = 3;  // r, z, n
  static constexpr int kKept = 4;   // r, z, n, and the recurrent sum of n
  static constexpr int kPeepholes = 0;
  static constexpr int kVectors = kPeepholes;  // elementwise weights of a unit
  static constexpr bool kHasCell = false, kSeparate = true, kNormalised = false;
  static constexpr int L = kLanes<Real>;

  template <class Value>
  static void forward(const ForwardTile<Real, Value>& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Real *input = tile.input_sums.data + r * tile.input_sums.stride,
                 *sums = tile.sums + r * kGates * L;
      Real* kept = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> recurrent = load(sums + 2 * L);
      const Vec<Real> reset = sigmoid<Real>(load(input) + load(sums));
      const Vec<Real> update = sigmoid<Real>(load(input + L) + load(sums + L));
      const Vec<Real> fresh = hyperbolic_tangent<Real>(load(input + 2 * L) + reset * recurrent);
      store(kept, reset);
      store(kept + L, update);
      store(kept + 2 * L, fresh);
      store(kept + 3 * L, recurrent);
      const Vec<Real> h_before = load_first(tile.rows.h_before[r] + tile.h_offset, tile.h_lanes);
      Vec<Real> h = fresh + update * (h_before - fresh);
      if (tile.rows.zoneout) h = tile.rows.zoneout_h.mix(h, h_before, r, tile.h_offset);
      store_first(tile.h[r] + tile.h_offset, h, tile.h_lanes);
    }
  }

  static void backward(const BackwardTile<Real>& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Real* kept = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> reset = load(kept), update = load(kept + L), fresh = load(kept + 2 * L);
      const Vec<Real> h_before = load_first(tile.rows.h_before[r] + tile.h_offset, tile.h_lanes);
      Vec<Real> dh = load(tile.dh.data + r * tile.dh.stride), dbefore{};
      if (tile.rows.zoneout) {
        dbefore = tile.rows.zoneout_h.kept(dh, r, tile.h_offset);
        dh -= dbefore;
      }
      dbefore += dh * update;
      const Vec<Real> dupdate = dh * (h_before - fresh) * update * (Real(1) - update);
      const Vec<Real> dfresh = dh * (Real(1) - update) * (Real(1) - fresh * fresh);
      const Vec<Real> dreset = dfresh * load(kept + 3 * L) * reset * (Real(1) - reset);
      Real *dinput = tile.dinput_sums.data + r * tile.dinput_sums.stride,
           *dsums = tile.dsums.data + r * tile.dsums.stride;
      store(dinput, dreset);
      store(dinput + L, dupdate);
      store(dinput + 2 * L, dfresh);
      store(dsums, dreset);
      store(dsums + L, dupdate);
      store(dsums + 2 * L, Vec<Real>(dfresh * reset));
      store(tile.dcarry.data + r * tile.dcarry.stride, tile.rows.forgets(r) ? Vec<Real>{} : dbefore);
    }
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
