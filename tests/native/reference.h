// What the kernels are compared with: the equations of native/lstm.h as plain scalar loops in double
// precision, one sequence after the other, and their derivatives by the chain rule.
#pragma once

#include <cstdint>
#include <vector>

#include "lstm.h"

namespace native_tests {

using Values = std::vector<double>;

// The weights of one direction, or their gradients; empty where there are none.
struct WeightValues {
  Values w_ih, w_hh, b_ih, b_hh, w_hr;
};

struct Problem {
  int64_t steps = 1, batch = 1, inputs = 1, hidden = 1, outputs = 1;  // T, B, I, H, P
  int directions = 1;
  fastlstm::Layout layout = fastlstm::Layout::kTimeMajor;
  bool projected = false;
  std::vector<int64_t> lengths;         // empty: all are T
  std::vector<int64_t> packed_offsets;  // of the packed layout
  Values x, h0, c0;                     // as in fastlstm::Forward; empty means null
  Values dy, dhn, dcn;                  // as in fastlstm::Backward; empty means null
  WeightValues weights[2];

  int64_t length(int64_t sequence) const { return lengths.empty() ? steps : lengths[sequence]; }
  int64_t rows() const;                               // of x and y
  int64_t row(int64_t sequence, int64_t time) const;  // of x and y
};

struct Results {
  Values y, hn, cn;
  Values dx, dh0, dc0;
  WeightValues dweights[2];  // b_ih and b_hh have the same gradient
};

Results reference(const Problem& problem);

}  // namespace native_tests
