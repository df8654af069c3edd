// Weights on their way into the kernels and gradients on their way out: between PyTorch's layout and panels.
//
// A unit panel holds one vector of hidden units with all their gates side by side: [k][gate][lane]. Units
// past H are padding: their weights are zero, and so are their gradients.
#pragma once

#include "gemm.h"
#include "lstm.h"
#include "plan.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr int64_t vectors_for(int64_t values, int lanes) { return (values + lanes - 1) / lanes; }
FASTLSTM_INLINE int live_lanes(int64_t values, int64_t vector, int lanes) {
  const int64_t left = values - vector * lanes;
  return (int)(left < lanes ? left : lanes);
}

// One unit panel of the forward product from w (gates·H, K): to[k][gate][lane].
template <class Real, int kGates>
void pack_unit_panel(const Real* w, int64_t H, int64_t K, int64_t panel, Real* to) {
  constexpr int L = kLanes<Real>;
  for (int gate = 0; gate < kGates; ++gate)
    transpose_strip(w + (gate * H + panel * L) * K, K, live_lanes(H, panel, L), K, to + gate * L, kGates * L,
                    true);
}

// A vector of (gates·H) for one unit panel, or the sum of two, either of which may be missing:
// to[gate][lane].
template <class Real, int kGates>
void pack_bias(const Real* a, const Real* b, int64_t H, int64_t panel, Real* to) {
  constexpr int L = kLanes<Real>;
  const int live = live_lanes(H, panel, L);
  for (int gate = 0; gate < kGates; ++gate) {
    const int64_t at = gate * H + panel * L;
    Vec<Real> sum{};
    if (a) sum += load_first(a + at, live);
    if (b) sum += load_first(b + at, live);
    store(to + gate * L, sum);
  }
}

// The elementwise weights of one unit panel, or their gradients: the arrays that hold them, in the order in
// which Cell::kVectors counts them, each with its number of vectors a unit.
template <class Cell, class W, class Body>
FASTLSTM_INLINE void for_vectors(const W& weights, Body&& body) {
  int first = 0;
  const auto next = [&](auto* data, int vectors) {
    body(data, first, vectors);
    first += vectors;
  };
  next(weights.peephole, Cell::kPeepholes);
  if constexpr (Cell::kNormalised) {
    next(weights.gain_ih, Cell::kGates);
    next(weights.gain_hh, Cell::kGates);
    next(weights.b_ih, Cell::kGates);
    next(weights.gain_c, 1);
    next(weights.bias_c, 1);
  }
}
template <class Real, class Cell>
void pack_vectors(const Weights<Real>& weights, int64_t H, int64_t panel, Real* to) {
  constexpr int L = kLanes<Real>;
  const int live = live_lanes(H, panel, L);
  for_vectors<Cell>(weights, [&](const Real* data, int first, int vectors) {
    for (int v = 0; v < vectors; ++v) {
      const int64_t at = v * H + panel * L;
      Vec<Real> value = data ? load_first(data + at, live) : Vec<Real>{};
      if (data && data == weights.b_ih) value += load_first(weights.b_hh + at, live);
      store(to + (first + v) * L, value);
    }
  });
}

// `vectors` vectors of columns of w (gates·H, K), its rows in the order of the unit panels: the right operand
// of dsums · w. to[panel][gate][lane][vectors·L].
template <class Real, int kGates>
void pack_columns(const Real* w, int64_t H, int64_t K, int64_t first_vector, int vectors, Real* to) {
  constexpr int L = kLanes<Real>;
  const int64_t panels = vectors_for(H, L);
  for (int64_t panel = 0; panel < panels; ++panel)
    for (int gate = 0; gate < kGates; ++gate)
      for (int lane = 0; lane < L; ++lane) {
        const int64_t unit = panel * L + lane;
        const Real* row = w + (gate * H + unit) * K;
        for (int v = 0; v < vectors; ++v, to += L)
          store(to, unit < H ? load_first(row + (first_vector + v) * L, live_lanes(K, first_vector + v, L))
                             : Vec<Real>{});
      }
}

// The same for a plain matrix w (N, K): to[n][vectors·L], n < N.
template <class Real>
void pack_plain_columns(const Real* w, int64_t N, int64_t K, int64_t first_vector, int vectors, Real* to) {
  constexpr int L = kLanes<Real>;
  for (int64_t n = 0; n < N; ++n)
    for (int v = 0; v < vectors; ++v, to += L)
      store(to, load_first(w + n * K + (first_vector + v) * L, live_lanes(K, first_vector + v, L)));
}

// `vectors` vectors of rows of a plain matrix w (N, K), transposed: to[k][vectors·L].
template <class Real>
void pack_plain_rows(const Real* w, int64_t N, int64_t K, int64_t first_vector, int vectors, Real* to) {
  constexpr int L = kLanes<Real>;
  for (int v = 0; v < vectors; ++v)
    transpose_strip(w + (first_vector + v) * L * K, K, live_lanes(N, first_vector + v, L), K, to + v * L,
                    (int64_t)vectors * L, true);
}

// The gradient of one unit panel's weights, from[k][gate][lane], to PyTorch's (gates·H, K).
template <class Real, int kGates>
void unpack_unit_panel(const Real* from, int64_t H, int64_t K, int64_t panel, Real* dw) {
  constexpr int L = kLanes<Real>;
  const int live = live_lanes(H, panel, L);
  for (int gate = 0; gate < kGates; ++gate)
    for (int64_t k = 0; k < K; k += L)
      transpose_strip(from + k * kGates * L + gate * L, kGates * L, (int)(K - k < L ? K - k : L), live,
                      dw + (gate * H + panel * L) * K + k, K, false);
}

// The left operand of a product over rows (the gradient of weights): `width` columns of the rows, put side by
// side as [row][width] for an interleaved tile.
template <class Real, int kWidth>
void gather(const Real* const* rows, int64_t count, int64_t first_column, Real* to) {
  for (int64_t row = 0; row < count; ++row, to += kWidth)
    __builtin_memcpy(to, rows[row] + first_column, kWidth * sizeof(Real));
}
template <class Real, int... W>
FASTLSTM_INLINE void gather_columns(const Real* const* rows, int64_t count, int64_t first_column, int width,
                                    Real* to, std::integer_sequence<int, W...>) {
  using Function = void (*)(const Real* const*, int64_t, int64_t, Real*);
  constexpr Function table[] = {&gather<Real, W + 1>...};
  table[width - 1](rows, count, first_column, to);
}
template <class Real, int kMost>
void gather_columns(const Real* const* rows, int64_t count, int64_t first_column, int width, Real* to) {
  gather_columns(rows, count, first_column, width, to, std::make_integer_sequence<int, kMost>{});
}

}  // namespace fastlstm::FASTLSTM_ISA
