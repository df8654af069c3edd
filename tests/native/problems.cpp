#include "problems.h"

#include <algorithm>
#include <cmath>

namespace native_tests {
namespace {

using fastlstm::CellKind;
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
  static const char* const kCells[] = {"LSTM", "coupled LSTM", "GRU", "RNN tanh", "RNN ReLU"};
  std::string text = kCells[(int)s.cell];
  const auto number = [&](const char* name, int64_t value) { text += name + std::to_string(value); };
  const auto word = [&](const char* name, bool there) { text += there ? std::string(", ") + name : ""; };
  number(": T ", s.steps);
  number(", B ", s.batch);
  number(", I ", s.inputs);
  number(", H ", s.hidden);
  if (s.projection) number(", P ", s.projection);
  number(", D ", s.directions);
  word(kLayouts[(int)s.layout], true);
  word("ragged", s.lengths == Lengths::kRagged);
  word("lengths 0", s.lengths == Lengths::kZero);
  word("layer norm", s.layer_norm);
  word("peephole", s.peephole);
  word("reverse", s.reverse);
  word("reset", s.reset);
  word("mask", s.mask);
  word("zoneout", s.zoneout > 0);
  word("seeded", s.seeded);
  if (s.reads) number(", reads ", s.reads);
  word("no bias", !s.biases);
  word("no h0", !s.h0);
  word("no c0", !s.c0);
  word("no dy", !s.dy);
  word("no dhn", !s.dhn);
  word("no dcn", !s.dcn);
  word("large x", s.scale > 1);
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
  problem.cell = shape.cell;
  problem.layer_norm = shape.layer_norm;
  problem.reverse = shape.reverse;
  const bool is_lstm = problem.is_lstm();
  const int64_t states = problem.directions * problem.batch, rows = problem.rows();
  for (int64_t row = 0; shape.reset && row < rows; ++row) problem.reset.push_back(below(random, 4) == 0);
  if (shape.mask) {  // as dropout's: 0, or 1 / (1 - 1/4)
    problem.recurrent_mask = draw(random, states * problem.outputs, 1);
    for (double& factor : problem.recurrent_mask) factor = factor < -0.5 ? 0 : (float)(4.0 / 3);
  }
  problem.zoneout_h = shape.zoneout;
  problem.zoneout_c = is_lstm ? shape.zoneout / 2 : 0;
  if (shape.seeded) problem.seed = {(int64_t)random()};
  for (int64_t read = 0; read < shape.reads; ++read) problem.read_steps.push_back(below(random, shape.steps));
  const int64_t dy_rows = shape.reads ? shape.reads * shape.batch : rows;
  problem.x = draw(random, rows * problem.inputs, shape.scale);
  if (shape.h0) problem.h0 = draw(random, states * problem.outputs, 1);
  if (shape.c0 && is_lstm) problem.c0 = draw(random, states * problem.hidden, 1);
  if (shape.dy) problem.dy = draw(random, dy_rows * problem.directions * problem.outputs, 1);
  if (shape.dhn) problem.dhn = draw(random, states * problem.outputs, 1);
  if (shape.dcn && is_lstm) problem.dcn = draw(random, states * problem.hidden, 1);
  const double limit = 1 / std::sqrt((double)problem.hidden);  // as torch.nn.LSTM draws them
  for (int d = 0; d < problem.directions; ++d) {
    WeightValues& weights = problem.weights[d];
    const int64_t H = problem.hidden, rows_of_gates = problem.gates() * H;
    weights[kWih] = draw(random, rows_of_gates * problem.inputs, limit);
    weights[kWhh] = draw(random, rows_of_gates * problem.outputs, limit);
    if (shape.biases) weights[kBih] = draw(random, rows_of_gates, limit);
    if (shape.biases) weights[kBhh] = draw(random, rows_of_gates, limit);
    if (problem.projected) weights[kWhr] = draw(random, problem.outputs * H, limit);
    if (shape.peephole) weights[kPeephole] = draw(random, (problem.gates() - 1) * H, 1);
    if (!shape.layer_norm) continue;
    for (Weight gain : {kGainIh, kGainHh}) weights[gain] = draw(random, rows_of_gates, 1);
    for (Weight weight : {kGainC, kBiasC}) weights[weight] = draw(random, H, 1);
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
  shape.directions = 1 + (int)below(random, 2);
  shape.layout = static_cast<Layout>(below(random, 3));
  if (!often(2)) shape.lengths = often(12) ? Lengths::kRagged : Lengths::kZero;
  if (shape.layout == Layout::kPacked && shape.lengths == Lengths::kZero) shape.lengths = Lengths::kRagged;
  shape.cell = often(2) ? CellKind::kLstm : static_cast<CellKind>(below(random, 5));
  if (shape.cell == CellKind::kLstm || shape.cell == CellKind::kCoupledLstm) {
    shape.layer_norm = !often(5);
    shape.peephole = !often(4);
    if (!often(3) && shape.hidden > 1) shape.projection = 1 + below(random, shape.hidden - 1);
  }
  shape.reverse = shape.directions == 1 && !often(4);
  shape.reset = !often(4);
  shape.mask = !often(4);
  shape.zoneout = shape.projection == 0 && !often(4) ? 0.375 : 0;
  shape.seeded = shape.zoneout > 0 && often(3);
  shape.reads = shape.layout != Layout::kPacked && !often(5) ? 1 + below(random, 4) : 0;
  shape.biases = often(3);
  shape.h0 = often(3);
  shape.c0 = often(3);
  shape.dy = shape.reads > 0 || often(4);
  shape.dhn = often(3);
  shape.dcn = often(3);
  shape.scale = often(5) ? 1 : 40;
  return shape;
}

}  // namespace native_tests
