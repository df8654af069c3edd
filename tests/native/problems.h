// Problems of given shapes, with pseudo-random values that are the same everywhere.
#pragma once

#include <random>
#include <string>

#include "reference.h"

namespace native_tests {

using Random = std::mt19937_64;

enum class Lengths { kAll, kRagged, kZero };  // all T; anything in 0..T; all zero

struct Shape {
  int64_t steps, batch, inputs, hidden;
  int64_t projection = 0;  // P, or 0 for none
  int directions = 1;
  fastlstm::Layout layout = fastlstm::Layout::kTimeMajor;
  Lengths lengths = Lengths::kAll;
  fastlstm::CellKind cell = fastlstm::CellKind::kLstm;
  bool layer_norm = false, peephole = false;  // of an LSTM
  bool reverse = false, reset = false, mask = false;
  double zoneout = 0;  // the rate of h, and for an LSTM half of it that of c; exact in float32
  bool seeded = false;
  int64_t reads = 0;  // how many steps dy has; 0: all of them
  bool biases = true, h0 = true, c0 = true, dy = true, dhn = true, dcn = true;
  double scale = 1;  // of x: large ones drive the gates into saturation
};

std::string describe(const Shape& shape);

// Values are exact in float32, so that kernels of both precisions and the reference compute the same problem.
Problem make_problem(const Shape& shape, uint64_t seed);

// Odd sizes around the widths of vectors and tiles, every layout, cell and variant, and any part left out.
Shape random_shape(Random& random);

}  // namespace native_tests
