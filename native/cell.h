// What every cell policy sees: one unit panel (one vector of hidden units) for a block of rows.
//
// A policy says how many gates a unit has (kGates: rows of w_ih and w_hh a unit), what the forward pass keeps
// of them (kKept vectors a row), whether there is a cell beside the hidden state (kHasCell), and whether the
// sums of the input and of the recurrent product stay apart (kSeparate). `forward` takes the sums to the new
// state; `backward` takes the gradient of the state to that of the sums.
#pragma once

#include "gemm.h"
#include "lstm.h"

namespace fastlstm::FASTLSTM_ISA {

// Zoneout (Krueger et al. 2017, section 3): a unit keeps its old value with probability `rate`. The draw is a
// hash of the row's key and the unit, so that the backward pass finds the same one; without keys, in
// evaluation, the old value's share is the rate itself. ops/random.py states the hash.
template <class Real>
class Zoneout {
 public:
  Real rate = 0;
  uint32_t threshold = 0;          // floor(rate · 2^32)
  const uint32_t* keys = nullptr;  // one a row

  // The old value where the unit keeps it, else the fresh one.
  FASTLSTM_INLINE Vec<Real> mix(Vec<Real> fresh, Vec<Real> old, int row, int64_t first_unit) const {
    if (!keys) return fresh + rate * (old - fresh);
    return keeps(row, first_unit) ? old : fresh;
  }
  // The part of a gradient that goes to the old value.
  FASTLSTM_INLINE Vec<Real> kept(Vec<Real> gradient, int row, int64_t first_unit) const {
    if (!keys) return rate * gradient;
    return keeps(row, first_unit) ? gradient : Vec<Real>{};
  }

 private:
  FASTLSTM_INLINE auto keeps(int row, int64_t first_unit) const {
    typedef typename Simd<Real>::U U;
    constexpr uint32_t kUnit = 0x9E3779B1u;
    U value;
    for (int lane = 0; lane < kLanes<Real>; ++lane) value[lane] = (uint32_t)(first_unit + lane) * kUnit;
    const U low = U{} + 0xffffffffu;
    value ^= keys[row];
    value ^= value >> 16;
    value = (value * 0x85ebca6bu) & low;
    value ^= value >> 13;
    value = (value * 0xc2b2ae35u) & low;
    value ^= value >> 16;
    return value < U{} + threshold;
  }
};

template <class Real, class Value = Real>
struct CellRows {  // beyond the sums and the state; where all are null the plain equations hold
  const Value* const* h_before = nullptr;  // the rows of the hidden state before the step
  const uint8_t* forget = nullptr;         // 1 a row where the state before is taken as zero
  const Real* peephole = nullptr;          // [kPeepholes][lane]
  Zoneout<Real> zoneout_h, zoneout_c;
  bool zoneout = false;

  FASTLSTM_INLINE void set_zoneout(const Extras<Real>& extras, const uint32_t* const keys[2], int64_t first) {
    zoneout = extras.zoneout_h > 0 || extras.zoneout_c > 0;
    if (!zoneout) return;
    zoneout_h = {(Real)extras.zoneout_h, threshold(extras.zoneout_h), keys[0] ? keys[0] + first : nullptr};
    zoneout_c = {(Real)extras.zoneout_c, threshold(extras.zoneout_c), keys[1] ? keys[1] + first : nullptr};
  }
  static FASTLSTM_INLINE uint32_t threshold(double rate) { return (uint32_t)(rate * 4294967296.0); }
  FASTLSTM_INLINE bool plain() const { return !forget && !peephole && !zoneout; }
  FASTLSTM_INLINE bool forgets(int row) const { return forget && forget[row]; }
};

// The key of one sequence's draw at one time; ops/random.py states it.
FASTLSTM_INLINE uint32_t zoneout_key(int64_t seed, int64_t time, int64_t batch, int64_t sequence,
                                     int direction, int which) {
  const uint64_t count = (uint64_t)(((time * batch + sequence) * 2 + direction) * 2 + which) + 1;
  uint64_t z = (uint64_t)seed + 0x9E3779B97F4A7C15u * count;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (uint32_t)(z ^ (z >> 31));
}

// A row of the hidden state as the recurrent product reads it.
template <class Real>
FASTLSTM_INLINE const Real* apply_mask(const Real* row, const Real* mask, int64_t values, Real* to) {
  for (int64_t i = 0; i < values; ++i) to[i] = row[i] * mask[i];
  return to;
}

template <class Real, class Value = Real>
struct ForwardTile {
  const Real* sums;              // [rows][kGates][lane]; of the recurrent product alone where kSeparate
  Rows<const Real> input_sums;   // [rows][kGates][lane], where kSeparate
  Rows<const Real> cell_before;  // [rows][lane]
  Rows<Real> cell, gates;  // [rows][lane], [rows][kKept][lane]: what is kept, perhaps where the sums were
  Value* const* h;         // where each row's new hidden state goes …
  int64_t h_offset;        // … its first value, that of h_before too …
  int h_lanes;             // … and how many of the lanes exist
  CellRows<Real, Value> rows;
};

template <class Real>
struct BackwardTile {
  Rows<const Real> dh;  // [rows][lane]
  Rows<const Real> gates, cell, cell_before;
  Rows<Real> dcell;               // in: from the step after; out: for the step before
  Rows<Real> dcarry;              // out: what reaches h before by another way than the product; or null
  Rows<Real> dsums, dinput_sums;  // [rows][kGates][lane]; dinput_sums where kSeparate
  Rows<Real> h;                   // o ⊙ tanh(c) is left here where the data is given
  Real* dpeephole;                // [kPeepholes][lane], added to
  int64_t h_offset;
  int h_lanes;
  CellRows<Real> rows;
};

}  // namespace fastlstm::FASTLSTM_ISA
