#include "problems.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace native_tests {
namespace {

using fastlstm::Layout;

// The distributions of the standard library differ between implementations; this one does not.
double uniform(Random& random) { return (double)(random() >> 11) * 0x1p-53; }
int64_t below(Random& random, int64_t limit) { return (int64_t)(random() % (uint64_t)limit); }

Values draw(Random& random, int64_t count, double limit) {
  Values values(count);
  for (double& value : values) value = (float)((2 * uniform(random) - 1) * limit);
  return values;
}

std::vector<int64_t> draw_lengths(Random& random, const Shape& shape) {
  std::vector<int64_t> lengths(shape.batch, 0);
  if (shape.lengths == Lengths::kRagged) {
    for (int64_t& length : lengths) length = below(random, shape.steps + 1);
    lengths[below(random, shape.batch)] = shape.steps;
    if (shape.batch > 2) lengths[below(random, shape.batch)] = 0;
  } else if (shape.lengths == Lengths::kAll) {
    lengths.assign(shape.batch, shape.steps);
  }
  if (shape.layout == Layout::kPacked) std::sort(lengths.rbegin(), lengths.rend());
  return lengths;
}

}  // namespace

std::string describe(const Shape& s) {
  static const char* const kLayouts[] = {"time-major", "batch-first", "packed"};
  static const char* const kLengths[] = {"", ", ragged", ", lengths 0"};
  char text[300];
  std::snprintf(text, sizeof text, "T %d, B %d, I %d, H %d, P %d, D %d, %s%s%s%s%s%s%s%s, scale %g",
                (int)s.steps, (int)s.batch, (int)s.inputs, (int)s.hidden, (int)s.projection, s.directions,
                kLayouts[(int)s.layout], kLengths[(int)s.lengths], s.biases ? "" : ", no bias",
                s.h0 ? "" : ", no h0", s.c0 ? "" : ", no c0", s.dy ? "" : ", no dy", s.dhn ? "" : ", no dhn",
                s.dcn ? "" : ", no dcn", s.scale);
  return text;
}

Problem make_problem(const Shape& shape, uint64_t seed) {
  Random random(seed);
  Problem problem;
  problem.steps = shape.steps;
  problem.batch = shape.batch;
  problem.inputs = shape.inputs;
  problem.hidden = shape.hidden;
  problem.projected = shape.projection > 0;
  problem.outputs = problem.projected ? shape.projection : shape.hidden;
  problem.directions = shape.directions;
  problem.layout = shape.layout;
  if (shape.lengths != Lengths::kAll || shape.layout == Layout::kPacked)
    problem.lengths = draw_lengths(random, shape);
  if (shape.layout == Layout::kPacked) {
    int64_t row = 0;
    for (int64_t t = 0; t < shape.steps; ++t) {
      problem.packed_offsets.push_back(row);
      for (int64_t length : problem.lengths) row += length > t;
    }
  }
  const int64_t states = problem.directions * problem.batch, rows = problem.rows();
  problem.x = draw(random, rows * problem.inputs, shape.scale);
  if (shape.h0) problem.h0 = draw(random, states * problem.outputs, 1);
  if (shape.c0) problem.c0 = draw(random, states * problem.hidden, 1);
  if (shape.dy) problem.dy = draw(random, rows * problem.directions * problem.outputs, 1);
  if (shape.dhn) problem.dhn = draw(random, states * problem.outputs, 1);
  if (shape.dcn) problem.dcn = draw(random, states * problem.hidden, 1);
  const double limit = 1 / std::sqrt((double)problem.hidden);  // as torch.nn.LSTM draws them
  for (int d = 0; d < problem.directions; ++d) {
    WeightValues& weights = problem.weights[d];
    weights.w_ih = draw(random, 4 * problem.hidden * problem.inputs, limit);
    weights.w_hh = draw(random, 4 * problem.hidden * problem.outputs, limit);
    if (shape.biases) weights.b_ih = draw(random, 4 * problem.hidden, limit);
    if (shape.biases) weights.b_hh = draw(random, 4 * problem.hidden, limit);
    if (problem.projected) weights.w_hr = draw(random, problem.outputs * problem.hidden, limit);
  }
  return problem;
}

Shape random_shape(Random& random) {
  const auto often = [&](int of) { return below(random, of) != 0; };
  Shape shape{};
  shape.steps = 1 + below(random, often(3) ? 7 : 1);
  shape.batch = 1 + below(random, often(4) ? 15 : 60);
  shape.inputs = 1 + below(random, 35);
  shape.hidden = 1 + below(random, 35);
  if (!often(3) && shape.hidden > 1) shape.projection = 1 + below(random, shape.hidden - 1);
  shape.directions = 1 + (int)below(random, 2);
  shape.layout = static_cast<Layout>(below(random, 3));
  if (!often(2)) shape.lengths = often(12) ? Lengths::kRagged : Lengths::kZero;
  if (shape.layout == Layout::kPacked && shape.lengths == Lengths::kZero) shape.lengths = Lengths::kRagged;
  shape.biases = often(3);
  shape.h0 = often(3);
  shape.c0 = often(3);
  shape.dy = often(4);
  shape.dhn = often(3);
  shape.dcn = often(3);
  shape.scale = often(5) ? 1 : 40;
  return shape;
}

}  // namespace native_tests
