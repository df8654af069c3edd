// Vectors of one instruction set, and the functions on them that the cells need.
//
// One source for every instruction set: GCC's and Clang's vector extensions, with intrinsics only where the
// compiler cannot see the better instruction. Everything lives in a namespace named after the instruction
// set, so that the copies compiled with different flags never meet at link time.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "common.h"
#include "lstm.h"

namespace fastlstm::FASTLSTM_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRegisters = 32;
#else
constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

template <class Real>
struct Simd;
template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(kVectorBytes)));
  typedef int32_t I __attribute__((vector_size(kVectorBytes)));
  typedef uint32_t U __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef int64_t I __attribute__((vector_size(kVectorBytes)));
  typedef uint64_t U __attribute__((vector_size(kVectorBytes)));
};
template <class Real>
using Vec = typename Simd<Real>::V;
template <class Real>
constexpr int kLanes = kVectorBytes / sizeof(Real);

template <class Real>
FASTLSTM_INLINE Vec<Real> splat(Real value) {
  return value - Vec<Real>{};  // exact for -0 too, so a plain broadcast, which the load ports do
}
template <class Real>
FASTLSTM_INLINE Vec<Real> load(const Real* p) {
  Vec<Real> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class Real>
FASTLSTM_INLINE void store(Real* p, Vec<Real> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// The first n lanes, 0 < n ≤ lanes; the others read as zero and are not written.
template <class Real>
FASTLSTM_INLINE Vec<Real> load_first(const Real* p, int n) {
  if (n >= kLanes<Real>) return load(p);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4)
    return (Vec<Real>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
  else
    return (Vec<Real>)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#else
  Vec<Real> v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
#endif
}
template <class Real>
FASTLSTM_INLINE void store_first(Real* p, Vec<Real> v, int n) {
  if (n >= kLanes<Real>) return store(p, v);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#else
  for (int i = 0; i < n; ++i) p[i] = v[i];
#endif
}

#if defined(__AVX512BF16__)
// The same from and to bfloat16, rounded to the nearest.
FASTLSTM_INLINE Vec<float> load_first(const Bfloat16* p, int n) {
  const __m256i bits = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p);
  return (Vec<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
}
FASTLSTM_INLINE void store_first(Bfloat16* p, Vec<float> v, int n) {
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh((__m512)v));
}
#endif

// The larger one of every lane; what is no number in b is left out.
template <class Real>
FASTLSTM_INLINE Vec<Real> larger(Vec<Real> a, Vec<Real> b) {
  return b > a ? b : a;
}
template <class Real>
FASTLSTM_INLINE Real largest_lane(Vec<Real> x) {
  Real found = x[0];
  for (int lane = 1; lane < kLanes<Real>; ++lane) found = x[lane] > found ? x[lane] : found;
  return found;
}

// NaN in x stays NaN.
template <class Real>
FASTLSTM_INLINE Vec<Real> clamp(Vec<Real> x, Real limit) {
  const Vec<Real> low = splat<Real>(-limit), high = splat<Real>(limit);
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4)
    return (Vec<Real>)_mm512_min_ps((__m512)high, _mm512_max_ps((__m512)low, (__m512)x));
  else
    return (Vec<Real>)_mm512_min_pd((__m512d)high, _mm512_max_pd((__m512d)low, (__m512d)x));
#else
  x = x < low ? low : x;
  return x > high ? high : x;
#endif
}

// 1 / x for x in the normal range, to about one unit in the last place.
template <class Real>
FASTLSTM_INLINE Vec<Real> reciprocal(Vec<Real> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) ==
                4) {  // an estimate with a relative error of 2^-14, squared by one Newton step
    const Vec<Real> r = (Vec<Real>)_mm512_rcp14_ps((__m512)x);
    return r + r * (Real(1) - x * r);
  }
#endif
  return Real(1) / x;
}

// x rounded to an integer n, and 2^n, for |x| small enough that 2^n is a normal number.
template <class Real>
struct Exponent {
  Vec<Real> n, power;
  FASTLSTM_INLINE explicit Exponent(Vec<Real> x) {
#if defined(__AVX512F__)
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    const Vec<Real> one = splat<Real>(1);
    if constexpr (sizeof(Real) == 4) {
      n = (Vec<Real>)_mm512_roundscale_ps((__m512)x, kNearest);
      power = (Vec<Real>)_mm512_scalef_ps((__m512)one, (__m512)n);
    } else {
      n = (Vec<Real>)_mm512_roundscale_pd((__m512d)x, kNearest);
      power = (Vec<Real>)_mm512_scalef_pd((__m512d)one, (__m512d)n);
    }
#else
    // Adding 1.5·2^23 (or 2^52) rounds to an integer, which then stands in the low bits of the sum.
    typedef typename Simd<Real>::I I;
    constexpr Real kMagic = sizeof(Real) == 4 ? Real(12582912) : Real(6755399441055744.0);
    const Vec<Real> shifted = x + kMagic;
    n = shifted - kMagic;
    if constexpr (sizeof(Real) == 4)
      power = (Vec<Real>)(((I)shifted << 23) + 0x3f800000);
    else
      power = (Vec<Real>)(((I)shifted << 52) + 0x3ff0000000000000);
#endif
  }
};

// 2^f - 1 for |f| ≤ 1/2, without cancellation: f times the Chebyshev interpolant of (2^f - 1)/f, of degree 5
// (float, relative error of 2^f 5e-9) or 10 (double, 8e-18).
template <class Real>
FASTLSTM_INLINE Vec<Real> exp2_minus_one(Vec<Real> f) {
  if constexpr (sizeof(Real) == 4) {
    Vec<Real> p = splat<Real>(Real(0.000154531629451));
    p = p * f + Real(0.00133908633647);
    p = p * f + Real(0.00961808255728);
    p = p * f + Real(0.0555035711422);
    p = p * f + Real(0.240226507606);
    p = p * f + Real(0.693147188026);
    return p * f;
  } else {
    Vec<Real> p = splat<Real>(Real(4.45496059818651839e-10));
    p = p * f + Real(7.0725859492692237e-9);
    p = p * f + Real(1.01780624458457735e-7);
    p = p * f + Real(1.32154425879216897e-6);
    p = p * f + Real(0.0000152527338298361184);
    p = p * f + Real(0.000154035304417360502);
    p = p * f + Real(0.00133335581464169353);
    p = p * f + Real(0.00961812910760688853);
    p = p * f + Real(0.0555041086648215943);
    p = p * f + Real(0.240226506959100982);
    p = p * f + Real(0.693147180559945309);
    return p * f;
  }
}

constexpr double kLog2E = 1.4426950408889634074;

// e^x for x ≤ 0, 0 where it is too small for a normal number.
template <class Real>
FASTLSTM_INLINE Vec<Real> exponential(Vec<Real> x) {
  constexpr Real kLimit = sizeof(Real) == 4 ? Real(87) : Real(708);
  const Vec<Real> within = clamp<Real>(x, kLimit);
  const Exponent<Real> exponent(within * Real(kLog2E));
  const Vec<Real> f = within * Real(kLog2E) - exponent.n;
  const Vec<Real> value = exponent.power * exp2_minus_one<Real>(f) + exponent.power;
  return x < splat<Real>(-kLimit) ? Vec<Real>{} : value;
}

// log(1 + z) for 0 ≤ z ≤ 1, without cancellation: 2 artanh(s), s = z / (z + 2) ≤ 1/3, by its series.
template <class Real>
FASTLSTM_INLINE Vec<Real> log1p_of_share(Vec<Real> z) {
  constexpr int kTerms = sizeof(Real) == 4 ? 8 : 17;  // the first left out is below 3^-2n / (2n + 1) of s
  const Vec<Real> s = z / (z + Real(2)), square = s * s;
  Vec<Real> sum = splat<Real>(Real(1) / (2 * kTerms - 1));
  for (int n = kTerms - 1; n > 0; --n) sum = sum * square + Real(1) / (2 * n - 1);
  return Real(2) * s * sum;
}

// σ(x) = 1 / (1 + 2^t), t = -x log2 e. Past the clamp the result is 0 or 1 to working precision.
template <class Real>
FASTLSTM_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  constexpr Real kLimit = sizeof(Real) == 4 ? Real(87) : Real(708);
  x = clamp<Real>(x, kLimit);
  const Exponent<Real> exponent(x * Real(-kLog2E));
  const Vec<Real> f = x * Real(-kLog2E) - exponent.n;
  return reciprocal<Real>(exponent.power * exp2_minus_one<Real>(f) + (exponent.power + Real(1)));
}

// tanh(x) = (2^t - 1) / (2^t + 1), t = 2x log2 e, with 2^t - 1 taken without cancellation, so that small x
// keep their relative precision. Past the clamp the result is ±1 to working precision.
template <class Real>
FASTLSTM_INLINE Vec<Real> hyperbolic_tangent(Vec<Real> x) {
  constexpr Real kLimit = sizeof(Real) == 4 ? Real(9.5) : Real(20);
  x = clamp<Real>(x, kLimit);
  const Exponent<Real> exponent(x * Real(2 * kLog2E));
  const Vec<Real> f = x * Real(2 * kLog2E) - exponent.n;
  const Vec<Real> minus_one = exponent.power * exp2_minus_one<Real>(f) + (exponent.power - Real(1));
  return minus_one * reciprocal<Real>(minus_one + Real(2));
}

}  // namespace fastlstm::FASTLSTM_ISA
