// The LSTM cell with layer normalisation (Ba et al. 2016, eq. 20-22):
//
//   sums = α_ih ⊙ LN(W_ih x) + α_hh ⊙ LN(W_hh h) + b_ih + b_hh      h = o ⊙ tanh(α_c ⊙ LN(c) + β_c)
//
// LN takes a row's values to mean 0 and variance 1, all gates together; c is kept as it is. A row's units
// must therefore all be known before any of them goes on, so this policy sees whole rows, panel after panel,
// where the others see tiles.
#pragma once

#include <cmath>

#include "cell.h"

namespace fastlstm::FASTLSTM_ISA {

// A row that is spread over unit panels, `stride` values from one to the next.
template <class Real>
using PanelRow = Rows<Real>;

// What the backward pass needs of a row's normalisations, and cannot tell from what is kept.
template <class Real>
struct RowStatistics {
  Real input_scale, recurrent_scale, cell_mean, cell_scale;  // scale: 1 / standard deviation
};

template <class Real>
struct ForwardRow {
  PanelRow<Real> sums;         // [kGates]: W_hh h; left normalised
  PanelRow<const Real> input;  // [kGates]: LN(W_ih x)
  PanelRow<const Real> cell_before;
  PanelRow<Real> cell, gates;  // [1], [kGates]
  const Real* weights;         // [panel][kVectors]
  const Real* h_before;
  Real* h;
  int64_t h_size;  // how many of its values exist
  Real* fresh;     // [panel]: room for the cell before zoneout
  RowStatistics<Real>* statistics;
  CellRows<Real> rows;  // of this row alone
};

template <class Real>
struct BackwardRow {
  PanelRow<Real> dh;  // [1]; used up
  PanelRow<const Real> gates, cell, cell_before, sums, input;
  PanelRow<Real> dcell, dcarry;       // as in BackwardTile
  PanelRow<Real> dsums, dinput_sums;  // [kGates]
  PanelRow<Real> h;                   // o ⊙ tanh(…) is left here where the data is given
  const Real* weights;                // [panel][kVectors]
  Real* dweights;                     // likewise, added to; null: not wanted
  Real* fresh;                        // [panel]: room for the cell before zoneout
  RowStatistics<Real> statistics;
  CellRows<Real> rows;
};

template <class Real, bool kCoupled>
struct NormalisedLstmCell {
  static constexpr int kGates = kCoupled ? 3 : 4, kKept = kGates;
  static constexpr int kPeepholes = kCoupled ? 2 : 3;
  static constexpr bool kHasCell = true, kSeparate = true, kNormalised = true;
  static constexpr int L = kLanes<Real>, G = kGates;
  static constexpr int kG = kCoupled ? 1 : 2, kO = kCoupled ? 2 : 3;
  // The elementwise weights of a unit, after its peepholes.
  static constexpr int kGainIh = kPeepholes, kGainHh = kGainIh + G, kBias = kGainHh + G, kGainC = kBias + G,
                       kBiasC = kGainC + 1, kVectors = kBiasC + 1;

  // Row values to mean 0 and variance 1, in place; what it was divided by comes back.
  static Real normalise(PanelRow<Real> row, int vectors, int64_t hidden) {
    const Real mean = total(row, vectors, hidden) / Real(hidden * vectors);
    Vec<Real> squares{};
    for_panels(hidden, [&](int64_t panel, int live) {
      for (int v = 0; v < vectors; ++v) {
        const Vec<Real> off = only(load(row.data + panel * row.stride + v * L) - mean, live);
        squares += off * off;
      }
    });
    const Real scale = 1 / std::sqrt(sum(squares) / Real(hidden * vectors) + kEpsilon);
    for_panels(hidden, [&](int64_t panel, int live) {
      for (int v = 0; v < vectors; ++v) {
        Real* at = row.data + panel * row.stride + v * L;
        store(at, only((load(at) - mean) * scale, live));
      }
    });
    return scale;
  }

  static void forward(const ForwardRow<Real>& row, int64_t hidden) {
    row.statistics->recurrent_scale = normalise(row.sums, G, hidden);
    const bool forgets = row.rows.forgets(0);
    Vec<Real> sums{};
    for_panels(hidden, [&](int64_t panel, int live) {
      const Real* w = row.weights + panel * kVectors * L;
      const Vec<Real> c_before =
          forgets ? Vec<Real>{} : load(row.cell_before.data + panel * row.cell_before.stride);
      const auto gate = [&](int g) {
        return load(w + (kGainIh + g) * L) * load(row.input.data + panel * row.input.stride + g * L) +
               load(w + (kGainHh + g) * L) * load(row.sums.data + panel * row.sums.stride + g * L) +
               load(w + (kBias + g) * L);
      };
      const Vec<Real> i = sigmoid<Real>(gate(0) + load(w) * c_before);
      const Vec<Real> f = kCoupled ? Real(1) - i : sigmoid<Real>(gate(1) + load(w + L) * c_before);
      const Vec<Real> g = hyperbolic_tangent<Real>(gate(kG));
      const Vec<Real> fresh = only(f * c_before + i * g, live);
      Real* gates = row.gates.data + panel * row.gates.stride;
      store(gates, i);
      if (!kCoupled) store(gates + L, f);
      store(gates + kG * L, g);
      store(gates + kO * L, sigmoid<Real>(gate(kO) + load(w + (kPeepholes - 1) * L) * fresh));
      store(row.fresh + panel * L, fresh);
      const Vec<Real> kept = row.rows.zoneout ? row.rows.zoneout_c.mix(fresh, c_before, 0, panel * L) : fresh;
      store(row.cell.data + panel * row.cell.stride, kept);
      sums += fresh;
    });
    const Real mean = sum(sums) / Real(hidden);
    row.statistics->cell_mean = mean;
    Vec<Real> squares{};
    for_panels(hidden, [&](int64_t panel, int live) {
      const Vec<Real> off = only(load(row.fresh + panel * L) - mean, live);
      squares += off * off;
    });
    const Real scale = 1 / std::sqrt(sum(squares) / Real(hidden) + kEpsilon);
    row.statistics->cell_scale = scale;
    for_panels(hidden, [&](int64_t panel, int live) {
      const Real* w = row.weights + panel * kVectors * L;
      const Vec<Real> shown =
          load(w + kGainC * L) * ((load(row.fresh + panel * L) - mean) * scale) + load(w + kBiasC * L);
      Vec<Real> h =
          load(row.gates.data + panel * row.gates.stride + kO * L) * hyperbolic_tangent<Real>(shown);
      if (row.rows.zoneout)
        h = row.rows.zoneout_h.mix(h, load_first(row.h_before + panel * L, live), 0, panel * L);
      store_first(row.h + panel * L, h, (int)(row.h_size - panel * L < L ? row.h_size - panel * L : L));
    });
  }

  static void backward(const BackwardRow<Real>& row, int64_t hidden) {
    const RowStatistics<Real>& statistics = row.statistics;
    const bool forgets = row.rows.forgets(0), zoneout = row.rows.zoneout;
    const auto at = [](const auto& rows, int64_t panel) { return rows.data + panel * rows.stride; };
    const auto before = [&](int64_t panel) {
      return forgets ? Vec<Real>{} : load(at(row.cell_before, panel));
    };
    // From h through tanh to the normalised cell: its gradient takes the place of dh, that of o's sum is
    // kept.
    Vec<Real> sums{}, products{};
    for_panels(hidden, [&](int64_t panel, int live) {
      const Real *w = row.weights + panel * kVectors * L, *gates = at(row.gates, panel);
      Real* dweights = row.dweights ? row.dweights + panel * kVectors * L : nullptr;
      const Vec<Real> i = load(gates), g = load(gates + kG * L), o = load(gates + kO * L);
      const Vec<Real> f = kCoupled ? Real(1) - i : load(gates + L);
      const Vec<Real> fresh = only(zoneout ? f * before(panel) + i * g : load(at(row.cell, panel)), live);
      store(row.fresh + panel * L, fresh);
      const Vec<Real> normal = (fresh - statistics.cell_mean) * statistics.cell_scale;
      const Vec<Real> tanh_c = hyperbolic_tangent<Real>(load(w + kGainC * L) * normal + load(w + kBiasC * L));
      Vec<Real> dh = only(load(at(row.dh, panel)), live);
      if (zoneout) {
        const Vec<Real> kept = row.rows.zoneout_h.kept(dh, 0, panel * L);
        store(at(row.dcarry, panel), forgets ? Vec<Real>{} : kept);
        dh -= kept;
      }
      store(at(row.dsums, panel) + kO * L, Vec<Real>(dh * tanh_c * o * (Real(1) - o)));
      const Vec<Real> dshown = dh * o * (Real(1) - tanh_c * tanh_c), dnormal = dshown * load(w + kGainC * L);
      store(at(row.dh, panel), dnormal);
      sums += dnormal;
      products += dnormal * normal;
      if (dweights) {
        add(dweights + kGainC * L, dshown * normal);
        add(dweights + kBiasC * L, dshown);
      }
      if (row.h.data) store(at(row.h, panel), Vec<Real>(o * tanh_c));
    });
    const Real mean = sum(sums) / Real(hidden), mean_product = sum(products) / Real(hidden);

    // Through the cell to the gates' sums.
    Vec<Real> input_sums{}, input_products{}, recurrent_sums{}, recurrent_products{};
    for_panels(hidden, [&](int64_t panel, int live) {
      const Real *w = row.weights + panel * kVectors * L, *gates = at(row.gates, panel);
      Real* dweights = row.dweights ? row.dweights + panel * kVectors * L : nullptr;
      Real *dsums = at(row.dsums, panel), *dcell = at(row.dcell, panel);
      const Vec<Real> i = load(gates), g = load(gates + kG * L);
      const Vec<Real> f = kCoupled ? Real(1) - i : load(gates + L);
      const Vec<Real> fresh = load(row.fresh + panel * L), c_before = before(panel);
      const Vec<Real> normal = (fresh - statistics.cell_mean) * statistics.cell_scale;
      Vec<Real> dc = load(dcell), dc_before{};
      if (zoneout) {
        dc_before = row.rows.zoneout_c.kept(dc, 0, panel * L);
        dc -= dc_before;
      }
      const Vec<Real> d_o = load(dsums + kO * L);
      dc += statistics.cell_scale * (load(at(row.dh, panel)) - mean - normal * mean_product) +
            d_o * load(w + (kPeepholes - 1) * L);
      dc = only(dc, live);
      Vec<Real> d[G];
      d[0] = (kCoupled ? dc * (g - c_before) : dc * g) * i * (Real(1) - i);
      if (!kCoupled) d[1] = dc * c_before * f * (Real(1) - f);
      d[kG] = dc * i * (Real(1) - g * g);
      d[kO] = d_o;
      dc_before += dc * f + d[0] * load(w);
      if (!kCoupled) dc_before += d[1] * load(w + L);
      store(dcell, forgets ? Vec<Real>{} : dc_before);
      if (dweights) {
        add(dweights, d[0] * c_before);
        if (!kCoupled) add(dweights + L, d[1] * c_before);
        add(dweights + (kPeepholes - 1) * L, d_o * fresh);
      }
#pragma GCC unroll 4
      for (int k = 0; k < G; ++k) {
        store(dsums + k * L, d[k]);
        const Vec<Real> input = load(at(row.input, panel) + k * L),
                        recurrent = load(at(row.sums, panel) + k * L);
        const Vec<Real> dinput = d[k] * load(w + (kGainIh + k) * L),
                        drecurrent = d[k] * load(w + (kGainHh + k) * L);
        input_sums += dinput;
        input_products += dinput * input;
        recurrent_sums += drecurrent;
        recurrent_products += drecurrent * recurrent;
        if (!dweights) continue;
        add(dweights + (kGainIh + k) * L, d[k] * input);
        add(dweights + (kGainHh + k) * L, d[k] * recurrent);
        add(dweights + (kBias + k) * L, d[k]);
      }
    });
    const Real count = Real(hidden * G);
    const Real input_mean = sum(input_sums) / count, input_product = sum(input_products) / count;
    const Real recurrent_mean = sum(recurrent_sums) / count,
               recurrent_product = sum(recurrent_products) / count;

    // Through the two normalisations.
    for_panels(hidden, [&](int64_t panel, int live) {
      const Real* w = row.weights + panel * kVectors * L;
#pragma GCC unroll 4
      for (int k = 0; k < G; ++k) {
        Real *dsums = at(row.dsums, panel) + k * L, *dinput = at(row.dinput_sums, panel) + k * L;
        const Vec<Real> d = load(dsums);
        store(dinput, only(statistics.input_scale * (d * load(w + (kGainIh + k) * L) - input_mean -
                                                     load(at(row.input, panel) + k * L) * input_product),
                           live));
        store(dsums,
              only(statistics.recurrent_scale * (d * load(w + (kGainHh + k) * L) - recurrent_mean -
                                                 load(at(row.sums, panel) + k * L) * recurrent_product),
                   live));
      }
    });
  }

 private:
  static constexpr Real kEpsilon = Real(1e-5);

  template <class Body>
  static FASTLSTM_INLINE void for_panels(int64_t hidden, Body&& body) {
    for (int64_t panel = 0; panel * L < hidden; ++panel)
      body(panel, (int)(hidden - panel * L < L ? hidden - panel * L : L));
  }
  // The first n lanes; the others, which no unit owns, are zero.
  static FASTLSTM_INLINE Vec<Real> only(Vec<Real> value, int n) {
    if (n >= L) return value;
    alignas(64) Real lanes[L];
    store(lanes, value);
    return load_first(lanes, n);
  }
  static FASTLSTM_INLINE Real sum(Vec<Real> value) {
    Real total = 0;
    for (int lane = 0; lane < L; ++lane) total += value[lane];
    return total;
  }
  static Real total(PanelRow<Real> row, int vectors, int64_t hidden) {
    Vec<Real> sums{};
    for_panels(hidden, [&](int64_t panel, int live) {
      for (int v = 0; v < vectors; ++v) sums += only(load(row.data + panel * row.stride + v * L), live);
    });
    return sum(sums);
  }
  static FASTLSTM_INLINE void add(Real* to, Vec<Real> value) { store(to, Vec<Real>(load(to) + value)); }
};

}  // namespace fastlstm::FASTLSTM_ISA
