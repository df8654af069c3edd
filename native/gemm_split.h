// Matrix products of floats at float's own precision by Intel's matrix extension, which multiplies bfloat16.
//
// A float is the sum of three bfloat16, x = x_0 + x_1 + x_2, each the rest so far rounded to its eight
// digits, and of the nine products of two such sums those three are left out that are smaller than what
// rounding to float takes from x · w anyway:
//
//   x · w  ≈  x_0 w_0 + x_0 w_1 + x_1 w_0 + x_1 w_1 + x_0 w_2 + x_2 w_0,   |error| at most some 2⁻²³ |x · w|
//
// Products of bfloat16 are exact in float. From Henry, Tang & Heinecke 2019, "Leveraging the bfloat16
// artificial intelligence datatype for higher-precision computations". The parts lie as gemm_amx.h says.
#pragma once

#include "gemm_amx.h"

namespace fastlstm::FASTLSTM_ISA {

// As WholeStep, of six products.
struct SplitStep {
  static constexpr int kParts = 3;
  static constexpr int kOfRows = 7;
  static constexpr int64_t kDepth = MatrixTile::kDepth, kTile = kDepth * MatrixTile::kSize;

  // From one product to the next one side stays where it is.
  static FASTLSTM_INLINE void two_by_two(const Bfloat16* left, int64_t stride, const Bfloat16* right,
                                         int64_t vector, bool both) {
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
  template <int NV>
  static FASTLSTM_INLINE void one_by_four(const Bfloat16* left, int64_t stride, const Bfloat16* right,
                                          int64_t vector) {
    _tile_loadd(4, left, stride * 2);
    _tile_loadd(5, left + kDepth, stride * 2);
    _tile_loadd(6, left + 2 * kDepth, stride * 2);
// The number of a register must be written out.
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

 private:
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
};

// What passes multiply floats with where the matrix extension is there and there are rows enough.
struct SplitOperand : TileOperand<SplitStep> {
  static constexpr Sharing kSharing = {150e3, 48};

  // Whether a call's products are such. Weights take one and a half times the memory: a thread must have rows
  // enough to make up for reading them.
  static bool pays(const Sizes& sizes, int threads) {
    if (sizes.layer_norm) return false;
    const Grid grid = choose_grid(sizes, threads, kSharing);
    const int64_t rows = sizes.batch / grid.batch_slices;
    return (rows >= kSharing.rows_to_reuse && sizes.hidden >= 192) || (rows >= 32 && sizes.hidden >= 512);
  }

  static FASTLSTM_INLINE void store_left(Vec<float> x, Bfloat16* row, int64_t k) {
    constexpr int64_t kDepth = SplitStep::kDepth;
    Bfloat16* to = row + k / kDepth * (SplitStep::kParts * kDepth) + k % kDepth;
    __m512 rest = finite((__m512)x);
    for (int part = 0; part < SplitStep::kParts; ++part, to += kDepth) {
      const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(rest);
      _mm256_storeu_si256((__m256i*)to, rounded);
      rest = _mm512_sub_ps(rest, widened(rounded));
    }
  }
  static FASTLSTM_INLINE void store_pairs(__m512 even, __m512 odd, Bfloat16* vector, int64_t k) {
    constexpr int64_t kDepth = SplitStep::kDepth, kTile = SplitStep::kTile;
    Bfloat16* to = vector + k / kDepth * (SplitStep::kParts * kTile) + k % kDepth * kLanes<float>;
    even = finite(even);
    odd = finite(odd);
    for (int part = 0; part < SplitStep::kParts; ++part, to += kTile) {
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
