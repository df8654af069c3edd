// The contract between the LSTM kernels and whoever calls them. Reading this header is enough to call them.
//
//   T time steps   B sequences   I inputs   H hidden units   P outputs a step (= H without a projection)
//   D directions (1, or 2 for a bidirectional layer)
//
// The equations of the LSTM, for one step of one sequence (σ the logistic function, ⊙ elementwise; Hochreiter
// & Schmidhuber 1997 with the forget gate of Gers et al. 2000; the projection is that of Sak et al. 2014):
//
//   i = σ(W_ii x + b_ii + W_hi h + b_hi)      f = σ(W_if x + b_if + W_hf h + b_hf)
//   g = tanh(W_ig x + b_ig + W_hg h + b_hg)   o = σ(W_io x + b_io + W_ho h + b_ho)
//   c = f ⊙ c + i ⊙ g                         h = o ⊙ tanh(c),  or W_hr (o ⊙ tanh(c)) with a projection
//
// Weights come in PyTorch's layout: w_ih (4H, I), w_hh (4H, P), b_ih (4H), b_hh (4H), w_hr (P, H), row-major,
// the gates stacked in the order i, f, g, o (i, g, o where f = 1 - i; r, z, n for a GRU, one for an RNN). All
// arrays are dense; none may alias another unless said.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastlstm {

// How the T × B rows of x and y lie in memory.
enum class Layout : int { kTimeMajor = 0, kBatchFirst = 1, kPacked = 2 };

// What becomes of the sums of the gates; ops/reference.py states every cell's equations.
enum class CellKind : int { kLstm = 0, kCoupledLstm = 1, kGru = 2, kRnnTanh = 3, kRnnRelu = 4 };

constexpr int gates_of(CellKind cell) {  // H rows of w_ih, w_hh and their biases for each
  switch (cell) {
    case CellKind::kLstm:
      return 4;
    case CellKind::kCoupledLstm:
    case CellKind::kGru:
      return 3;
    default:
      return 1;
  }
}

struct Sizes {
  int64_t steps, batch, inputs, hidden, outputs;  // T, B, I, H, P
  int directions;                                 // D
  Layout layout;
  int64_t rows;    // of x and y: T·B, or the sum of the lengths in the packed layout
  bool projected;  // a w_hr is given; without it P = H
  CellKind cell;
  bool layer_norm;  // of an LSTM, coupled or not; the weights then hold gains
  bool reverse;     // whether the only direction runs from the end to the beginning
  bool rounded;     // whether float operands of products may be rounded to bfloat16, where that is faster
};

// Which sequence is how long. Row r of the packed layout at step t is packed_offsets[t] + r.
struct Ragged {
  const int64_t* lengths;         // (B), each in 0..T, any order; null: all are T
  const int64_t* packed_offsets;  // (T): for Layout::kPacked, where lengths must not increase; else null
};

// The reserve begins with these many values, in which the forward pass notes what the backward pass must
// repeat.
constexpr int64_t kReserveHeader = 16;

template <class Real>
struct Weights {                                 // of one direction
  const Real *w_ih, *w_hh, *b_ih, *b_hh, *w_hr;  // biases and w_hr null where there are none
  const Real* peephole;  // of an LSTM: (3H) of i, f, o, or (2H) of i, o where they are coupled; null: none
  const Real *gain_ih, *gain_hh, *gain_c, *bias_c;  // with layer normalisation: (GH), (GH), (H), (H)
};

// What a cell does beside its equations; all null or 0 for nothing.
template <class Real>
struct Extras {
  const uint8_t* reset;         // one a row of x: 1 where the state before that time is taken as zero
  const Real* recurrent_mask;   // (D, B, P): a factor on h where the recurrent product reads it
  double zoneout_h, zoneout_c;  // shares of units that keep their old value, below 1; not with a projection
  const int64_t* seed;          // (1): of the draw; null: shares instead of draws
};

struct Bfloat16 {  // the upper half of a float
  uint16_t bits;
};

// Value is what x, h and y are held in: Real, or Bfloat16 beside float, where sums, cells and gates stay
// float. Then I and P must be even, and neither projection, layer normalisation, mask nor reserve is there.
template <class Real, class Value = Real>
struct Forward {
  Sizes sizes;
  Ragged ragged;
  Extras<Real> extras;
  const Value* x;   // rows of I values
  const Value* h0;  // (D, B, P); null means zeros
  const Real* c0;   // (D, B, H), of an LSTM alone; null means zeros
  Weights<Real> weights[2];
  Value* y;       // rows of D·P values; zero past a sequence's end
  Value* hn;      // (D, B, P): the state at each sequence's own end
  Real* cn;       // (D, B, H), likewise, of an LSTM alone
  Real* reserve;  // kReserveHeader + D·rows·reserve_values(cell, H) values for the backward pass; null: none
                  // are kept
  int threads;    // part of the computation's identity: the same threads give the same bits
};

template <class Real>
struct Backward {
  Forward<Real>
      forward;     // as given to the forward call, its y and reserve filled; hn, cn, threads are not read
  const Real* dy;  // as y; null means zeros
  const int64_t* read_steps;  // (reads), in any order: dy has these time steps alone; null: all of them
  int64_t reads;
  const Real *dhn, *dcn;  // as hn, cn; null means zeros
  Real* dx;               // as x; null: not wanted
  Real *dh0, *dc0;        // as h0, c0; null: not wanted
  struct {
    Real *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *peephole, *gain_ih, *gain_hh, *gain_c,
        *bias_c;  // as the weights; all null: none are wanted.
    // b_hh of a GRU alone: the others' is that of b_ih
  } dweights[2];
};

// A dense layer, y = act(act(x) wᵀ + b), of N rows, K inputs and M outputs.
template <class Real>
struct Linear {
  int64_t rows, inputs, outputs;  // N, K, M
  const Real *x, *w, *b;          // (N, K), (M, K), (M); b null: none
  Real* y;                        // (N, M)
  bool relu_x, relu;              // which act is relu; else it is nothing
  int threads;
  // Whether operands of products may be rounded to bfloat16, where that is faster; without relu.
  bool rounded;
};
template <class Real>
struct LinearGradient {
  Linear<Real> layer;  // as given to the forward call
  const Real* dy;      // (N, M)
  Real *dx, *dw, *db;  // as x, w, b; null: not wanted (db only with dw)
};

// The mean pinball loss of R forecasts of Q rising quantiles each, and its gradient. A row of raw holds a_0 …
// a_{Q-1} and N logits g; with v of values, b of barred, y of target, w of weight, τ of levels, and the
// median at place j:
//
//   q_j     = a_0 + Σ_n softmax(g + b)_n v_n
//   q_k     = q_{k-1} + softplus(a_k)      k > j
//   q_k     = q_{k+1} - softplus(a_{k+1})  k < j
//   loss    = Σ w max(τ_k (y - q_k), (τ_k - 1) (y - q_k)) / max(Q Σ w, 1)
template <class Real>
struct QuantileLoss {
  int64_t rows, quantiles, rules, median;  // R, Q, N, j
  const Real* raw;                         // (R, Q + N)
  const Real *values, *barred;             // (R, N); barred 0 or -infinity, not all of a row
  const Real *target, *weight, *levels;    // (R), (R), (Q)
  Real* loss;                              // one value
  Real* gradient;                          // as raw; null: not wanted
  int threads;
};

// The mean over N rows of V logits x of log Σ e^x - (1 - ε) x_y - ε Σ x / V, and its gradient.
template <class Real>
struct SmoothedLoss {
  int64_t rows, classes;   // N, V
  const Real* logits;      // (N, V)
  const int64_t* targets;  // (N), y, each in 0 … V - 1
  double smoothing;        // ε
  Real* loss;              // one value
  Real* gradient;          // as logits; null: not wanted
  int threads;
};

// One instruction set's kernels.
struct Kernels {
  const char* name;
  bool (*supported)();
  // Values that the reserve holds for each row of x and direction.
  int64_t (*reserve_values32)(CellKind cell, bool layer_norm, int64_t hidden);
  int64_t (*reserve_values64)(CellKind cell, bool layer_norm, int64_t hidden);
  void (*forward32)(const Forward<float>&);
  void (*forward64)(const Forward<double>&);
  void (*stack32)(const Forward<float>* layers, int count);  // as layers_at_once says
  void (*stack64)(const Forward<double>* layers, int count);
  void (*forward16)(const Forward<float, Bfloat16>&);  // null where the instruction set has no such products
  void (*backward32)(const Backward<float>&);
  void (*backward64)(const Backward<double>&);
  void (*linear32)(const Linear<float>&);
  void (*linear64)(const Linear<double>&);
  void (*linear_gradient32)(const LinearGradient<float>&);
  void (*linear_gradient64)(const LinearGradient<double>&);
  void (*quantile_loss32)(const QuantileLoss<float>&);
  void (*quantile_loss64)(const QuantileLoss<double>&);
  void (*smoothed_loss32)(const SmoothedLoss<float>&);
  void (*smoothed_loss64)(const SmoothedLoss<double>&);
  double (*fma_peak)(int threads, double seconds);  // measured float32 FLOP/s of independent FMAs
  double (*read_rate)(int64_t bytes, int threads, double seconds);  // measured bytes/s from so large a buffer
};

const Kernels& active_kernels();        // chosen at load: the best that this CPU supports, or FASTLSTM_ISA's
bool select_kernels(const char* name);  // false if this build or this CPU does not have them

struct KernelList {
  const Kernels* const* data;
  int count;
};
KernelList compiled_kernels();  // the best last

}  // namespace fastlstm
