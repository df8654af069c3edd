// Matrix products of floats at float's own precision by Intel's matrix extension, which multiplies bfloat16.
//
// A float is the sum of three bfloat16, x = x_0 + x_1 + x_2, each the rest so far rounded to its eight
// digits, and of the nine products of two such sums those three are left out that are smaller than what
// rounding to float takes from x · w anyway:
//
//   x · w  ≈  x_0 w_0 + x_0 w_1 + x_1 w_0 + x_1 w_1 + x_0 w_2 + x_2 w_0,   |error| < 2⁻²³ |x · w|
//
// Products of bfloat16 are exact in float. Six at 16 times the rate of the float unit's are worth it from
// some 16 rows on. Henry, Tang & Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations", call it bf16x3 with six products.
//
// The three parts of 32 values of k lie behind one another, in rows as [k / 32][part][32], in panels as
// [vector][k / 32][part][16][lane][2].
#pragma once

#include "gemm_amx.h"

namespace fastlstm::FASTLSTM_ISA {

template <int kTall, int NV>
struct SplitProduct {
  static constexpr int L = kLanes<float>, kParts = 3;
  static constexpr int64_t kDepth = MatrixTile::kDepth, kTile = kDepth * MatrixTile::kSize;

  // As MatrixProduct.
  static void run(const PairPart* parts, int64_t count, const Bfloat16* panel, Rows<const float> in,
                  Rows<float> out) {
    if constexpr (kTall == 2) {
      two_by_two(parts, count, panel, 0, in, out);
      if constexpr (NV > 2) two_by_two(parts, count, panel, 2, in, out);
    } else {
      one_by_four(parts, count, panel, in, out);
    }
  }
  static constexpr int64_t row_stride(int64_t length) { return kParts * length + kDepth; }

 private:
  static constexpr int64_t bytes(int64_t floats) { return floats * (int64_t)sizeof(float); }

  // For 32 rows, two of the vectors. From one product of parts to the next one side stays where it is.
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
    for (int64_t part = 0; part < count; ++part) {
      const int64_t length = parts[part].length, stride = row_stride(length), vector = kParts * length * L;
      const Bfloat16* left = parts[part].rows[0];
      const Bfloat16* right = panel + first * vector;
      for (int64_t k = 0; k < length; k += kDepth, left += kParts * kDepth, right += kParts * kTile) {
        load_left(left, 2, stride);
        load_right(right, 0, vector, both);
        multiply(both);
        load_left(left, 1, stride);
        multiply(both);
        load_right(right, 1, vector, both);
        multiply(both);
        load_left(left, 0, stride);
        multiply(both);
        load_right(right, 0, vector, both);
        multiply(both);
        load_right(right, 2, vector, both);
        multiply(both);
      }
      panel += NV * vector;
    }
    float* out0 = out.data + first * L;
    float* out1 = out0 + 16 * out.stride;
    _tile_stored(0, out0, bytes(out.stride));
    _tile_stored(2, out1, bytes(out.stride));
    if (!both) return;
    _tile_stored(1, out0 + L, bytes(out.stride));
    _tile_stored(3, out1 + L, bytes(out.stride));
  }
  static FASTLSTM_INLINE void load_left(const Bfloat16* left, int which, int64_t stride) {
    _tile_loadd(4, left + which * kDepth, stride * 2);
    _tile_loadd(5, left + which * kDepth + 16 * stride, stride * 2);
  }
  static FASTLSTM_INLINE void load_right(const Bfloat16* right, int which, int64_t vector, bool both) {
    _tile_loadd(6, right + which * kTile, 64);
    if (both) _tile_loadd(7, right + which * kTile + vector, 64);
  }
  static FASTLSTM_INLINE void multiply(bool both) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    if (!both) return;
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }

  // For 16 rows, all of the vectors.
  static FASTLSTM_INLINE void one_by_four(const PairPart* parts, int64_t count, const Bfloat16* panel,
                                          Rows<const float> in, Rows<float> out) {
    _tile_loadd(0, in.data, bytes(in.stride));
    if constexpr (NV > 1) _tile_loadd(1, in.data + L, bytes(in.stride));
    if constexpr (NV > 2) _tile_loadd(2, in.data + 2 * L, bytes(in.stride));
    if constexpr (NV > 3) _tile_loadd(3, in.data + 3 * L, bytes(in.stride));
    for (int64_t part = 0; part < count; ++part) {
      const int64_t length = parts[part].length, stride = row_stride(length), vector = kParts * length * L;
      const Bfloat16* left = parts[part].rows[0];
      const Bfloat16* right = panel;
      for (int64_t k = 0; k < length; k += kDepth, left += kParts * kDepth, right += kParts * kTile) {
        _tile_loadd(4, left, stride * 2);
        _tile_loadd(5, left + kDepth, stride * 2);
        _tile_loadd(6, left + 2 * kDepth, stride * 2);
#define FASTLSTM_SUM(v)                                 \
  if constexpr (NV > v) {                               \
    _tile_loadd(7, right + v * vector + 2 * kTile, 64); \
    _tile_dpbf16ps(v, 4, 7);                            \
    _tile_loadd(7, right + v * vector + kTile, 64);     \
    _tile_dpbf16ps(v, 5, 7);                            \
    _tile_dpbf16ps(v, 4, 7);                            \
    _tile_loadd(7, right + v * vector, 64);             \
    _tile_dpbf16ps(v, 6, 7);                            \
    _tile_dpbf16ps(v, 5, 7);                            \
    _tile_dpbf16ps(v, 4, 7);                            \
  }
        FASTLSTM_SUM(0)
        FASTLSTM_SUM(1)
        FASTLSTM_SUM(2)
        FASTLSTM_SUM(3)
#undef FASTLSTM_SUM
      }
      panel += NV * vector;
    }
    _tile_stored(0, out.data, bytes(out.stride));
    if constexpr (NV > 1) _tile_stored(1, out.data + L, bytes(out.stride));
    if constexpr (NV > 2) _tile_stored(2, out.data + 2 * L, bytes(out.stride));
    if constexpr (NV > 3) _tile_stored(3, out.data + 3 * L, bytes(out.stride));
  }
};

// What passes multiply floats with where the matrix extension is there and there are rows enough.
struct SplitOperand : MatrixOperand {
  using Product = SplitProduct<1, 1>;
  struct Setting : MatrixTile::Setting {
    explicit Setting(int64_t rows) : MatrixTile::Setting(rows, 7) {}  // one block's left side has three
  };
  static constexpr int64_t right_values(int64_t length) {
    return Product::kParts * padded(length) * kLanes<float>;
  }
  static constexpr int64_t stride(int64_t length) { return Product::row_stride(padded(length)); }
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return rows > MatrixTile::kSize ? &SplitProduct<2, NV>::run : &SplitProduct<1, NV>::run;
  }
  static FASTLSTM_INLINE void store_left(Vec<float> x, Bfloat16* row, int64_t k) {
    constexpr int64_t kDepth = Product::kDepth;
    Bfloat16* to = row + k / kDepth * (Product::kParts * kDepth) + k % kDepth;
    __m512 rest = finite((__m512)x);
    for (int part = 0; part < Product::kParts; ++part, to += kDepth) {
      const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(rest);
      _mm256_storeu_si256((__m256i*)to, rounded);
      rest = _mm512_sub_ps(rest, widened(rounded));
    }
  }
  static FASTLSTM_INLINE void store_pairs(__m512 even, __m512 odd, Bfloat16* vector, int64_t k) {
    constexpr int64_t kDepth = Product::kDepth, kTile = Product::kTile;
    Bfloat16* to = vector + k / kDepth * (Product::kParts * kTile) + k % kDepth * kLanes<float>;
    even = finite(even);
    odd = finite(odd);
    for (int part = 0; part < Product::kParts; ++part, to += kTile) {
      const __m256i low = (__m256i)_mm512_cvtneps_pbh(even), high = (__m256i)_mm512_cvtneps_pbh(odd);
      _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                              _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16)));
      even = _mm512_sub_ps(even, widened(low));
      odd = _mm512_sub_ps(odd, widened(high));
    }
  }
  static void pack(const float* from, int vectors, int64_t K, Bfloat16* to) {
    pack_apart<SplitOperand>(from, vectors, K, to);
  }

 private:
  static FASTLSTM_INLINE __m512 widened(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  }
  // What rounds to an infinity has no rest: it counts as the largest bfloat16. A NaN stays one.
  static FASTLSTM_INLINE __m512 finite(__m512 x) {
    const __m512 most = _mm512_castsi512_ps(_mm512_set1_epi32(0x7F7F0000));
    return _mm512_min_ps(most, _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), most), x));
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
