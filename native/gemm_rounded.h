// Matrix products of floats that are rounded to bfloat16 on their way in, forwards and backwards.
#pragma once

#include "gemm_bf16.h"

namespace fastlstm::FASTLSTM_ISA {

// As PairTile, with rows of the left-hand matrix behind one another and a stretch of the inner dimension for
// each vector of the panel: [vector][k / 2][lane][2].
template <int MR, int NV>
struct ApartTile {
  static void run(const PairPart* parts, int64_t count, const Bfloat16* panel, Rows<const float> in,
                  Rows<float> out) {
    constexpr int L = kLanes<float>;
    __m512 sum[MR][NV];
#pragma GCC unroll 12
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sum[r][v] = _mm512_setzero_ps();
    for (int64_t part = 0; part < count; ++part) {
      const int64_t length = parts[part].length;
      const Bfloat16* left[MR];
#pragma GCC unroll 12
      for (int r = 0; r < MR; ++r) left[r] = parts[part].rows[0] + r * row_stride(length);
      for (int64_t k = 0; k < length; k += 2) {
        __m512bh right[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) right[v] = (__m512bh)_mm512_loadu_si512(panel + (v * length + k) * L);
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

  // From row to row of the left-hand matrix: rows are written a vector's width at a time.
  static constexpr int64_t row_stride(int64_t length) {
    return (length + kLanes<float> - 1) / kLanes<float> * kLanes<float>;
  }
};

// What multiplies gathered rows by vectors.
struct ApartOperand : Operand<float, Bfloat16> {
  static constexpr bool kGathers = true;
  static constexpr int64_t padded(int64_t length) { return (length + 1) / 2 * 2; }
  static constexpr int64_t right_values(int64_t length) { return padded(length) * kLanes<float>; }
  static constexpr int64_t stride(int64_t length) { return ApartTile<1, 1>::row_stride(length); }
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return pick<NV>(rows, std::make_integer_sequence<int, tile_rows(NV)>{});
  }
  static void pack(const float* from, int vectors, int64_t K, Bfloat16* to) {
    pack_apart(from, vectors, K, padded(K), to);
  }

 private:
  template <int NV, int... R>
  static auto pick(int rows, std::integer_sequence<int, R...>) {
    using Function = void (*)(const PairPart*, int64_t, const Bfloat16*, Rows<const float>, Rows<float>);
    constexpr Function table[] = {&ApartTile<R + 1, NV>::run...};
    return table[rows - 1];
  }
};

// What passes over floats multiply with, given a product that gathers: it rounds what it gathers.
template <class Product>
struct RoundingOperand : Product {
  static constexpr int L = kLanes<float>;
  using Product::padded;

  static auto product_of(int rows, int vectors) {
    switch (vectors) {
      case 1:
        return Product::template tile<1>(rows);
      case 2:
        return Product::template tile<2>(rows);
      case 3:
        return Product::template tile<3>(rows);
      default:
        return Product::template tile<4>(rows);
    }
  }

  // A vector's width of a left-hand row, from its value k on.
  static FASTLSTM_INLINE void store_left(Vec<float> x, Bfloat16* row, int64_t k) {
    _mm256_storeu_si256((__m256i*)(row + k), (__m256i)_mm512_cvtneps_pbh((__m512)x));
  }
  // A row of floats; what fills it up must be zero already.
  static void gather(const float* from, int64_t length, Bfloat16* row) {
    for (int64_t k = 0; k < length; k += L)
      store_left(load_first(from + k, (int)(length - k < L ? length - k : L)), row, k);
  }
  // One vector of a panel: its values k and k + 1 of an even k.
  static FASTLSTM_INLINE void store_right(Vec<float> even, Vec<float> odd, Bfloat16* vector, int64_t k) {
    _mm512_storeu_si512(vector + k * L, Product::pairs((__m512)even, (__m512)odd));
  }

  // out[r] = in[r] + left[r] · panel of K values and `vectors` vectors, for r < rows; as many rows of the
  // left are read as the product writes.
  static void multiply(const Bfloat16* left, const Bfloat16* panel, int64_t K, int rows, int vectors,
                       Rows<const float> in, Rows<float> out) {
    const PairPart part{&left, 0, padded(K)};
    const auto product = product_of(rows, vectors);
    if (rows % Product::kRowsWritten == 0) return product(&part, 1, panel, in, out);
    alignas(64) float sums[Product::kTileValues];
    product(&part, 1, panel, {kZeros<float>, 0}, {sums, vectors * L});
    for (int row = 0; row < rows; ++row)
      for (int v = 0; v < vectors; ++v)
        store(out.data + row * out.stride + v * L,
              Vec<float>(load(sums + (row * vectors + v) * L) + load(in.data + row * in.stride + v * L)));
  }
};

}  // namespace fastlstm::FASTLSTM_ISA
