// The pinball loss of quantiles around a mixture of naive forecasts, with its gradient, in one pass over the
// rows.
//
//   R rows   Q quantiles   N rules
//
// A vector holds so many rows: what is computed of each is a handful of numbers, too few to fill one.
#pragma once

#include "arena.h"
#include "denormals.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real>
class QuantileLossPass {
  using V = Vec<Real>;
  static constexpr int L = kLanes<Real>;
  static constexpr int64_t kStretch = 256;  // vectors of rows, after which sums go on in double

 public:
  QuantileLossPass(const QuantileLoss<Real>& call, Arena& arena) : call_(call) {
    scratch_ = 2 * (call.quantiles + call.rules);
    vectors_ = arena.take<Real>(call.threads * scratch_ * L);
    sums_ = arena.take<double>(call.threads);
  }

  void run() {
    Real weight = 0;
    for (int64_t row = 0; row < call_.rows; ++row) weight += call_.weight[row];
    weight *= Real(call_.quantiles);
    share_ = 1 / (weight < 1 ? Real(1) : weight);
    auto body = [this](int index) {
      FlushDenormals flush;
      const Range own = share((call_.rows + L - 1) / L, index, call_.threads);
      double whole = 0;
      for (int64_t first = own.begin; first < own.end; first += kStretch) {
        V sum{};
        for (int64_t v = first; v < own.end && v < first + kStretch; ++v) sum += rows(index, v * L);
        for (int lane = 0; lane < L; ++lane) whole += sum[lane];
      }
      sums_[index] = whole;
    };
    run_parallel(call_.threads, body);
    double loss = 0;
    for (int i = 0; i < call_.threads; ++i) loss += sums_[i];
    *call_.loss = Real(loss);
  }

 private:
  // The loss of L rows, one in each lane; what lies past the last row weighs nothing.
  V rows(int index, int64_t row) {
    const int64_t Q = call_.quantiles, N = call_.rules, m = call_.median;
    const int live = live_lanes(call_.rows, row / L, L);
    Real* raw = vectors_ + index * scratch_ * L;
    Real *shares = raw + Q * L, *values = shares + N * L, *slopes = values + N * L;
    load_columns(call_.raw + row * (Q + N), Q + N, live, raw);
    load_columns(call_.values + row * N, N, live, values);
    const V mixed = mix(row, live, shares, values);

    const V target = load_first(call_.target + row, live);
    const V weight = load_first(call_.weight + row, live) * share_;
    V loss{};
    // The weighted slope of a quantile's loss, which is linear on either side of the target.
    const auto slope_at = [&](V quantile, int64_t k) {
      const V excess = quantile - target, level = splat<Real>(call_.levels[k]);
      const V slope = (excess > V{} ? Real(1) - level : -level) * weight;
      loss += excess * slope;
      return slope;
    };
    const V middle = load(raw) + mixed;
    V above{}, below{};
    V quantile = middle;
    V total = slope_at(middle, m);
    for (int64_t k = m + 1; k < Q; ++k) {
      quantile += distance(raw + k * L);
      store(slopes + k * L, slope_at(quantile, k));
    }
    quantile = middle;
    for (int64_t k = m - 1; k >= 0; --k) {
      quantile -= distance(raw + (k + 1) * L);
      store(slopes + k * L, slope_at(quantile, k));
    }
    if (!call_.gradient) return loss;
    // A distance counts to its own quantile and to those further out.
    for (int64_t k = Q - 1; k > m; --k) {
      above += load(slopes + k * L);
      store(raw + k * L, load(raw + k * L) * above);
    }
    for (int64_t k = 0; k < m; ++k) {
      below += load(slopes + k * L);
      store(raw + (k + 1) * L, -load(raw + (k + 1) * L) * below);
    }
    total += above + below;
    store(raw, total);
    for (int64_t n = 0; n < N; ++n)
      store(shares + n * L, load(shares + n * L) * (load(values + n * L) - mixed) * total);
    store_columns(raw, Q + N, live, call_.gradient + row * (Q + N));
    return loss;
  }

  // Σ softmax(logits + barred) values; the shares take the logits' place.
  V mix(int64_t row, int live, Real* logits, const Real* values) {
    const int64_t N = call_.rules;
    load_columns(call_.barred + row * N, N, live, logits, /*add=*/true);
    V largest = load(logits);
    for (int64_t n = 1; n < N; ++n) {
      const V logit = load(logits + n * L);
      largest = logit > largest ? logit : largest;
    }
    V sum{}, mixed{};
    for (int64_t n = 0; n < N; ++n) {
      const V part = exponential<Real>(load(logits + n * L) - largest);
      store(logits + n * L, part);
      sum += part;
      mixed += part * load(values + n * L);
    }
    const V whole = Real(1) / sum;
    for (int64_t n = 0; n < N; ++n) store(logits + n * L, load(logits + n * L) * whole);
    return mixed * whole;
  }

  // softplus of a number of the head, whose derivative takes its place.
  V distance(Real* number) {
    const V x = load(number);
    const V part = exponential<Real>(x < V{} ? x : -x), whole = Real(1) / (part + Real(1));
    store(number, x < V{} ? part * whole : whole);
    return (x < V{} ? V{} : x) + log1p_of_share<Real>(part);
  }

  static void load_columns(const Real* from, int64_t columns, int live, Real* to, bool add = false) {
    for (int row = 0; row < live; ++row)
      for (int64_t c = 0; c < columns; ++c)
        to[c * L + row] = add ? to[c * L + row] + from[row * columns + c] : from[row * columns + c];
    for (int row = live; row < L; ++row)
      for (int64_t c = 0; c < columns; ++c) to[c * L + row] = 0;
  }
  static void store_columns(const Real* from, int64_t columns, int live, Real* to) {
    for (int row = 0; row < live; ++row)
      for (int64_t c = 0; c < columns; ++c) to[row * columns + c] = from[c * L + row];
  }

  const QuantileLoss<Real>& call_;
  int64_t scratch_;  // vectors a thread needs
  Real* vectors_;    // [thread]: Q numbers, N shares, N values, Q slopes
  double* sums_;     // [thread]
  Real share_ = 0;
};

}  // namespace fastlstm::FASTLSTM_ISA
