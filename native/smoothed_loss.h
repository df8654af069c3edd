// Cross-entropy with smoothed labels and its gradient: each row of logits is read once.
//
//   N rows   V classes
#pragma once

#include "arena.h"
#include "denormals.h"
#include "packing.h"
#include "pool.h"

namespace fastlstm::FASTLSTM_ISA {

template <class Real>
class SmoothedLossPass {
  using Vector = Vec<Real>;
  static constexpr int L = kLanes<Real>;

 public:
  SmoothedLossPass(const SmoothedLoss<Real>& call, Arena& arena) : call_(call) {
    rows_ = arena.take<Real>(call.threads * vectors_for(call.classes, L) * L);
    sums_ = arena.take<double>(call.threads);
  }

  void run() {
    auto body = [this](int index) {
      FlushDenormals flush;
      const Range own = share(call_.rows, index, call_.threads);
      double sum = 0;
      for (int64_t row = own.begin; row < own.end; ++row) sum += loss(index, row);
      sums_[index] = sum;
    };
    run_parallel(call_.threads, body);
    double sum = 0;
    for (int i = 0; i < call_.threads; ++i) sum += sums_[i];
    *call_.loss = Real(sum / (double)call_.rows);
  }

 private:
  template <class Body>
  FASTLSTM_INLINE void for_vectors(Body&& body) const {
    int64_t first = 0;
    for (; first + L <= call_.classes; first += L) body(first, L);
    if (first < call_.classes) body(first, (int)(call_.classes - first));
  }

  double loss(int index, int64_t row) {
    const int64_t classes = call_.classes, target = call_.targets[row];
    const Real* logits = call_.logits + row * classes;
    Real* shares = rows_ + index * vectors_for(classes, L) * L;
    Vector whole{}, tops = splat<Real>(logits[0]);
    for_vectors([&](int64_t first, int live) {
      Vector x = load_first(logits + first, live);
      whole += x;
      for (int lane = live; lane < L; ++lane) x[lane] = -__builtin_huge_val();  // no class, and no share
      tops = larger<Real>(tops, x);
      store(shares + first, x);
    });
    const Real top = largest_lane<Real>(tops);
    Vector total{};
    for_vectors([&](int64_t first, int) {
      const Vector part = exponential<Real>(load(shares + first) - top);
      total += part;
      store(shares + first, part);
    });
    double sum = 0, logits_sum = 0;
    for (int lane = 0; lane < L; ++lane) {
      sum += total[lane];
      logits_sum += whole[lane];
    }
    if (call_.gradient) store_gradient(shares, sum, target, call_.gradient + row * classes);
    // A class that is barred, by minus infinity, bars nothing else where labels are not smoothed.
    const double spread = call_.smoothing > 0 ? call_.smoothing * logits_sum / (double)classes : 0;
    return (double)top + __builtin_log(sum) - (1 - call_.smoothing) * (double)logits[target] - spread;
  }

  // (softmax - (1 - ε) δ - ε / V) / N
  void store_gradient(const Real* shares, double sum, int64_t target, Real* gradient) const {
    const double rows = (double)call_.rows;
    const Real scale = Real(1 / (sum * rows)),
               spread = Real(call_.smoothing / ((double)call_.classes * rows));
    for_vectors([&](int64_t first, int live) {
      store_first(gradient + first, Vector(load(shares + first) * scale - spread), live);
    });
    gradient[target] -= Real((1 - call_.smoothing) / rows);
  }

  const SmoothedLoss<Real>& call_;
  Real* rows_;    // [thread][class]
  double* sums_;  // [thread]
};

}  // namespace fastlstm::FASTLSTM_ISA
