// The matrix product on pairs of bfloat16 by Intel's matrix extension, whose registers hold tiles of 16 rows
// of 64 bytes.
//
// Where a panel of gemm_bf16.h holds all its vectors side by side, here each has a stretch of the inner
// dimension to itself, [vector][k / 2][lane][2], so that a tile of the right-hand matrix is 1 KB on end. Rows
// of the left-hand matrix lie behind one another, a stride apart, and the inner dimension is filled up with
// zeros to a whole tile.
#pragma once

#include "gemm_bf16.h"

namespace fastlstm::FASTLSTM_ISA {

// The registers: 0 … 3 hold sums, the others tiles of both operands.
struct MatrixTile {
  static constexpr int kSize = 16, kDepth = 32;  // rows and lanes; values of k

  // How the registers are laid out. They belong to the thread: whoever else uses them lays them out again.
  // Where blocks have less than 16 rows, so have sums and left tiles, the first of_rows registers: time goes
  // by rows.
  struct Setting {
    Setting(int64_t rows, int of_rows) {
      struct alignas(64) {
        uint8_t palette = 1, start = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {};
        uint8_t rows[16] = {};
      } layout;
      for (int i = 0; i < 8; ++i) {
        layout.row_bytes[i] = 64;
        layout.rows[i] = (uint8_t)(i < of_rows && 0 < rows && rows < kSize ? rows : kSize);
      }
      _tile_loadconfig(&layout);
    }
    ~Setting() { _tile_release(); }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;
  };
};

// A tile's depth of a product whose values are one bfloat16 each. A step takes kParts tiles from either side:
// in rows [k / 32][part][32] lie behind one another, in panels [vector][k / 32][part][16][lane][2]. What else
// must be told is where the next row and the next vector are.
struct WholeStep {
  static constexpr int kParts = 1;
  static constexpr int kOfRows = 5;  // registers that hold rows where there is one block of them

  // For 32 rows and two vectors, or one: sums in 0 and 2, and of the second vector in 1 and 3.
  static FASTLSTM_INLINE void two_by_two(const Bfloat16* left, int64_t stride, const Bfloat16* right,
                                         int64_t vector, bool both) {
    _tile_loadd(4, left, stride * 2);
    _tile_loadd(6, right, 64);
    _tile_loadd(5, left + 16 * stride, stride * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    if (!both) return;
    _tile_loadd(7, right + vector, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }
  // For 16 rows and NV vectors: sums in 0 … NV - 1.
  template <int NV>
  static FASTLSTM_INLINE void one_by_four(const Bfloat16* left, int64_t stride, const Bfloat16* right,
                                          int64_t vector) {
    _tile_loadd(4, left, stride * 2);
    _tile_loadd(5, right, 64);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (NV > 1) {
      _tile_loadd(6, right + vector, 64);
      _tile_dpbf16ps(1, 4, 6);
    }
    if constexpr (NV > 2) {
      _tile_loadd(7, right + 2 * vector, 64);
      _tile_dpbf16ps(2, 4, 7);
    }
    if constexpr (NV > 3) {
      _tile_loadd(5, right + 3 * vector, 64);
      _tile_dpbf16ps(3, 4, 5);
    }
  }
};

// out[r] = in[r] + Σ over the parts' k of left[r][k] · panel[k], for NV vectors and up to 16 · kTall rows;
// all of these rows are read and written.
template <int kTall, int NV, class Step>
struct MatrixProduct {
  static constexpr int L = kLanes<float>;
  static_assert(L == MatrixTile::kSize);

  static void run(const PairPart* parts, int64_t count, const Bfloat16* panel, Rows<const float> in,
                  Rows<float> out) {
    if constexpr (kTall == 2) {
      two_by_two(parts, count, panel, 0, in, out);
      if constexpr (NV > 2) two_by_two(parts, count, panel, 2, in, out);
    } else {
      one_by_four(parts, count, panel, in, out);
    }
  }
  // From row to row of the left-hand matrix: not a power of two, for 16 rows are read at once and must not
  // all meet in the same few places of the cache.
  static constexpr int64_t row_stride(int64_t length) { return Step::kParts * length + MatrixTile::kDepth; }

 private:
  static constexpr int64_t bytes(int64_t floats) { return floats * (int64_t)sizeof(float); }

  // Calls step(left, stride, right, vector) for every tile's depth of the parts.
  template <class Body>
  static FASTLSTM_INLINE void for_steps(const PairPart* parts, int64_t count, const Bfloat16* panel,
                                        int first, Body&& step) {
    constexpr int64_t kDepth = Step::kParts * MatrixTile::kDepth;
    for (int64_t part = 0; part < count; ++part) {
      const int64_t values = Step::kParts * parts[part].length, vector = values * L;
      const int64_t stride = row_stride(parts[part].length);
      for (int64_t k = 0; k < values; k += kDepth)
        step(parts[part].rows[0] + k, stride, panel + first * vector + k * L, vector);
      panel += NV * vector;
    }
  }

  // For 32 rows, two of the vectors.
  static FASTLSTM_INLINE void two_by_two(const PairPart* parts, int64_t count, const Bfloat16* panel,
                                         int first, Rows<const float> in, Rows<float> out) {
    const bool both = first + 1 < NV;
    const float* in0 = in.data + first * L;
    const float* in1 = in0 + 16 * in.stride;
    _tile_loadd(0, in0, bytes(in.stride));
    _tile_loadd(2, in1, bytes(in.stride));
    if (both) {
      _tile_loadd(1, in0 + L, bytes(in.stride));
      _tile_loadd(3, in1 + L, bytes(in.stride));
    }
    for_steps(parts, count, panel, first, [both](auto... operands) { Step::two_by_two(operands..., both); });
    float* out0 = out.data + first * L;
    float* out1 = out0 + 16 * out.stride;
    _tile_stored(0, out0, bytes(out.stride));
    _tile_stored(2, out1, bytes(out.stride));
    if (!both) return;
    _tile_stored(1, out0 + L, bytes(out.stride));
    _tile_stored(3, out1 + L, bytes(out.stride));
  }

  // For 16 rows, all of the vectors.
  static FASTLSTM_INLINE void one_by_four(const PairPart* parts, int64_t count, const Bfloat16* panel,
                                          Rows<const float> in, Rows<float> out) {
    _tile_loadd(0, in.data, bytes(in.stride));
    if constexpr (NV > 1) _tile_loadd(1, in.data + L, bytes(in.stride));
    if constexpr (NV > 2) _tile_loadd(2, in.data + 2 * L, bytes(in.stride));
    if constexpr (NV > 3) _tile_loadd(3, in.data + 3 * L, bytes(in.stride));
    for_steps(parts, count, panel, 0, [](auto... operands) { Step::template one_by_four<NV>(operands...); });
    _tile_stored(0, out.data, bytes(out.stride));
    if constexpr (NV > 1) _tile_stored(1, out.data + L, bytes(out.stride));
    if constexpr (NV > 2) _tile_stored(2, out.data + 2 * L, bytes(out.stride));
    if constexpr (NV > 3) _tile_stored(3, out.data + 3 * L, bytes(out.stride));
  }
};

// What passes multiply with where the matrix extension is there.
template <class Step>
struct TileOperand : Operand<float, Bfloat16> {
  static constexpr bool kGathers = true;
  template <int NV>
  static constexpr int kRows = 2 * MatrixTile::kSize;
  template <int NV>
  static constexpr int kRowsToFuse = 2 * MatrixTile::kSize;
  static constexpr int kRowsWritten = MatrixTile::kSize;
  static constexpr int kMostRows = 2 * MatrixTile::kSize;
  static constexpr int kTileValues = kMostRows * kMaxVectors * kLanes<float>;
  static constexpr int most_rows(int) { return kMostRows; }
  struct Setting : MatrixTile::Setting {
    explicit Setting(int64_t rows) : MatrixTile::Setting(rows, Step::kOfRows) {}
  };
  static constexpr int64_t padded(int64_t length) {
    return (length + MatrixTile::kDepth - 1) / MatrixTile::kDepth * MatrixTile::kDepth;
  }
  static constexpr int64_t right_values(int64_t length) {
    return Step::kParts * padded(length) * kLanes<float>;
  }
  static constexpr int64_t stride(int64_t length) {
    return MatrixProduct<1, 1, Step>::row_stride(padded(length));
  }
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return rows > MatrixTile::kSize ? &MatrixProduct<2, NV, Step>::run : &MatrixProduct<1, NV, Step>::run;
  }
  // As many rows at once as there can be: a block costs what it could hold.
  template <class Body>
  static FASTLSTM_INLINE void for_blocks(int64_t rows, int most, Body&& body) {
    for (int64_t first = 0; first < rows; first += most)
      body(first, (int)(rows - first < most ? rows - first : most));
  }
};

struct MatrixOperand : TileOperand<WholeStep> {
  static void gather(const Bfloat16* from, int64_t length, Bfloat16* row) {
    __builtin_memcpy(row, from, length * sizeof(Bfloat16));
  }
  static void pack(const float* from, int vectors, int64_t K, Bfloat16* to) {
    pack_apart<MatrixOperand>(from, vectors, K, to);
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
