// The contract of the step kernels: one time step of all layers, for few sequences, in microseconds.
//
//   B sequences   I inputs   H hidden units   P outputs (= H without a projection)   G gates
//
// Full weights are read where the caller has them, in PyTorch's layout: nothing is packed, so nothing can be
// out of date, and the caches hold them once. Reduced weights are copies, made by `reduce`. ops/reference.py
// states every cell's equations; lstm.h tells the shapes of the weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lstm.h"
#include "tokens.h"

namespace fastlstm {

enum class StepWeights : int { kFull = 0, kBfloat16 = 1, kInt8 = 2 };

// A matrix (N, K). Full: row-major, of the call's own type. Reduced: as `reduce` laid it out.
struct StepMatrix {
  const void* data;
  const float* scales;  // of int8 alone, as `reduce` made them
  const int32_t* offsets;
};

template <class Real>
struct StepLayer {
  StepMatrix w_ih, w_hh, w_hr;  // (G·H, I or P), (G·H, P), (P, H); w_hr null without a projection
  const Real *b_ih, *b_hh;      // null where there are none, as are all that follow
  const Real* peephole;         // (3H) of i, f, o, or (2H) of i, o where they are coupled
  const Real *gain_ih, *gain_hh, *gain_c, *bias_c;  // of layer normalisation, all or none
  const Real *h0, *c0;                              // (B, P), (B, H); null means zeros
  Real *h, *c;                                      // the same after the step; may not alias anything
};

template <class Real>
struct Step {
  CellKind cell;
  StepWeights weights;  // kFull for double
  int64_t batch, inputs, hidden, outputs;
  const Real* x;     // B rows of I values …
  int64_t x_stride;  // … so many values apart
  const StepLayer<Real>* layers;
  int layer_count;
  double zoneout_h, zoneout_c;  // shares of the old state that are kept
  // Whether rows of the weights are read from the last to the first: who takes turns finds what the call
  // before left in the cache. The result is the same to the bit.
  bool backwards;
  int threads;
};

// One instruction set's step kernels.
struct StepKernels {
  void (*step32)(const Step<float>&);
  void (*step64)(const Step<double>&);
  void (*token_output)(const TokenOutput&);
  bool (*token_draw)(const TokenDraw&);  // false where a row holds no number, or nothing that may come
};
const StepKernels& active_step_kernels();  // those that go with active_kernels()

// Bytes of weights that a call reads; what it takes to be worth a second thread.
constexpr int64_t kStepBytesPerThread = int64_t(1) << 19;

// --- reduced weights, the same for every instruction set --------------------------------------------------
//
// Rows come in blocks, and a block column by column, so that lanes are rows; rows that fill up a block are
// zero. bfloat16, each value rounded to the nearest, ties to even: of a block's 32 rows, word j < 16 of a
// column holds that of row j in its lower and that of row 16 + j in its upper half. int8: of a block's 16
// rows four columns lie together, [column / 4][row][column % 4]; row n is scales[n] times integers in
// -127 … 127, and offsets[n] is 128 times the sum of those integers.
constexpr int64_t kBfloat16Rows = 32, kInt8Rows = 16, kInt8Columns = 4;

size_t reduced_bytes(StepWeights kind, int64_t N, int64_t K);
// Fills `to`, which has reduced_bytes() and the alignment of a cache line.
StepMatrix reduce(StepWeights kind, const float* w, int64_t N, int64_t K, void* to);

}  // namespace fastlstm
