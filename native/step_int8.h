// Products with int8 weights. What they meet is rounded to 16 bits, relative to the largest of its values,
// so that the error is that of the weights; sums are whole numbers and exact.
#pragma once

#include "step_products.h"

namespace fastlstm::FASTLSTM_ISA {

struct Int8Form {
  using Number = float;
  using Weight = int8_t;
  // v · 32767 / largest, rounded. With VNNI, whose instruction takes bytes without a sign from the left and
  // bytes with one from the right, as v + 32768 in two bytes: the offset is taken out of the sum afterwards.
  struct Operand {
    const int16_t* whole;       // padded with zeros; null with VNNI …
    const uint8_t *high, *low;  // … which has these instead
    const float* units;         // one a vector: what 1 stands for; NaN where a value is not finite
    int64_t stride;
  };

  static Operand prepare(const float* x, int64_t stride, int64_t K, int64_t batch, Arena& arena) {
    const int64_t padded = multiple(K, kInt8Block);
    int16_t* whole = arena.take<int16_t>(batch * padded);
    uint8_t* bytes = reinterpret_cast<uint8_t*>(whole);
    float* units = arena.take<float>(batch);
    const bool vnni = has_vnni();
    for (int64_t b = 0; b < batch; ++b)
      units[b] =
          vnni ? round_row<true>(x + b * stride, K, nullptr, bytes + b * padded, bytes + (batch + b) * padded)
               : round_row<false>(x + b * stride, K, whole + b * padded, nullptr, nullptr);
    return {vnni ? nullptr : whole, bytes, bytes + batch * padded, units, padded};
  }

  static int64_t row_values(const Factor<Int8Form>& factor) { return factor.operand.stride; }
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
    const auto values = [&](int64_t k) {
      if (k >= K) return Vec<float>{};
      return K - k < L ? load_tail(x + k, (int)(K - k)) : load(x + k);
    };
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
    for (int64_t k = 0; k < multiple(K, kInt8Block); k += L) {
      const I rounded = (I)(values(k) * inverse + kMagic) - kMagicBits;
      if (kBytes) {
        const I shifted = rounded + kInt8Offset;
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

// One row times one vector. Sums of 512 products of 127 · 32767 fit into 32 bits.
inline float multiply_row(const int8_t* row, const int16_t* x, int64_t K) {
  constexpr int64_t kFit = 512;
  float total = 0;
  for (int64_t begin = 0; begin < K; begin += kFit) {
    const int64_t end = begin + kFit < K ? begin + kFit : K;
    int32_t sum = 0;
    for (int64_t k = begin; k < end; ++k) sum += (int32_t)row[k] * (int32_t)x[k];
    total += (float)sum;
  }
  return total;
}

// A block of rows times one vector.
inline Vec<float> multiply_rows(const Factor<Int8Form>* factors, int count, int64_t first, int live,
                                int64_t b) {
  Vec<float> total{};
  for (int f = 0; f < count; ++f) {
    const Factor<Int8Form>& factor = factors[f];
    const int64_t K = factor.operand.stride;
    const int8_t* row = static_cast<const int8_t*>(factor.matrix.data) + first * K;
    for (int r = 0; r < live; ++r, row += K)
      total[r] += multiply_row(row, factor.operand.whole + b * K, K) *
                  (factor.matrix.scales[first + r] * factor.operand.units[b]);
  }
  return total;
}

#if defined(__AVX512F__)
__attribute__((target("avx512vnni"))) inline Vec<float> multiply_rows_vnni(const Factor<Int8Form>* factors,
                                                                           int count, int64_t first, int live,
                                                                           int64_t b) {
  constexpr int R = 4, L = kLanes<float>;
  Vec<float> total[L], offset{};
  for (int group = 0; group < L; group += R) {
    Vec<float> sum[R] = {};
    for (int f = 0; f < count; ++f) {
      const Factor<Int8Form>& factor = factors[f];
      const int64_t K = factor.operand.stride;
      const uint8_t *x_high = factor.operand.high + b * K, *x_low = factor.operand.low + b * K;
      const int8_t* row[R];
      int64_t n[R];
      __m512i high[R], low[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        n[r] = first + (group + r < live ? group + r : live - 1);
        row[r] = static_cast<const int8_t*>(factor.matrix.data) + n[r] * K;
        high[r] = low[r] = _mm512_setzero_si512();
      }
      for (int64_t k = 0; k < K; k += kInt8Block) {
        const __m512i x1 = _mm512_loadu_si512(x_high + k), x0 = _mm512_loadu_si512(x_low + k);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          const __m512i weights = _mm512_loadu_si512(row[r] + k);
          high[r] = _mm512_dpbusd_epi32(high[r], x1, weights);
          low[r] = _mm512_dpbusd_epi32(low[r], x0, weights);
        }
      }
      const Vec<float> unit = splat(factor.operand.units[b]);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const Vec<float> whole =
            (Vec<float>)_mm512_cvtepi32_ps(high[r]) * 256.0f + (Vec<float>)_mm512_cvtepi32_ps(low[r]);
        sum[r] += whole * (unit * factor.matrix.scales[n[r]]);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) total[group + r] = sum[r];
  }
  for (int f = 0; f < count; ++f)
    offset += load_first(factors[f].matrix.offsets + first, live) * factors[f].operand.units[b];
  return sum_across<float>(total) - offset;
}
#endif

template <>
inline void multiply(const Product<Int8Form>& product) {
  constexpr int L = kLanes<float>;
  for (int64_t i = 0; i < product.block_count(); ++i) {
    const int64_t block = product.block(i);
    const int live = live_lanes(product.rows, block, L);
    const Vec<float> constant = product.constant(block);
    for (int64_t b = 0; b < product.batch; ++b) {
      Vec<float> sums;
#if defined(__AVX512F__)
      if (Int8Form::has_vnni())
        sums = multiply_rows_vnni(product.factors, product.factor_count, block * L, live, b);
      else
#endif
        sums = multiply_rows(product.factors, product.factor_count, block * L, live, b);
      product.put(b, block, sums + constant);
    }
  }
}

}  // namespace fastlstm::FASTLSTM_ISA
