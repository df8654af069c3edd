// The LSTM cell as a policy: how many gates a unit has, and what becomes of a tile of their sums.
//
// A tile is the work of one unit panel (one vector of hidden units) for a block of rows: kGates vectors a
// row.
#pragma once

#include "gemm.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real>
struct LstmCell {
  static constexpr int kGates = 4;  // i, f, g, o
  static constexpr int L = kLanes<Real>;

  // From sums of the gates to the new state. The activations stay in `gates`, which may be where the sums
  // were.
  struct ForwardTile {
    const Real* sums;              // [rows][kGates][L]
    Rows<const Real> cell_before;  // [rows][L]
    Rows<Real> cell, gates;        // [rows][L], [rows][kGates][L]
    Real* const* h;                // where each row's new hidden state goes …
    int64_t h_offset;              // … its first value …
    int h_lanes;                   // … and how many of the lanes exist
  };
  // In two rounds: the gates of all rows are independent of one another and keep the pipelines full, where
  // the way from the gates through the cell to h, row by row, would leave them waiting.
  static void forward(const ForwardTile& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Real* sums = tile.sums + r * kGates * L;
      Real* gates = tile.gates.data + r * tile.gates.stride;
      store(gates, sigmoid<Real>(load(sums)));
      store(gates + L, sigmoid<Real>(load(sums + L)));
      store(gates + 2 * L, hyperbolic_tangent<Real>(load(sums + 2 * L)));
      store(gates + 3 * L, sigmoid<Real>(load(sums + 3 * L)));
    }
    for (int r = 0; r < rows; ++r) {
      const Real* gates = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> i = load(gates), f = load(gates + L), g = load(gates + 2 * L), o = load(gates + 3 * L);
      const Vec<Real> c = f * load(tile.cell_before.data + r * tile.cell_before.stride) + i * g;
      store(tile.cell.data + r * tile.cell.stride, c);
      store_first(tile.h[r] + tile.h_offset, Vec<Real>(o * hyperbolic_tangent<Real>(c)), tile.h_lanes);
    }
  }

  // From the gradient of h (and of c, which arrives and leaves in dcell) to that of the sums.
  struct BackwardTile {
    Rows<const Real> dh;  // [rows][L]
    Rows<const Real> gates, cell, cell_before;
    Rows<Real> dcell;  // in: from the step after; out: for the step before
    Rows<Real> dsums;  // [rows][kGates][L]
    Rows<Real> h;      // o ⊙ tanh(c) is left here where the data is given
  };
  static void backward(const BackwardTile& tile, int rows) {
    for (int r = 0; r < rows; ++r) {
      const Real* gates = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> i = load(gates), f = load(gates + L), g = load(gates + 2 * L), o = load(gates + 3 * L);
      const Vec<Real> tanh_c = hyperbolic_tangent<Real>(load(tile.cell.data + r * tile.cell.stride));
      const Vec<Real> dh = load(tile.dh.data + r * tile.dh.stride);
      Real* dcell = tile.dcell.data + r * tile.dcell.stride;
      const Vec<Real> dc = load(dcell) + dh * o * (Real(1) - tanh_c * tanh_c);
      const Vec<Real> c_before = load(tile.cell_before.data + r * tile.cell_before.stride);
      Real* dsums = tile.dsums.data + r * tile.dsums.stride;
      store(dsums, Vec<Real>(dc * g * i * (Real(1) - i)));
      store(dsums + L, Vec<Real>(dc * c_before * f * (Real(1) - f)));
      store(dsums + 2 * L, Vec<Real>(dc * i * (Real(1) - g * g)));
      store(dsums + 3 * L, Vec<Real>(dh * tanh_c * o * (Real(1) - o)));
      store(dcell, Vec<Real>(dc * f));
      if (tile.h.data) store(tile.h.data + r * tile.h.stride, Vec<Real>(o * tanh_c));
    }
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
