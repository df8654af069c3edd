#include "reference.h"

#include <cmath>

namespace native_tests {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// to += matrix (rows, columns) · from
void add_product(const double* matrix, int64_t rows, int64_t columns, const double* from, double* to) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) to[r] += matrix[r * columns + k] * from[k];
}
// to += matrixᵀ · from
void add_transposed_product(const double* matrix, int64_t rows, int64_t columns, const double* from,
                            double* to) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) to[k] += matrix[r * columns + k] * from[r];
}
// matrix (rows, columns) += left ⊗ right
void add_outer_product(const double* left, int64_t rows, const double* right, int64_t columns,
                       double* matrix) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < columns; ++k) matrix[r * columns + k] += left[r] * right[k];
}
void add(const Values& from, Values& to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
}

// What one step leaves for the backward pass.
struct Step {
  Values h_before, c_before, gates, c, m;  // gates: i, f, g, o; m = o ⊙ tanh(c)
};

// One sequence of one direction.
class Sequence {
 public:
  Sequence(const Problem& problem, int direction, int64_t sequence, Results& results)
      : p_(problem),
        weights_(problem.weights[direction]),
        dweights_(results.dweights[direction]),
        results_(results),
        direction_(direction),
        sequence_(sequence),
        length_(problem.length(sequence)) {}

  void run() {
    forward();
    backward();
  }

 private:
  int64_t time(int64_t step) const { return direction_ ? length_ - 1 - step : step; }
  int64_t x_at(int64_t step) const { return p_.row(sequence_, time(step)) * p_.inputs; }
  int64_t y_at(int64_t step) const {
    return (p_.row(sequence_, time(step)) * p_.directions + direction_) * p_.outputs;
  }
  int64_t h_at() const { return (direction_ * p_.batch + sequence_) * p_.outputs; }
  int64_t c_at() const { return (direction_ * p_.batch + sequence_) * p_.hidden; }
  static Values stretch(const Values& from, int64_t at, int64_t count) {
    if (from.empty()) return Values(count, 0.0);
    return Values(from.begin() + at, from.begin() + at + count);
  }
  static void put(const Values& from, Values& to, int64_t at) {
    for (size_t i = 0; i < from.size(); ++i) to[at + i] = from[i];
  }

  void forward() {
    const int64_t H = p_.hidden, I = p_.inputs, P = p_.outputs;
    Values h = stretch(p_.h0, h_at(), P), c = stretch(p_.c0, c_at(), H);
    for (int64_t step = 0; step < length_; ++step) {
      Step kept;
      kept.h_before = h;
      kept.c_before = c;
      Values gates(4 * H, 0.0);
      add(weights_.b_ih, gates);
      add(weights_.b_hh, gates);
      add_product(weights_.w_ih.data(), 4 * H, I, &p_.x[x_at(step)], gates.data());
      add_product(weights_.w_hh.data(), 4 * H, P, h.data(), gates.data());
      Values m(H);
      for (int64_t k = 0; k < H; ++k) {
        double &i = gates[k], &f = gates[H + k], &g = gates[2 * H + k], &o = gates[3 * H + k];
        i = logistic(i), f = logistic(f), g = std::tanh(g), o = logistic(o);
        c[k] = f * c[k] + i * g;
        m[k] = o * std::tanh(c[k]);
      }
      h = m;
      if (p_.projected) {
        h.assign(P, 0.0);
        add_product(weights_.w_hr.data(), P, H, m.data(), h.data());
      }
      put(h, results_.y, y_at(step));
      kept.gates = gates;
      kept.c = c;
      kept.m = m;
      steps_.push_back(kept);
    }
    put(h, results_.hn, h_at());
    put(c, results_.cn, c_at());
  }

  void backward() {
    const int64_t H = p_.hidden, I = p_.inputs, P = p_.outputs;
    Values dh = stretch(p_.dhn, h_at(), P), dc = stretch(p_.dcn, c_at(), H);
    for (int64_t step = length_; step-- > 0;) {
      const Step& kept = steps_[step];
      if (!p_.dy.empty()) add(stretch(p_.dy, y_at(step), P), dh);
      Values dm = dh;
      if (p_.projected) {
        add_outer_product(dh.data(), P, kept.m.data(), H, dweights_.w_hr.data());
        dm.assign(H, 0.0);
        add_transposed_product(weights_.w_hr.data(), P, H, dh.data(), dm.data());
      }
      Values dsums(4 * H);
      for (int64_t k = 0; k < H; ++k) {
        const double i = kept.gates[k], f = kept.gates[H + k], g = kept.gates[2 * H + k],
                     o = kept.gates[3 * H + k], tanh_c = std::tanh(kept.c[k]);
        dc[k] += dm[k] * o * (1 - tanh_c * tanh_c);
        dsums[k] = dc[k] * g * i * (1 - i);
        dsums[H + k] = dc[k] * kept.c_before[k] * f * (1 - f);
        dsums[2 * H + k] = dc[k] * i * (1 - g * g);
        dsums[3 * H + k] = dm[k] * tanh_c * o * (1 - o);
        dc[k] *= f;
      }
      add_outer_product(dsums.data(), 4 * H, &p_.x[x_at(step)], I, dweights_.w_ih.data());
      add_outer_product(dsums.data(), 4 * H, kept.h_before.data(), P, dweights_.w_hh.data());
      if (!weights_.b_ih.empty()) add(dsums, dweights_.b_ih);
      if (!weights_.b_hh.empty()) add(dsums, dweights_.b_hh);
      add_transposed_product(weights_.w_ih.data(), 4 * H, I, dsums.data(), &results_.dx[x_at(step)]);
      dh.assign(P, 0.0);
      add_transposed_product(weights_.w_hh.data(), 4 * H, P, dsums.data(), dh.data());
    }
    put(dh, results_.dh0, h_at());
    put(dc, results_.dc0, c_at());
  }

  const Problem& p_;
  const WeightValues& weights_;
  WeightValues& dweights_;
  Results& results_;
  const int64_t direction_, sequence_, length_;
  std::vector<Step> steps_;
};

}  // namespace

int64_t Problem::rows() const {
  if (layout != fastlstm::Layout::kPacked) return steps * batch;
  int64_t sum = 0;
  for (int64_t length : lengths) sum += length;
  return sum;
}

int64_t Problem::row(int64_t sequence, int64_t time) const {
  switch (layout) {
    case fastlstm::Layout::kTimeMajor:
      return time * batch + sequence;
    case fastlstm::Layout::kBatchFirst:
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
  results.cn.assign(states * problem.hidden, 0.0);
  results.dx.assign(problem.rows() * problem.inputs, 0.0);
  results.dh0 = results.hn;
  results.dc0 = results.cn;
  for (int d = 0; d < problem.directions; ++d) {
    const WeightValues& weights = problem.weights[d];
    WeightValues& gradients = results.dweights[d];
    gradients.w_ih.assign(weights.w_ih.size(), 0.0);
    gradients.w_hh.assign(weights.w_hh.size(), 0.0);
    gradients.b_ih.assign(weights.b_ih.size(), 0.0);
    gradients.b_hh.assign(weights.b_hh.size(), 0.0);
    gradients.w_hr.assign(weights.w_hr.size(), 0.0);
    for (int64_t sequence = 0; sequence < problem.batch; ++sequence)
      Sequence(problem, d, sequence, results).run();
  }
  return results;
}

}  // namespace native_tests
