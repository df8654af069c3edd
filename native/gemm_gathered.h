// Matrix products of floats that become bfloat16, one or several, on their way in, forwards and backwards.
#pragma once

#include "gemm_bf16.h"

namespace fastlstm::FASTLSTM_ISA {

// What multiplies gathered rows by vectors.
struct ApartOperand : Operand<float, Bfloat16> {
  static constexpr bool kGathers = true;
  static constexpr int64_t padded(int64_t length) { return (length + 1) / 2 * 2; }
  static constexpr int64_t right_values(int64_t length) { return padded(length) * kLanes<float>; }
  static constexpr int64_t stride(int64_t length) { return apart_stride(length); }
  template <int NV>
  static FASTLSTM_INLINE auto tile(int rows) {
    return pick<NV, true>(rows, std::make_integer_sequence<int, tile_rows(NV)>{});
  }
  static void pack(const float* from, int vectors, int64_t K, Bfloat16* to) {
    pack_apart<ApartOperand>(from, vectors, K, to);
  }
};

// What passes over floats multiply with, given a product that gathers: it converts what it gathers.
template <class Product>
struct GatheringOperand : Product {
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

  // A row of floats; what fills it up must be zero already.
  static void gather(const float* from, int64_t length, Bfloat16* row) {
    for (int64_t k = 0; k < length; k += L)
      Product::store_left(load_first(from + k, (int)(length - k < L ? length - k : L)), row, k);
  }
  // Columns as left-hand rows: row_at gives a vector's width of each of `count` rows, of which `live` lanes
  // are columns. Returns the columns' sums.
  template <class RowAt>
  static FASTLSTM_INLINE Vec<float> gather_columns(int64_t count, int live, Bfloat16* to, RowAt&& row_at) {
    Vec<float> total{};
    for (int64_t row = 0; row < padded(count); row += L) {
      Vec<float> square[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        square[i] = row + i < count ? row_at(row + i) : Vec<float>{};
        total += square[i];
      }
      transpose<float>(square);
      for (int i = 0; i < live; ++i) Product::store_left(square[i], to + i * Product::stride(count), row);
    }
    return total;
  }
  // The same as one vector of a panel.
  template <class RowAt>
  static FASTLSTM_INLINE Vec<float> pack_columns(int64_t count, Bfloat16* vector, RowAt&& row_at) {
    Vec<float> total{};
    const auto value = [&](int64_t row) { return row < count ? row_at(row) : Vec<float>{}; };
    for (int64_t row = 0; row < padded(count); row += 2) {
      const Vec<float> even = value(row), odd = value(row + 1);
      Product::store_pairs((__m512)even, (__m512)odd, vector, row);
      total += even + odd;
    }
    return total;
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
