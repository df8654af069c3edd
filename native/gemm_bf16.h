// The matrix product on pairs of bfloat16, summed up in float: twice the rate of the float one.
//
// Where the panel of gemm.h holds a row of the right-hand matrix, this one holds two, value beside value:
// [k / 2][vector][lane][2].
#pragma once

#include "gemm.h"
#include "plan.h"

namespace fastlstm::FASTLSTM_ISA {

// What a forward pass multiplies with, by the type that its values are held in.
template <class Real, class Value>
struct Operand {
  using Stretch = Part<Real>;
  using Packed = Value;  // what weights, and rows where they are gathered, are held in
  static constexpr Sharing kSharing = {400e3, 24};
  static constexpr bool kGathers = false;  // whether rows must lie behind one another, filled up with zeros
  template <int NV>
  static constexpr int kRows = tile_rows(NV);  // of a block
  template <int NV>
  static constexpr int kRowsToFuse = 8 * kRows<NV>;  // a slice from which each step takes its input product
  static constexpr int kRowsWritten = 1;             // results come in multiples of so many rows
  static constexpr int kMostRows = kMaxRows, kTileValues = kMaxTile;
  static constexpr int most_rows(int vectors) { return tile_rows(vectors); }
  struct Setting {  // of a thread, while it multiplies blocks of at most so many rows
    explicit Setting(int64_t) {}
  };
  static constexpr int64_t padded(int64_t length) { return length; }  // what a stretch is filled up to
  static constexpr int64_t right_values(int64_t length) {             // of a panel, for each of its vectors
    return length * kLanes<Real>;
  }
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return tile_function<Real, NV>(rows);
  }
  template <class Body>
  static FASTLSTM_INLINE void for_blocks(int64_t rows, int most, Body&& body) {
    for_row_blocks(rows, most, body);
  }
};

#if defined(__AVX512BF16__)
struct PairPart {  // as Part, of an even length
  const Bfloat16* const* rows;
  int64_t offset, length;
};

// From row to row of a left-hand matrix whose rows are written a vector's width at a time.
constexpr int64_t apart_stride(int64_t length) {
  return (length + kLanes<float> - 1) / kLanes<float> * kLanes<float>;
}

// As Tile. Apart: rows of the left-hand matrix lie behind one another, apart_stride() from each other, and
// each vector of the panel has a stretch of the inner dimension to itself, [vector][k / 2][lane][2].
template <int MR, int NV, bool kApart>
struct PairTile {
  static void run(const PairPart* parts, int64_t count, const Bfloat16* panel, Rows<const float> in,
                  Rows<float> out) {
    constexpr int L = kLanes<float>;
    __m512 sum[MR][NV];
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sum[r][v] = _mm512_setzero_ps();
    for (int64_t part = 0; part < count; ++part) {
      const PairPart& stretch = parts[part];
      const int64_t length = stretch.length;
      const Bfloat16* left[MR];
#pragma GCC unroll 12
      for (int r = 0; r < MR; ++r)
        left[r] = kApart ? stretch.rows[0] + r * apart_stride(length) : stretch.rows[r] + stretch.offset;
      for (int64_t k = 0; k < length; k += 2) {
        __m512bh right[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v)
          right[v] = (__m512bh)_mm512_loadu_si512(panel + (kApart ? v * length + k : k * NV + 2 * v) * L);
#pragma GCC unroll 12
        for (int r = 0; r < MR; ++r) {
          int32_t pair;
          __builtin_memcpy(&pair, left[r] + k, sizeof pair);
          const __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], value, right[v]);
        }
      }
      panel += length * NV * L;
    }
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        store(out.data + r * out.stride + v * L,
              Vec<float>((Vec<float>)sum[r][v] + load(in.data + r * in.stride + v * L)));
  }
};

template <>
struct Operand<float, Bfloat16> : Operand<float, float> {
  using Stretch = PairPart;
  using Packed = Bfloat16;
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return pick<NV, false>(rows, std::make_integer_sequence<int, tile_rows(NV)>{});
  }
  // K rows of so many vectors of floats to K / 2 rows of pairs.
  static void pack(const float* from, int vectors, int64_t K, Bfloat16* to) {
    constexpr int L = kLanes<float>;
    const int64_t values = vectors * L;
    for (int64_t k = 0; k < K; k += 2, from += 2 * values, to += 2 * values)
      for (int64_t i = 0; i < values; i += L)
        _mm512_storeu_si512(to + 2 * i, pairs(_mm512_loadu_ps(from + i), _mm512_loadu_ps(from + values + i)));
  }
  // A vector's width of a left-hand row that is gathered, from its value k on.
  static FASTLSTM_INLINE void store_left(Vec<float> x, Bfloat16* row, int64_t k) {
    _mm256_storeu_si256((__m256i*)(row + k), (__m256i)_mm512_cvtneps_pbh((__m512)x));
  }
  // Rows k and k + 1 of one vector of a panel whose vectors lie apart.
  static FASTLSTM_INLINE void store_pairs(__m512 even, __m512 odd, Bfloat16* vector, int64_t k) {
    _mm512_storeu_si512(vector + k * kLanes<float>, pairs(even, odd));
  }

 protected:
  // K rows of so many vectors of floats to Product's panel, each vector with a stretch of the inner dimension
  // to itself that is filled up with zeros.
  template <class Product>
  static void pack_apart(const float* from, int vectors, int64_t K, Bfloat16* to) {
    constexpr int L = kLanes<float>;
    for (int v = 0; v < vectors; ++v, to += Product::right_values(K))
      for (int64_t k = 0; k < Product::padded(K); k += 2) {
        const auto value = [&](int64_t row) {
          return row < K ? _mm512_loadu_ps(from + (row * vectors + v) * L) : _mm512_setzero_ps();
        };
        Product::store_pairs(value(k), value(k + 1), to, k);
      }
  }
  // Two vectors in bfloat16, value beside value.
  static FASTLSTM_INLINE __m512i pairs(__m512 low, __m512 high) {
    const auto half = [](__m512 x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); };
    return _mm512_or_si512(half(low), _mm512_slli_epi32(half(high), 16));
  }
  template <int NV, bool kApart, int... R>
  static auto pick(int rows, std::integer_sequence<int, R...>) {
    using Function = void (*)(const PairPart*, int64_t, const Bfloat16*, Rows<const float>, Rows<float>);
    constexpr Function table[] = {&PairTile<R + 1, NV, kApart>::run...};
    return table[rows - 1];
  }
};
#endif

}  // namespace fastlstm::FASTLSTM_ISA
