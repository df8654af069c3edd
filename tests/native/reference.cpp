#include "reference.h"

#include <algorithm>

#include "cells.h"

namespace native_tests {
namespace {

using fastlstm::CellKind;
using fastlstm::Layout;

// matrix (rows, columns) · from
Values product(const Values& matrix, int64_t rows, const Values& from) {
  const int64_t columns = (int64_t)from.size();
  Values to(rows, 0.0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) to[r] += matrix[r * columns + k] * from[k];
  return to;
}
// matrixᵀ · from, for matrix (rows of `from`, columns)
Values transposed_product(const Values& matrix, int64_t columns, const Values& from) {
  Values to(columns, 0.0);
  for (size_t r = 0; r < from.size(); ++r)
    for (int64_t k = 0; k < columns; ++k) to[k] += matrix[r * columns + k] * from[r];
  return to;
}
// matrix += left ⊗ right
void add_outer_product(const Values& left, const Values& right, Values& matrix) {
  for (size_t r = 0; r < left.size(); ++r)
    for (size_t k = 0; k < right.size(); ++k) matrix[r * right.size() + k] += left[r] * right[k];
}
void add(const Values& from, Values& to, int64_t at = 0) {
  for (size_t i = 0; i < from.size(); ++i) to[at + i] += from[i];
}
void put(const Values& from, Values& to, int64_t at) { std::copy(from.begin(), from.end(), to.begin() + at); }
Values stretch(const Values& from, int64_t at, int64_t count) {
  if (from.empty()) return Values(count, 0.0);
  return Values(from.begin() + at, from.begin() + at + count);
}

// Whether a unit keeps its old value: the hash that ops/random.py states (splitmix64 of the row's count, then
// MurmurHash3's finaliser with the unit).
bool keeps_old(int64_t seed, int64_t row, int direction, int which, int64_t unit, double rate) {
  uint64_t z = (uint64_t)seed + 0x9E3779B97F4A7C15u * (uint64_t)((row * 2 + direction) * 2 + which + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  uint32_t v = (uint32_t)(z ^ (z >> 31)) ^ ((uint32_t)unit * 0x9E3779B1u);
  v = (v ^ (v >> 16)) * 0x85EBCA6Bu;
  v = (v ^ (v >> 13)) * 0xC2B2AE35u;
  v ^= v >> 16;
  return v < (uint64_t)(rate * 4294967296.0);
}

// One sequence of one direction.
class Sequence {
 public:
  Sequence(const Problem& problem, int direction, int64_t sequence, Results& results)
      : p_(problem),
        weights_(problem.weights[direction]),
        dweights_(results.dweights[direction]),
        results_(results),
        direction_(direction),
        backwards_(problem.backwards(direction)),
        sequence_(sequence),
        length_(problem.length(sequence)),
        h_at_((direction * problem.batch + sequence) * problem.outputs),
        c_at_((direction * problem.batch + sequence) * problem.hidden) {}

  void run() {
    forward();
    backward();
  }

 private:
  int64_t time(int64_t step) const { return backwards_ ? length_ - 1 - step : step; }
  int64_t x_at(int64_t step) const { return p_.row(sequence_, time(step)) * p_.inputs; }
  int64_t y_at(int64_t step) const {
    return (p_.row(sequence_, time(step)) * p_.directions + direction_) * p_.outputs;
  }
  // A mark at time t cuts between t - 1 and t, from whichever side one comes.
  bool forgets(int64_t step) const {
    const int64_t t = time(step) + backwards_;
    return !p_.reset.empty() && t < length_ && p_.reset[p_.row(sequence_, t)];
  }
  // The share of the old value in the new one.
  double share(int which, int64_t step, int64_t unit) const {
    const double rate = which ? p_.zoneout_c : p_.zoneout_h;
    if (p_.seed.empty()) return rate;
    return keeps_old(p_.seed[0], time(step) * p_.batch + sequence_, backwards_, which, unit, rate);
  }
  void multiply_by_mask(Values& h) const {
    for (size_t k = 0; k < h.size() && !p_.recurrent_mask.empty(); ++k) h[k] *= p_.recurrent_mask[h_at_ + k];
  }

  void forward() {
    const int64_t H = p_.hidden, I = p_.inputs, rows = p_.gates() * H;
    Values h = stretch(p_.h0, h_at_, p_.outputs);
    Values c = stretch(p_.c0, c_at_, p_.is_lstm() ? H : 0);
    for (int64_t s = 0; s < length_; ++s) {
      Step step;
      if (forgets(s)) {
        std::fill(h.begin(), h.end(), 0.0);
        std::fill(c.begin(), c.end(), 0.0);
      }
      step.h_before = h;
      step.c_before = c;
      multiply_by_mask(h);
      step.x_product = product(weights_[kWih], rows, stretch(p_.x, x_at(s), I));
      step.h_product = product(weights_[kWhh], rows, h);
      run_cell(p_, weights_, step);
      h = p_.projected ? product(weights_[kWhr], p_.outputs, step.h) : step.h;
      c = step.c;
      for (int64_t k = 0; k < H && !p_.projected; ++k) h[k] += share(0, s, k) * (step.h_before[k] - h[k]);
      for (size_t k = 0; k < c.size(); ++k) c[k] += share(1, s, (int64_t)k) * (step.c_before[k] - c[k]);
      put(h, results_.y, y_at(s));
      steps_.push_back(step);
    }
    put(h, results_.hn, h_at_);
    put(c, results_.cn, c_at_);
  }

  void add_output_gradient(int64_t step, Values& dh) const {
    if (p_.dy.empty()) return;
    if (p_.read_steps.empty()) return add(stretch(p_.dy, y_at(step), p_.outputs), dh);
    const int64_t reads = (int64_t)p_.read_steps.size();
    for (int64_t read = 0; read < reads; ++read) {
      if (p_.read_steps[read] != time(step)) continue;
      const int64_t row =
          p_.layout == Layout::kBatchFirst ? sequence_ * reads + read : read * p_.batch + sequence_;
      add(stretch(p_.dy, (row * p_.directions + direction_) * p_.outputs, p_.outputs), dh);
    }
  }

  void backward() {
    const int64_t H = p_.hidden, I = p_.inputs, P = p_.outputs;
    Values dh = stretch(p_.dhn, h_at_, P), dc = stretch(p_.dcn, c_at_, p_.is_lstm() ? H : 0);
    for (int64_t s = length_; s-- > 0;) {
      const Step& step = steps_[s];
      add_output_gradient(s, dh);
      StepGradient d;
      Values kept_h(P, 0.0), kept_c(dc.size(), 0.0);
      for (int64_t k = 0; k < H && !p_.projected; ++k) {
        kept_h[k] = share(0, s, k) * dh[k];
        dh[k] -= kept_h[k];
      }
      for (size_t k = 0; k < dc.size(); ++k) {
        kept_c[k] = share(1, s, (int64_t)k) * dc[k];
        dc[k] -= kept_c[k];
      }
      d.dh = dh;
      d.dc = dc;
      if (p_.projected) {
        add_outer_product(dh, step.h, dweights_[kWhr]);
        d.dh = transposed_product(weights_[kWhr], H, dh);
      }
      run_cell_back(p_, weights_, step, d, dweights_);
      Values h_read = step.h_before;
      multiply_by_mask(h_read);
      add_outer_product(d.dx_product, stretch(p_.x, x_at(s), I), dweights_[kWih]);
      add_outer_product(d.dh_product, h_read, dweights_[kWhh]);
      add(transposed_product(weights_[kWih], I, d.dx_product), results_.dx, x_at(s));
      dh = transposed_product(weights_[kWhh], P, d.dh_product);
      multiply_by_mask(dh);
      add(kept_h, dh);
      if (!p_.projected) add(d.dh_before, dh);
      dc = d.dc_before;
      if (!dc.empty()) add(kept_c, dc);
      if (!forgets(s)) continue;
      std::fill(dh.begin(), dh.end(), 0.0);
      std::fill(dc.begin(), dc.end(), 0.0);
    }
    put(dh, results_.dh0, h_at_);
    put(dc, results_.dc0, c_at_);
  }

  const Problem& p_;
  const WeightValues& weights_;
  WeightValues& dweights_;
  Results& results_;
  const int direction_;
  const bool backwards_;
  const int64_t sequence_, length_, h_at_, c_at_;
  std::vector<Step> steps_;
};

}  // namespace

int Problem::gates() const {
  if (cell == CellKind::kLstm) return 4;
  return cell == CellKind::kCoupledLstm || cell == CellKind::kGru ? 3 : 1;
}

bool Problem::is_lstm() const { return cell == CellKind::kLstm || cell == CellKind::kCoupledLstm; }

int64_t Problem::rows() const {
  if (layout != Layout::kPacked) return steps * batch;
  int64_t sum = 0;
  for (int64_t length : lengths) sum += length;
  return sum;
}

int64_t Problem::row(int64_t sequence, int64_t time) const {
  switch (layout) {
    case Layout::kTimeMajor:
      return time * batch + sequence;
    case Layout::kBatchFirst:
      return sequence * steps + time;
    default:
      return packed_offsets[time] + sequence;
  }
}

Results reference(const Problem& problem) {
  const int64_t states = problem.directions * problem.batch;
  Results results;
  results.y.assign(problem.rows() * problem.directions * problem.outputs, 0.0);
  results.hn.assign(states * problem.outputs, 0.0);
  if (problem.is_lstm()) results.cn.assign(states * problem.hidden, 0.0);
  results.dx.assign(problem.rows() * problem.inputs, 0.0);
  results.dh0 = results.hn;
  results.dc0 = results.cn;
  for (int d = 0; d < problem.directions; ++d) {
    for (int w = 0; w < kWeights; ++w) results.dweights[d][w].assign(problem.weights[d][w].size(), 0.0);
    for (int64_t sequence = 0; sequence < problem.batch; ++sequence)
      Sequence(problem, d, sequence, results).run();
  }
  return results;
}

}  // namespace native_tests
