// Products with int8 weights, which lie so that lanes are rows (step.h). What they meet is rounded to 16
// bits, relative to the largest of its values, so that the error is that of the weights; sums are whole
// numbers.
#pragma once

#include "step_products.h"

namespace fastlstm::FASTLSTM_ISA {

struct Int8Form {
  using Number = float;
  using Weight = int8_t;
  // v · 32767 / largest, rounded. With VNNI, whose instruction takes bytes without a sign from the left and
  // bytes with one from the right, in two bytes, the higher of them with 128 too much.
  struct Operand {
    const int16_t* whole;       // padded with zeros; null with VNNI …
    const uint8_t *high, *low;  // … which has these instead
    const float* units;         // one a vector: what 1 stands for; NaN where a value is not finite
    int64_t stride;
  };

  static constexpr int kBlockRows = kInt8Rows;
  static constexpr int64_t kMostColumns = 1 << 16;  // products of 255 · 127 whose sum fits into 32 bits

  static Operand prepare(const float* x, int64_t stride, int64_t K, int64_t batch, Arena& arena) {
    const int64_t padded = multiple(K, kLanes<float>);
    int16_t* whole = arena.take<int16_t>(batch * padded);
    uint8_t* bytes = reinterpret_cast<uint8_t*>(whole);
    float* units = arena.take<float>(batch);
    const bool vnni = has_vnni() && K <= kMostColumns;
    for (int64_t b = 0; b < batch; ++b)
      units[b] =
          vnni ? round_row<true>(x + b * stride, K, nullptr, bytes + b * padded, bytes + (batch + b) * padded)
               : round_row<false>(x + b * stride, K, whole + b * padded, nullptr, nullptr);
    return {vnni ? nullptr : whole, bytes, bytes + batch * padded, units, padded};
  }

  static int64_t row_values(const Factor<Int8Form>& factor) { return multiple(factor.columns, kInt8Columns); }
  static bool has_vnni() {
#if defined(__AVX512F__)
    static const bool found = __builtin_cpu_supports("avx512vnni");
    return found;
#else
    return false;
#endif
  }

 private:
  template <bool kBytes>
  static float round_row(const float* x, int64_t K, int16_t* whole, uint8_t* high, uint8_t* low) {
    typedef typename Simd<float>::I I;
    typedef int16_t Halves __attribute__((vector_size(kVectorBytes / 2)));
    typedef uint8_t Bytes __attribute__((vector_size(kVectorBytes / 4)));
    constexpr int L = kLanes<float>;
    constexpr float kLargest = 32767, kMagic = 12582912;  // adding 1.5·2^23 leaves an integer in the low bits
    constexpr int32_t kMagicBits = 0x4B400000;
    const auto values = [&](int64_t k) { return K - k < L ? load_tail(x + k, (int)(K - k)) : load(x + k); };
    Vec<float> largest{}, spoilt{};
    for (int64_t k = 0; k < K; k += L) {
      const Vec<float> value = values(k), size = value < 0.0f ? -value : value;
      largest = size > largest ? size : largest;
      spoilt += value * 0.0f;  // NaN where a value is not finite
    }
    float most = 0, poison = 0;
    for (int lane = 0; lane < L; ++lane) {
      most = largest[lane] > most ? largest[lane] : most;
      poison += spoilt[lane];
    }
    const float inverse = most > 0 ? kLargest / most : 0.0f;
    for (int64_t k = 0; k < multiple(K, L); k += L) {
      const I rounded = (I)(values(k) * inverse + kMagic) - kMagicBits;
      if (kBytes) {
        const I shifted = rounded + 32768;
        const Bytes upper = __builtin_convertvector((shifted >> 8) & 255, Bytes),
                    lower = __builtin_convertvector(shifted & 255, Bytes);
        __builtin_memcpy(high + k, &upper, sizeof upper);
        __builtin_memcpy(low + k, &lower, sizeof lower);
      } else {
        const Halves halves = __builtin_convertvector(rounded, Halves);
        __builtin_memcpy(whole + k, &halves, sizeof halves);
      }
    }
    return most / kLargest + poison;
  }
};

// A block of rows times one vector.
inline void multiply_block(const int8_t* w, const int16_t* x, int64_t K, float* sums) {
  constexpr int64_t kFit = 512;  // products of 127 · 32767 whose sum fits into 32 bits
  for (int row = 0; row < kInt8Rows; ++row) sums[row] = 0;
  for (int64_t begin = 0; begin < K; begin += kFit) {
    const int64_t end = begin + kFit < K ? begin + kFit : K;
    alignas(32) int32_t whole[kInt8Rows] = {};
#if defined(__AVX2__)
    __m256i pairs[4] = {};  // of four rows each, of even and of odd pairs of columns
    for (int64_t k = begin; k < end; k += kInt8Columns) {
      int64_t columns;
      __builtin_memcpy(&columns, x + k, sizeof columns);
      const __m256i value = _mm256_set1_epi64x(columns);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m128i bytes = _mm_loadu_si128((const __m128i*)(w + k * kInt8Rows) + i);
        pairs[i] = _mm256_add_epi32(pairs[i], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), value));
      }
    }
    for (int i = 0; i < 4; i += 2)
      _mm256_store_si256((__m256i*)(whole + 4 * i),
                         _mm256_permute4x64_epi64(_mm256_hadd_epi32(pairs[i], pairs[i + 1]), 0b11011000));
#else
    for (int64_t k = begin; k < end; k += kInt8Columns)
      for (int row = 0; row < kInt8Rows; ++row)
        for (int i = 0; i < kInt8Columns; ++i)
          whole[row] += (int32_t)w[k * kInt8Rows + row * kInt8Columns + i] * (int32_t)x[k + i];
#endif
    for (int row = 0; row < kInt8Rows; ++row) sums[row] += (float)whole[row];
  }
}

#if defined(__AVX512F__)
// The same from two bytes a value; `offsets` is what the higher ones are too large by.
__attribute__((target("avx512vnni"))) inline void multiply_block_vnni(const int8_t* w, const int32_t* offsets,
                                                                      const uint8_t* x_high,
                                                                      const uint8_t* x_low, int64_t K,
                                                                      float* sums) {
  constexpr int kApart = 4;  // sums that need not wait for one another
  __m512i high[kApart], low[kApart];
#pragma GCC unroll 4
  for (int s = 0; s < kApart; ++s) high[s] = low[s] = _mm512_setzero_si512();
  high[0] = _mm512_sub_epi32(high[0], _mm512_loadu_si512(offsets));
  const auto add = [&](int64_t k, int s) __attribute__((target("avx512vnni"), always_inline)) {
    const __m512i weights = _mm512_loadu_si512(w + k * kInt8Rows);
    int32_t upper, lower;
    __builtin_memcpy(&upper, x_high + k, sizeof upper);
    __builtin_memcpy(&lower, x_low + k, sizeof lower);
    high[s] = _mm512_dpbusd_epi32(high[s], _mm512_set1_epi32(upper), weights);
    low[s] = _mm512_dpbusd_epi32(low[s], _mm512_set1_epi32(lower), weights);
  };
  int64_t k = 0;
  for (; k + kApart * kInt8Columns <= K; k += kApart * kInt8Columns)
#pragma GCC unroll 4
    for (int s = 0; s < kApart; ++s) add(k + s * kInt8Columns, s);
  for (; k < K; k += kInt8Columns) add(k, 0);
#pragma GCC unroll 4
  for (int s = 1; s < kApart; ++s) {
    high[0] = _mm512_add_epi32(high[0], high[s]);
    low[0] = _mm512_add_epi32(low[0], low[s]);
  }
  store(sums, Vec<float>((Vec<float>)_mm512_cvtepi32_ps(high[0]) * 256.0f +
                         (Vec<float>)_mm512_cvtepi32_ps(low[0])));
}
#endif

inline void multiply(const Product<Int8Form>& product) {
  constexpr int L = kLanes<float>;
  product.for_blocks([&](int64_t block) {
    const int64_t first = block * kInt8Rows;
    for (int64_t b = 0; b < product.batch; ++b) {
      Vec<float> total[kInt8Rows / L] = {};
      for (int f = 0; f < product.factor_count; ++f) {
        const Factor<Int8Form>& factor = product.factors[f];
        const Int8Form::Operand& x = factor.operand;
        const int64_t K = Int8Form::row_values(factor);
        const int8_t* w = static_cast<const int8_t*>(factor.matrix.data) + first * K;
        alignas(64) float whole[kInt8Rows];
#if defined(__AVX512F__)
        if (!x.whole)
          multiply_block_vnni(w, factor.matrix.offsets + first, x.high + b * x.stride, x.low + b * x.stride,
                              K, whole);
        else
#endif
          multiply_block(w, x.whole + b * x.stride, K, whole);
        for (int i = 0; i < kInt8Rows / L; ++i) {
          const int64_t row = first + i * L;
          total[i] += load(whole + i * L) * load(factor.matrix.scales + row) * x.units[b];
        }
      }
      for (int i = 0; i < kInt8Rows / L; ++i) product.put(b, first + i * L, total[i]);
    }
  });
}

}  // namespace fastlstm::FASTLSTM_ISA
