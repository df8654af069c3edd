// The matrix products: a register-tiled micro-kernel, row blocking around it, and the packing of its
// operands.
//
// A panel is a strip of the right-hand matrix, NV vectors wide, stored row by row, so that the micro-kernel
// streams it. The left-hand matrix is given as pointers to rows: rows may lie anywhere, in any order, and
// nothing is copied.
#pragma once

#include "simd.h"

namespace fastlstm::FASTLSTM_ISA {

constexpr int kMaxVectors = 4;          // the widest panel
constexpr int kMaxRows = 12;            // the tallest tile
constexpr int tile_rows(int vectors) {  // rows of a tile so that its accumulators stay in registers
  const int rows = (kRegisters == 32 ? 24 : 12) / vectors;
  return rows > kMaxRows ? kMaxRows : rows;
}

constexpr int kMaxTile = 24 * kVectorBytes / sizeof(float);  // values of the largest tile, of either type

// What a tile starts from where there is nothing to add to.
template <class Real>
alignas(64) inline constexpr Real kZeros[kMaxVectors * kLanes<Real>] = {};

// One stretch of the inner dimension: for row r the left operand's values are rows[r][offset + k], 0 ≤ k <
// length.
template <class Real>
struct Part {
  const Real* const* rows;
  int64_t offset, length;
};

// A tile's place: row r begins at data + r·stride. A stride of 0 reads one row for all.
template <class Real>
struct Rows {
  Real* data;
  int64_t stride;
};

// out[r] = in[r] + Σ over the parts' k of left[r][k] · panel[k], for r < MR, each NV vectors wide. The sum
// begins at zero and `in` is added last: terms much smaller than `in` keep their digits. Interleaved: the
// left operand is packed as [k][MR] and rows[r] is its first value of row r.
template <class Real, int MR, int NV, bool kInterleaved>
struct Tile {
  static void run(const Part<Real>* parts, int64_t count, const Real* panel, Rows<const Real> in,
                  Rows<Real> out) {
    constexpr int L = kLanes<Real>;
    Vec<Real> sum[MR][NV];
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sum[r][v] = Vec<Real>{};
    for (int64_t part = 0; part < count; ++part) {
      const Real* left[MR];
#pragma GCC unroll 12
      for (int r = 0; r < MR; ++r) left[r] = parts[part].rows[r] + parts[part].offset;
      const int64_t length = parts[part].length;
      for (int64_t k = 0; k < length; ++k, panel += NV * L) {
        Vec<Real> right[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) right[v] = load(panel + v * L);
#pragma GCC unroll 12
        for (int r = 0; r < MR; ++r) {
          const Vec<Real> value = splat(left[r][kInterleaved ? k * MR : k]);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) sum[r][v] += value * right[v];
        }
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        store(out.data + r * out.stride + v * L,
              Vec<Real>(sum[r][v] + load(in.data + r * in.stride + v * L)));
  }
};

template <class Real>
using TileFunction = void (*)(const Part<Real>*, int64_t, const Real*, Rows<const Real>, Rows<Real>);

template <class Real, int NV, bool kInterleaved, int... R>
constexpr TileFunction<Real> pick_rows(int rows, std::integer_sequence<int, R...>) {
  constexpr TileFunction<Real> table[] = {&Tile<Real, R + 1, NV, kInterleaved>::run...};
  return table[rows - 1];
}
template <class Real, int NV, bool kInterleaved = false>
FASTLSTM_INLINE TileFunction<Real> tile_function(int rows) {
  return pick_rows<Real, NV, kInterleaved>(rows, std::make_integer_sequence<int, tile_rows(NV)>{});
}
// The same where the width is known only when running.
template <class Real, bool kInterleaved = false>
FASTLSTM_INLINE TileFunction<Real> tile_function(int rows, int vectors) {
  switch (vectors) {
    case 1:
      return tile_function<Real, 1, kInterleaved>(rows);
    case 2:
      return tile_function<Real, 2, kInterleaved>(rows);
    case 3:
      return tile_function<Real, 3, kInterleaved>(rows);
    default:
      return tile_function<Real, 4, kInterleaved>(rows);
  }
}

// Calls body(first, rows) for n rows in blocks of at most `most`, as even as they can be.
template <class Body>
FASTLSTM_INLINE void for_row_blocks(int64_t n, int most, Body&& body) {
  const int64_t blocks = (n + most - 1) / most;
  for (int64_t block = 0, first = 0; block < blocks; ++block) {
    const int64_t next = n * (block + 1) / blocks;
    body(first, (int)(next - first));
    first = next;
  }
}

// Columns in panels of at most kMaxVectors vectors, without a lone vector at the end where it can be avoided.
constexpr int panel_vectors(int64_t vectors_left) {
  return vectors_left > kMaxVectors + 1 || vectors_left == kMaxVectors ? kMaxVectors
         : vectors_left == kMaxVectors + 1                             ? kMaxVectors - 1
                                                                       : (int)vectors_left;
}

// Calls body(first vector, vectors) for a range of vectors of columns, panel by panel.
template <class Body>
FASTLSTM_INLINE void for_column_panels(Range range, Body&& body) {
  for (int64_t first = range.begin; first < range.end;) {
    const int vectors = panel_vectors(range.end - first);
    body(first, vectors);
    first += vectors;
  }
}

// The same from the last panel to the first.
template <class Body>
FASTLSTM_INLINE void for_column_panels_back(Range range, Body&& body) {
  const int64_t vectors = range.end - range.begin, panels = (vectors + kMaxVectors - 1) / kMaxVectors;
  const bool shared = panels > 1 && vectors % kMaxVectors == 1;  // the last has a vector of the one before
  for (int64_t panel = panels, end = vectors; panel-- > 0;) {
    const int64_t first = panel * kMaxVectors - (shared && panel + 1 == panels);
    body(range.begin + first, (int)(end - first));
    end = first;
  }
}

// Transposes a square of one vector's width in registers.
template <class Real, int kDistance, int... Lane>
FASTLSTM_INLINE void exchange(Vec<Real>& a, Vec<Real>& b, std::integer_sequence<int, Lane...>) {
  constexpr int L = kLanes<Real>;
  const Vec<Real> low =
      __builtin_shufflevector(a, b, ((Lane & kDistance) ? L + (Lane ^ kDistance) : Lane)...);
  b = __builtin_shufflevector(a, b, ((Lane & kDistance) ? L + Lane : (Lane ^ kDistance))...);
  a = low;
}
template <class Real, int kDistance>
FASTLSTM_INLINE void transpose_stage(Vec<Real>* square) {
  constexpr int L = kLanes<Real>;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i)
    if (!(i & kDistance))
      exchange<Real, kDistance>(square[i], square[i + kDistance], std::make_integer_sequence<int, L>{});
}
template <class Real>
FASTLSTM_INLINE void transpose(Vec<Real>* square) {
  constexpr int L = kLanes<Real>;
  transpose_stage<Real, 1>(square);
  if constexpr (L > 2) transpose_stage<Real, 2>(square);
  if constexpr (L > 4) transpose_stage<Real, 4>(square);
  if constexpr (L > 8) transpose_stage<Real, 8>(square);
}

// to[column · to_stride + row] = from[row · from_stride + column], for one vector's width of rows: `rows`
// exist, the others read as zero and are written only where `pad_rows` says that the target has room for
// them.
template <class Real>
FASTLSTM_INLINE void transpose_strip(const Real* from, int64_t from_stride, int rows, int64_t columns,
                                     Real* to, int64_t to_stride, bool pad_rows) {
  constexpr int L = kLanes<Real>;
  const int width = pad_rows ? L : rows;
  for (int64_t column = 0; column < columns; column += L) {
    const int live = (int)(columns - column < L ? columns - column : L);
    Vec<Real> square[L];
#pragma GCC unroll 16
    for (int row = 0; row < L; ++row)
      square[row] = row < rows ? load_first(from + row * from_stride + column, live) : Vec<Real>{};
    transpose<Real>(square);
    if (live == L && width == L) {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(to + (column + i) * to_stride, square[i]);
    } else {
      for (int i = 0; i < live; ++i) store_first(to + (column + i) * to_stride, square[i], width);
    }
  }
}

}  // namespace fastlstm::FASTLSTM_ISA
