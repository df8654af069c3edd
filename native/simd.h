// Vectors of one instruction set, and the functions on them that the cells need.
//
// One source for every instruction set: GCC's and Clang's vector extensions, with intrinsics only where the compiler
// cannot see the better instruction. Everything lives in a namespace named after the instruction set, so that the
// copies compiled with different flags never meet at link time.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "common.h"

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
};
template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef int64_t I __attribute__((vector_size(kVectorBytes)));
};
template <class Real>
using Vec = typename Simd<Real>::V;
template <class Real>
constexpr int kLanes = kVectorBytes / sizeof(Real);

template <class Real>
FASTLSTM_INLINE Vec<Real> splat(Real value) {
  return Vec<Real>{} + value;
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

// NaN in x stays NaN: the comparison is false and x is kept.
template <class Real>
FASTLSTM_INLINE Vec<Real> clamp(Vec<Real> x, Real low, Real high) {
  Vec<Real> lo = splat<Real>(low), hi = splat<Real>(high);
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

// 1 / x for x in the normal range, to about one unit in the last place.
template <class Real>
FASTLSTM_INLINE Vec<Real> reciprocal(Vec<Real> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Real) == 4) {
    // A 14-bit estimate and one cubically convergent step: e = 1 - x r, r (1 + e + e²), relative error 2^-24 or so.
    Vec<float> r = (Vec<float>)_mm512_rcp14_ps((__m512)x);
    Vec<float> e = 1.0f - x * r;
    return r + r * (e + e * e);
  }
#endif
  return Real(1) / x;
}

// e^x in the parts from which both e^x and e^x - 1 come without cancellation: x = n ln 2 + r with |r| ≤ ln(2)/2,
// power = 2^n, minus_one = e^r - 1. For x in [-87, 87] (float) or [-708, 708] (double); the caller clamps.
//
// e^r - 1 = r + r² p(r), p the Chebyshev interpolant of (e^r - 1 - r)/r² on |r| ≤ 1.01 ln(2)/2, of degree 4 (float,
// error 9e-9) or 9 (double, error 1.5e-17).
template <class Real>
struct ExponentialParts {
  Vec<Real> power, minus_one;
};
template <class Real>
FASTLSTM_INLINE ExponentialParts<Real> exponential_parts(Vec<Real> x) {
  typedef typename Simd<Real>::I I;
  if constexpr (sizeof(Real) == 4) {
    const Vec<float> magic = splat<float>(12582912.0f);  // 1.5·2^23: adding it rounds to an integer
    const Vec<float> shifted = x * 1.44269504088896341f + magic;
    const Vec<float> n = shifted - magic;
    const Vec<float> r = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-06f;  // ln 2 in two parts
    Vec<float> p = splat<float>(0.001392692661f);
    p = p * r + 0.008363773874f;
    p = p * r + 0.04166655011f;
    p = p * r + 0.1666657338f;
    p = p * r + 0.5f;
    const I bits = ((I)shifted << 23) + 0x3f800000;  // the magic number's own bits leave at the top
    return {(Vec<float>)bits, r * r * p + r};
  } else {
    const Vec<double> magic = splat<double>(6755399441055744.0);  // 1.5·2^52
    const Vec<double> shifted = x * 1.4426950408889634074 + magic;
    const Vec<double> n = shifted - magic;
    const Vec<double> r = (x - n * 0.6931471803691238164901733) - n * 1.9082149292705878161e-10;
    Vec<double> p = splat<double>(2.51013469283503402e-8);
    p = p * r + 2.76213386691429238e-7;
    p = p * r + 2.75572664186123037e-6;
    p = p * r + 0.0000248015186413959936;
    p = p * r + 0.000198412698643805133;
    p = p * r + 0.00138888889189391678;
    p = p * r + 0.0083333333333297935;
    p = p * r + 0.0416666666666206386;
    p = p * r + 0.166666666666666675;
    p = p * r + 0.500000000000000113;
    const I bits = ((I)shifted << 52) + 0x3ff0000000000000;
    return {(Vec<double>)bits, r * r * p + r};
  }
}

// σ(x) = 1 / (1 + e^-x). Past the clamp the result is 0 or 1 to working precision.
template <class Real>
FASTLSTM_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  constexpr Real kLimit = sizeof(Real) == 4 ? Real(87) : Real(708);
  const auto e = exponential_parts<Real>(clamp<Real>(-x, -kLimit, kLimit));
  return reciprocal<Real>((Real(1) + e.power) + e.power * e.minus_one);
}

// tanh(x) = (e^2x - 1) / (e^2x + 1), with e^2x - 1 taken without cancellation, so that small x keep their relative
// precision. Past the clamp tanh is ±1 to working precision.
template <class Real>
FASTLSTM_INLINE Vec<Real> hyperbolic_tangent(Vec<Real> x) {
  constexpr Real kLimit = sizeof(Real) == 4 ? Real(18.5) : Real(40);
  const auto e = exponential_parts<Real>(clamp<Real>(x + x, -kLimit, kLimit));
  const Vec<Real> minus_one = e.power * e.minus_one + (e.power - Real(1));
  return minus_one * reciprocal<Real>(minus_one + Real(2));
}

}  // namespace fastlstm::FASTLSTM_ISA
