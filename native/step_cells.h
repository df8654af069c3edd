// What becomes of the sums of a step: one sequence, all units of a layer. ops/reference.py states the
// equations.
#pragma once

#include "simd.h"
#include "step_products.h"

namespace fastlstm::FASTLSTM_ISA {

// The sums of one sequence, gate after gate as in PyTorch's weights. Where a cell needs the input's and the
// recurrent part apart, they are, without biases under layer normalisation; else `input` has both.
template <class Real>
struct StepSums {
  Real *input, *recurrent;
};

template <class Real>
struct CellState {      // of one sequence
  const Real *h0, *c0;  // null means zeros
  Real *h, *c;          // h is o ⊙ tanh(c) where a projection follows
};

template <class Real>
class StepCells {
  static constexpr int L = kLanes<Real>;
  using V = Vec<Real>;

 public:
  StepCells(const Step<Real>& step, const StepLayer<Real>& layer) : step_(step), layer_(layer) {}

  void run(const StepSums<Real>& sums, const CellState<Real>& state) const {
    switch (step_.cell) {
      case CellKind::kLstm:
        return lstm<false>(sums, state);
      case CellKind::kCoupledLstm:
        return lstm<true>(sums, state);
      case CellKind::kGru:
        return gru(sums, state);
      case CellKind::kRnnTanh:
        return rnn<false>(sums, state);
      case CellKind::kRnnRelu:
        return rnn<true>(sums, state);
    }
  }

 private:
  static V old(const Real* state, int64_t unit, int live) {
    return state ? load_first(state + unit, live) : V{};
  }
  template <class Body>
  FASTLSTM_INLINE void each_vector(Body&& body) const {
    const int64_t H = step_.hidden;
    for (int64_t unit = 0; unit < H; unit += L) body(unit, (int)(H - unit < L ? H - unit : L));
  }

  template <bool kCoupled>
  void lstm(const StepSums<Real>& sums, const CellState<Real>& state) const {
    constexpr int kG = kCoupled ? 1 : 2, kO = kCoupled ? 2 : 3;
    const int64_t H = step_.hidden;
    const Real *peephole = layer_.peephole,
               *o_peephole = peephole ? peephole + (kCoupled ? 1 : 2) * H : nullptr;
    const bool normalised = layer_.gain_ih != nullptr;
    const Real zoneout_h = (Real)step_.zoneout_h, zoneout_c = (Real)step_.zoneout_c;
    if (normalised) normalise_sums(sums, (kO + 1) * H);
    Real* fresh_cells = sums.recurrent;  // with layer normalisation, when its sums are no longer needed
    each_vector([&](int64_t unit, int live) {
      const Real* at = sums.input + unit;
      const V c_before = old(state.c0, unit, live);
      V i = load_first(at, live), f = kCoupled ? i : load_first(at + H, live);
      V o = load_first(at + kO * H, live);
      if (peephole) {
        i += load_first(peephole + unit, live) * c_before;
        if (!kCoupled) f += load_first(peephole + H + unit, live) * c_before;
      }
      i = sigmoid<Real>(i);
      f = kCoupled ? Real(1) - i : sigmoid<Real>(f);
      const V fresh = f * c_before + i * hyperbolic_tangent<Real>(load_first(at + kG * H, live));
      if (o_peephole) o += load_first(o_peephole + unit, live) * fresh;
      o = sigmoid<Real>(o);
      store_first(state.c + unit, V(fresh + zoneout_c * (c_before - fresh)), live);
      if (normalised) {
        store_first(fresh_cells + unit, fresh, live);
        store_first(sums.input + kO * H + unit, o, live);
      } else {
        const V h = o * hyperbolic_tangent<Real>(fresh);
        store_h(state, unit, live, h, zoneout_h);
      }
    });
    if (!normalised) return;
    const Moments moments = moments_of(fresh_cells, H);
    each_vector([&](int64_t unit, int live) {
      const V c =
          moments.apply(load_first(fresh_cells + unit, live)) * load_first(layer_.gain_c + unit, live) +
          load_first(layer_.bias_c + unit, live);
      const V h = load_first(sums.input + kO * H + unit, live) * hyperbolic_tangent<Real>(c);
      store_h(state, unit, live, h, zoneout_h);
    });
  }

  void gru(const StepSums<Real>& sums, const CellState<Real>& state) const {
    const int64_t H = step_.hidden;
    const Real zoneout = (Real)step_.zoneout_h;
    each_vector([&](int64_t unit, int live) {
      const Real *input = sums.input + unit, *recurrent = sums.recurrent + unit;
      const V r = sigmoid<Real>(load_first(input, live) + load_first(recurrent, live));
      const V z = sigmoid<Real>(load_first(input + H, live) + load_first(recurrent + H, live));
      const V n =
          hyperbolic_tangent<Real>(load_first(input + 2 * H, live) + r * load_first(recurrent + 2 * H, live));
      store_h(state, unit, live, n + z * (old(state.h0, unit, live) - n), zoneout);
    });
  }

  template <bool kRelu>
  void rnn(const StepSums<Real>& sums, const CellState<Real>& state) const {
    const Real zoneout = (Real)step_.zoneout_h;
    each_vector([&](int64_t unit, int live) {
      const V sum = load_first(sums.input + unit, live);
      V h;
      if constexpr (kRelu)
        h = sum < V{} ? V{} : sum;  // NaN stays NaN
      else
        h = hyperbolic_tangent<Real>(sum);
      store_h(state, unit, live, h, zoneout);
    });
  }

  // Zoneout's expectation: a share of the old state stays.
  static void store_h(const CellState<Real>& state, int64_t unit, int live, V h, Real zoneout) {
    if (zoneout > 0) h += zoneout * (old(state.h0, unit, live) - h);
    store_first(state.h + unit, h, live);
  }

  struct Moments {
    Real mean, scale;
    FASTLSTM_INLINE V apply(V values) const { return (values - mean) * scale; }
  };
  static Moments moments_of(const Real* values, int64_t n) {
    V sum{}, squares{};
    for (int64_t i = 0; i < n; i += L)
      sum += n - i < L ? load_tail(values + i, (int)(n - i)) : load(values + i);
    const Real mean = total(sum) / (Real)n;
    for (int64_t i = 0; i < n; i += L) {
      // Of the lanes past the end, which read as zero, the mean must not be taken off.
      V off = n - i < L ? load_tail(values + i, (int)(n - i)) : load(values + i);
      off -= mean;
      for (int lane = (int)(n - i); lane < L; ++lane) off[lane] = 0;
      squares += off * off;
    }
    constexpr Real kEpsilon = Real(1e-5);  // of torch.nn.LayerNorm
    return {mean, Real(1) / root(total(squares) / (Real)n + kEpsilon)};
  }
  static Real total(V values) {
    Real sum = 0;
    for (int lane = 0; lane < L; ++lane) sum += values[lane];
    return sum;
  }
  static Real root(Real value) {
    if constexpr (sizeof(Real) == 4)
      return __builtin_sqrtf(value);
    else
      return __builtin_sqrt(value);
  }

  // Both parts to mean 0 and variance 1 over all gates together, with gains; their sum and the biases to
  // `input`.
  void normalise_sums(const StepSums<Real>& sums, int64_t n) const {
    const Moments input = moments_of(sums.input, n), recurrent = moments_of(sums.recurrent, n);
    for (int64_t i = 0; i < n; i += L) {
      const int live = (int)(n - i < L ? n - i : L);
      store_first(
          sums.input + i,
          V(input.apply(load_first(sums.input + i, live)) * load_first(layer_.gain_ih + i, live) +
            recurrent.apply(load_first(sums.recurrent + i, live)) * load_first(layer_.gain_hh + i, live) +
            sum_of(layer_.b_ih, layer_.b_hh, i, live)),
          live);
    }
  }

  const Step<Real>& step_;
  const StepLayer<Real>& layer_;
};

}  // namespace fastlstm::FASTLSTM_ISA
