// The LSTM cell (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000), with peepholes
// (Gers & Schmidhuber 2000) and zoneout on request; coupled, its forget gate is 1 - i (Greff et al. 2017).
#pragma once

#include "cell.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real, bool kCoupled>
struct LstmCell {
  static constexpr int kGates = kCoupled ? 3 : 4;  // i, (f,) g, o
  static constexpr int kKept = kGates;
  static constexpr int kPeepholes = kCoupled ? 2 : 3;
  static constexpr int kVectors = kPeepholes;  // elementwise weights of a unit, of i, (f,) o
  static constexpr bool kHasCell = true, kSeparate = false, kNormalised = false;
  static constexpr int L = kLanes<Real>;
  static constexpr int kG = kCoupled ? 1 : 2, kO = kCoupled ? 2 : 3;  // which gates they are

  template <class Value>
  static void forward(const ForwardTile<Real, Value>& tile, int rows) {
    tile.rows.plain() ? run_forward<true>(tile, rows) : run_forward<false>(tile, rows);
  }
  static void backward(const BackwardTile<Real>& tile, int rows) {
    tile.rows.plain() ? run_backward<true>(tile, rows) : run_backward<false>(tile, rows);
  }

 private:
  template <bool kPlain, class Tile>
  static FASTLSTM_INLINE Vec<Real> before(const Tile& tile, int r) {
    if (!kPlain && tile.rows.forgets(r)) return Vec<Real>{};
    return load(tile.cell_before.data + r * tile.cell_before.stride);
  }
  // In two rounds: the gates of all rows are independent of one another and keep the pipelines full, where
  // the way from the gates through the cell to h, row by row, would leave them waiting.
  template <bool kPlain, class Value>
  static void run_forward(const ForwardTile<Real, Value>& tile, int rows) {
    const Real* peephole = kPlain ? nullptr : tile.rows.peephole;
    for (int r = 0; r < rows; ++r) {
      const Real* sums = tile.sums + r * kGates * L;
      Real* gates = tile.gates.data + r * tile.gates.stride;
      Vec<Real> i = load(sums), f = kCoupled ? i : load(sums + L);
      if (peephole) {
        const Vec<Real> c = before<kPlain>(tile, r);
        i += load(peephole) * c;
        if (!kCoupled) f += load(peephole + L) * c;
      }
      store(gates, sigmoid<Real>(i));
      if (!kCoupled) store(gates + L, sigmoid<Real>(f));
      store(gates + kG * L, hyperbolic_tangent<Real>(load(sums + kG * L)));
      const Vec<Real> o = load(sums + kO * L);
      store(gates + kO * L, peephole ? o : sigmoid<Real>(o));
    }
    for (int r = 0; r < rows; ++r) {
      Real* gates = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> i = load(gates), g = load(gates + kG * L), f = kCoupled ? Real(1) - i : load(gates + L);
      const Vec<Real> c_before = before<kPlain>(tile, r);
      Vec<Real> o = load(gates + kO * L);
      const Vec<Real> fresh = f * c_before + i * g;
      if (peephole) {
        o = sigmoid<Real>(o + load(peephole + (kPeepholes - 1) * L) * fresh);
        store(gates + kO * L, o);
      }
      Vec<Real> c = fresh, h = o * hyperbolic_tangent<Real>(fresh);
      if (!kPlain && tile.rows.zoneout) {
        const int64_t unit = tile.h_offset;
        c = tile.rows.zoneout_c.mix(c, c_before, r, unit);
        h = tile.rows.zoneout_h.mix(h, load_first(tile.rows.h_before[r] + unit, tile.h_lanes), r, unit);
      }
      store(tile.cell.data + r * tile.cell.stride, c);
      store_first(tile.h[r] + tile.h_offset, h, tile.h_lanes);
    }
  }

  template <bool kPlain>
  static void run_backward(const BackwardTile<Real>& tile, int rows) {
    const Real* peephole = kPlain ? nullptr : tile.rows.peephole;
    for (int r = 0; r < rows; ++r) {
      const Real* gates = tile.gates.data + r * tile.gates.stride;
      const Vec<Real> i = load(gates), g = load(gates + kG * L), o = load(gates + kO * L);
      const Vec<Real> f = kCoupled ? Real(1) - i : load(gates + L);
      const Vec<Real> c_before = before<kPlain>(tile, r);
      const bool zoneout = !kPlain && tile.rows.zoneout;
      const Vec<Real> fresh = zoneout ? f * c_before + i * g : load(tile.cell.data + r * tile.cell.stride);
      const Vec<Real> tanh_c = hyperbolic_tangent<Real>(fresh);
      Vec<Real> dh = load(tile.dh.data + r * tile.dh.stride);
      Real* dcell = tile.dcell.data + r * tile.dcell.stride;
      Vec<Real> dc = load(dcell), dc_kept{};
      if (zoneout) {
        const Vec<Real> kept_h = tile.rows.zoneout_h.kept(dh, r, tile.h_offset);
        dc_kept = tile.rows.zoneout_c.kept(dc, r, tile.h_offset);
        dh -= kept_h;
        dc -= dc_kept;
        store(tile.dcarry.data + r * tile.dcarry.stride, tile.rows.forgets(r) ? Vec<Real>{} : kept_h);
      }
      const Vec<Real> d_o = dh * tanh_c * o * (Real(1) - o);
      dc += dh * o * (Real(1) - tanh_c * tanh_c);
      if (peephole) dc += d_o * load(peephole + (kPeepholes - 1) * L);
      const Vec<Real> di = (kCoupled ? dc * (g - c_before) : dc * g) * i * (Real(1) - i);
      const Vec<Real> df = kCoupled ? Vec<Real>{} : dc * c_before * f * (Real(1) - f);
      Vec<Real> dc_before = dc * f + dc_kept;
      if (peephole) {
        dc_before += di * load(peephole);
        if (!kCoupled) dc_before += df * load(peephole + L);
        if (tile.dpeephole) {
          add(tile.dpeephole, di * c_before);
          if (!kCoupled) add(tile.dpeephole + L, df * c_before);
          add(tile.dpeephole + (kPeepholes - 1) * L, d_o * fresh);
        }
      }
      Real* dsums = tile.dsums.data + r * tile.dsums.stride;
      store(dsums, di);
      if (!kCoupled) store(dsums + L, df);
      store(dsums + kG * L, Vec<Real>(dc * i * (Real(1) - g * g)));
      store(dsums + kO * L, d_o);
      store(dcell, !kPlain && tile.rows.forgets(r) ? Vec<Real>{} : dc_before);
      if (tile.h.data) store(tile.h.data + r * tile.h.stride, Vec<Real>(o * tanh_c));
    }
  }
  static FASTLSTM_INLINE void add(Real* to, Vec<Real> value) { store(to, Vec<Real>(load(to) + value)); }
};

}  // namespace fastlstm::FASTLSTM_ISA
