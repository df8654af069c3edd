// What the kernels are compared with: the equations of ops/reference.py as plain scalar loops in double
// precision, one sequence after the other, and their derivatives by the chain rule.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lstm.h"

namespace native_tests {

using Values = std::vector<double>;

enum Weight { kWih, kWhh, kBih, kBhh, kWhr, kPeephole, kGainIh, kGainHh, kGainC, kBiasC, kWeights };
constexpr const char* kWeightNames[kWeights] = {"w_ih",     "w_hh",    "b_ih",    "b_hh",   "w_hr",
                                                "peephole", "gain_ih", "gain_hh", "gain_c", "bias_c"};
// The weights of one direction, or their gradients; empty where there are none.
using WeightValues = std::array<Values, kWeights>;

struct Problem {
  int64_t steps = 1, batch = 1, inputs = 1, hidden = 1, outputs = 1;  // T, B, I, H, P
  int directions = 1;
  fastlstm::Layout layout = fastlstm::Layout::kTimeMajor;
  fastlstm::CellKind cell = fastlstm::CellKind::kLstm;
  bool projected = false, layer_norm = false, reverse = false;
  std::vector<int64_t> lengths;         // empty: all are T
  std::vector<int64_t> packed_offsets;  // of the packed layout
  std::vector<uint8_t> reset;           // as in fastlstm::Extras; empty means null, as in all that follow
  Values recurrent_mask;
  double zoneout_h = 0, zoneout_c = 0;
  std::vector<int64_t> seed;        // one, or none
  Values x, h0, c0;                 // as in fastlstm::Forward
  std::vector<int64_t> read_steps;  // as in fastlstm::Backward
  Values dy, dhn, dcn;
  WeightValues weights[2];

  int gates() const;
  bool is_lstm() const;
  bool backwards(int direction) const { return reverse || direction == 1; }
  int64_t length(int64_t sequence) const { return lengths.empty() ? steps : lengths[sequence]; }
  int64_t rows() const;                               // of x and y
  int64_t row(int64_t sequence, int64_t time) const;  // of x and y
};

struct Results {
  Values y, hn, cn;
  Values dx, dh0, dc0;
  WeightValues dweights[2];
};

Results reference(const Problem& problem);

}  // namespace native_tests
