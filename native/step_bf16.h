// Products with bfloat16 weights, which lie so that lanes are rows (step.h): nothing is summed up across
// lanes, and sums are the same whatever the vectors' width.
#pragma once

#include "step_products.h"

namespace fastlstm::FASTLSTM_ISA {

struct Bfloat16Form : MeetsAsGiven<float> {
  using Number = float;
  using Weight = uint16_t;
  static constexpr int kBlockRows = kBfloat16Rows;
  static int64_t row_values(const Factor<Bfloat16Form>& factor) { return factor.columns; }
};

// W vectors of a block's words, from `first` on, times B vectors. Even and odd columns sum up apart, so that
// one sum need not wait for the other.
template <int B, int W>
FASTLSTM_INLINE void multiply_words(const Product<Bfloat16Form>& product, int64_t block, int first,
                                    int64_t b) {
  typedef typename Simd<float>::I I;
  constexpr int L = kLanes<float>, kRows = kBfloat16Rows, kApart = 2;
  Vec<float> sums[kApart][B][W][2];
#pragma GCC unroll 2
  for (int s = 0; s < kApart; ++s)
#pragma GCC unroll 2
    for (int i = 0; i < B; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < W; ++v) sums[s][i][v][0] = sums[s][i][v][1] = Vec<float>{};
  for (int f = 0; f < product.factor_count; ++f) {
    const Factor<Bfloat16Form>& factor = product.factors[f];
    const int64_t K = factor.columns, stride = factor.operand.stride;
    const float* x = factor.operand.data + b * stride;
    const uint16_t* w = static_cast<const uint16_t*>(factor.matrix.data) + block * kRows * K + 2 * first;
    const auto add = [&](int64_t k, Vec<float>(*sum)[W][2]) {
#pragma GCC unroll 2
      for (int v = 0; v < W; ++v) {
        I words;
        __builtin_memcpy(&words, w + k * kRows + 2 * v * L, sizeof words);
        // Two bfloat16 a word: each is a float with zeros behind it.
        const Vec<float> lower = (Vec<float>)(words << 16), upper = (Vec<float>)(words & (I{} - 65536));
#pragma GCC unroll 2
        for (int i = 0; i < B; ++i) {
          const Vec<float> value = splat(x[i * stride + k]);
          sum[i][v][0] += lower * value;
          sum[i][v][1] += upper * value;
        }
      }
    };
    int64_t k = 0;
    for (; k + kApart <= K; k += kApart)
#pragma GCC unroll 2
      for (int s = 0; s < kApart; ++s) add(k + s, sums[s]);
    if (k < K) add(k, sums[0]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < B; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < W; ++v)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        product.put(b + i, block * kRows + half * (kRows / 2) + first + v * L,
                    sums[0][i][v][half] + sums[1][i][v][half]);
}

inline void multiply(const Product<Bfloat16Form>& product) {
  constexpr int kWords = kBfloat16Rows / 2, L = kLanes<float>, W = kWords / L < 2 ? 1 : 2;
  product.for_blocks([&](int64_t block) {
    int64_t b = 0;
    for (; b + 2 <= product.batch; b += 2)
      for (int first = 0; first < kWords; first += L) multiply_words<2, 1>(product, block, first, b);
    if (b < product.batch)
      for (int first = 0; first < kWords; first += W * L) multiply_words<1, W>(product, block, first, b);
  });
}

}  // namespace fastlstm::FASTLSTM_ISA
